/*
 * What exits cost, in instructions of the host and guest together: run under QEMU's -icount with 1 ns per instruction, or on Bochs, where the
 * TSC counts instructions. Prints "@cost NAME TICKS LOOPS" for each: the cheapest of several batches, the one in which the host's timer did
 * not tick. `tests/bench/run` subtracts the empty loop.
 */
#include "guest.h"

#define LOOPS 100u
#define BATCHES 20u
#define UART_SCRATCH 0x3ff

static void nothing(void)
{
	__asm__ volatile("" : : : "memory");
}

static void do_cpuid(void)
{
	uint32_t r[4];
	cpuid(0, 0, r);
}

static void do_port(void)
{
	(void)inb(UART_SCRATCH);
}

static void do_mmio(void)
{
	(void)LAPIC[LAPIC_ID];
}

static void do_mmio_write(void)
{
	LAPIC[LAPIC_TIMER_DIVIDE] = 11;
}

static void do_rdmsr(void)
{
	(void)rdmsr(0x1b); /* APIC base */
}

static void do_wrmsr(void)
{
	wrmsr(0x6e0, 0); /* TSC deadline: the timer is not in that mode, so nothing is armed */
}

static void number(uint32_t x)
{
	char text[12], *p = text + sizeof(text) - 1;
	*p = 0;
	do
		*--p = (char)('0' + x % 10);
	while (x /= 10);
	guest_print(p);
}

static void measure(const char *name, void (*fn)(void))
{
	uint32_t least = ~0u;
	for (unsigned batch = 0; batch < BATCHES; batch++) {
		uint64_t start = rdtsc();
		for (unsigned i = 0; i < LOOPS; i++)
			fn();
		uint32_t ticks = (uint32_t)(rdtsc() - start);
		least = ticks < least ? ticks : least;
	}
	guest_print("@cost ");
	guest_print(name);
	guest_print(" ");
	number(least);
	guest_print(" ");
	number(LOOPS);
	guest_print("\n");
}

int main(void)
{
	measure("empty", nothing);
	measure("cpuid", do_cpuid);
	measure("port-in", do_port);
	measure("rdmsr", do_rdmsr);
	measure("wrmsr", do_wrmsr);
	measure("mmio-read", do_mmio);
	measure("mmio-write", do_mmio_write);
	return 0;
}
