/*
 * VT-x: the verbs of virt.h (SDM vol. 3 ch. 24 to 29).
 *
 * Per core: the VMXON region, the VPID allocator (as svm.c's for ASIDs), and what is in the SYSCALL MSRs, which VMX does not switch and the
 * host does not use.
 *
 * VMCS: INACTIVE --load--> CURRENT --first enter--> LAUNCHED --unload--> INACTIVE. Unload clears it, so that its bytes are in memory and
 * any core may take it: a verb called outside of a time slice makes it current for its own duration.
 *
 * The guest's state between exits is behind control.c (control and debug registers), state.c (segments, MSRs), event.c (injection, windows)
 * and apic.c (the virtualized LAPIC).
 */
#include "virt/vmx/insn.h"
#include "virt/vmx/vmx_impl.h"

#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_LOCKED 1u
#define FEATURE_VMX 4u
#define CR4_VMXE (1ull << 13)
#define DR_ENABLED 0xffull
#define DR6_RESET 0xffff0ff0ull
#define VPIDS 0x10000u

struct vmx_core {
	bool enabled;
	void *region;        /* VMXON */
	uint64_t current_pa; /* VMCS of the vCPU in its time slice; 0: none */
	uint64_t generation;
	uint32_t next_vpid;
	bool flush;                          /* a new generation: drop all of this core's guest TLB entries */
	uint64_t star, lstar, cstar, sfmask; /* in the machine */
};

static struct vmx_core cores[HV_MAX_CORES];

/* ---- the machine ---- */

/* 24.7: feature control, fixed bits, VMXON. */
static int core_enable(void)
{
	struct vmx_core *c = &cores[hv_core_self()];
	const struct vmx_limits *l = &vmx_features.limits;
	if (c->enabled)
		return 0;
	c->region = hv_pages_alloc(HV_ORDER_4K);
	if (!c->region)
		return -ENOMEM;
	*(uint32_t *)c->region = vmx_features.revision;
	uint64_t control = x86_rdmsr(MSR_FEATURE_CONTROL), pa = hv_virt_to_phys(c->region).v;
	if (!(control & FEATURE_LOCKED))
		x86_wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_LOCKED | FEATURE_VMX);
	__asm__ volatile("mov %0, %%cr0" : : "r"((vmx_host_cr(0) | l->cr0_fixed0) & l->cr0_fixed1) : "memory");
	__asm__ volatile("mov %0, %%cr4" : : "r"(vmx_host_cr(4) | l->cr4_fixed0 | CR4_VMXE) : "memory");
	__asm__ volatile("vmxon %0" : : "m"(pa) : "cc", "memory");
	c->star = x86_rdmsr(MSR_STAR);
	c->lstar = x86_rdmsr(MSR_LSTAR);
	c->cstar = x86_rdmsr(MSR_CSTAR);
	c->sfmask = x86_rdmsr(MSR_SFMASK);
	c->generation = 1;
	c->next_vpid = 1;
	c->flush = true;
	c->enabled = true;
	return 0;
}

/* ---- VMs and vCPUs ---- */

void vmx_acquire_other(const struct vcpu *v)
{
	vmptrld(v->virt->region_pa);
}

void vmx_release_other(const struct vcpu *v)
{
	uint64_t current_pa = cores[hv_core_self()].current_pa;
	vmclear(v->virt->region_pa);
	if (current_pa)
		vmptrld(current_pa);
}

static void vm_free(struct vm *vm)
{
	if (!vm->virt)
		return;
	nested_destroy(&vm->virt->ept);
	if (vm->virt->apic_access)
		hv_pages_free(vm->virt->apic_access, HV_ORDER_4K);
	hv_pages_free(vm->virt, HV_ORDER_4K);
	vm->virt = NULL;
}

static int vm_init(struct vm *vm)
{
	_Static_assert(sizeof(struct virt_vm) <= HV_PAGE_SIZE, "fits a page");
	int ret = vmx_make_msr_bitmaps();
	if (ret)
		return ret;
	struct virt_vm *n = hv_pages_alloc(HV_ORDER_4K);
	if (!n)
		return -ENOMEM;
	vm->virt = n;
	vm->nested = &n->ept;
	ret = nested_create(&n->ept, &vmx_ept_format, vm->gmem, vmx_features.gib_pages);
	n->ept.machine_logs = vmx_features.pml;
	n->eptp = vmx_ept_pointer(&n->ept, vmx_features.accessed_dirty);
	if (!ret && vmx_features.apicv) {
		n->apic_access = hv_pages_alloc(HV_ORDER_4K);
		ret = n->apic_access ? nested_map_page(&n->ept, GPA(APIC_PAGE), hv_virt_to_phys(n->apic_access)) : -ENOMEM;
	}
	if (ret)
		vm_free(vm);
	return ret;
}

/* Ch. 25.6 to 25.8. What is not written is 0, as the page is. */
static void set_controls(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	s->proc_controls = s->proc_written = vmx_features.proc;
	vmwrite(VMCS_pin_controls, vmx_features.pin);
	vmwrite(VMCS_proc_controls, s->proc_controls);
	vmwrite(VMCS_proc2_controls, s->proc2 = vmx_features.proc2);
	if (s->pml)
		vmwrite(VMCS_pml, hv_virt_to_phys(s->pml).v);
	vmwrite(VMCS_exit_controls, vmx_features.exit);
	vmwrite(VMCS_entry_controls, vmx_features.entry);
	vmwrite(VMCS_exception_bitmap, 1u << X86_DB | 1u << X86_AC | 1u << X86_MC); /* #DB and #AC: a guest could loop in them for ever */
	vmwrite(VMCS_pf_mask, 0);
	vmwrite(VMCS_pf_match, 0);
	vmwrite(VMCS_cr3_target_count, 0);
	vmwrite(VMCS_exit_msr_store_count, 0);
	vmwrite(VMCS_exit_msr_load_count, 0);
	vmwrite(VMCS_entry_msr_load_count, 0);
	vmwrite(VMCS_entry_event, 0);
	vmwrite(VMCS_tsc_offset, (uint64_t)v->vm->tsc_offset);
	vmwrite(VMCS_eptp, v->vm->virt->eptp);
	vmx_control_init();
	if (vmx_features.proc2 & PROC2_PAUSE_LOOP) {
		vmwrite(VMCS_ple_gap, 128);
		vmwrite(VMCS_ple_window, 4096);
	}
	vmx_apic_init(v);
}

void vmx_proc2_control(struct vcpu *v, uint32_t bits, bool on)
{
	struct virt_vcpu *s = v->virt;
	s->proc2 = on ? s->proc2 | bits : s->proc2 & ~bits;
	vmwrite(VMCS_proc2_controls, s->proc2);
}

/* Ch. 25.5: where exits go on. Per core and fiber, so at every load. */
static void set_host_state(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr, idtr;
	uint16_t tr, cs, ss;
	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	__asm__ volatile("sidt %0" : "=m"(idtr));
	__asm__ volatile("str %0" : "=r"(tr));
	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	__asm__ volatile("mov %%ss, %0" : "=r"(ss));
	const uint64_t *tss = (const uint64_t *)(gdtr.base + (tr & ~7u));
	uint64_t low = tss[0];
	vmwrite(VMCS_host_cr0, vmx_host_cr(0));
	vmwrite(VMCS_host_cr3, vmx_host_cr(3));
	vmwrite(VMCS_host_cr4, vmx_host_cr(4));
	vmwrite(VMCS_host_cs, cs);
	vmwrite(VMCS_host_ss, ss);
	vmwrite(VMCS_host_ds, 0);
	vmwrite(VMCS_host_es, 0);
	vmwrite(VMCS_host_fs, 0);
	vmwrite(VMCS_host_gs, 0);
	vmwrite(VMCS_host_tr, tr);
	vmwrite(VMCS_host_fs_base, x86_rdmsr(MSR_FS_BASE));
	vmwrite(VMCS_host_gs_base, x86_rdmsr(MSR_GS_BASE));
	vmwrite(VMCS_host_tr_base, (low >> 16 & 0xffffff) | (low >> 56) << 24 | tss[1] << 32);
	vmwrite(VMCS_host_gdtr_base, gdtr.base);
	vmwrite(VMCS_host_idtr_base, idtr.base);
	vmwrite(VMCS_host_sysenter_cs, 0);
	vmwrite(VMCS_host_sysenter_esp, 0);
	vmwrite(VMCS_host_sysenter_eip, 0);
	vmwrite(VMCS_host_pat, x86_rdmsr(MSR_PAT));
	vmwrite(VMCS_host_efer, x86_rdmsr(MSR_EFER));
	vmwrite(VMCS_host_rip, (uint64_t)vmx_world_exit);
}

static void set_guest_state(struct vcpu *v)
{
	vmwrite(VMCS_link_pointer, ~0ull);
	vmwrite(VMCS_debugctl, 0);
	vmwrite(VMCS_pat, PAT_RESET);
	vmwrite(VMCS_efer, 0);
	vmwrite(VMCS_interruptibility, 0);
	vmwrite(VMCS_activity, 0);
	vmwrite(VMCS_pending_debug, 0);
	vmwrite(VMCS_rip, 0);
	vmwrite(VMCS_rsp, 0);
	vmwrite(VMCS_rflags, 2);
	v->virt->rflags = 2;
	v->virt->dr6 = DR6_RESET;
}

static void vcpu_free(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	if (!s)
		return;
	if (s->region)
		hv_pages_free(s->region, HV_ORDER_4K);
	if (s->pml)
		hv_pages_free(s->pml, HV_ORDER_4K);
	hv_pages_free(s, HV_ORDER_4K);
	v->virt = NULL;
}

static int vcpu_init(struct vcpu *v)
{
	_Static_assert(sizeof(struct virt_vcpu) <= HV_PAGE_SIZE, "fits a page");
	struct virt_vcpu *s = core_enable() ? NULL : hv_pages_alloc(HV_ORDER_4K);
	if (!s)
		return -ENOMEM;
	v->virt = s;
	s->region = hv_pages_alloc(HV_ORDER_4K);
	s->pml = vmx_features.pml ? hv_pages_alloc(HV_ORDER_4K) : NULL;
	if (!s->region || (vmx_features.pml && !s->pml)) {
		vcpu_free(v);
		return -ENOMEM;
	}
	*(uint32_t *)s->region = vmx_features.revision;
	s->region_pa = hv_virt_to_phys(s->region).v;
	vmclear(s->region_pa);
	vmx_acquire(v);
	set_controls(v);
	set_guest_state(v);
	vmx_release(v);
	return 0;
}
/* ---- running ---- */

/* vpid_generation 0 asks for a fresh one. A vCPU stays on its core. */
static void take_vpid(struct vcpu *v, struct vmx_core *c)
{
	struct virt_vcpu *s = v->virt;
	if (c->next_vpid == VPIDS) {
		c->generation++;
		c->next_vpid = 1;
		c->flush = true;
	}
	s->vpid = (uint16_t)c->next_vpid++;
	s->vpid_generation = c->generation;
	vmwrite(VMCS_vpid, s->vpid);
	if (c->flush)
		invvpid(2, 0);
	c->flush = false;
}

void vmx_load_syscall_msrs(const struct virt_vcpu *s)
{
	struct vmx_core *c = &cores[hv_core_self()];
	if (c->star != s->star)
		x86_wrmsr(MSR_STAR, c->star = s->star);
	if (c->lstar != s->lstar)
		x86_wrmsr(MSR_LSTAR, c->lstar = s->lstar);
	if (c->cstar != s->cstar)
		x86_wrmsr(MSR_CSTAR, c->cstar = s->cstar);
	if (c->sfmask != s->sfmask)
		x86_wrmsr(MSR_SFMASK, c->sfmask = s->sfmask);
}

static void load(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	struct virt_vm *n = v->vm->virt;
	struct vmx_core *c = &cores[v->core];
	vmptrld(s->region_pa);
	c->current_pa = s->region_pa;
	s->loaded = true;
	s->launched = false;
	set_host_state();
	if (vmx_features.vpid && s->vpid_generation != c->generation)
		take_vpid(v, c);
	uint32_t generation = atomic_load_explicit(&n->ept.generation, memory_order_acquire);
	if (n->seen[v->core] != generation) {
		invept(1, n->eptp);
		n->seen[v->core] = generation;
	}
	vmx_pml_load(v);
	vmx_load_syscall_msrs(s);
	x86_wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
	if (vmread(VMCS_dr7) & DR_ENABLED)
		vmx_dr_load(v);
}

static void unload(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	if (s->dr_live)
		vmx_dr_save(v);
	s->kernel_gs_base = x86_rdmsr(MSR_KERNEL_GS_BASE);
	vmx_pml_drain(v);
	s->loaded = false;
	vmclear(s->region_pa);
	cores[v->core].current_pa = 0;
}

static void write_state(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	if (s->rip != v->rip)
		vmwrite(VMCS_rip, v->rip);
	if (s->rsp != v->regs[VREG_RSP])
		vmwrite(VMCS_rsp, v->regs[VREG_RSP]);
	if (s->rflags != v->rflags)
		vmwrite(VMCS_rflags, v->rflags);
	if (s->window)
		s->proc_controls |= PROC_IRQ_WINDOW;
	if (s->proc_written != s->proc_controls)
		vmwrite(VMCS_proc_controls, s->proc_written = s->proc_controls);
	if (s->flush)
		vmx_sync_paging(v);
	if (s->event & EVENT_VALID) {
		vmwrite(VMCS_entry_event, s->event);
		vmwrite(VMCS_entry_error, s->event_error);
	}
	uint32_t threshold = s->watch_cr8 ? (uint32_t)vmx_cr8_get(v) : 0;
	if (vmx_features.tpr_shadow && s->tpr_threshold != threshold)
		vmwrite(VMCS_tpr_threshold, s->tpr_threshold = threshold);
	if (s->cr2 != vmx_host_cr(2))
		__asm__ volatile("mov %0, %%cr2" : : "r"(s->cr2));
}

/* RFLAGS.IF is 0. An interrupt that left the guest and is acknowledged is handled here. An NMI that left the guest has been taken by the
 * exit: the host's handler runs now, and its IRET opens NMIs again. */
static void read_state(struct vcpu *v, bool entered, struct virt_exit *e)
{
	struct virt_vcpu *s = v->virt;
	struct vmx_exit *x = &s->exit;
	s->cr2 = vmx_host_cr(2);
	unsigned wants = vmx_exit_begin(x, entered ? (uint32_t)vmread(VMCS_exit_reason) : VMX_EXIT_ENTRY_FAILED);
	uint32_t undelivered = 0;
	if (!(x->reason & VMX_EXIT_ENTRY_FAILED)) {
		s->launched = true;
		undelivered = (uint32_t)vmread(VMCS_idt_event);
	}
	e->interrupted.valid = false;
	if (undelivered & EVENT_VALID)
		vmx_event_from(undelivered, undelivered & EVENT_ERROR ? (uint32_t)vmread(VMCS_idt_error) : 0, &e->interrupted);
	if (x->reason == VMX_EXIT_IRQ_WINDOW)
		s->proc_controls &= ~PROC_IRQ_WINDOW;
	if (wants & VMX_WANT_EVENT) {
		x->event = (uint32_t)vmread(VMCS_exit_event);
		x->event_error = x->event & EVENT_ERROR ? (uint32_t)vmread(VMCS_exit_event_error) : 0;
		if (EVENT_TYPE(x->event) == VMX_NMI)
			__asm__ volatile("int $2" : : : "memory");
		else if (x->reason == VMX_EXIT_INTERRUPT && x->event & EVENT_VALID)
			hv_irq_acknowledged(x->event & 0xff);
	}
	if (wants & VMX_WANT_QUALIFICATION)
		x->qualification = vmread(VMCS_qualification);
	if (wants & VMX_WANT_PHYSICAL)
		x->guest_physical = vmread(VMCS_guest_physical);
	if (wants & VMX_WANT_LENGTH)
		x->insn_len = (uint32_t)vmread(VMCS_insn_len);
	v->rip = s->rip = vmread(VMCS_rip);
	v->regs[VREG_RSP] = s->rsp = vmread(VMCS_rsp);
	v->rflags = s->rflags = vmread(VMCS_rflags);
	v->shadow = vmread(VMCS_interruptibility) & (BLOCKED_STI | BLOCKED_MOV_SS);
}

static void enter(struct vcpu *v, struct virt_exit *e)
{
	struct virt_vcpu *s = v->virt;
	__asm__ volatile("cli" : : : "memory");
	if (vcpu_must_leave(v)) {
		__asm__ volatile("sti" : : : "memory");
		e->reason = VEXIT_NONE;
		vmx_event_from(s->event, s->event_error, &e->interrupted);
		s->event = 0;
		return;
	}
	write_state(v);
	s->event = 0;
	bool entered = vmx_world_switch(v->regs, s->launched);
	read_state(v, entered, e);
	__asm__ volatile("sti" : : : "memory");
	e->cr8 = (uint8_t)vmx_cr8_get(v);
	vmx_decode_exit(v, e);
}

const char *vmx_why_invalid(const struct vcpu *v)
{
	struct vmcs_image b = {.vtpr = vmx_cr8_get(v) << 4};
#define X(name, encoding) b.name = vmread(VMCS_##name);
	VMCS_FIELDS(X)
#undef X
	return vmx_check(&b, &vmx_features.limits);
}

const struct virt_ops vmx_ops = {
	.name = "VT-x",
	.probe = vmx_probe,
	.core_enable = core_enable,
	.vm_init = vm_init,
	.vm_free = vm_free,
	.vcpu_init = vcpu_init,
	.vcpu_free = vcpu_free,
	.load = load,
	.unload = unload,
	.enter = enter,
	.get_seg = vmx_get_seg,
	.set_seg = vmx_set_seg,
	.get_control = vmx_get_control,
	.set_control = vmx_set_control,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.inject = vmx_inject,
	.watch = vmx_watch,
	.shadow = vmx_shadow,
	.apic_mode = vmx_apic_mode,
	.apic_sync = vmx_apic_sync,
};
