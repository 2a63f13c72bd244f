/*
 * The PIT: channel 2 gated by port 0x61 measures 10 ms of TSC the way Linux calibrates; channel 0 interrupts through the PIC's virtual wire and
 * through the IOAPIC (input 2), and its rate agrees with channel 2's measure.
 */
#include "guest.h"

static volatile uint32_t ticks;
static bool by_pic;

static void on_tick(void)
{
	ticks++;
	if (by_pic)
		outb(0x20, 0x20);
	else
		LAPIC[LAPIC_EOI] = 0;
}

static uint64_t tsc_of_10ms(void)
{
	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb0);
	outb(0x42, 11932 & 0xff);
	outb(0x42, 11932 >> 8);
	uint64_t start = rdtsc();
	while (!(inb(0x61) & 0x20))
		;
	return rdtsc() - start;
}

static void start_10ms_ticks(void)
{
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
}

/* 20 ticks take 200 ms; an emulated host may be late, never early. */
static void count_20(uint64_t ten_ms)
{
	ticks = 0;
	uint64_t start = rdtsc();
	while (ticks < 21)
		__asm__ volatile("sti; hlt; cli");
	uint64_t took = rdtsc() - start;
	CHECK(took > ten_ms * 18);
	CHECK(took < ten_ms * 100);
}

int main(void)
{
	uint64_t a = tsc_of_10ms(), b = tsc_of_10ms();
	CHECK(a > 1000000 && b > 1000000);
	CHECK(a < 4 * b && b < 4 * a);

	guest_handlers[0x40] = on_tick;
	by_pic = true;
	outb(0x20, 0x11);
	outb(0x21, 0x40);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0x21, 0xfe);
	start_10ms_ticks();
	count_20(a < b ? a : b);

	outb(0x21, 0xff);
	by_pic = false;
	volatile uint32_t *ioapic = (volatile uint32_t *)0xfec00000;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	ioapic[0] = 0x10 + 2 * 2 + 1;
	ioapic[4] = 0;
	ioapic[0] = 0x10 + 2 * 2;
	ioapic[4] = 0x40;
	count_20(a < b ? a : b);
	guest_print("PIT ticks\n");
	return 0;
}
