/*
 * A virtual CPU as the rest of hv/ sees it. What it is made of is private to hv/virt (vcpu_impl.h).
 *
 * States (docs/internals/vcpu.md):
 *
 *   WAIT_SIPI --vcpu_sipi--> RUNNING --HLT--> HALTED --interrupt, NMI--> RUNNING
 *       ^------- vcpu_init_signal (any state) -------'
 *
 * Only RUNNING makes its task ready; a vCPU in another state costs nothing. Signals from other cores are bits in an atomic word, followed
 * by hv_task_wake: the vCPU's own core acts on them before it enters the guest.
 */
#ifndef HV_VIRT_VCPU_H
#define HV_VIRT_VCPU_H

#include <hv/types.h>

struct vm;
struct vcpu;
struct lapic;
struct lapic_requests;
struct state_writer;
struct state_reader;

/* Where the boot vCPU starts. A loader fills all of it; the mode decides which fields are used. */
enum vcpu_start_mode {
	VCPU_START_REAL,   /* cs_selector:rip, ds_selector in the data segments */
	VCPU_START_PROT32, /* flat 4 GiB segments, paging off (Multiboot 1, 3.2 "Machine state") */
	VCPU_START_LONG64, /* paging on with cr3, flat segments (Linux 64-bit boot protocol) */
};
struct vcpu_start {
	enum vcpu_start_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi, rdi;
	uint64_t cr3;                      /* LONG64 */
	uint64_t gdt_base;                 /* PROT32, LONG64: a GDT in guest memory that matches the selectors */
	uint16_t gdt_limit;                /* bytes - 1 */
	uint16_t cs_selector, ds_selector; /* ds also for es, ss, fs, gs */
};

/* ---- who it is: constant, any context ---- */
unsigned vcpu_index(const struct vcpu *v); /* 0 = boot vCPU; its APIC ID is its index */
struct vm *vcpu_vm(const struct vcpu *v);
unsigned vcpu_core(const struct vcpu *v); /* the core whose loop runs it: timers of the vCPU may be armed there in exit context */
struct lapic *vcpu_lapic(const struct vcpu *v);
void vcpu_set_lapic(struct vcpu *v, struct lapic *lapic);
/* LAPIC_PAGE_BYTES for the LAPIC's registers where the architecture has them (SDM vol. 3, table 11-1): a processor that virtualizes the
 * APIC reads and writes them there while the guest runs. */
uint32_t *vcpu_apic_page(const struct vcpu *v);
/* The mode of its LAPIC is another, or all of its state. Own core, or it does not run. */
void vcpu_apic_mode_changed(struct vcpu *v);

/* It looks at its LAPIC again before it runs on. Own core, or it does not run. */
void vcpu_recheck(struct vcpu *v);

/* ---- signals: any core, any context (loop, exit) ---- */
/* The state of its interrupt controller changed (an IRR bit, the PIC's output, TPR): it looks again before it runs on; wakes it from HLT.
 */
void vcpu_kick(struct vcpu *v);
/* As vcpu_kick, after a bit was set in `requests` of its LAPIC: a guest that runs on a processor which takes those by itself is not left
 * for it (SDM vol. 3, 30.6 "posted-interrupt processing"). */
void vcpu_requested(struct vcpu *v, struct lapic_requests *requests);
void vcpu_nmi(struct vcpu *v);
/* INIT (SDM vol. 3, 9.4.1 "BSP and AP processors"): reset except for FPU state and TSC; then it waits for SIPI. Resets its LAPIC too. */
void vcpu_init_signal(struct vcpu *v);
/* SIPI: starts it in real mode at vector << 12; ignored unless it waits for one. */
void vcpu_sipi(struct vcpu *v, uint8_t vector);

/* ---- guest time. Any context. The guest's TSC is the host's plus one offset per VM. ---- */
uint64_t vm_tsc_hz(const struct vm *vm);
uint64_t vcpu_tsc(const struct vcpu *v); /* its TSC now */
/* hv_now_ns() value at which the guest's TSC reaches tsc (now or a past time when it already has; saturates far in the future). */
uint64_t vcpu_tsc_to_ns(const struct vcpu *v, uint64_t tsc);
uint64_t vcpu_ns_to_tsc(const struct vcpu *v, uint64_t now_ns);

#endif
