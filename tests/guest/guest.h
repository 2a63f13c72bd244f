/* What guest tests share: a flat 32-bit machine with exceptions, ports, MSRs, a console, and checks that end the VM. */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>

#define LAPIC ((volatile uint32_t *)0xfee00000)
#define LAPIC_ID (0x20 / 4)
#define LAPIC_EOI (0xb0 / 4)
#define LAPIC_SPURIOUS (0xf0 / 4)
#define LAPIC_ICR_LOW (0x300 / 4)
#define LAPIC_ICR_HIGH (0x310 / 4)
#define LAPIC_LVT_TIMER (0x320 / 4)
#define LAPIC_TIMER_INITIAL (0x380 / 4)
#define LAPIC_TIMER_CURRENT (0x390 / 4)
#define LAPIC_TIMER_DIVIDE (0x3e0 / 4)

struct guest_fault {
	uint32_t vector, error, eip;
};
extern struct guest_fault guest_fault;
/* Runs fn(arg); true when an exception ended it (then guest_fault says which). */
bool guest_try(void (*fn)(void *), void *arg);
/* Handles interrupts and, outside of guest_try, exceptions of this vector. NULL: exceptions are failures. */
extern void (*guest_handlers[256])(void);

void guest_print(const char *text);
void guest_print_hex(uint32_t x);
_Noreturn void guest_exit(uint32_t value);
_Noreturn void guest_fail(const char *what, const char *file, int line);
#define CHECK(condition)                                              \
	do {                                                          \
		if (!(condition))                                     \
			guest_fail(#condition, __FILE__, __LINE__);   \
	} while (0)

static inline void outb(uint16_t port, uint8_t x)
{
	__asm__ volatile("outb %0, %1" : : "a"(x), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
	uint8_t x;
	__asm__ volatile("inb %1, %0" : "=a"(x) : "Nd"(port));
	return x;
}
static inline void outl(uint16_t port, uint32_t x)
{
	__asm__ volatile("outl %0, %1" : : "a"(x), "Nd"(port));
}
static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}
static inline uint64_t rdmsr(uint32_t msr)
{
	uint64_t x;
	__asm__ volatile("rdmsr" : "=A"(x) : "c"(msr));
	return x;
}
static inline void wrmsr(uint32_t msr, uint64_t x)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "A"(x) : "memory");
}
static inline uint64_t rdtsc(void)
{
	uint64_t x;
	__asm__ volatile("rdtsc" : "=A"(x));
	return x;
}

#endif
