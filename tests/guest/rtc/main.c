/* The RTC: it has a plausible date, its seconds advance, setting the time works, and its periodic interrupt (IRQ 8) comes 16 times a second. */
#include "guest.h"

static volatile uint32_t ticks;

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void cmos_set(uint8_t reg, uint8_t x)
{
	outb(0x70, reg);
	outb(0x71, x);
}

static void on_tick(void)
{
	ticks++;
	cmos(0x0c);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

int main(void)
{
	CHECK(cmos(0x0d) == 0x80);
	CHECK(cmos(0x32) == 0x20 && cmos(9) >= 0x24); /* 20xx, BCD */
	uint8_t second = cmos(0);
	while (cmos(0) == second)
		;
	while (!(cmos(0x0a) & 0x80)) /* an update is announced */
		;
	while (cmos(0x0a) & 0x80)
		;
	cmos_set(0x0b, 0x82);
	cmos_set(4, 0x23);
	cmos_set(2, 0x59);
	cmos_set(0, 0x59);
	cmos_set(7, 0x28);
	cmos_set(8, 0x02);
	cmos_set(9, 0x27);
	cmos_set(0x0b, 0x02);
	while (cmos(0) == 0x59)
		;
	CHECK(cmos(7) == 0x01 && cmos(8) == 0x03 && cmos(4) == 0);

	guest_handlers[0x48] = on_tick;
	outb(0x20, 0x11);
	outb(0x21, 0x40);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0xa0, 0x11);
	outb(0xa1, 0x48);
	outb(0xa1, 0x02);
	outb(0xa1, 0x01);
	outb(0x21, 0xfb);
	outb(0xa1, 0xfe);
	cmos_set(0x0a, 0x2c); /* 16 Hz */
	cmos_set(0x0b, 0x42);
	cmos(0x0c);
	second = cmos(0);
	while (ticks < 32)
		__asm__ volatile("sti; hlt; cli");
	CHECK(cmos(0) != second); /* two seconds at 16 Hz; a busy host may take longer */
	guest_print("RTC ticks\n");
	return 0;
}
