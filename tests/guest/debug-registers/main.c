/*
 * Debug registers: they keep their values across exits, a data breakpoint and single-stepping raise #DB with the right DR6 bits, also for a
 * step over an instruction that exits (CPUID).
 */
#include "guest.h"

static volatile uint32_t watched, hits, steps, cpuid_steps;
static volatile uint32_t last_dr6;

static void on_debug(void)
{
	uint32_t dr6;
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	last_dr6 = dr6;
	if (dr6 & 1)
		hits++;
	if (dr6 & 1u << 14)
		steps++;
	dr6 = 0xffff0ff0;
	__asm__ volatile("mov %0, %%dr6" : : "r"(dr6));
}

int main(void)
{
	uint32_t r[4], x;
	guest_handlers[1] = on_debug;
	__asm__ volatile("mov %0, %%dr2" : : "r"(0x12345678));
	cpuid(0, 0, r);
	inb(0x80);
	__asm__ volatile("mov %%dr2, %0" : "=r"(x));
	CHECK(x == 0x12345678);
	__asm__ volatile("mov %0, %%dr0" : : "r"(&watched));
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x000d0402)); /* G0, write, 4 bytes */
	watched = 1;
	CHECK(hits == 1);
	cpuid(0, 0, r);
	watched = 2;
	CHECK(hits == 2);
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x400));
	watched = 3;
	CHECK(hits == 2);
	/* After POPF sets TF, the next instruction is stepped; here NOP, CPUID, and the POPF that clears TF. */
	uint32_t eax = 0, ebx, ecx = 0, edx;
	__asm__ volatile("pushf; orl $0x100, (%%esp); popf; nop; cpuid; pushf; andl $~0x100, (%%esp); popf"
		: "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory", "cc");
	CHECK(steps == 5);
	return 0;
}
