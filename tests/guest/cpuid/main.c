/*
 * CPUID policy: hypervisor signatures, features that are ours, features that must be hidden, leaves that do not exist, and a CPUID with
 * prefixes (its length must be found where the processor does not tell).
 */
#include "guest.h"

static bool same(uint32_t a, const char *b)
{
	return a == ((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
}

int main(void)
{
	uint32_t r[4];
	cpuid(0, 0, r);
	CHECK(r[0] >= 0xb && r[0] <= 0x20);
	cpuid(1, 0, r);
	CHECK(r[2] >> 31);                  /* hypervisor present */
	CHECK(r[2] >> 21 & 1);              /* x2APIC */
	CHECK(r[2] >> 24 & 1);              /* TSC deadline timer */
	CHECK(!(r[2] >> 5 & 1));            /* VMX */
	CHECK(!(r[2] >> 3 & 1));            /* MONITOR */
	CHECK(r[3] >> 9 & 1);               /* APIC */
	CHECK(r[1] >> 24 == 0);             /* APIC ID */
	CHECK(!(r[2] >> 27 & 1));           /* OSXSAVE follows CR4 */
	cpuid(0x40000000, 0, r);
	CHECK(same(r[1], "KVMK") && same(r[2], "VMKV") && r[3] == 'M');
	cpuid(0x40000100, 0, r);
	CHECK(same(r[1], "Bert") && same(r[2], "hBer"));
	cpuid(0x80000001, 0, r);
	CHECK(!(r[2] >> 2 & 1)); /* SVM */
	CHECK(r[3] >> 29 & 1);   /* long mode */
	cpuid(0x8000000a, 0, r);
	CHECK(!r[0] && !r[1] && !r[2] && !r[3]);
	cpuid(0xb, 0, r);
	CHECK(r[1] == 1 && r[3] == 0);
	cpuid(7, 5, r);
	CHECK(!r[0] && !r[1] && !r[2] && !r[3]);
	uint32_t eax = 0x40000100, ebx, ecx = 0, edx;
	__asm__ volatile(".byte 0x66, 0xf3, 0x2e, 0x0f, 0xa2" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	CHECK(same(ebx, "Bert"));
	return 0;
}
