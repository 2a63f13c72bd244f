/*
 * Instruction forms on device memory: a LAPIC register that holds 32 bits (the timer's initial count, timer masked) is read and changed by
 * every emulated form; results and flags are those of the same instruction on RAM.
 */
#include "guest.h"

#define REG (LAPIC + LAPIC_TIMER_INITIAL)
static volatile uint32_t ram;

static uint32_t flags_of(uint32_t f)
{
	return f & 0x8c5; /* OF SF ZF PF CF */
}

/* The same instruction on the device and on RAM, from the same value; memory and flags must agree. */
#define SAME(insn, start, operand)                                                                                                        \
	do {                                                                                                                              \
		uint32_t f1, f2, r1 = (operand), r2 = (operand);                                                                          \
		*REG = (start);                                                                                                           \
		ram = (start);                                                                                                            \
		__asm__ volatile("xorl %%eax, %%eax; " insn "; pushf; popl %1" : "+m"(*REG), "=&r"(f1), "+c"(r1) : : "eax", "memory");     \
		__asm__ volatile("xorl %%eax, %%eax; " insn "; pushf; popl %1" : "+m"(ram), "=&r"(f2), "+c"(r2) : : "eax", "memory");      \
		CHECK(*REG == ram);                                                                                                       \
		CHECK(flags_of(f1) == flags_of(f2));                                                                                      \
		CHECK(r1 == r2);                                                                                                          \
	} while (0)

static void push_device(void *unused)
{
	(void)unused;
	uint32_t a;
	__asm__ volatile("movl %1, %0" : "=r"(a) : "m"(*REG));
}

int main(void)
{
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	LAPIC[LAPIC_LVT_TIMER] = 1u << 16 | 0x40;
	LAPIC[LAPIC_TIMER_DIVIDE] = 0xa;
	SAME("movl %%ecx, %0", 0, 0x12345678);
	SAME("movl $0x80000001, %0", 1, 0);
	SAME("movl %0, %%ecx", 0xcafebabe, 0);
	SAME("addl %%ecx, %0", 0x7fffffff, 1);
	SAME("addl $-1, %0", 1, 0);
	SAME("subl %%ecx, %0", 5, 6);
	SAME("andl %%ecx, %0", 0xff00ff00, 0x0ff00ff0);
	SAME("orl $0x80, %0", 0x1, 0);
	SAME("xorl %%ecx, %0", 0xffffffff, 0xffffffff);
	SAME("cmpl %%ecx, %0", 3, 4);
	SAME("cmpl %0, %%ecx", 3, 4);
	SAME("testl %%ecx, %0", 0xf0, 0x0f);
	SAME("xchgl %%ecx, %0", 11, 22);
	SAME("lock; xaddl %%ecx, %0", 100, 23);
	SAME("lock; cmpxchgl %%ecx, %0", 0, 77);
	SAME("lock; cmpxchgl %%ecx, %0", 5, 77);
	SAME("incl %0", 0xffffffff, 0);
	SAME("decl %0", 0x80000000, 0);
	SAME("negl %0", 5, 0);
	SAME("notl %0", 0x0f0f0f0f, 0);
	SAME("btsl $31, %0", 1, 0);
	SAME("btrl %%ecx, %0", 0xffff, 3);
	SAME("btcl $4, %0", 0, 0);
	SAME("adcl %%ecx, %0", 9, 1);
	SAME("sbbl %%ecx, %0", 9, 10);
	/* String forms: one element each, and REP with a count. */
	uint32_t value = 0x55aa1234, back = 0, count = 1;
	void *to = (void *)REG;
	__asm__ volatile("cld; rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	CHECK(*REG == value && count == 0 && to == (void *)(REG + 1));
	const volatile void *from = REG;
	to = &back;
	__asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
	CHECK(back == value);
	CHECK(!guest_try(push_device, 0));
	return 0;
}
