/*
 * NMI to self: taken at once with IF=0; a second one sent inside the handler waits for its IRET and is then taken once; HLT with IF=0 ends
 * by NMI.
 */
#include "guest.h"

static volatile uint32_t nmis, depth, nested;

static void send_nmi(void)
{
	LAPIC[LAPIC_ICR_LOW] = 4u << 8 | 1u << 18; /* NMI, self */
}

static void on_nmi(void)
{
	if (depth)
		nested++;
	depth++;
	if (nmis++ == 0) {
		send_nmi();
		for (volatile int i = 0; i < 1000; i++)
			;
		CHECK(nmis == 1);
	}
	depth--;
}

int main(void)
{
	guest_handlers[2] = on_nmi;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	send_nmi();
	for (int i = 0; i < 100000 && nmis < 2; i++)
		inb(0x80);
	CHECK(nmis == 2);
	CHECK(nested == 0);
	send_nmi();
	inb(0x80);
	CHECK(nmis == 3);
	return 0;
}
