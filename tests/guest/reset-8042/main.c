/*
 * The keyboard controller pulses the reset line: command 0xfe; a pulse that leaves bit 0 alone (0xff) does nothing.
 * Expect: reset
 */
#include "guest.h"

int main(void)
{
	outb(0x64, 0xff);
	for (volatile int i = 0; i < 100000; i++)
		;
	guest_print("alive\n");
	outb(0x64, 0xfe);
	for (volatile int i = 0; i < 10000000; i++)
		;
	return 1;
}
