/*
 * AMD-V: the verbs of virt.h (APM vol. 2 ch. 15).
 *
 * Per core: a host save area, a page for the host's VMSAVE state, and the ASID allocator. An ASID belongs to a core; when they run out, the
 * generation is raised, the core's guest TLB entries are flushed once, and every vCPU takes a new one when it is loaded next.
 *
 * Debug registers: DR0-3 are not switched by VMRUN. Accesses are intercepted until the first one in a time slice; then the guest's are loaded
 * and stay until unload, which saves them and intercepts again.
 */
#include "virt/svm/svm_impl.h"

#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define BIT(code) (1u << ((code) & 31))
#define CR4_WRITE (1u << 4)
#define CR8_WRITE (1u << 8)
#define IOPM_BYTES 0x3000
#define MSRPM_BYTES 0x2000
#define DR_ENABLED 0xffull /* DR7: any breakpoint enabled */

struct svm_core {
	bool enabled;
	void *save_area;   /* VM_HSAVE_PA */
	void *host_state;  /* VMSAVE of the host */
	uint64_t host_pa;
	uint64_t generation;
	uint32_t next_asid;
	bool flush; /* the next entry flushes all of this core's guest TLB entries */
};

static struct svm_core cores[HV_MAX_CORES];
static uint8_t *iopm, *msrpm; /* the same for all guests: all ports exit; MSRs that the machine switches do not */

/* MSRs that the guest reads and writes without an exit: VMLOAD/VMSAVE or VMRUN switch them. */
static const uint32_t direct_msrs[] = {
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

static void clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}

static void stgi(void)
{
	__asm__ volatile("stgi" : : : "memory");
}

static void vmsave(uint64_t pa)
{
	__asm__ volatile("vmsave %0" : : "a"(pa) : "memory");
}

/* ---- the machine ---- */

static void msrpm_allow(uint32_t msr)
{
	uint32_t bit = msr < 0x2000 ? msr * 2 : msr - 0xc0000000 < 0x2000 ? 0x4000 + (msr - 0xc0000000) * 2 : 0x8000 + (msr - 0xc0010000) * 2;
	msrpm[bit / 8] &= (uint8_t)~(3u << (bit % 8));
}

static int make_maps(void)
{
	if (iopm)
		return 0;
	uint8_t *io = hv_contig_alloc(IOPM_BYTES, HV_PAGE_SIZE), *msr = hv_contig_alloc(MSRPM_BYTES, HV_PAGE_SIZE);
	if (!io || !msr) {
		if (io)
			hv_contig_free(io, IOPM_BYTES);
		if (msr)
			hv_contig_free(msr, MSRPM_BYTES);
		return -ENOMEM;
	}
	memset(io, 0xff, IOPM_BYTES);
	memset(msr, 0xff, MSRPM_BYTES);
	iopm = io;
	msrpm = msr;
	for (unsigned i = 0; i < HV_ARRAY_LEN(direct_msrs); i++)
		msrpm_allow(direct_msrs[i]);
	return 0;
}

static int core_enable(void)
{
	struct svm_core *c = &cores[hv_core_self()];
	if (c->enabled)
		return 0;
	c->save_area = hv_pages_alloc(HV_ORDER_4K);
	c->host_state = hv_pages_alloc(HV_ORDER_4K);
	if (!c->save_area || !c->host_state) {
		if (c->save_area)
			hv_pages_free(c->save_area, HV_ORDER_4K);
		if (c->host_state)
			hv_pages_free(c->host_state, HV_ORDER_4K);
		return -ENOMEM;
	}
	c->host_pa = hv_virt_to_phys(c->host_state).v;
	c->generation = 1;
	c->next_asid = 1;
	c->flush = true;
	x86_wrmsr(MSR_EFER, x86_rdmsr(MSR_EFER) | EFER_SVME);
	x86_wrmsr(MSR_VM_HSAVE_PA, hv_virt_to_phys(c->save_area).v);
	c->enabled = true;
	return 0;
}

/* ---- VMs and vCPUs ---- */

static int vm_init(struct vm *vm)
{
	int ret = make_maps();
	if (ret)
		return ret;
	struct virt_vm *n = hv_pages_alloc(HV_ORDER_4K);
	if (!n)
		return -ENOMEM;
	ret = nested_create(&n->npt, &svm_npt_format, vm->gmem, svm_features.gib_pages);
	if (ret) {
		hv_pages_free(n, HV_ORDER_4K);
		return ret;
	}
	vm->virt = n;
	vm->nested = &n->npt;
	return 0;
}

static void vm_free(struct vm *vm)
{
	if (!vm->virt)
		return;
	nested_destroy(&vm->virt->npt);
	hv_pages_free(vm->virt, HV_ORDER_4K);
	vm->virt = NULL;
}

/* Controls (15.9 to 15.14, 15.25). */
static void set_controls(struct vcpu *v, struct vmcb *b)
{
	b->intercept_cr_write = CR4_WRITE; /* a guest sets only what CPUID shows it */
	b->intercept_dr_read = b->intercept_dr_write = 0xffff;
	b->intercept_exceptions = 1u << X86_DB | 1u << X86_AC | 1u << X86_MC; /* #DB and #AC: a guest could loop in them for ever */
	b->intercept1 = BIT(SVM_INTR) | BIT(SVM_NMI) | BIT(SVM_INIT) | BIT(SVM_RDPMC) | BIT(SVM_CPUID) | BIT(SVM_RSM) | BIT(SVM_INVD) | BIT(SVM_HLT) |
		BIT(SVM_INVLPGA) | BIT(SVM_IOIO) | BIT(SVM_MSR) | BIT(SVM_SHUTDOWN);
	b->intercept2 = BIT(SVM_VMRUN) | BIT(SVM_VMMCALL) | BIT(SVM_VMLOAD) | BIT(SVM_VMSAVE) | BIT(SVM_STGI) | BIT(SVM_CLGI) | BIT(SVM_SKINIT) |
		BIT(SVM_WBINVD) | BIT(SVM_MONITOR) | BIT(SVM_MWAIT) | BIT(SVM_MWAIT_CONDITIONAL) | BIT(SVM_XSETBV) | BIT(SVM_RDPRU);
	if (svm_features.pause_filter) {
		b->intercept1 |= BIT(SVM_PAUSE);
		b->pause_count = 3000;
		b->pause_threshold = 128;
	}
	b->iopm_pa = hv_virt_to_phys(iopm).v;
	b->msrpm_pa = hv_virt_to_phys(msrpm).v;
	b->tsc_offset = (uint64_t)v->vm->tsc_offset;
	b->v_control = VMCB_V_INTR_MASKING;
	b->np_enable = 1;
	b->n_cr3 = v->vm->virt->npt.root_pa.v;
}

static int vcpu_init(struct vcpu *v)
{
	_Static_assert(sizeof(struct virt_vcpu) <= HV_PAGE_SIZE, "fits a page");
	struct virt_vcpu *s = hv_pages_alloc(HV_ORDER_4K);
	struct vmcb *b = hv_pages_alloc(HV_ORDER_4K);
	if (!s || !b) {
		if (s)
			hv_pages_free(s, HV_ORDER_4K);
		if (b)
			hv_pages_free(b, HV_ORDER_4K);
		return -ENOMEM;
	}
	s->vmcb = b;
	s->vmcb_pa = hv_virt_to_phys(b).v;
	v->virt = s;
	set_controls(v, b);
	b->efer = EFER_SVME;
	b->cr0 = CR0_ET;
	b->pat = PAT_RESET;
	return 0;
}

static void vcpu_free(struct vcpu *v)
{
	if (!v->virt)
		return;
	hv_pages_free(v->virt->vmcb, HV_ORDER_4K);
	hv_pages_free(v->virt, HV_ORDER_4K);
	v->virt = NULL;
}

/* ---- debug registers ---- */

void svm_dr_load(struct vcpu *v)
{
	struct vmcb *b = v->virt->vmcb;
	__asm__ volatile("mov %0, %%db0" : : "r"(v->dr[0]));
	__asm__ volatile("mov %0, %%db1" : : "r"(v->dr[1]));
	__asm__ volatile("mov %0, %%db2" : : "r"(v->dr[2]));
	__asm__ volatile("mov %0, %%db3" : : "r"(v->dr[3]));
	b->intercept_dr_read = b->intercept_dr_write = 0;
	b->clean &= ~VMCB_CLEAN_INTERCEPTS;
	v->virt->dr_live = true;
}

static void dr_save(struct vcpu *v)
{
	struct vmcb *b = v->virt->vmcb;
	__asm__ volatile("mov %%db0, %0" : "=r"(v->dr[0]));
	__asm__ volatile("mov %%db1, %0" : "=r"(v->dr[1]));
	__asm__ volatile("mov %%db2, %0" : "=r"(v->dr[2]));
	__asm__ volatile("mov %%db3, %0" : "=r"(v->dr[3]));
	b->intercept_dr_read = b->intercept_dr_write = 0xffff;
	b->clean &= ~VMCB_CLEAN_INTERCEPTS;
	v->virt->dr_live = false;
}

/* ---- running ---- */

/* asid_generation 0 asks for a fresh one. A vCPU stays on its core. */
static void take_asid(struct vcpu *v, struct svm_core *c)
{
	struct virt_vcpu *s = v->virt;
	if (c->next_asid == svm_features.limits.asids) {
		c->generation++;
		c->next_asid = 1;
		c->flush = true;
	}
	s->vmcb->asid = c->next_asid++;
	s->asid_generation = c->generation;
	s->vmcb->clean = 0; /* another core or TLB tag: nothing of this VMCB may be cached */
}

static void load(struct vcpu *v)
{
	vmsave(cores[v->core].host_pa); /* FS base differs from fiber to fiber */
	uint32_t generation = atomic_load_explicit(&v->vm->nested->generation, memory_order_acquire);
	if (v->virt->nested_generation != generation) {
		v->virt->nested_generation = generation;
		v->virt->asid_generation = 0; /* rights were taken away: a fresh ASID instead of a flush */
	}
	if (v->virt->vmcb->dr7 & DR_ENABLED)
		svm_dr_load(v);
}

static void unload(struct vcpu *v)
{
	if (v->virt->dr_live)
		dr_save(v);
}

/* EVENTINJ and EXITINTINFO have the same form (15.20, 15.7.2). */
static void event_from(uint64_t info, struct virt_event *e)
{
	e->valid = info & VMCB_EVENT_VALID;
	if (!e->valid)
		return;
	e->vector = (uint8_t)info;
	e->type = info >> 8 & 7;
	e->has_error = info & VMCB_EVENT_ERROR;
	e->error = (uint32_t)(info >> 32);
}

static void intercept1(struct vcpu *v, uint32_t bit, bool on)
{
	struct vmcb *b = v->virt->vmcb;
	b->intercept1 = on ? b->intercept1 | bit : b->intercept1 & ~bit;
	b->clean &= ~VMCB_CLEAN_INTERCEPTS;
}

/*
 * The VMCB's one virtual interrupt (15.21.4) serves two purposes: delivering an interrupt that can be taken now, and, intercepted, telling when
 * one could be (a window). Interrupts are not delivered by EVENTINJ as long as no window is wanted in the same entry: QEMU's TCG keeps the vector
 * of an injected interrupt as its pending exception, and delivers it a second time if another of its threads kicks the CPU at that moment
 * (seen with 7.2: a handler interrupted by its own vector at its first instruction, with IF = 0). A virtual interrupt has no such memory.
 */
enum virq_use { VIRQ_NONE, VIRQ_WINDOW, VIRQ_DELIVER };

/*
 * CR8 writes exit when an interrupt waits for a lower TPR, and while there is a virtual interrupt: it was chosen for the TPR of now.
 * (QEMU's TCG 7.2 also aborts at such a write: it looks at the virtual interrupt without the lock that this needs.)
 */
static void watch_cr8(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	uint16_t wanted = s->watch_cr8 || s->virq_programmed != VIRQ_NONE ? CR4_WRITE | CR8_WRITE : CR4_WRITE;
	if (s->vmcb->intercept_cr_write == wanted)
		return;
	s->vmcb->intercept_cr_write = wanted;
	s->vmcb->clean &= ~VMCB_CLEAN_INTERCEPTS;
}

static void program_virq(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	struct vmcb *b = s->vmcb;
	enum virq_use use = s->window ? VIRQ_WINDOW : s->virq ? VIRQ_DELIVER : VIRQ_NONE;
	if (s->virq && s->window) {
		b->event_inj = s->virq_vector | VMCB_EVENT_VALID;
		s->virq = false;
	}
	if (use == VIRQ_DELIVER)
		b->v_vector = s->virq_vector;
	if (use == s->virq_programmed && use != VIRQ_DELIVER)
		return;
	b->v_irq = use != VIRQ_NONE;
	b->v_prio = use != VIRQ_NONE ? 0x0f | VMCB_V_IGN_TPR : 0;
	b->clean &= ~VMCB_CLEAN_TPR;
	if ((use == VIRQ_WINDOW) != (s->virq_programmed == VIRQ_WINDOW))
		intercept1(v, BIT(SVM_VINTR), use == VIRQ_WINDOW);
	s->virq_programmed = (uint8_t)use;
	watch_cr8(v);
}

/* What the last entry (entered: it took place) did not deliver, if anything. */
static void undelivered(struct vcpu *v, bool entered, struct virt_event *e)
{
	struct virt_vcpu *s = v->virt;
	struct vmcb *b = s->vmcb;
	event_from(entered ? b->exit_int_info : b->event_inj, e);
	b->event_inj = 0;
	if (!s->virq)
		return;
	if (!entered || b->v_irq & 1)
		*e = (struct virt_event){.valid = true, .type = VEVENT_INTERRUPT, .vector = s->virq_vector};
	s->virq = false;
}

static void enter(struct vcpu *v, struct virt_exit *e)
{
	struct svm_core *c = &cores[v->core];
	struct vmcb *b = v->virt->vmcb;
	b->rax = v->regs[VREG_RAX];
	b->rsp = v->regs[VREG_RSP];
	b->rip = v->rip;
	b->rflags = v->rflags;
	if (v->virt->asid_generation != c->generation)
		take_asid(v, c);
	clgi();
	if (vcpu_must_leave(v)) {
		stgi();
		e->reason = VEXIT_NONE;
		undelivered(v, false, &e->interrupted);
		return;
	}
	program_virq(v);
	b->tlb_control = c->flush ? VMCB_TLB_FLUSH_ALL : 0;
	c->flush = false;
	svm_world_switch(v->regs, v->virt->vmcb_pa, c->host_pa);
	stgi();
	b->clean = svm_features.clean_bits ? VMCB_CLEAN_ALL : 0;
	undelivered(v, true, &e->interrupted);
	v->regs[VREG_RAX] = b->rax;
	v->regs[VREG_RSP] = b->rsp;
	v->rip = b->rip;
	v->rflags = b->rflags;
	v->shadow = b->shadow & 1;
	e->cr8 = b->v_tpr & 15;
	svm_decode_exit(v, e);
}

/* ---- state ---- */

static struct vmcb_seg *seg_of(const struct vcpu *v, enum virt_seg_id id)
{
	static const uint8_t index[VSEG_COUNT] = {[VSEG_ES] = 0, [VSEG_CS] = 1, [VSEG_SS] = 2, [VSEG_DS] = 3, [VSEG_FS] = 4, [VSEG_GS] = 5,
		[VSEG_GDTR] = 6, [VSEG_LDTR] = 7, [VSEG_IDTR] = 8, [VSEG_TR] = 9}; /* order in the VMCB */
	return &v->virt->vmcb->es + index[id];
}

static void get_seg(const struct vcpu *v, enum virt_seg_id id, struct virt_seg *seg)
{
	const struct vmcb_seg *s = seg_of(v, id);
	*seg = (struct virt_seg){.base = s->base, .limit = s->limit, .selector = s->selector, .attr = s->attr};
}

static void set_seg(struct vcpu *v, enum virt_seg_id id, const struct virt_seg *seg)
{
	*seg_of(v, id) = (struct vmcb_seg){.base = seg->base, .limit = seg->limit, .selector = seg->selector, .attr = seg->attr};
	if (id == VSEG_SS)
		v->virt->vmcb->cpl = seg->attr >> SEG_DPL_SHIFT & 3;
	v->virt->vmcb->clean &= ~(VMCB_CLEAN_SEG | VMCB_CLEAN_DT);
}

static uint64_t get_control(const struct vcpu *v, enum virt_control c)
{
	const struct vmcb *b = v->virt->vmcb;
	switch (c) {
	case VCTL_CR0:
		return b->cr0;
	case VCTL_CR2:
		return b->cr2;
	case VCTL_CR3:
		return b->cr3;
	case VCTL_CR4:
		return b->cr4;
	case VCTL_EFER:
		return b->efer & ~EFER_SVME;
	case VCTL_CR8:
		return b->v_tpr & 15;
	case VCTL_DR6:
		return b->dr6;
	case VCTL_DR7:
		return b->dr7;
	case VCTL_CPL:
		return b->cpl;
	default:
		return 0;
	}
}

static void set_control(struct vcpu *v, enum virt_control c, uint64_t value)
{
	struct vmcb *b = v->virt->vmcb;
	switch (c) {
	case VCTL_CR0:
		b->cr0 = value;
		break;
	case VCTL_CR2:
		b->cr2 = value;
		b->clean &= ~VMCB_CLEAN_CR2;
		return;
	case VCTL_CR3:
		b->cr3 = value;
		break;
	case VCTL_CR4:
		b->cr4 = value;
		break;
	case VCTL_EFER:
		b->efer = value | EFER_SVME;
		break;
	case VCTL_CR8:
		b->v_tpr = value & 15;
		b->clean &= ~VMCB_CLEAN_TPR;
		return;
	case VCTL_DR6:
		b->dr6 = value;
		b->clean &= ~VMCB_CLEAN_DR;
		return;
	case VCTL_DR7:
		b->dr7 = value;
		b->clean &= ~VMCB_CLEAN_DR;
		return;
	case VCTL_CPL:
		b->cpl = (uint8_t)value;
		b->clean &= ~VMCB_CLEAN_SEG;
		return;
	default:
		return;
	}
	v->virt->asid_generation = 0; /* paging changed under the guest: a fresh ASID instead of a flush */
	b->clean &= ~VMCB_CLEAN_CR;
}

static uint64_t *msr_of(const struct vcpu *v, uint32_t msr)
{
	struct vmcb *b = v->virt->vmcb;
	switch (msr) {
	case MSR_SYSENTER_CS:
		return &b->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &b->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &b->sysenter_eip;
	case MSR_STAR:
		return &b->star;
	case MSR_LSTAR:
		return &b->lstar;
	case MSR_CSTAR:
		return &b->cstar;
	case MSR_SFMASK:
		return &b->sfmask;
	case MSR_FS_BASE:
		return &b->fs.base;
	case MSR_GS_BASE:
		return &b->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &b->kernel_gs_base;
	case MSR_PAT:
		return &b->pat;
	default:
		return NULL;
	}
}

static bool get_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const uint64_t *p = msr_of(v, msr);
	if (p)
		*value = *p;
	return p;
}

static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t *p = msr_of(v, msr);
	if (p) {
		*p = value;
		v->virt->vmcb->clean &= ~(msr == MSR_PAT ? VMCB_CLEAN_NP : VMCB_CLEAN_SEG);
	}
	return p;
}

/* ---- events ---- */

static void inject(struct vcpu *v, const struct virt_event *e)
{
	struct virt_vcpu *s = v->virt;
	if (e->type == VEVENT_INTERRUPT) {
		s->virq = true;
		s->virq_vector = e->vector;
		return;
	}
	s->vmcb->event_inj = e->vector | (uint64_t)e->type << 8 | (e->has_error ? VMCB_EVENT_ERROR | (uint64_t)e->error << 32 : 0) | VMCB_EVENT_VALID;
}

static void watch(struct vcpu *v, enum virt_watch what, bool on)
{
	switch (what) {
	case VWATCH_IRQ:
		v->virt->window = on;
		break;
	case VWATCH_NMI:
		intercept1(v, BIT(SVM_IRET), on);
		break;
	case VWATCH_CR8:
		v->virt->watch_cr8 = on;
		watch_cr8(v);
		break;
	}
}

static void shadow(struct vcpu *v, bool on)
{
	v->virt->vmcb->shadow = v->shadow = on;
}

/* AVIC is not used. */
static enum virt_apic apic_mode(struct vcpu *v, enum lapic_mode mode)
{
	return VAPIC_NOTHING;
}

const struct virt_ops svm_ops = {
	.name = "AMD-V",
	.probe = svm_probe,
	.core_enable = core_enable,
	.vm_init = vm_init,
	.vm_free = vm_free,
	.vcpu_init = vcpu_init,
	.vcpu_free = vcpu_free,
	.load = load,
	.unload = unload,
	.enter = enter,
	.get_seg = get_seg,
	.set_seg = set_seg,
	.get_control = get_control,
	.set_control = set_control,
	.get_msr = get_msr,
	.set_msr = set_msr,
	.inject = inject,
	.watch = watch,
	.shadow = shadow,
	.apic_mode = apic_mode,
};
