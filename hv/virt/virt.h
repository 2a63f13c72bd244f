/*
 * The vendor boundary: what AMD-V (svm/) and VT-x (vmx/) offer to the neutral vCPU core, and nothing more. A vendor turns its exit into the
 * neutral exit struct and never decides policy; the neutral side never names a vendor's field. At most twenty verbs.
 *
 * Register ownership: between two enters, general registers, RIP, RFLAGS and the interrupt shadow are in struct vcpu; everything else is
 * the vendor's and reached by the get/set verbs. All per-vCPU verbs run on the vCPU's own core, or while it does not run.
 */
#ifndef HV_VIRT_VIRT_H
#define HV_VIRT_VIRT_H

#include "vdev/lapic.h"
#include <hv/log.h>
#include <hv/types.h>

struct vm;
struct vcpu;

enum virt_reg {
	VREG_RAX, VREG_RCX, VREG_RDX, VREG_RBX, VREG_RSP, VREG_RBP, VREG_RSI, VREG_RDI,
	VREG_R8, VREG_R9, VREG_R10, VREG_R11, VREG_R12, VREG_R13, VREG_R14, VREG_R15, VREG_COUNT
};

enum virt_seg_id { VSEG_ES, VSEG_CS, VSEG_SS, VSEG_DS, VSEG_FS, VSEG_GS, VSEG_LDTR, VSEG_TR, VSEG_GDTR, VSEG_IDTR, VSEG_COUNT };

struct virt_seg {
	uint64_t base;
	uint32_t limit; /* bytes - 1, expanded (not in pages) */
	uint16_t selector;
	uint16_t attr; /* x86.h SEG_* */
};

enum virt_control { VCTL_CR0, VCTL_CR2, VCTL_CR3, VCTL_CR4, VCTL_EFER, VCTL_CR8, VCTL_DR6, VCTL_DR7, VCTL_CPL, VCTL_COUNT };

/* Why the guest was left: the reason and its name in statistics ("exits.<name>"). */
#define VIRT_EXITS(X)                                                                                                                        \
	X(NONE, "not_entered")         /* the core's loop has work: hv_core_pending() */                                                    \
	X(DEBUG_REGISTER, "debug_register") /* the vendor has loaded the debug registers: enter again */                                    \
	X(CONTROL_REGISTER, "control_register") /* the vendor has done the access (CR0, CR4, CR8): enter again */                           \
	X(INTERRUPT, "interrupt")      /* a host interrupt */                                                                                \
	X(NMI, "nmi")                  /* a host NMI */                                                                                      \
	X(EXCEPTION, "exception")      /* an intercepted guest exception: u.exception */                                                     \
	X(IRQ_WINDOW, "irq_window")    /* the guest can take an interrupt now */                                                             \
	X(NMI_WINDOW, "nmi_window")    /* the guest is about to take NMIs again */                                                           \
	X(NMI_OPEN, "nmi_open")        /* its IRET has executed: NMIs are open */                                                            \
	X(CPUID, "cpuid")                                                                                                                    \
	X(HLT, "hlt")                                                                                                                        \
	X(RDMSR, "rdmsr")                                                                                                                    \
	X(WRMSR, "wrmsr")                                                                                                                    \
	X(IO, "io")                    /* u.io */                                                                                            \
	X(IO_STRING, "io_string")      /* INS, OUTS: decode */                                                                               \
	X(MEMORY, "memory")            /* nested-paging violation: u.memory */                                                               \
	X(CR_ACCESS, "cr_access")      /* CR8: decode */                                                                                     \
	X(RDPMC, "rdpmc")                                                                                                                    \
	X(XSETBV, "xsetbv")                                                                                                                  \
	X(WBINVD, "wbinvd")                                                                                                                  \
	X(INVD, "invd")                                                                                                                      \
	X(TASK_SWITCH, "task_switch")  /* by TSS or task gate; the machine has done nothing but checks: u.task */                              \
	X(LOG_FULL, "log_full")        /* dirty log: the vendor has emptied the machine's: enter again */                                    \
	X(EOI, "eoi")                  /* assisted LAPIC: a level-triggered interrupt was ended: u.vector */                                 \
	X(APIC_WRITE, "apic_write")    /* assisted LAPIC: the guest has written the register at u.offset of its page */                      \
	X(PAUSE, "pause")              /* it spins */                                                                                        \
	X(HYPERCALL, "hypercall")                                                                                                            \
	X(UNDEFINED, "undefined")      /* an instruction this vCPU does not have: #UD */                                                     \
	X(SHUTDOWN, "shutdown")        /* triple fault */                                                                                    \
	X(INVALID_STATE, "invalid_state") /* the entry failed: u.text names the field */                                                     \
	X(CRASH, "crash")              /* cannot happen with our controls: u.text */

enum virt_exit_reason {
#define X(name, text) VEXIT_##name,
	VIRT_EXITS(X)
#undef X
	VEXIT_COUNT
};

enum virt_event_type { VEVENT_INTERRUPT = 0, VEVENT_NMI = 2, VEVENT_EXCEPTION = 3, VEVENT_SOFTWARE = 4 };

struct virt_event {
	bool valid, has_error;
	uint8_t type; /* enum virt_event_type */
	uint8_t vector;
	uint32_t error;
};

/* SDM vol. 3, table 28-2. */
enum virt_task_source { VTASK_CALL, VTASK_IRET, VTASK_JMP, VTASK_GATE /* of the IDT */ };

struct virt_task {
	uint16_t selector; /* the new TSS's */
	uint8_t source;    /* enum virt_task_source */
	uint8_t skip;      /* bytes from RIP to where the old task goes on */
	bool has_error;    /* VTASK_GATE: the exception's, for the new task's stack */
	uint32_t error;
};

struct virt_exit {
	uint8_t reason;   /* enum virt_exit_reason */
	uint8_t insn_len; /* length of the instruction at RIP; 0: the machine does not tell, and `code_at` says where it is */
	uint8_t cr8;      /* the guest may move it without an exit */
	struct virt_event interrupted; /* the event whose delivery the exit cut short */
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool in;
		} io;
		struct {
			gpa_t gpa;
			bool write, fetch;
			bool page_table; /* the access was the guest's page walk itself */
		} memory;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
			uint64_t cr2;
		} exception;
		struct virt_task task;
		uint8_t vector;
		uint16_t offset;
		const char *text;
	} u;
	struct {
		uint64_t cs_base, cr3;
		uint16_t cs_attr;
	} code_at;
	uint64_t code, info1, info2; /* VEXIT_CRASH: the vendor's own numbers, for the log */
};

/* What to leave the guest for. IRQ: as soon as it can take an interrupt (IF=1, no shadow). NMI: when it executes IRET (VEXIT_NMI_WINDOW) or has
 * executed it (VEXIT_NMI_OPEN), as the vendor can. CR8: also when it writes CR8 (an interrupt waits for a lower TPR). */
enum virt_watch { VWATCH_IRQ, VWATCH_NMI, VWATCH_CR8 };

/* DELIVERS: interrupts from vcpu_apic_page(). DELIVERS_POSTED: it also takes the LAPIC's requests into that page, when hv_core_notify
 * interrupts the running guest. */
enum virt_apic { VAPIC_NOTHING, VAPIC_DELIVERS, VAPIC_DELIVERS_POSTED };

struct virt_ops {
	const char *name;
	/* Whether this machine has it with all must-haves. 0, or -ENODEV: not there at all, or virt_refuse was told why. Loop context. */
	int (*probe)(void);
	/* Turns it on on the calling core; idempotent. -ENOMEM. Loop context. */
	int (*core_enable)(void);
	/* vm->virt: nested page tables of vm->gmem. -ENOMEM. Loop context. */
	int (*vm_init)(struct vm *vm);
	void (*vm_free)(struct vm *vm);
	/* v->virt, in the architecture's reset state. -ENOMEM. Loop context. */
	int (*vcpu_init)(struct vcpu *v);
	void (*vcpu_free)(struct vcpu *v);
	/* Begin and end of a time slice on this core (per-core tags, debug registers). Loop context. */
	void (*load)(struct vcpu *v);
	void (*unload)(struct vcpu *v);
	/* Runs the guest until its next exit. @pre load(). Interrupts are on before and after. VEXIT_NONE, and not entered, when
	 * vcpu_must_leave(). */
	void (*enter)(struct vcpu *v, struct virt_exit *exit);
	void (*get_seg)(const struct vcpu *v, enum virt_seg_id id, struct virt_seg *seg);
	void (*set_seg)(struct vcpu *v, enum virt_seg_id id, const struct virt_seg *seg);
	uint64_t (*get_control)(const struct vcpu *v, enum virt_control c);
	void (*set_control)(struct vcpu *v, enum virt_control c, uint64_t value);
	/* MSRs that the vendor switches with the guest (SYSCALL, SYSENTER, segment bases, PAT). False: not one of them. */
	bool (*get_msr)(const struct vcpu *v, uint32_t msr, uint64_t *value);
	bool (*set_msr)(struct vcpu *v, uint32_t msr, uint64_t value);
	/* The event is delivered by the next enter. */
	void (*inject)(struct vcpu *v, const struct virt_event *e);
	void (*watch)(struct vcpu *v, enum virt_watch what, bool on);
	/* Sets or ends the STI/MOV SS shadow, v->shadow with it; `enter` keeps that up to date. */
	void (*shadow)(struct vcpu *v, bool on);
	/* The LAPIC is in `mode` now: what the machine does by itself as long as it stays in it. */
	enum virt_apic (*apic_mode)(struct vcpu *v, enum lapic_mode mode);
	/* Its page was changed by us. @pre the last apic_mode did not say NOTHING */
	void (*apic_sync)(struct vcpu *v, const struct lapic_page_state *s);
};

/* The back ends; only virt.c names them. */
extern const struct virt_ops svm_ops, vmx_ops;
/* The machine's vendor, chosen by virt_init. */
extern const struct virt_ops *virt_ops;
/* A vendor's probe says why it is not to be: a sentence about the processor, and what to do. */
void virt_refuse(const char *fmt, ...) HV_PRINTF(1, 2);
/* Picks and probes the vendor; idempotent. 0, -ENODEV (vm_refused_by_machine says why). Loop context. */
int virt_init(void) HV_MUST_CHECK;

/* The host's command line has the word "without=FEATURE,...": tests of what an older processor lacks. Any context. */
bool virt_without(const char *feature);
const char *virt_exit_name(unsigned reason);

#endif
