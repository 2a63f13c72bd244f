/* VT-x back end, its own parts: vmx.c (cores, VMs, vCPUs, running), control.c (control and debug registers), state.c (segments, MSRs),
 * event.c (injection, windows), apic.c (the LAPIC), pml.c (dirty log), ept.c (nested paging), exit.c (exit reasons), probe.c (capabilities), check.c, check_guest.c (VM
 * entry's rules), entry.S (world switch), insn.h (instructions). */
#ifndef HV_VIRT_VMX_VMX_IMPL_H
#define HV_VIRT_VMX_VMX_IMPL_H

#include "virt/nested.h"
#include "virt/vcpu_impl.h"
#include "virt/vmx/check.h"

#define APIC_PAGE 0xfee00000ull /* guest-physical */

/* What the last exit said; only the fields that its row in exit.c asks for are fresh. */
struct vmx_exit {
	const struct vmx_exit_row *row;
	uint32_t reason; /* with bit 31 */
	uint32_t event, event_error;
	uint32_t insn_len;
	uint64_t qualification, guest_physical;
};

/* vcpu.virt. Owned by the vCPU's core. */
struct virt_vcpu {
	void *region; /* the VMCS */
	uint64_t region_pa;
	bool loaded;   /* its VMCS is current and active on the vCPU's core: from load to unload */
	bool launched; /* since it was loaded */
	bool dr_live;  /* DR0-3 and DR6 are in the machine, accesses do not exit */
	bool watch_cr8;
	bool window; /* an exit is wanted as soon as an interrupt can be taken */
	bool flush;  /* paging state was changed from the outside: drop its TLB entries at the next entry */
	uint16_t vpid;
	uint64_t vpid_generation;             /* of its core's allocator; 0: has none */
	uint32_t proc_controls, proc_written; /* wanted, and in the VMCS */
	uint32_t proc2;                       /* in the VMCS */
	uint64_t *pml;                        /* the processor's log, a page */
	bool pml_on;
	uint32_t event, event_error;          /* to be delivered by the next entry */
	uint32_t tpr_threshold;               /* in the VMCS */
	uint64_t rip, rsp, rflags;            /* in the VMCS */
	uint64_t eoi_exits[4];                /* in the VMCS */
	uint64_t cr2, dr6, cr8;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base; /* KernelGSBase is in the machine while loaded */
	struct vmx_exit exit;
};

/* vm.virt. Constant while the VM runs, but for `seen`, one byte a core, written by that core. */
struct virt_vm {
	uint64_t eptp;
	struct nested ept;
	void *apic_access;       /* page whose place in guest memory the LAPIC's registers take; its contents mean nothing */
	uint32_t seen[HV_MAX_CORES]; /* ept.generation for which this core has dropped what its TLB had; 0: never */
};

struct vmx_features {
	struct vmx_limits limits;
	uint32_t revision, pin, proc, proc2, exit, entry; /* controls that every VMCS starts with */
	bool vpid, tpr_shadow, gib_pages, accessed_dirty;
	bool apicv;  /* all that apic.c uses */
	bool posted; /* also requests of other cores */
	bool pml;
};
extern struct vmx_features vmx_features;

/* entry.S: loads guest registers, VMLAUNCH or VMRESUME, stores them. @pre interrupts off. False: the entry failed early (VMfail). */
bool vmx_world_switch(uint64_t *regs, bool launched) HV_MUST_CHECK;
extern char vmx_world_exit[]; /* where the processor goes on */

/* exit.c. A new exit: finds its row; which fields that needs. */
enum { VMX_WANT_QUALIFICATION = 1, VMX_WANT_EVENT = 2, VMX_WANT_LENGTH = 4, VMX_WANT_PHYSICAL = 8 };
unsigned vmx_exit_begin(struct vmx_exit *x, uint32_t reason);
/* virt->exit in neutral form. */
void vmx_decode_exit(struct vcpu *v, struct virt_exit *e);
/* IDT-vectoring information (or the entry's event field, the same form) as a neutral event. */
void vmx_event_from(uint32_t info, uint32_t error, struct virt_event *e);

/* probe.c: the verb. */
int vmx_probe(void);

/* vmx.c: makes v's VMCS current outside of its time slice; undone by release. */
void vmx_acquire_other(const struct vcpu *v);
void vmx_release_other(const struct vcpu *v);
/* Around what reads or writes v's VMCS at any time: inside of its time slice they do nothing. */
static inline void vmx_acquire(const struct vcpu *v)
{
	if (!v->virt->loaded)
		vmx_acquire_other(v);
}
static inline void vmx_release(const struct vcpu *v)
{
	if (!v->virt->loaded)
		vmx_release_other(v);
}
/* Secondary controls of the current VMCS. */
void vmx_proc2_control(struct vcpu *v, uint32_t bits, bool on);
/* The guest's SYSCALL MSRs go into the machine. @pre on its core, between load and unload */
void vmx_load_syscall_msrs(const struct virt_vcpu *s);
/* The rule that the current VMCS, v's, breaks. */
const char *vmx_why_invalid(const struct vcpu *v);

/* control.c: verbs of virt.h, and: */
/* The VMCS's fields. @pre current */
void vmx_control_init(void);
uint64_t vmx_get_control(const struct vcpu *v, enum virt_control c);
void vmx_set_control(struct vcpu *v, enum virt_control c, uint64_t value);
void vmx_proc_control(struct vcpu *v, uint32_t bits, bool on);
void vmx_dr_load(struct vcpu *v);
void vmx_dr_save(struct vcpu *v);
uint64_t vmx_cr0_get(void);
uint64_t vmx_cr8_get(const struct vcpu *v);
/* Paging was changed by us: drops the guest's TLB entries, loads PDPTEs. */
void vmx_sync_paging(struct vcpu *v);
/* A MOV to or from CR0, CR4 or CR8, CLTS or LMSW that left the guest (SDM table 28-3): done here, RIP behind it, or a fault queued. */
void vmx_cr_access(struct vcpu *v, uint64_t qualification, unsigned insn_len);
/* An intercepted #DB: puts into DR6 what the exit qualification says (28.2.1). */
void vmx_debug_exception(struct vcpu *v, uint64_t qualification);

/* state.c: verbs. */
void vmx_get_seg(const struct vcpu *v, enum virt_seg_id id, struct virt_seg *seg);
void vmx_set_seg(struct vcpu *v, enum virt_seg_id id, const struct virt_seg *seg);
bool vmx_get_msr(const struct vcpu *v, uint32_t msr, uint64_t *value);
bool vmx_set_msr(struct vcpu *v, uint32_t msr, uint64_t value);

/* event.c: verbs, and: */
void vmx_inject(struct vcpu *v, const struct virt_event *e);
void vmx_watch(struct vcpu *v, enum virt_watch what, bool on);
void vmx_shadow(struct vcpu *v, bool on);
/* An IRET that faulted in nested paging has opened NMIs already (28.2.3): blocks them again. */
void vmx_block_nmi(struct vcpu *v);

/* pml.c: the dirty log follows vm.nested's, when a time slice begins. What the processor has logged is brought over. @pre loaded */
void vmx_pml_load(struct vcpu *v);
void vmx_pml_drain(struct vcpu *v);

/* apic.c: verbs, and: */
enum virt_apic vmx_apic_mode(struct vcpu *v, enum lapic_mode mode);
void vmx_apic_sync(struct vcpu *v, const struct lapic_page_state *a);
/* Which MSRs guests access without an exit; idempotent. -ENOMEM. */
int vmx_make_msr_bitmaps(void) HV_MUST_CHECK;
/* The VMCS's fields. @pre current */
void vmx_apic_init(struct vcpu *v);

/* ept.c: what the tables of virt/nested.c look like here, and the VMCS's pointer to them. */
extern const struct nested_format vmx_ept_format;
uint64_t vmx_ept_pointer(const struct nested *n, bool accessed_dirty);

#endif
