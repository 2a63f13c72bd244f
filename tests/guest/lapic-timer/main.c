/*
 * The LAPIC's timer in all its modes, by xAPIC page and x2APIC MSRs: one-shot, periodic, TSC-deadline in the future and in the past, masked.
 */
#include "guest.h"

#define X2_EOI 0x80b
#define X2_SPURIOUS 0x80f
#define X2_LVT_TIMER 0x832
#define X2_INITIAL 0x838
#define X2_CURRENT 0x839
#define X2_DIVIDE 0x83e
#define TSC_DEADLINE 0x6e0

static volatile uint32_t ticks;
static bool x2;

static void on_tick(void)
{
	ticks++;
	if (x2)
		wrmsr(X2_EOI, 0);
	else
		LAPIC[LAPIC_EOI] = 0;
}

static void wait_ticks(uint32_t n)
{
	while (ticks < n)
		__asm__ volatile("sti; hlt; cli");
}

int main(void)
{
	guest_handlers[0x50] = on_tick;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	LAPIC[LAPIC_TIMER_DIVIDE] = 0xb;
	LAPIC[LAPIC_LVT_TIMER] = 0x50;
	LAPIC[LAPIC_TIMER_INITIAL] = 3000000;
	CHECK(LAPIC[LAPIC_TIMER_CURRENT] <= 3000000);
	wait_ticks(1);
	CHECK(LAPIC[LAPIC_TIMER_CURRENT] == 0);

	ticks = 0;
	LAPIC[LAPIC_LVT_TIMER] = 0x20050;
	LAPIC[LAPIC_TIMER_INITIAL] = 3000000;
	wait_ticks(20);
	CHECK(LAPIC[LAPIC_TIMER_CURRENT] > 0);
	LAPIC[LAPIC_LVT_TIMER] = 0x30050; /* masked: no more */
	__asm__ volatile("sti; nop; cli");
	ticks = 0;
	for (volatile int i = 0; i < 3000000; i++)
		;
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(ticks == 0);
	LAPIC[LAPIC_TIMER_INITIAL] = 0;

	wrmsr(0x1b, rdmsr(0x1b) | 1 << 10);
	x2 = true;
	CHECK(rdmsr(0x802) == 0);
	CHECK(rdmsr(X2_SPURIOUS) == 0x1ff);
	wrmsr(X2_LVT_TIMER, 0x40050);
	for (uint32_t i = 1; i <= 20; i++) {
		uint64_t at = rdtsc() + 3000000;
		wrmsr(TSC_DEADLINE, at);
		wait_ticks(i);
		CHECK(rdtsc() >= at);
		CHECK(rdmsr(TSC_DEADLINE) == 0);
	}
	ticks = 0;
	wrmsr(TSC_DEADLINE, rdtsc() - 1);
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(ticks == 1);
	guest_print("LAPIC timer\n");
	return 0;
}
