/* HLT ends by a LAPIC timer interrupt, ten times; the interrupt is taken once each, and the time that passed is about right by the TSC. */
#include "guest.h"

static volatile uint32_t ticks;

static void on_timer(void)
{
	ticks++;
	LAPIC[LAPIC_EOI] = 0;
}

int main(void)
{
	guest_handlers[0x40] = on_timer;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	LAPIC[LAPIC_TIMER_DIVIDE] = 0xb; /* by 1 */
	LAPIC[LAPIC_LVT_TIMER] = 0x40;   /* one-shot */
	uint64_t start = rdtsc();
	for (uint32_t i = 1; i <= 10; i++) {
		LAPIC[LAPIC_TIMER_INITIAL] = 1000000;
		while (ticks < i)
			__asm__ volatile("sti; hlt; cli");
		CHECK(ticks == i);
		CHECK(LAPIC[LAPIC_TIMER_CURRENT] == 0);
	}
	CHECK(rdtsc() - start > 100000); /* 10 ms, on Bochs 200 000 ticks */
	guest_print("ten ticks\n");
	return 0;
}
