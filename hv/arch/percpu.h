/*
 * What each core has of its own, found through the GS base: set once at the core's start and never changed while the host runs. A vendor's
 * world switch that loses GS base, FS base, TR or the descriptor tables restores them from here:
 * SVM by VMSAVE/VMLOAD of a host area, VMX through its host-state fields.
 */
#ifndef HV_ARCH_PERCPU_H
#define HV_ARCH_PERCPU_H

#include <hv/types.h>

/* GDT selectors, the same on every core. */
#define SEL_CODE 0x08u
#define SEL_DATA 0x10u
#define SEL_TSS 0x18u /* two slots */
#define GDT_SLOTS 5u

/* Interrupt stack table entries (SDM vol. 3, 6.14.5): a fault there must not depend on the interrupted stack. */
enum { IST_NMI = 1, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_COUNT = IST_MACHINE_CHECK };

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, iomap_base;
} __attribute__((packed, aligned(8)));

struct percpu {
	struct percpu *self; /* offset 0: read through GS */
	uint32_t index;      /* offset 8 */
	uint32_t apic_id;
	int libc_errno;      /* offset 16 */
	uint32_t reserved;
	uint64_t fault_resume; /* offset 24: where a #GP goes on (cpu_rdmsr_safe); 0 = a fault is a fault */
	uint64_t fs_base;    /* thread pointer of this core's TLS block */
	void *stack_top;     /* the loop's stack */
	void *stack_base;
	volatile bool online;
	uint64_t timer_deadline_ns; /* what the LAPIC timer is set to */
	uint64_t gdt[GDT_SLOTS];
	struct tss tss __attribute__((aligned(64)));
};

static inline struct percpu *percpu_self(void)
{
	struct percpu *p;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(p));
	return p;
}

/* Any core's; NULL when there is no such core. */
struct percpu *percpu_get(unsigned index);

/* Start-up (core 0 calls these). The first core's block is static; percpu_add makes the next core's: its index, or -ENOMEM, -ENOSPC. */
void percpu_init_first(void);
int percpu_add(uint32_t apic_id) HV_MUST_CHECK;
/* Forgets the newest core: it did not start. */
void percpu_drop_last(void);
/* Loads p's descriptor tables and segment bases on the calling core. */
void percpu_load(struct percpu *p);
/* Gives p its stacks and its thread-local block; after the page allocator works. -ENOMEM. */
int percpu_alloc_stacks(struct percpu *p) HV_MUST_CHECK;
int percpu_alloc_tls(struct percpu *p) HV_MUST_CHECK;

#endif
