/*
 * String I/O: REP OUTSB prints a whole line, OUTSW and OUTSD split into the bytes they should, REP INSB reads one register many times; registers
 * end as the architecture says, both directions, also with a page fault in the middle.
 * Prints: a line by rep outsb
 */
#include "guest.h"

static void outsb(const char *text, uint32_t n)
{
	const char *at = text;
	uint32_t count = n;
	__asm__ volatile("cld; rep outsb" : "+S"(at), "+c"(count) : "d"(0x3f8) : "memory");
	CHECK(at == text + n && count == 0);
}

static uint32_t directory[1024] __attribute__((aligned(4096)));

static void outs_into_nothing(void *unused)
{
	const char *at = (const char *)0x007ffffe; /* two bytes of 4 MiB page 1, then page 2, which is not mapped */
	uint32_t count = 8;
	(void)unused;
	__asm__ volatile("rep outsb" : "+S"(at), "+c"(count) : "d"(0x80) : "memory");
}

int main(void)
{
	static const char line[] = "a line by rep outsb\n";
	outsb(line, sizeof(line) - 1);
	/* The UART's scratch register (offset 7) holds a byte. */
	uint8_t in[16] = {0};
	uint8_t *to = in;
	uint32_t count = 5;
	outb(0x3ff, 0xa5);
	__asm__ volatile("cld; rep insb" : "+D"(to), "+c"(count) : "d"(0x3ff) : "memory");
	CHECK(to == in + 5 && count == 0);
	for (int i = 0; i < 5; i++)
		CHECK(in[i] == 0xa5);
	CHECK(in[5] == 0);
	to = in + 3;
	count = 3;
	outb(0x3ff, 0x11);
	__asm__ volatile("std; rep insb; cld" : "+D"(to), "+c"(count) : "d"(0x3ff) : "memory");
	CHECK(to == in && in[1] == 0x11 && in[3] == 0x11 && in[4] == 0xa5);
	count = 0;
	to = in;
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x3ff) : "memory");
	CHECK(to == in);
	for (uint32_t i = 0; i < 2; i++)
		directory[i] = i << 22 | 0x83;
	uint32_t cr;
	__asm__ volatile("mov %0, %%cr3" : : "r"(directory));
	__asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4" : "=&r"(cr));
	__asm__ volatile("mov %%cr0, %0; or $0x80000000, %0; mov %0, %%cr0" : "=&r"(cr));
	CHECK(guest_try(outs_into_nothing, 0));
	CHECK(guest_fault.vector == 14 && guest_fault.error == 0);
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr));
	CHECK(cr == 0x00800000);
	return 0;
}
