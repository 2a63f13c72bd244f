/* The inside of a vCPU, for hv/virt and the life cycle only. */
#ifndef HV_VIRT_VCPU_IMPL_H
#define HV_VIRT_VCPU_IMPL_H

#include "kern/loop.h"
#include "kern/sched.h"
#include "virt/iobus.h"
#include "virt/vcpu.h"
#include "virt/virt.h"
#include "virt/walk.h"
#include "virt/x86.h"
#include <stdatomic.h>

/* Bits of vcpu.signals: what other cores want; taken by the vCPU's core before each entry. */
#define VSIG_IRQ 1u
#define VSIG_NMI 2u
#define VSIG_INIT 4u
#define VSIG_SIPI 8u

enum vcpu_state { VCPU_WAIT_SIPI, VCPU_RUNNING, VCPU_HALTED };

#define MTRR_COUNT 28
#define UNKNOWN_MSRS 16

struct vcpu_counters {
	uint64_t exits[VEXIT_COUNT];
	uint64_t irqs, nmis, exceptions, emulated, msr_unknown, io_strings, halts;
};

/* Where an intercepted instruction was found last: its opcode is compared there again, without a page walk (exit.c). */
struct insn_hint {
	uint64_t rip, cr3, cs_base;
	const uint8_t *opcode; /* in guest memory */
	uint16_t cs_attr;
	uint8_t reason; /* VEXIT_NONE: unused */
	uint8_t len;
};
#define INSN_HINTS 16

/* Owned by its core, except `signals` and `sipi_vector`. */
struct vcpu {
	uint64_t regs[VREG_COUNT]; /* first: the world switch addresses them */
	uint64_t rip, rflags;
	uint64_t dr[4];
	struct virt_vcpu *virt; /* the vendor's */
	struct vm *vm;
	struct lapic *lapic;
	uint32_t *apic_page;
	struct hv_task task;
	uint16_t index, core;
	uint8_t state;     /* enum vcpu_state */
	bool shadow;       /* the last instruction was an STI or MOV SS that holds interrupts off */
	bool irq_check;    /* look at the LAPIC before the next entry */
	bool irq_window;   /* asked for */
	bool apic_changed; /* the vendor must be told its LAPIC's mode */
	bool assisted;     /* the machine delivers interrupts from apic_page */
	bool cr8_watch;
	bool nmi_pending, nmi_blocked;
	bool nmi_unblock; /* IRET was seen at nmi_iret_rip: unblocked once RIP has moved on */
	bool in_run;      /* inside its time slice on its core */
	bool left;        /* it will never run again (vm->ending) */
	uint8_t cr8_loaded;
	uint64_t nmi_iret_rip;
	struct virt_event pending; /* delivered at the next entry */

	struct lapic_requests *requests; /* its LAPIC's */
	bool takes_posted;               /* the machine takes them by itself while the guest runs */
	_Atomic bool posting; /* takes_posted, in its time slice: others notify the machine instead of signalling; written by its core */
	_Atomic uint64_t notifications; /* sent so */

	_Atomic uint32_t signals;
	_Atomic uint8_t sipi_vector;

	struct hv_loop *loop; /* its core's */
	struct insn_hint hints[INSN_HINTS];
	struct io_hint io_hints[2]; /* by enum io_space */
	struct emu_cache *emu_cache;
	/* Guest state that the neutral side switches. */
	void *fpu; /* XSAVE area */
	uint64_t xcr0;
	uint64_t tsc_aux;
	uint64_t mtrr[MTRR_COUNT];
	uint64_t misc_enable;
	uint64_t kvmclock_msr;
	uint32_t kvmclock_version;
	uint32_t unknown_msrs[UNKNOWN_MSRS]; /* logged already */
	unsigned unknown_msr_count;

	struct vcpu_counters counters;
};

/* ---- vcpu.c ---- */
/* Makes vCPU `index` bound to `core`, in reset state, not ready. -ENOMEM. Loop context. */
int vcpu_create(struct vm *vm, unsigned index, unsigned core, struct vcpu **out) HV_MUST_CHECK;
/* @pre left, its task removed from its core */
void vcpu_destroy(struct vcpu *v);
/* The boot vCPU begins as `start` says, when it is started. @pre not running */
void vcpu_set_start(struct vcpu *v, const struct vcpu_start *start);
/* Architecture's reset (INIT keeps FPU state and TSC). Own core or not running. */
void vcpu_reset(struct vcpu *v, bool init);
/*
 * Queues an exception for the next entry, merging with one that is being delivered (SDM vol. 3, table 6-5: #DF, shutdown). For #PF the
 * caller sets CR2.
 */
void vcpu_inject(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error);
void vcpu_inject_gp(struct vcpu *v);
void vcpu_inject_ud(struct vcpu *v);
/* Moves RIP behind an instruction of `len` bytes; ends the interrupt shadow and RF; single-step trap. */
void vcpu_skip(struct vcpu *v, unsigned len);
/* 16, 32 or 64: the code segment's mode. */
unsigned vcpu_code_bits(const struct vcpu *v);
void vcpu_walk_context(const struct vcpu *v, struct walk *w);
/* Up to `max` bytes of guest code at RIP; fewer at the end of what is mapped. */
unsigned vcpu_fetch(struct vcpu *v, uint8_t *code, unsigned max);
/* Ends the VM with a crash and logs the vCPU: registers, bytes at RIP, reason. */
void vcpu_crash(struct vcpu *v, const char *reason);

/* ---- vcpu_state.c: @pre it does not run ---- */
void vcpu_save(struct vcpu *v, struct state_writer *w);
/* Decodes and checks everything, then applies. 0, -ENOENT, -EINVAL (damaged, impossible, or another FPU layout), -EPROTO: nothing changed.
 */
int vcpu_load(struct vcpu *v, struct state_reader *r) HV_MUST_CHECK;
/* ---- exit.c ---- */
void vcpu_handle_exit(struct vcpu *v, struct virt_exit *e);
/* ---- cpuid.c ---- */
/* Asks the machine once; before the functions below. Idempotent. Loop context. */
void virt_cpuid_init(void);
void vcpu_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct x86_cpuid *out);
/* CR4 bits a guest may set. */
uint64_t virt_cr4_mask(void);
/* XCR0 bits a guest may set. */
uint64_t virt_xcr0_mask(void);
/* Bytes of the XSAVE area for them. */
uint32_t virt_xsave_bytes(void);
/* ---- msr.c: 0, or -EINVAL: #GP ---- */
int vcpu_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value) HV_MUST_CHECK;
int vcpu_msr_write(struct vcpu *v, uint32_t msr, uint64_t value) HV_MUST_CHECK;
void vcpu_msr_reset(struct vcpu *v);
/* ---- insn.c: the instruction at RIP emulated (device memory, string I/O, MOV to CR4 and CR8) ---- */
void vcpu_emulate(struct vcpu *v, struct virt_exit *e);
/* ---- kvmclock.c ---- */
int kvmclock_write(struct vcpu *v, uint32_t msr, uint64_t value) HV_MUST_CHECK;
/* ---- fpu.c ---- */
int fpu_create(struct vcpu *v) HV_MUST_CHECK;
void fpu_free(struct vcpu *v);
void fpu_reset(struct vcpu *v);
/* Host's control words saved, guest's state loaded; and back. Nothing between the two may touch FPU state. */
void fpu_enter(struct vcpu *v);
void fpu_leave(struct vcpu *v);
/* XCR0 of the running guest. */
void fpu_set_xcr0(struct vcpu *v, uint64_t xcr0);
void fpu_set_tsc_aux(struct vcpu *v, uint64_t value);

/* Requests whose notification the host has taken, not the guest: they are to be collected before the next entry. Own core. */
static inline bool vcpu_posted_to_us(const struct vcpu *v)
{
	return v->takes_posted && atomic_load_explicit(&v->requests->outstanding, memory_order_acquire);
}

/*
 * Vendors ask this where host interrupts are held off: the loop's work, its timer, or a signal whose interrupt came after the last look at
 * them and was taken by the host would otherwise wait in a guest that may never exit by itself.
 */
static inline bool vcpu_must_leave(const struct vcpu *v)
{
	return hv_loop_wanted(v->loop) || atomic_load_explicit(&v->signals, memory_order_acquire) != 0 || vcpu_posted_to_us(v);
}

#endif
