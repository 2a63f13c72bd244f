/* The IOAPIC: an edge (RTC update interrupt, input 8) and a level (ACPI power-management timer, input 9 is quiet) with Remote IRR and EOI. */
#include "guest.h"

static volatile uint32_t edges;
static volatile uint32_t *const ioapic = (volatile uint32_t *)0xfec00000;

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void on_edge(void)
{
	edges++;
	cmos(0x0c);
	LAPIC[LAPIC_EOI] = 0;
}

static uint32_t ioapic_read(uint32_t reg)
{
	ioapic[0] = reg;
	return ioapic[4];
}

static void route(uint32_t pin, uint32_t low)
{
	ioapic[0] = 0x10 + 2 * pin + 1;
	ioapic[4] = 0;
	ioapic[0] = 0x10 + 2 * pin;
	ioapic[4] = low;
}

int main(void)
{
	CHECK((ioapic_read(1) >> 16 & 0xff) == 23);
	CHECK(ioapic_read(0x10 + 2 * 8) == 0x10000);
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	guest_handlers[0x58] = on_edge;

	outb(0x70, 0x0b);
	outb(0x71, 0x12); /* update-ended interrupt */
	cmos(0x0c);
	route(8, 0x58);
	while (edges < 2)
		__asm__ volatile("sti; hlt; cli");
	route(8, 0x10058);
	uint32_t seen = edges;
	uint8_t second = cmos(0);
	while (cmos(0) == second)
		;
	while (cmos(0) == (uint8_t)(second + 1))
		;
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(edges == seen); /* masked */

	guest_handlers[0x59] = on_edge;
	cmos(0x0c);
	route(8, 0x8059); /* the same line as level: stays until register C is read, then EOI */
	seen = edges;
	while (edges < seen + 2)
		__asm__ volatile("sti; hlt; cli");
	CHECK(!(ioapic_read(0x10 + 2 * 8) & 0x4000));
	guest_print("IOAPIC edges and levels\n");
	return 0;
}
