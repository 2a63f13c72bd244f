/* An MSR that does not exist is #GP(0), for reads and writes, with RIP at the instruction; known ones work; EFER keeps its reserved bits. */
#include "guest.h"

static void read(void *msr)
{
	rdmsr((uint32_t)msr);
}

static void write(void *msr)
{
	wrmsr((uint32_t)msr, 0);
}

static void write_bad_efer(void *unused)
{
	(void)unused;
	wrmsr(0xc0000080, 1u << 12); /* SVME */
}

int main(void)
{
	for (int i = 0; i < 3; i++) {
		CHECK(guest_try(read, (void *)0xc0ffee));
		CHECK(guest_fault.vector == 13 && guest_fault.error == 0);
		CHECK(*(volatile uint8_t *)guest_fault.eip == 0x0f && *(volatile uint8_t *)(guest_fault.eip + 1) == 0x32);
		CHECK(guest_try(write, (void *)0xc0ffee));
		CHECK(guest_fault.vector == 13);
	}
	CHECK(guest_try(write_bad_efer, 0));
	CHECK(guest_fault.vector == 13);
	CHECK(!guest_try(read, (void *)0x1b));
	CHECK(rdmsr(0x1b) & 1u << 8); /* boot processor */
	CHECK((rdmsr(0xc0000080) & 1u << 12) == 0);
	wrmsr(0x277, 0x0007010600070106ull);
	CHECK(rdmsr(0x277) == 0x0007010600070106ull);
	wrmsr(0xc0000102, 0x1234);
	CHECK(rdmsr(0xc0000102) == 0x1234);
	return 0;
}
