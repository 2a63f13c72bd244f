/*
 * The vCPU core: states, signals from other cores, the run loop, events to inject (vcpu.h draws the states).
 *
 * A vCPU belongs to one core. vcpu_run is its task: called by the core's loop with a time slice, it loads the guest's FPU state once, then
 * enters and handles exits until the slice ends, the loop has work, the guest halts, or the VM is paused or ending. Between an exit and the
 * next entry only hv code runs, and hv code never touches FPU registers.
 *
 * Order of events before an entry: an event whose delivery was cut short, then NMI, then interrupts. What cannot be delivered now (IF=0,
 * shadow, another event) asks the vendor for a window.
 */
#include "virt/vcpu_impl.h"

#include "vdev/lapic.h"
#include "virt/emulate.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define FAR_FUTURE_S (1ull << 30)

/* ---- who it is, guest time ---- */

unsigned vcpu_index(const struct vcpu *v)
{
	return v->index;
}

struct vm *vcpu_vm(const struct vcpu *v)
{
	return v->vm;
}

unsigned vcpu_core(const struct vcpu *v)
{
	return v->core;
}

struct lapic *vcpu_lapic(const struct vcpu *v)
{
	return v->lapic;
}

void vcpu_set_lapic(struct vcpu *v, struct lapic *lapic)
{
	v->lapic = lapic;
	v->requests = lapic ? lapic_get_requests(lapic) : NULL;
	v->takes_posted = false;
	vcpu_apic_mode_changed(v);
}

uint64_t vm_tsc_hz(const struct vm *vm)
{
	return hv_tsc_hz();
}

uint64_t vcpu_tsc(const struct vcpu *v)
{
	return x86_rdtsc() + (uint64_t)v->vm->tsc_offset;
}

uint64_t vcpu_tsc_to_ns(const struct vcpu *v, uint64_t tsc)
{
	uint64_t now = hv_now_ns(), hz = hv_tsc_hz(), delta = tsc - vcpu_tsc(v);
	if ((int64_t)delta <= 0)
		return now;
	uint64_t s = HV_MIN(delta / hz, FAR_FUTURE_S);
	return now + s * NS_PER_S + delta % hz * NS_PER_S / hz;
}

uint64_t vcpu_ns_to_tsc(const struct vcpu *v, uint64_t at_ns)
{
	uint64_t now = hv_now_ns(), hz = hv_tsc_hz(), tsc = vcpu_tsc(v);
	uint64_t delta = at_ns > now ? at_ns - now : now - at_ns;
	uint64_t ticks = delta / NS_PER_S * hz + delta % NS_PER_S * hz / NS_PER_S;
	return at_ns > now ? tsc + ticks : tsc - ticks;
}

uint32_t *vcpu_apic_page(const struct vcpu *v)
{
	return v->apic_page;
}

void vcpu_apic_mode_changed(struct vcpu *v)
{
	v->apic_changed = v->irq_check = true;
}

void vcpu_recheck(struct vcpu *v)
{
	v->irq_check = true;
}

/* ---- signals ---- */

static void signal(struct vcpu *v, uint32_t bits)
{
	uint32_t before = atomic_fetch_or_explicit(&v->signals, bits, memory_order_acq_rel);
	if ((before & bits) == bits)
		return; /* not taken yet: whoever set them has woken it */
	if (v->core == hv_core_self() && v->in_run)
		return; /* called from its own exit: looked at before the next entry */
	hv_task_wake(&v->task);
}

void vcpu_kick(struct vcpu *v)
{
	signal(v, VSIG_IRQ);
}

/*
 * The vCPU's core stores `posting` = false and then looks at `outstanding`; we set that and then look at `posting`. Both are sequentially
 * consistent: one sees the other, so that no request is left to a machine which has stopped to take them.
 */
void vcpu_requested(struct vcpu *v, struct lapic_requests *requests)
{
	if (atomic_exchange(&requests->outstanding, 1))
		return; /* not taken yet: whoever set it has told */
	if (v->core != hv_core_self() && atomic_load(&v->posting)) {
		atomic_fetch_add_explicit(&v->notifications, 1, memory_order_relaxed);
		hv_core_notify(v->core);
	} else {
		vcpu_kick(v);
	}
}

void vcpu_nmi(struct vcpu *v)
{
	signal(v, VSIG_NMI);
}

void vcpu_init_signal(struct vcpu *v)
{
	signal(v, VSIG_INIT);
}

void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
	atomic_store_explicit(&v->sipi_vector, vector, memory_order_relaxed);
	signal(v, VSIG_SIPI);
}

/* ---- reset and start ---- */

static void set_data_segs(struct vcpu *v, const struct virt_seg *s)
{
	static const uint8_t ids[] = {VSEG_ES, VSEG_SS, VSEG_DS, VSEG_FS, VSEG_GS};
	for (unsigned i = 0; i < sizeof(ids); i++)
		virt_ops->set_seg(v, ids[i], s);
}

/* SDM vol. 3, table 9-1 (APM vol. 2, table 14-1): processor state after RESET and INIT. */
void vcpu_reset(struct vcpu *v, bool init)
{
	const struct virt_seg code = {.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .attr = SEG_P | SEG_S | 0xb};
	const struct virt_seg data = {.limit = 0xffff, .attr = SEG_P | SEG_S | 0x3};
	const struct virt_seg ldtr = {.limit = 0xffff, .attr = SEG_P | 0x2}, tr = {.limit = 0xffff, .attr = SEG_P | 0xb};
	const struct virt_seg table = {.limit = 0xffff};
	static const uint32_t cleared[] = {
		MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};
	memset(v->regs, 0, sizeof(v->regs));
	memset(v->dr, 0, sizeof(v->dr));
	v->regs[VREG_RDX] = 0x600;
	v->rip = 0xfff0;
	v->rflags = 2;
	virt_ops->set_seg(v, VSEG_CS, &code);
	set_data_segs(v, &data);
	virt_ops->set_seg(v, VSEG_LDTR, &ldtr);
	virt_ops->set_seg(v, VSEG_TR, &tr);
	virt_ops->set_seg(v, VSEG_GDTR, &table);
	virt_ops->set_seg(v, VSEG_IDTR, &table);
	virt_ops->set_control(v, VCTL_CR0, CR0_ET | (init ? virt_ops->get_control(v, VCTL_CR0) & (CR0_CD | CR0_NW) : 0));
	virt_ops->set_control(v, VCTL_CR2, 0);
	virt_ops->set_control(v, VCTL_CR3, 0);
	virt_ops->set_control(v, VCTL_CR4, 0);
	virt_ops->set_control(v, VCTL_EFER, 0);
	virt_ops->set_control(v, VCTL_DR6, 0xffff0ff0);
	virt_ops->set_control(v, VCTL_DR7, 0x400);
	virt_ops->shadow(v, false);
	for (unsigned i = 0; !init && i < HV_ARRAY_LEN(cleared); i++)
		virt_ops->set_msr(v, cleared[i], 0);
	if (!init) {
		vcpu_msr_reset(v);
		fpu_reset(v);
	}
	v->pending.valid = v->nmi_pending = v->nmi_blocked = v->nmi_unblock = false;
	v->irq_check = true;
}

static void set_flat(struct vcpu *v, const struct vcpu_start *s, uint16_t code_mode)
{
	const struct virt_seg code = {.limit = 0xffffffff, .selector = s->cs_selector, .attr = SEG_P | SEG_S | SEG_G | 0xb | code_mode};
	const struct virt_seg data = {.limit = 0xffffffff, .selector = s->ds_selector, .attr = SEG_P | SEG_S | SEG_G | SEG_DB | 0x3};
	const struct virt_seg gdt = {.base = s->gdt_base, .limit = s->gdt_limit};
	virt_ops->set_seg(v, VSEG_CS, &code);
	set_data_segs(v, &data);
	virt_ops->set_seg(v, VSEG_GDTR, &gdt);
}

static void set_real(struct vcpu *v, uint16_t cs, uint16_t ds)
{
	const struct virt_seg code = {.base = (uint64_t)cs << 4, .limit = 0xffff, .selector = cs, .attr = SEG_P | SEG_S | 0xb};
	const struct virt_seg data = {.base = (uint64_t)ds << 4, .limit = 0xffff, .selector = ds, .attr = SEG_P | SEG_S | 0x3};
	virt_ops->set_seg(v, VSEG_CS, &code);
	set_data_segs(v, &data);
}

void vcpu_set_start(struct vcpu *v, const struct vcpu_start *s)
{
	switch (s->mode) {
	case VCPU_START_REAL:
		set_real(v, s->cs_selector, s->ds_selector);
		break;
	case VCPU_START_PROT32:
		set_flat(v, s, SEG_DB);
		virt_ops->set_control(v, VCTL_CR0, CR0_ET | CR0_PE);
		break;
	case VCPU_START_LONG64:
		set_flat(v, s, SEG_L);
		virt_ops->set_control(v, VCTL_CR0, CR0_ET | CR0_PE | CR0_PG);
		virt_ops->set_control(v, VCTL_CR3, s->cr3);
		virt_ops->set_control(v, VCTL_CR4, CR4_PAE);
		virt_ops->set_control(v, VCTL_EFER, EFER_LME | EFER_LMA);
		break;
	}
	v->rip = s->rip;
	v->regs[VREG_RSP] = s->rsp;
	v->regs[VREG_RAX] = s->rax;
	v->regs[VREG_RBX] = s->rbx;
	v->regs[VREG_RSI] = s->rsi;
	v->regs[VREG_RDI] = s->rdi;
	v->state = VCPU_RUNNING;
}

/* ---- events ---- */

static bool contributory(uint8_t vector)
{
	return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

void vcpu_inject(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
	struct virt_event e = {.valid = true, .has_error = has_error, .type = VEVENT_EXCEPTION, .vector = vector, .error = error};
	const struct virt_event *p = &v->pending;
	if (p->valid && p->type == VEVENT_EXCEPTION) {
		if (p->vector == X86_DF && (contributory(vector) || vector == X86_PF)) {
			vcpu_crash(v, "triple fault");
			return;
		}
		if ((contributory(p->vector) && contributory(vector)) ||
			(p->vector == X86_PF && (contributory(vector) || vector == X86_PF)))
			e = (struct virt_event){.valid = true, .has_error = true, .type = VEVENT_EXCEPTION, .vector = X86_DF};
	}
	v->pending = e;
	v->counters.exceptions++;
}

void vcpu_inject_gp(struct vcpu *v)
{
	vcpu_inject(v, X86_GP, true, 0);
}

void vcpu_inject_ud(struct vcpu *v)
{
	vcpu_inject(v, X86_UD, false, 0);
}

static void take_signals(struct vcpu *v, uint32_t bits)
{
	v->irq_check = true;
	if (bits & VSIG_NMI)
		v->nmi_pending = true;
	if (bits & VSIG_INIT) {
		if (v->index == 0) { /* there is no firmware at the reset vector for it to run */
			vm_reset(v->vm);
			return;
		}
		vcpu_reset(v, true);
		if (v->lapic)
			lapic_reset(v->lapic);
		v->state = VCPU_WAIT_SIPI;
	}
	if (bits & VSIG_SIPI && v->state == VCPU_WAIT_SIPI) {
		set_real(v, (uint16_t)(atomic_load_explicit(&v->sipi_vector, memory_order_relaxed) << 8), 0);
		v->rip = 0;
		v->state = VCPU_RUNNING;
	}
}

/* An interrupt that we are to inject. */
static bool irq_ready(struct vcpu *v, uint8_t *vector)
{
	return v->lapic && (v->assisted ? lapic_has_external(v->lapic, vector) : lapic_has_interrupt(v->lapic, vector));
}

static void set_irq_window(struct vcpu *v, bool on)
{
	if (v->irq_window != on) {
		v->irq_window = on;
		virt_ops->watch(v, VWATCH_IRQ, on);
	}
}

static void inject_interrupt(struct vcpu *v, uint8_t vector)
{
	const struct virt_event e = {.valid = true, .type = VEVENT_INTERRUPT, .vector = vector};
	lapic_ack(v->lapic, vector);
	virt_ops->inject(v, &e);
	v->counters.irqs++;
}

static void inject_nmi(struct vcpu *v)
{
	static const struct virt_event e = {.valid = true, .type = VEVENT_NMI, .vector = X86_NMI};
	virt_ops->inject(v, &e);
	v->nmi_pending = false;
	v->nmi_blocked = true;
	virt_ops->watch(v, VWATCH_NMI, true);
	v->counters.nmis++;
}

static void sync_cr8(struct vcpu *v)
{
	uint8_t cr8 = lapic_get_cr8(v->lapic);
	if (cr8 != v->cr8_loaded) {
		v->cr8_loaded = cr8;
		virt_ops->set_control(v, VCTL_CR8, cr8);
	}
}

static void sync_apic(struct vcpu *v)
{
	struct lapic_page_state s;
	lapic_collect(v->lapic, &s);
	virt_ops->apic_sync(v, &s);
}

/*
 * An interrupt may be deliverable: delivers it, or asks to be called when it can be. `busy`: another event goes first. Where the machine
 * delivers by itself, it gets to know what waits; only the PIC's interrupts and NMIs are left to us.
 */
static void check_interrupts(struct vcpu *v, bool busy)
{
	uint8_t vector;
	bool open = !busy && !v->shadow;
	if (v->nmi_pending && !v->nmi_blocked && open) {
		inject_nmi(v);
		open = false;
	}
	bool waiting = irq_ready(v, &vector);
	if (waiting && open && v->rflags & FLAGS_IF) {
		inject_interrupt(v, vector);
		waiting = irq_ready(v, &vector);
	}
	bool watch = !waiting && !v->assisted && v->lapic && lapic_tpr_blocks(v->lapic);
	if (watch != v->cr8_watch) {
		v->cr8_watch = watch;
		virt_ops->watch(v, VWATCH_CR8, watch);
	}
	if (v->assisted)
		sync_apic(v);
	if (v->lapic)
		sync_cr8(v);
	v->irq_check = waiting || (v->nmi_pending && !v->nmi_blocked);
	set_irq_window(v, v->irq_check);
}

/* When it ends, what was requested meanwhile without a signal gets one. */
static void set_posting(struct vcpu *v, bool on)
{
	if (atomic_load_explicit(&v->posting, memory_order_relaxed) == on)
		return;
	atomic_store(&v->posting, on);
	if (!on && atomic_load(&v->requests->outstanding))
		atomic_fetch_or(&v->signals, VSIG_IRQ);
}

static void take_apic_mode(struct vcpu *v)
{
	enum virt_apic by_machine = v->lapic ? virt_ops->apic_mode(v, lapic_get_mode(v->lapic)) : VAPIC_NOTHING;
	v->apic_changed = false;
	v->assisted = by_machine != VAPIC_NOTHING;
	set_posting(v, by_machine == VAPIC_DELIVERS_POSTED);
	v->takes_posted = by_machine == VAPIC_DELIVERS_POSTED;
	if (v->lapic)
		lapic_set_assisted(v->lapic, v->assisted);
}

/* False: a signal has stopped it. */
static bool prepare_entry(struct vcpu *v)
{
	if (atomic_load_explicit(&v->signals, memory_order_relaxed)) {
		take_signals(v, atomic_exchange_explicit(&v->signals, 0, memory_order_acq_rel));
		if (v->state != VCPU_RUNNING)
			return false;
	}
	if (v->nmi_unblock && v->rip != v->nmi_iret_rip) {
		v->nmi_unblock = v->nmi_blocked = false;
		v->irq_check |= v->nmi_pending;
	}
	bool busy = v->pending.valid;
	if (busy) {
		virt_ops->inject(v, &v->pending);
		v->pending.valid = false;
	}
	if (v->apic_changed)
		take_apic_mode(v);
	if (v->irq_check || vcpu_posted_to_us(v)) /* whoever writes TPR sets it */
		check_interrupts(v, busy);
	return true;
}

/* The guest may have moved TPR by CR8 without an exit. */
static void take_cr8(struct vcpu *v, uint8_t cr8)
{
	if (cr8 != v->cr8_loaded && v->lapic) {
		v->cr8_loaded = cr8;
		lapic_set_cr8(v->lapic, cr8);
		v->irq_check = true;
	}
}

/* An event cut short goes first again. INT n and INT3 run again by themselves: RIP is still at the instruction. */
static void requeue(struct vcpu *v, const struct virt_event *e)
{
	if (e->type == VEVENT_SOFTWARE || (e->type == VEVENT_EXCEPTION && (e->vector == X86_BP || e->vector == X86_OF)))
		return;
	v->pending = *e;
}

/* ---- the task ---- */

static void leave_for_good(struct vcpu *v)
{
	struct vm *vm = v->vm;
	if (v->left)
		return;
	v->left = true;
	if (atomic_fetch_sub(&vm->vcpus_in, 1) == 1)
		hv_msg_post(vm->config.io_core, &vm->ended_msg);
}

/* Acts on signals of a vCPU that does not run; true when it has something to execute. */
static bool awake(struct vcpu *v)
{
	uint8_t vector;
	uint32_t bits = atomic_exchange_explicit(&v->signals, 0, memory_order_acq_rel);
	if (bits)
		take_signals(v, bits);
	if (v->state == VCPU_HALTED &&
		((v->nmi_pending && !v->nmi_blocked) || (v->rflags & FLAGS_IF && v->lapic && lapic_has_interrupt(v->lapic, &vector))))
		v->state = VCPU_RUNNING;
	return v->state == VCPU_RUNNING;
}

static bool vm_runs(const struct vm *vm)
{
	return atomic_load_explicit(&vm->state, memory_order_relaxed) == VM_RUNNING;
}

/* The loop's timer ends the slice: the guest is then not entered (VEXIT_NONE). */
static void run_slice(struct vcpu *v)
{
	struct virt_exit e;
	do {
		if (!vm_runs(v->vm) || !prepare_entry(v))
			break;
		virt_ops->enter(v, &e);
		if (e.interrupted.valid)
			requeue(v, &e.interrupted);
		if (e.reason == VEXIT_NONE)
			break;
		v->counters.exits[e.reason]++;
		take_cr8(v, e.cr8);
		vcpu_handle_exit(v, &e);
	} while (v->state == VCPU_RUNNING);
}

static bool vcpu_run(struct hv_task *t, uint64_t until_ns)
{
	struct vcpu *v = hv_container_of(t, struct vcpu, task);
	struct vm *vm = v->vm;
	if (vm_runs(vm)) {
		if (virt_ops->core_enable()) { /* before anything that a vendor does with a vCPU: a signal may reset it */
			vm_ended(vm, VM_END_CRASH, 0, "no memory to turn virtualization on on a core");
			return true;
		}
		if (!awake(v))
			return atomic_load(&vm->state) == VM_ENDING; /* ended by a signal just now: once more, to leave */
		virt_ops->load(v);
		fpu_enter(v);
		v->in_run = true;
		set_posting(v, v->takes_posted);
		run_slice(v);
		set_posting(v, false);
		v->in_run = false;
		fpu_leave(v);
		virt_ops->unload(v);
	}
	if (atomic_load(&vm->ending)) {
		leave_for_good(v);
		return false;
	}
	return vm_runs(vm) && (v->state == VCPU_RUNNING || atomic_load(&v->signals));
}

/* ---- making and ending ---- */

int vcpu_create(struct vm *vm, unsigned index, unsigned core, struct vcpu **out)
{
	struct vcpu *v = hv_contig_alloc(sizeof(*v), HV_PAGE_SIZE);
	if (!v)
		return -ENOMEM;
	memset(v, 0, sizeof(*v));
	v->vm = vm;
	v->index = (uint16_t)index;
	v->core = (uint16_t)core;
	v->loop = &hv_loops[core];
	v->state = VCPU_WAIT_SIPI;
	hv_task_init(&v->task, core, vm->name, vcpu_run);
	v->apic_page = hv_pages_alloc(HV_ORDER_4K);
	v->emu_cache = hv_contig_alloc(emu_cache_bytes(), HV_PAGE_SIZE);
	int ret = v->apic_page && v->emu_cache ? virt_ops->vcpu_init(v) : -ENOMEM;
	if (!ret)
		ret = fpu_create(v);
	if (ret) {
		vcpu_destroy(v);
		return ret;
	}
	vcpu_reset(v, false);
	*out = v;
	return 0;
}

void vcpu_destroy(struct vcpu *v)
{
	if (!v)
		return;
	fpu_free(v);
	virt_ops->vcpu_free(v);
	if (v->apic_page)
		hv_pages_free(v->apic_page, HV_ORDER_4K);
	if (v->emu_cache)
		hv_contig_free(v->emu_cache, emu_cache_bytes());
	hv_contig_free(v, sizeof(*v));
}
