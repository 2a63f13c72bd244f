/*
 * Writes pages as its console tells it, for tests/system/dirty_log.py, which knows the same formula: "wSEEDCOUNT" (two hexadecimal digits, four)
 * writes into COUNT pages between 16 and 48 MiB, "r..." only reads them, "x" ends. Without a console line within some seconds it ends: as a
 * test of its own it shows that this program runs.
 * Memory: 64MiB
 */
#include "guest.h"

#define FIRST_PAGE 0x1000u
#define PAGES 0x2000u

static bool ready(void)
{
	return inb(0x3fd) & 1;
}

static char get(void)
{
	while (!ready())
		;
	return (char)inb(0x3f8);
}

static uint32_t hex(unsigned digits)
{
	uint32_t x = 0;
	while (digits--) {
		char c = get();
		x = x * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return x;
}

/* A word somewhere in the page; every eighth reaches into the next page. */
static volatile uint32_t *place(uint32_t *state, uint32_t i)
{
	*state = *state * 1664525u + 1013904223u;
	uint32_t page = FIRST_PAGE + (*state >> 8) % PAGES, offset = i % 8 == 7 ? 4094 : (*state >> 24) * 8;
	return (volatile uint32_t *)(page * 4096 + offset);
}

static void touch(bool write)
{
	uint32_t seed = hex(2), count = hex(4), state = seed, sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		volatile uint32_t *p = place(&state, i);
		if (write)
			*p = i;
		else
			sum += *p;
	}
	guest_print("done\n");
	(void)sum;
}

int main(void)
{
	for (uint32_t i = 0; i < 400000 && !ready(); i++)
		__asm__ volatile("pause");
	if (!ready())
		return 0;
	for (;;) {
		char c = get();
		if (c == 'w' || c == 'r')
			touch(c == 'w');
		else if (c == 'x')
			return 0;
	}
}
