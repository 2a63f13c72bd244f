/*
 * The vCPU's states and events with a vendor made of plain data: what is injected when, windows, HLT and wake-ups, INIT and SIPI, merging
 * of exceptions, slices, and the end of a VM. The LAPIC is one pending vector.
 */
#include "kern/loop.h"
#include "test.h"
#include "vdev/lapic.h"
#include "virt/gmem_impl.h"
#include "virt/vcpu_impl.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <stdlib.h>

/* ---- the vendor: the script's next exit; what it was told ---- */
static uint64_t control[VCTL_COUNT];
static struct virt_seg segs[VSEG_COUNT];
static struct virt_event injected;
static unsigned entries, ended_calls;
static bool window, nmi_window, watching;
static uint8_t script[64];
static unsigned script_at, script_len;
static struct virt_event cut_short;
static void (*on_enter)(struct vcpu *v);

static int ok(void)
{
	return 0;
}
static int ok_vm(struct vm *vm)
{
	return 0;
}
static void nop_vm(struct vm *vm)
{
}
static int ok_vcpu(struct vcpu *v)
{
	return 0;
}
static void nop(struct vcpu *v)
{
}
static void fake_enter(struct vcpu *v, struct virt_exit *e)
{
	memset(e, 0, sizeof(*e));
	entries++;
	if (vcpu_must_leave(v) || hv_core_pending() || script_at == script_len) {
		e->reason = VEXIT_NONE;
		hv_core_wake(0); /* ends the slice */
		return;
	}
	if (on_enter)
		on_enter(v);
	e->reason = script[script_at++];
	e->insn_len = 1;
	e->cr8 = (uint8_t)control[VCTL_CR8];
	e->interrupted = cut_short;
	cut_short.valid = false;
}
static void get_seg(const struct vcpu *v, enum virt_seg_id id, struct virt_seg *s)
{
	*s = segs[id];
}
static void set_seg(struct vcpu *v, enum virt_seg_id id, const struct virt_seg *s)
{
	segs[id] = *s;
}
static uint64_t get_control(const struct vcpu *v, enum virt_control c)
{
	return control[c];
}
static void set_control(struct vcpu *v, enum virt_control c, uint64_t x)
{
	control[c] = x;
}
static bool get_msr(const struct vcpu *v, uint32_t msr, uint64_t *x)
{
	return false;
}
static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t x)
{
	return true;
}
static void inject(struct vcpu *v, const struct virt_event *e)
{
	injected = *e;
}
static void watch(struct vcpu *v, enum virt_watch what, bool on)
{
	*(what == VWATCH_IRQ ? &window : what == VWATCH_NMI ? &nmi_window : &watching) = on;
}
static bool delivers; /* the machine takes interrupts from the LAPIC's page */
static struct lapic_page_state synced;
static unsigned syncs;
static bool posts; /* and the LAPIC's requests */
static enum virt_apic apic_mode(struct vcpu *v, enum lapic_mode mode)
{
	return !delivers || mode == LAPIC_OFF ? VAPIC_NOTHING : posts ? VAPIC_DELIVERS_POSTED : VAPIC_DELIVERS;
}
static void apic_sync(struct vcpu *v, const struct lapic_page_state *s)
{
	synced = *s;
	syncs++;
}
static void shadow(struct vcpu *v, bool on)
{
	v->shadow = on;
}
static const struct virt_ops fake = {"fake", ok, ok, ok_vm, nop_vm, ok_vcpu, nop, nop, nop, fake_enter, get_seg, set_seg, get_control,
	set_control, get_msr, set_msr, inject, watch, shadow, apic_mode, apic_sync};
const struct virt_ops *virt_ops = &fake;

/* ---- what the vCPU core calls ---- */
static int irq = -1, pic = -1;
static enum lapic_mode lapic_is = LAPIC_XAPIC;
static bool assisted;
static int ended = -1, written = -1;
static unsigned acks, lapic_resets;
static bool blocked;
static void (*on_look)(void); /* it has looked, and found none */
bool lapic_has_interrupt(struct lapic *l, uint8_t *vector)
{
	bool yes = irq >= 0;
	*vector = (uint8_t)irq;
	if (!yes && on_look)
		on_look();
	return yes;
}
void lapic_ack(struct lapic *l, uint8_t vector)
{
	acks++;
	*(pic >= 0 ? &pic : &irq) = -1;
}
bool lapic_has_external(struct lapic *l, uint8_t *vector)
{
	*vector = (uint8_t)pic;
	return pic >= 0;
}
enum lapic_mode lapic_get_mode(const struct lapic *l)
{
	return lapic_is;
}
void lapic_set_assisted(struct lapic *l, bool on)
{
	assisted = on;
}
static struct lapic_requests requests;
struct lapic_requests *lapic_get_requests(struct lapic *l)
{
	return &requests;
}
void lapic_collect(struct lapic *l, struct lapic_page_state *out)
{
	requests.outstanding = 0;
	*out = (struct lapic_page_state){.requested = irq >= 0 ? (uint8_t)irq : 0};
}
void lapic_ended(struct lapic *l, uint8_t vector)
{
	ended = vector;
}
void lapic_page_written(struct lapic *l, unsigned offset)
{
	written = (int)offset;
}
bool lapic_tpr_blocks(struct lapic *l)
{
	return blocked;
}
uint8_t lapic_get_cr8(const struct lapic *l)
{
	return (uint8_t)control[VCTL_CR8];
}
void lapic_set_cr8(struct lapic *l, uint8_t x)
{
}
void lapic_reset(struct lapic *l)
{
	lapic_resets++;
}
bool lapic_is_enabled(const struct lapic *l)
{
	return true;
}
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *x)
{
	return -1;
}
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t x)
{
	return -1;
}
int fpu_create(struct vcpu *v)
{
	v->fpu = calloc(1, virt_xsave_bytes());
	v->xcr0 = 1;
	return 0;
}
void fpu_free(struct vcpu *v)
{
	free(v->fpu);
}
void fpu_reset(struct vcpu *v)
{
}
void fpu_enter(struct vcpu *v)
{
}
void fpu_leave(struct vcpu *v)
{
}
void fpu_set_xcr0(struct vcpu *v, uint64_t x)
{
}
void fpu_set_tsc_aux(struct vcpu *v, uint64_t x)
{
}
static enum vm_end ended_how;
static char ended_reason[80];
void vm_ended(struct vm *vm, enum vm_end how, unsigned value, const char *reason)
{
	if (atomic_exchange(&vm->ending, true))
		return;
	ended_how = how;
	strncpy(ended_reason, reason ? reason : "", sizeof(ended_reason) - 1);
	atomic_store(&vm->state, VM_ENDING);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hv_task_wake(&vm->vcpus[i]->task);
}
void vm_reset(struct vm *vm)
{
	vm_ended(vm, VM_END_RESET, 0, NULL);
}

/* ---- the tests ---- */
static struct vm vm;
static struct vcpu *v;

static void on_all_left(struct hv_msg *m)
{
	ended_calls++;
}

static int setup(void **state)
{
	native_start(2);
	memset(&vm, 0, sizeof(vm));
	memset(control, 0, sizeof(control));
	entries = script_at = script_len = acks = lapic_resets = ended_calls = 0;
	window = nmi_window = blocked = watching = false;
	injected.valid = cut_short.valid = false;
	on_enter = NULL;
	on_look = NULL;
	irq = pic = ended = written = -1;
	syncs = 0;
	delivers = posts = false;
	requests.outstanding = 0;
	lapic_is = LAPIC_XAPIC;
	virt_cpuid_init();
	if (gmem_create(GMEM_UNIT, &vm.gmem) || vcpu_create(&vm, 0, 0, &v))
		return -1;
	vm.vcpus[0] = v;
	vm.cpu_count = 1;
	vm.vcpus_in = 1;
	vm.ended_msg.fn = on_all_left;
	vm.state = VM_RUNNING;
	vcpu_set_lapic(v, (struct lapic *)&vm);
	struct vcpu_start s = {.mode = VCPU_START_PROT32, .rip = 0x1000};
	vcpu_set_start(v, &s);
	return 0;
}

static int teardown(void **state)
{
	vcpu_destroy(v);
	gmem_destroy(vm.gmem);
	return 0;
}

/* Runs until the script is used up and the core has nothing more to do at once. */
static void run(const uint8_t *exits, unsigned n)
{
	memcpy(script, exits, n);
	script_at = 0;
	script_len = n;
	hv_task_wake(&v->task);
	for (unsigned i = 0; i < 20 && (script_at < script_len || i < 2); i++)
		native_core_step();
}
#define RUN(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void interrupt_waits_for_if_and_shadow(void **state)
{
	v->rflags = 2;
	irq = 0x40;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_false(injected.valid);
	assert_true(window);
	v->rflags |= FLAGS_IF;
	v->shadow = true;
	RUN(VEXIT_IRQ_WINDOW);
	assert_int_equal(acks, 0);
	v->shadow = false;
	RUN(VEXIT_INTERRUPT);
	assert_true(injected.valid && injected.vector == 0x40 && injected.type == VEVENT_INTERRUPT);
	assert_int_equal(acks, 1);
	assert_false(window);
	assert_int_equal(v->counters.irqs, 1);
}

/* A machine that delivers from the LAPIC's page is told what waits; the PIC's interrupts stay ours. */
static void machine_that_delivers(void **state)
{
	delivers = true;
	v->rflags = 2;
	irq = 0x40;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_true(assisted);
	assert_int_equal(synced.requested, 0x40);
	assert_false(injected.valid || window || watching);
	unsigned before = syncs;
	irq = -1;
	RUN(VEXIT_CPUID, VEXIT_CPUID); /* nothing new: nothing told */
	assert_int_equal(syncs, before);
	pic = 0x20;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_true(window); /* IF is 0 */
	v->rflags |= FLAGS_IF;
	RUN(VEXIT_IRQ_WINDOW);
	assert_true(injected.valid && injected.vector == 0x20);
	assert_false(window);
	RUN(VEXIT_EOI, VEXIT_APIC_WRITE);
	assert_int_equal(ended, 0);
	assert_int_equal(written, 0);
	RUN(VEXIT_HLT); /* asleep; an interrupt wakes it, and the machine takes it */
	assert_int_equal(v->state, VCPU_HALTED);
	injected.valid = false;
	irq = 0x41;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_int_equal(v->state, VCPU_RUNNING);
	assert_int_equal(synced.requested, 0x41);
	assert_false(injected.valid);
	lapic_is = LAPIC_OFF; /* then we deliver again */
	vcpu_apic_mode_changed(v);
	RUN(VEXIT_INTERRUPT);
	assert_false(assisted);
	assert_true(injected.valid && injected.vector == 0x41);
}

static void request_from(unsigned core, struct vcpu *x)
{
	native_core_select(core);
	vcpu_requested(x, &requests);
	native_core_select(0);
}

static unsigned requested_from;
static bool machine_takes;
static void request_in_guest(struct vcpu *x)
{
	if (script[script_at] != VEXIT_PAUSE)
		return;
	request_from(requested_from, x);
	if (machine_takes)
		requests.outstanding = 0;
}

/* A running guest is not left for what its machine takes by itself; what comes to the host instead is told to the machine at the next
 * entry. */
static void machine_that_takes_requests(void **state)
{
	delivers = posts = true;
	on_enter = request_in_guest;
	requested_from = 1;
	machine_takes = true;
	RUN(VEXIT_CPUID);
	unsigned before = syncs, kicks = native_kicks(0);
	RUN(VEXIT_PAUSE, VEXIT_PAUSE, VEXIT_CPUID);
	assert_int_equal(native_notifies(0), 2);
	assert_int_equal(v->notifications, 2);
	assert_int_equal(native_kicks(0), kicks);
	assert_int_equal(v->signals, 0);
	assert_int_equal(syncs, before);
	machine_takes = false;
	RUN(VEXIT_PAUSE, VEXIT_PAUSE);
	assert_int_equal(native_notifies(0), 4); /* collected between the two, so the second is notified again */
	assert_int_equal(syncs, before + 2);
	requested_from = 0; /* in its own exit */
	RUN(VEXIT_PAUSE);
	assert_int_equal(native_notifies(0), 4);
	assert_int_equal(syncs, before + 3);
}

static void request_late(void)
{
	irq = 0x42;
	request_from(1, v);
}

/* Outside of its time slice, and when that ends with a request on its way, the vCPU is signalled as ever. */
static void requests_to_a_vcpu_that_does_not_run(void **state)
{
	delivers = posts = true;
	v->rflags |= FLAGS_IF;
	RUN(VEXIT_HLT);
	assert_int_equal(v->state, VCPU_HALTED);
	assert_false(v->posting);
	irq = 0x41;
	request_from(1, v);
	assert_int_equal(native_notifies(0), 0);
	assert_true(v->signals != 0);
	request_from(1, v); /* once is enough */
	irq = -1;
	on_enter = request_in_guest;
	requested_from = 1;
	machine_takes = false;
	RUN(VEXIT_HLT);
	assert_int_equal(v->signals, 0);
	v->state = VCPU_RUNNING;
	on_look = request_late; /* the vCPU has seen nothing at its HLT, and its time slice ends */
	RUN(VEXIT_HLT);
	on_look = NULL;
	native_run(10);
	assert_int_equal(v->state, VCPU_RUNNING);
	irq = -1;
	lapic_is = LAPIC_OFF; /* the machine stops to take them while one is outstanding */
	v->state = VCPU_RUNNING;
	RUN(VEXIT_PAUSE);
	vcpu_apic_mode_changed(v);
	unsigned notified = native_notifies(0);
	RUN(VEXIT_PAUSE);
	assert_int_equal(native_notifies(0), notified);
	assert_false(v->takes_posted || v->posting);
}

/* The guest is not entered when the host has taken the notification. */
static void notification_before_entry(void **state)
{
	delivers = posts = true;
	RUN(VEXIT_CPUID);
	atomic_store(&v->loop->wake, false);
	assert_false(vcpu_must_leave(v));
	requests.outstanding = 1;
	assert_true(vcpu_must_leave(v));
	v->takes_posted = false;
	assert_false(vcpu_must_leave(v));
}

static void cut_short_event_goes_first(void **state)
{
	v->rflags |= FLAGS_IF;
	irq = 0x50;
	vcpu_kick(v);
	injected.valid = false;
	cut_short = (struct virt_event){.valid = true, .type = VEVENT_EXCEPTION, .vector = X86_PF, .has_error = true, .error = 2};
	script[0] = VEXIT_INTERRUPT;
	irq = -1;
	RUN(VEXIT_INTERRUPT);
	assert_true(injected.valid && injected.vector == X86_PF && injected.error == 2);
	injected.valid = false;
	cut_short = (struct virt_event){.valid = true, .type = VEVENT_SOFTWARE, .vector = 0x80};
	RUN(VEXIT_INTERRUPT);
	assert_false(injected.valid); /* INT n runs again by itself */
}

static void halts_and_wakes(void **state)
{
	v->rflags |= FLAGS_IF;
	RUN(VEXIT_HLT);
	assert_int_equal(v->state, VCPU_HALTED);
	unsigned before = entries;
	for (unsigned i = 0; i < 5; i++)
		native_core_step();
	assert_int_equal(entries, before); /* costs nothing */
	vcpu_kick(v);                      /* nothing deliverable: goes on sleeping */
	native_run(10);
	assert_int_equal(entries, before);
	irq = 0x41;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_int_equal(v->state, VCPU_RUNNING);
	assert_int_equal(injected.vector, 0x41);
	v->rflags &= ~FLAGS_IF; /* asleep for ever, but for NMI */
	RUN(VEXIT_HLT);
	irq = 0x42;
	vcpu_kick(v);
	native_run(10);
	assert_int_equal(v->state, VCPU_HALTED);
	vcpu_nmi(v);
	RUN(VEXIT_INTERRUPT);
	assert_int_equal(v->state, VCPU_RUNNING);
	assert_int_equal(injected.type, VEVENT_NMI);
}

static void raise_before_hlt(struct vcpu *x)
{
	if (script[script_at] == VEXIT_HLT)
		irq = 0x43;
}

static void hlt_with_a_waiting_interrupt_goes_on(void **state)
{
	v->rflags |= FLAGS_IF;
	on_enter = raise_before_hlt;
	RUN(VEXIT_HLT, VEXIT_INTERRUPT);
	assert_int_equal(v->state, VCPU_RUNNING);
	assert_int_equal(injected.vector, 0x43);
}

static void move_rip(struct vcpu *x)
{
	x->rip += 2;
}

static void nmi_is_blocked_until_iret(void **state)
{
	vcpu_nmi(v);
	RUN(VEXIT_INTERRUPT);
	assert_int_equal(v->counters.nmis, 1);
	assert_true(nmi_window);
	vcpu_nmi(v);
	RUN(VEXIT_INTERRUPT);
	assert_int_equal(v->counters.nmis, 1);
	RUN(VEXIT_NMI_WINDOW); /* at the IRET, not behind it */
	assert_int_equal(v->counters.nmis, 1);
	on_enter = move_rip;
	RUN(VEXIT_INTERRUPT, VEXIT_INTERRUPT);
	assert_int_equal(v->counters.nmis, 2);
}

static void init_and_sipi(void **state)
{
	struct vcpu *ap;
	assert_int_equal(vcpu_create(&vm, 1, 0, &ap), 0);
	vcpu_set_lapic(ap, (struct lapic *)&vm);
	vm.vcpus[1] = ap;
	vm.cpu_count = 2;
	native_run(10);
	assert_int_equal(ap->state, VCPU_WAIT_SIPI);
	vcpu_sipi(ap, 0x9a);
	script_at = script_len = 0;
	native_core_step();
	assert_int_equal(ap->state, VCPU_RUNNING);
	assert_int_equal(segs[VSEG_CS].base, 0x9a000);
	assert_int_equal(segs[VSEG_CS].selector, 0x9a00);
	assert_int_equal(ap->rip, 0);
	ap->rip = 5;
	vcpu_sipi(ap, 0x11); /* ignored: it runs */
	native_core_step();
	assert_int_equal(ap->rip, 5);
	vcpu_init_signal(ap);
	for (unsigned i = 0; i < 4; i++)
		native_core_step();
	assert_int_equal(ap->state, VCPU_WAIT_SIPI);
	assert_int_equal(lapic_resets, 1);
	vcpu_init_signal(v); /* the boot vCPU's INIT is a machine reset */
	for (unsigned i = 0; i < 6; i++)
		native_core_step();
	assert_int_equal(ended_how, VM_END_RESET);
	vm.cpu_count = 1;
	vcpu_destroy(ap);
}

static void exceptions_merge(void **state)
{
	vcpu_inject(v, X86_GP, true, 0);
	vcpu_inject(v, X86_NP, true, 8);
	assert_int_equal(v->pending.vector, X86_DF);
	assert_true(v->pending.has_error && v->pending.error == 0);
	vcpu_inject(v, X86_PF, true, 0);
	assert_string_equal(ended_reason, "triple fault");
	v->pending.valid = false;
	vcpu_inject(v, X86_PF, true, 0);
	vcpu_inject(v, X86_PF, true, 2);
	assert_int_equal(v->pending.vector, X86_DF);
	v->pending.valid = false;
	vcpu_inject(v, X86_UD, false, 0);
	vcpu_inject(v, X86_PF, true, 2);
	assert_int_equal(v->pending.vector, X86_PF);
}

static void tpr_is_watched_only_while_it_blocks(void **state)
{
	blocked = true;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_true(watching);
	blocked = false;
	vcpu_kick(v);
	RUN(VEXIT_INTERRUPT);
	assert_false(watching);
}

static void the_end_is_told_once(void **state)
{
	RUN(VEXIT_SHUTDOWN);
	for (unsigned i = 0; i < 5; i++)
		native_core_step();
	assert_int_equal(ended_how, VM_END_CRASH);
	assert_string_equal(ended_reason, "triple fault");
	assert_int_equal(ended_calls, 1);
	unsigned before = entries;
	vcpu_kick(v);
	native_run(10);
	assert_int_equal(entries, before);
	assert_int_equal(ended_calls, 1);
}

static void paused_does_not_run(void **state)
{
	vm.state = VM_PAUSED;
	vcpu_kick(v);
	native_run(10);
	assert_int_equal(entries, 0);
	vm.state = VM_RUNNING;
	RUN(VEXIT_INTERRUPT);
	assert_true(entries > 0);
}

static uint8_t saved[8192];

static size_t save(void)
{
	struct state_writer w;
	state_writer_init(&w, saved, sizeof(saved));
	vcpu_save(v, &w);
	return (size_t)state_writer_finish(&w);
}

static int load(size_t n)
{
	struct state_reader r;
	state_reader_init(&r, saved, n);
	return vcpu_load(v, &r);
}

static void state_round_trip(void **state)
{
	v->regs[VREG_R9] = 0x1234567890;
	v->rip = 0xabc;
	segs[VSEG_FS].base = 0x777000;
	control[VCTL_CR4] = CR4_PAE;
	v->nmi_pending = true;
	v->state = VCPU_HALTED;
	memset((char *)v->fpu + 160, 0x5a, 16);
	size_t n = save();
	assert_in_range(n, 500, sizeof(saved));
	vcpu_reset(v, false);
	v->state = VCPU_RUNNING;
	memset(v->fpu, 0, 512);
	assert_int_equal(load(n), 0);
	assert_int_equal(v->regs[VREG_R9], 0x1234567890);
	assert_int_equal(v->rip, 0xabc);
	assert_int_equal(segs[VSEG_FS].base, 0x777000);
	assert_int_equal(control[VCTL_CR4], CR4_PAE);
	assert_true(v->nmi_pending);
	assert_int_equal(v->state, VCPU_HALTED);
	assert_int_equal(((uint8_t *)v->fpu)[160], 0x5a);
}

static void damaged_state_changes_nothing(void **state)
{
	size_t n = save();
	uint8_t good[sizeof(saved)];
	memcpy(good, saved, n);
	v->rip = 0xdead;
	for (size_t cut = 0; cut < n; cut += 7)
		assert_true(load(cut) < 0);
	size_t fpu = n - virt_xsave_bytes();
	saved[fpu + 530] = 1; /* reserved byte of the XSAVE header: XRSTOR would fault */
	assert_int_equal(load(n), -EINVAL);
	memcpy(saved, good, n);
	saved[fpu + 26] = 1; /* reserved bit of MXCSR */
	assert_int_equal(load(n), -EINVAL);
	memcpy(saved, good, n);
	saved[4] = 9; /* version */
	assert_int_equal(load(n), -EPROTO);
	memcpy(saved, good, n);
	assert_int_equal(v->rip, 0xdead);
	assert_int_equal(load(n), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {T(interrupt_waits_for_if_and_shadow), T(machine_that_delivers), T(machine_that_takes_requests),
		T(requests_to_a_vcpu_that_does_not_run), T(notification_before_entry), T(cut_short_event_goes_first), T(halts_and_wakes),
		T(hlt_with_a_waiting_interrupt_goes_on), T(nmi_is_blocked_until_iret), T(init_and_sipi), T(exceptions_merge),
		T(tpr_is_watched_only_while_it_blocks), T(the_end_is_told_once), T(paused_does_not_run), T(state_round_trip),
		T(damaged_state_changes_nothing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
