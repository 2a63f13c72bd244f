/*
 * Interrupts to a running vCPU, thousands and each counted once: from itself by the xAPIC page and by the x2APIC MSR, from its timer, and
 * level-triggered from the I/O APIC. tests/system/intel_interrupts.py looks at what they cost in exits.
 */
#include "guest.h"

#define X2_EOI 0x80b
#define X2_SPURIOUS 0x80f
#define X2_PPR 0x80a
#define X2_ISR 0x810
#define X2_TMR 0x818
#define X2_LVT_TIMER 0x832
#define X2_INITIAL 0x838
#define X2_DIVIDE 0x83e
#define X2_SELF 0x83f
#define ICR_SELF (1u << 18)
#define LAPIC_TPR (0x80 / 4)
#define LAPIC_ISR (0x100 / 4)
#define LAPIC_TMR (0x180 / 4)
#define LAPIC_IRR (0x200 / 4)
#define ROUNDS 1000u
#define TICKS 100u

static volatile uint32_t taken, ticks, levels, seen_in_service, order;
static volatile uint32_t *const ioapic = (volatile uint32_t *)0xfec00000;

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void on_page(void)
{
	taken++;
	LAPIC[LAPIC_EOI] = 0;
}

static void on_low(void) /* 0x61, while 0x71 waits */
{
	order = order * 16 + 6;
	seen_in_service = LAPIC[LAPIC_ISR + 4 * 3];
	__asm__ volatile("sti; nop; cli"); /* 0x71 nests */
	LAPIC[LAPIC_EOI] = 0;
}

static void on_high(void)
{
	order = order * 16 + 7;
	LAPIC[LAPIC_EOI] = 0;
}

static void on_level(void) /* the line stays until register C is read */
{
	levels++;
	seen_in_service = LAPIC[LAPIC_TMR + 4 * 2];
	cmos(0x0c);
	LAPIC[LAPIC_EOI] = 0;
}

static void on_msr(void)
{
	taken++;
	wrmsr(X2_EOI, 0);
}

static void on_tick(void)
{
	ticks++;
	wrmsr(X2_EOI, 0);
}

static void by_page(void)
{
	taken = 0;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		LAPIC[LAPIC_ICR_LOW] = ICR_SELF | 0x51;
		__asm__ volatile("sti; nop; nop; cli");
		CHECK(taken == i);
	}
}

/* TPR holds one back, the higher of two nests, and a lower one waits for EOI. */
static void priorities(void)
{
	LAPIC[LAPIC_TPR] = 0x75;
	LAPIC[LAPIC_ICR_LOW] = ICR_SELF | 0x61;
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(order == 0);
	CHECK(LAPIC[LAPIC_IRR + 4 * 3] == 2);
	CHECK(LAPIC[LAPIC_TPR] == 0x75);
	LAPIC[LAPIC_ICR_LOW] = ICR_SELF | 0x71;
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(order == 0);
	LAPIC[LAPIC_TPR] = 0x60;
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(order == 7); /* 0x61 is of class 6 */
	LAPIC[LAPIC_TPR] = 0x50;
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(order == 0x76);
	CHECK(seen_in_service == 2);
	CHECK(LAPIC[LAPIC_ISR + 4 * 3] == 0);
	LAPIC[LAPIC_TPR] = 0;
}

static void level(void)
{
	outb(0x70, 0x0a);
	outb(0x71, 0x26); /* 1024 Hz */
	outb(0x70, 0x0b);
	outb(0x71, 0x42); /* periodic interrupt */
	cmos(0x0c);
	ioapic[0] = 0x10 + 2 * 8 + 1;
	ioapic[4] = 0;
	ioapic[0] = 0x10 + 2 * 8;
	ioapic[4] = 0x8059;
	while (levels < 3)
		__asm__ volatile("sti; nop; cli");
	CHECK(seen_in_service == 1u << (0x59 - 64)); /* its TMR bit */
	outb(0x70, 0x0b);
	outb(0x71, 0x02); /* no more of them */
	cmos(0x0c);
	__asm__ volatile("sti; nop; nop; cli");
	ioapic[0] = 0x10 + 2 * 8;
	CHECK(!(ioapic[4] & 0x4000)); /* Remote IRR: EOI came through */
	ioapic[4] = 0x10000;
}

static void by_msr(void)
{
	wrmsr(0x1b, rdmsr(0x1b) | 1 << 10);
	guest_handlers[0x51] = on_msr;
	taken = 0;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		wrmsr(X2_SELF, 0x51);
		__asm__ volatile("sti; nop; nop; cli");
		CHECK(taken == i);
	}
	CHECK(rdmsr(X2_PPR) == 0 && rdmsr(X2_ISR + 2) == 0);
}

/* While it runs: no HLT, no PAUSE. */
static void by_timer(void)
{
	guest_handlers[0x41] = on_tick;
	wrmsr(X2_DIVIDE, 0xb);
	wrmsr(X2_LVT_TIMER, 0x20041);
	wrmsr(X2_INITIAL, 1000000); /* 1 ms */
	__asm__ volatile("sti");
	while (ticks < TICKS)
		;
	__asm__ volatile("cli");
	wrmsr(X2_INITIAL, 0);
}

int main(void)
{
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	guest_handlers[0x51] = on_page;
	guest_handlers[0x59] = on_level;
	guest_handlers[0x61] = on_low;
	guest_handlers[0x71] = on_high;
	by_page();
	priorities();
	level();
	by_msr();
	by_timer();
	return 0;
}
