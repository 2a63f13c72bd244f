/*
 * INIT and SIPI start the second vCPU in real mode at the vector's page; it counts itself in and halts; an IPI wakes it.
 * Cpus: 2
 * Cores: 3
 */
#include "guest.h"

#define AP_PAGE 0x8000u
#define AP_COUNT ((volatile uint32_t *)0x9000)

/* Real mode: lock inc dword [0x9000]; cli; hlt; jmp to hlt */
static const uint8_t ap_code[] = {0x31, 0xc0, 0x8e, 0xd8, 0xf0, 0x66, 0xff, 0x06, 0x00, 0x90, 0xfa, 0xf4, 0xeb, 0xfd};

static void ipi(uint32_t low)
{
	LAPIC[LAPIC_ICR_HIGH] = 1u << 24;
	LAPIC[LAPIC_ICR_LOW] = low;
}

static void wait_for(uint32_t count)
{
	for (uint32_t i = 0; i < 5000000 && *AP_COUNT < count; i++)
		__asm__ volatile("pause");
	CHECK(*AP_COUNT == count);
}

int main(void)
{
	for (uint32_t i = 0; i < sizeof(ap_code); i++)
		((volatile uint8_t *)AP_PAGE)[i] = ap_code[i];
	*AP_COUNT = 0;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	for (uint32_t round = 1; round <= 3; round++) {
		ipi(0x4500);                  /* INIT */
		ipi(0x4600 | AP_PAGE >> 12); /* SIPI */
		wait_for(round);
		ipi(0x4600 | AP_PAGE >> 12); /* a second one is ignored: it does not wait for it */
		for (volatile int i = 0; i < 100000; i++)
			;
		CHECK(*AP_COUNT == round);
	}
	guest_print("second vCPU started\n");
	return 0;
}
