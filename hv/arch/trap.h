/* Exceptions and interrupts: what traps.S saves, and who handles it. Bare metal only. */
#ifndef HV_ARCH_TRAP_H
#define HV_ARCH_TRAP_H

#include <hv/core.h>
#include <hv/types.h>

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss; /* pushed by the processor (SDM vol. 3, 6.14.2) */
};

enum {
	VECTOR_NMI = 2,
	VECTOR_DF = 8,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MC = 18,
	VECTOR_PIC = 0x20,     /* 16 vectors of the legacy PIC: spurious only */
	VECTOR_DYNAMIC = 0x30, /* hv_irq_alloc gives VECTOR_DYNAMIC .. VECTOR_TIMER - 1 */
	VECTOR_TIMER = 0xf0,
	VECTOR_KICK = 0xf1,
	VECTOR_NOTIFY = HV_NOTIFY_VECTOR, /* 0xf2 */
	VECTOR_SPURIOUS = 0xff,
};

/* Builds the table (core 0), loads it (each core). */
void trap_init(void);
void trap_init_core(void);
/* irq.c: an interrupt of vector >= 32, interrupts off. */
void irq_handle(unsigned vector);
/* Prints the frame and a backtrace, stops all cores. */
_Noreturn void panic_trap(const struct trap_frame *f, const char *name);
/* The other cores are being stopped: an NMI means "stop". */
bool panic_in_progress(void);

#endif
