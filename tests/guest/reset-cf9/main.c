/*
 * The reset register of the chipset (port 0xcf9, which the FADT names): only a 0-to-1 change of bit 2 resets the machine.
 * Expect: reset
 */
#include "guest.h"

int main(void)
{
	outb(0xcf9, 0x02); /* kind of reset, no reset yet */
	CHECK(inb(0xcf9) == 0x02);
	outb(0xcf9, 0x06);
	for (volatile int i = 0; i < 10000000; i++)
		;
	return 1;
}
