/*
 * The UART with interrupts: 20000 bytes leave through the transmitter-empty interrupt, sixteen at a time, and none is lost or repeated.
 * Prints: 00000199 the last line
 */
#include "guest.h"

static const char digits[] = "0123456789";
static uint32_t line, column;
static volatile bool done;

static char next_char(void)
{
	static const char tail[] = " the last line of a hundred characters, which fills the transmitter's FIFO more than six times..\n";
	if (column == 8 + sizeof(tail) - 1) {
		column = 0;
		line++;
	}
	uint32_t at = column++;
	if (at >= 8)
		return tail[at - 8];
	uint32_t x = line;
	for (uint32_t i = at; i < 7; i++)
		x /= 10;
	return digits[x % 10];
}

static void on_uart(void)
{
	if ((inb(0x3fa) & 0xf) == 2) {
		for (int i = 0; i < 16 && line < 200; i++) {
			char c = next_char();
			if (line < 200)
				outb(0x3f8, (uint8_t)c);
		}
		if (line >= 200) {
			outb(0x3f9, 0);
			done = true;
		}
	}
	LAPIC[LAPIC_EOI] = 0;
}

int main(void)
{
	volatile uint32_t *ioapic = (volatile uint32_t *)0xfec00000;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	guest_handlers[0x54] = on_uart;
	ioapic[0] = 0x19;
	ioapic[4] = 0;
	ioapic[0] = 0x18;
	ioapic[4] = 0x54;
	outb(0x3fa, 1);
	outb(0x3fc, 0x0b);
	outb(0x3f9, 2);
	while (!done)
		__asm__ volatile("sti; hlt; cli");
	return 0;
}
