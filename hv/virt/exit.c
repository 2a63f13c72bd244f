/*
 * What each exit does: one const row a reason. Rows of intercepted instructions name their opcode: where the processor does not tell an
 * instruction's length, the bytes at RIP are read and compared, prefixes counted. When they do not match (the guest changed its code, or its
 * page is gone), nothing is done and the guest runs again: the machine then does what is right for what is there now.
 */
#include "vdev/lapic.h"
#include "virt/dirty.h"
#include "virt/iobus.h"
#include "virt/task.h"
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"

#include <hv/log.h>
#include <string.h>

#define INSN_MAX 15

struct row {
	void (*handle)(struct vcpu *v, struct virt_exit *e);
	uint8_t opcode_bytes; /* 0: not an instruction of known length */
	uint8_t opcode[3];
	uint8_t either; /* bit of the last byte that may be either: some processors report INVD as WBINVD (QEMU's TCG) */
};

/* ---- where the guest is ---- */

unsigned vcpu_code_bits(const struct vcpu *v)
{
	struct virt_seg cs;
	virt_ops->get_seg(v, VSEG_CS, &cs);
	if (virt_ops->get_control(v, VCTL_EFER) & EFER_LMA && cs.attr & SEG_L)
		return 64;
	return cs.attr & SEG_DB ? 32 : 16;
}

void vcpu_walk_context(const struct vcpu *v, struct walk *w)
{
	*w = (struct walk){
		.gmem = v->vm->gmem,
		.cr0 = virt_ops->get_control(v, VCTL_CR0),
		.cr3 = virt_ops->get_control(v, VCTL_CR3),
		.cr4 = virt_ops->get_control(v, VCTL_CR4),
		.efer = virt_ops->get_control(v, VCTL_EFER),
		.rflags = v->rflags,
		.cpl = (uint8_t)virt_ops->get_control(v, VCTL_CPL),
	};
}

unsigned vcpu_fetch(struct vcpu *v, uint8_t *code, unsigned max)
{
	struct walk w;
	struct virt_seg cs;
	vcpu_walk_context(v, &w);
	virt_ops->get_seg(v, VSEG_CS, &cs);
	bool long64 = w.efer & EFER_LMA && cs.attr & SEG_L;
	uint64_t at = long64 ? v->rip : (uint32_t)(cs.base + v->rip);
	unsigned done = 0;
	while (done < max) {
		gpa_t gpa;
		uint32_t error;
		unsigned n = (unsigned)HV_MIN((uint64_t)(max - done), HV_PAGE_SIZE - ((at + done) & (HV_PAGE_SIZE - 1)));
		if (walk_translate(&w, at + done, WALK_FETCH, &gpa, &error) || gmem_read(v->vm->gmem, gpa, code + done, n))
			break;
		done += n;
	}
	return done;
}

static bool is_prefix(uint8_t b, bool long64)
{
	switch (b) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
		return true;
	default:
		return long64 && (b & 0xf0) == 0x40;
	}
}

static bool same_opcode(const uint8_t *at, const struct row *row)
{
	unsigned last = row->opcode_bytes - 1u;
	for (unsigned i = 0; i < last; i++)
		if (__atomic_load_n(&at[i], __ATOMIC_RELAXED) != row->opcode[i])
			return false;
	return ((__atomic_load_n(&at[last], __ATOMIC_RELAXED) ^ row->opcode[last]) & ~row->either) == 0;
}

static unsigned insn_length(struct vcpu *v, const struct row *row)
{
	uint8_t code[INSN_MAX];
	unsigned n = vcpu_fetch(v, code, INSN_MAX), at = 0;
	bool long64 = vcpu_code_bits(v) == 64;
	while (at < n && is_prefix(code[at], long64))
		at++;
	if (n - at < row->opcode_bytes || !same_opcode(code + at, row))
		return 0;
	return at + row->opcode_bytes;
}


/* Remembers where the opcode lies in guest memory; not when the instruction crosses a page. */
static void make_hint(struct vcpu *v, struct insn_hint *h, const struct row *row, uint8_t reason, unsigned len)
{
	struct walk w;
	gpa_t gpa;
	uint32_t error;
	vcpu_walk_context(v, &w);
	bool long64 = w.efer & EFER_LMA && h->cs_attr & SEG_L;
	uint64_t linear = long64 ? v->rip : (uint32_t)(h->cs_base + v->rip);
	h->reason = VEXIT_NONE;
	if ((linear ^ (linear + len - 1)) / HV_PAGE_SIZE || walk_translate(&w, linear, WALK_FETCH, &gpa, &error))
		return;
	h->opcode = gmem_ptr(v->vm->gmem, GPA(gpa.v + len - row->opcode_bytes), row->opcode_bytes, false);
	h->len = (uint8_t)len;
	h->reason = h->opcode ? reason : VEXIT_NONE;
}

__attribute__((noinline)) static unsigned find_length_anew(
	struct vcpu *v, const struct row *row, const struct virt_exit *e, struct insn_hint *h)
{
	unsigned len = insn_length(v, row);
	if (len) {
		*h = (struct insn_hint){.rip = v->rip, .cs_base = e->code_at.cs_base, .cr3 = e->code_at.cr3, .cs_attr = e->code_at.cs_attr};
		make_hint(v, h, row, e->reason, len);
	}
	return len;
}

/*
 * e->insn_len, by a hint if the same code was here before. A hint can only be wrong when the guest put the same instruction with other prefixes
 * at the same address under the same CR3 by remapping its page; then it skips wrongly in its own code. False: the
 * instruction is not there.
 */
__attribute__((noinline)) static bool find_length(struct vcpu *v, const struct row *row, struct virt_exit *e)
{
	struct insn_hint *h = &v->hints[(v->rip ^ v->rip >> 4) % INSN_HINTS];
	if (h->reason == e->reason && h->rip == v->rip && h->cs_base == e->code_at.cs_base && h->cr3 == e->code_at.cr3 &&
		h->cs_attr == e->code_at.cs_attr && same_opcode(h->opcode, row))
		e->insn_len = h->len;
	else
		e->insn_len = (uint8_t)find_length_anew(v, row, e, h);
	return e->insn_len;
}

__attribute__((noinline)) static void skip_over_4g(struct vcpu *v)
{
	if (vcpu_code_bits(v) != 64)
		v->rip &= 0xffffffff;
}

__attribute__((noinline)) static void skip_traps(struct vcpu *v)
{
	if (v->shadow)
		virt_ops->shadow(v, false);
	if (v->rflags & FLAGS_TF) {
		virt_ops->set_control(v, VCTL_DR6, virt_ops->get_control(v, VCTL_DR6) | 1u << 14);
		vcpu_inject(v, X86_DB, false, 0);
	}
}

void vcpu_skip(struct vcpu *v, unsigned len)
{
	uint64_t before = v->rip;
	v->rip += len;
	v->rflags &= ~FLAGS_RF;
	if ((v->rip ^ before) >> 32)
		skip_over_4g(v);
	if (v->shadow || v->rflags & FLAGS_TF)
		skip_traps(v);
}

void vcpu_crash(struct vcpu *v, const char *reason)
{
	uint8_t code[INSN_MAX];
	char hex[3 * INSN_MAX + 1] = "";
	struct virt_seg cs;
	virt_ops->get_seg(v, VSEG_CS, &cs);
	unsigned n = vcpu_fetch(v, code, INSN_MAX);
	for (unsigned i = 0; i < n; i++) {
		hex[3 * i] = ' ';
		hex[3 * i + 1] = "0123456789abcdef"[code[i] >> 4];
		hex[3 * i + 2] = "0123456789abcdef"[code[i] & 15];
		hex[3 * i + 3] = 0;
	}
	log_error("vcpu.crash", "vm %s vcpu %u: %s", v->vm->name, v->index, reason);
	log_error("vcpu.crash", "  cs:rip %04x:%016llx rflags %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", cs.selector,
		(unsigned long long)v->rip, (unsigned long long)v->rflags, (unsigned long long)virt_ops->get_control(v, VCTL_CR0),
		(unsigned long long)virt_ops->get_control(v, VCTL_CR2), (unsigned long long)virt_ops->get_control(v, VCTL_CR3),
		(unsigned long long)virt_ops->get_control(v, VCTL_CR4), (unsigned long long)virt_ops->get_control(v, VCTL_EFER));
	for (unsigned i = 0; i < VREG_COUNT; i += 4)
		log_error("vcpu.crash", "  r%02u.. %016llx %016llx %016llx %016llx", i, (unsigned long long)v->regs[i],
			(unsigned long long)v->regs[i + 1], (unsigned long long)v->regs[i + 2], (unsigned long long)v->regs[i + 3]);
	log_error("vcpu.crash", "  bytes at rip:%s", n ? hex : " (not mapped)");
	vm_ended(v->vm, VM_END_CRASH, 0, reason);
}

/* ---- handlers ---- */

static void on_nothing(struct vcpu *v, struct virt_exit *e)
{
}

static void on_exception(struct vcpu *v, struct virt_exit *e)
{
	vcpu_inject(v, e->u.exception.vector, e->u.exception.has_error, e->u.exception.error);
}

static void on_irq_window(struct vcpu *v, struct virt_exit *e)
{
	v->irq_check = true;
}

/* The guest is at an IRET: NMIs are open again once it has executed. */
static void on_nmi_window(struct vcpu *v, struct virt_exit *e)
{
	virt_ops->watch(v, VWATCH_NMI, false);
	v->nmi_unblock = true;
	v->nmi_iret_rip = v->rip;
}

static void on_nmi_open(struct vcpu *v, struct virt_exit *e)
{
	virt_ops->watch(v, VWATCH_NMI, false);
	v->nmi_blocked = v->nmi_unblock = false;
	v->irq_check = true;
}

static void on_cpuid(struct vcpu *v, struct virt_exit *e)
{
	struct x86_cpuid r;
	vcpu_cpuid(v, (uint32_t)v->regs[VREG_RAX], (uint32_t)v->regs[VREG_RCX], &r);
	v->regs[VREG_RAX] = r.eax;
	v->regs[VREG_RBX] = r.ebx;
	v->regs[VREG_RCX] = r.ecx;
	v->regs[VREG_RDX] = r.edx;
	vcpu_skip(v, e->insn_len);
}

static void on_hlt(struct vcpu *v, struct virt_exit *e)
{
	uint8_t vector;
	vcpu_skip(v, e->insn_len);
	v->irq_check = true;
	if (v->pending.valid || (v->nmi_pending && !v->nmi_blocked))
		return;
	if (v->rflags & FLAGS_IF && v->lapic && lapic_has_interrupt(v->lapic, &vector))
		return;
	v->state = VCPU_HALTED;
	v->counters.halts++;
}

static void on_rdmsr(struct vcpu *v, struct virt_exit *e)
{
	uint64_t value;
	if (vcpu_msr_read(v, (uint32_t)v->regs[VREG_RCX], &value)) {
		vcpu_inject_gp(v);
		return;
	}
	v->regs[VREG_RAX] = (uint32_t)value;
	v->regs[VREG_RDX] = value >> 32;
	vcpu_skip(v, e->insn_len);
}

static void on_wrmsr(struct vcpu *v, struct virt_exit *e)
{
	if (vcpu_msr_write(v, (uint32_t)v->regs[VREG_RCX], v->regs[VREG_RDX] << 32 | (uint32_t)v->regs[VREG_RAX]))
		vcpu_inject_gp(v);
	else
		vcpu_skip(v, e->insn_len);
}

/* IN and OUT of a register: the exit says everything, nothing is decoded. */
static void on_io(struct vcpu *v, struct virt_exit *e)
{
	uint64_t *rax = &v->regs[VREG_RAX], mask = e->u.io.size == 4 ? 0xffffffff : (1ull << (8 * e->u.io.size)) - 1;
	struct io_access a = {.vcpu = v,
		.addr = e->u.io.port,
		.size = e->u.io.size,
		.write = !e->u.io.in,
		.value = *rax & mask,
		.hint = &v->io_hints[IO_PORT]};
	iobus_dispatch(v->vm, IO_PORT, &a);
	if (e->u.io.in)
		*rax = e->u.io.size == 4 ? a.value : (*rax & ~mask) | a.value;
	vcpu_skip(v, e->insn_len);
}

static void on_memory(struct vcpu *v, struct virt_exit *e)
{
	if (e->u.memory.write && dirty_write_fault(v->vm, e->u.memory.gpa))
		return;
	if (e->u.memory.page_table)
		vcpu_crash(v, "a page table lies in device memory");
	else if (e->u.memory.fetch)
		vcpu_crash(v, "execution from device memory");
	else if (e->interrupted.valid)
		vcpu_crash(v, "an interrupt's stack or descriptor lies in device memory");
	else
		vcpu_emulate(v, e);
	v->irq_check = true;
}

static void on_emulate(struct vcpu *v, struct virt_exit *e)
{
	vcpu_emulate(v, e);
	v->irq_check = true; /* INS may write the LAPIC's registers */
}

static void on_eoi(struct vcpu *v, struct virt_exit *e)
{
	lapic_ended(v->lapic, e->u.vector);
	v->irq_check = true;
}

static void on_apic_write(struct vcpu *v, struct virt_exit *e)
{
	lapic_page_written(v->lapic, e->u.offset);
	v->irq_check = true;
}

static void on_xsetbv(struct vcpu *v, struct virt_exit *e)
{
	uint64_t value = v->regs[VREG_RDX] << 32 | (uint32_t)v->regs[VREG_RAX], mask = virt_xcr0_mask();
	bool avx_without_sse = (value & 6) == 4;
	if ((uint32_t)v->regs[VREG_RCX] != 0 || value & ~mask || !(value & 1) || avx_without_sse || virt_ops->get_control(v, VCTL_CPL) != 0) {
		vcpu_inject_gp(v);
		return;
	}
	fpu_set_xcr0(v, value);
	vcpu_skip(v, e->insn_len);
}

/* The host's caches stay coherent for the guest: nothing to write back, and INVD must not throw the host's data away. */
static void on_skip(struct vcpu *v, struct virt_exit *e)
{
	vcpu_skip(v, e->insn_len);
}

static void on_task_switch(struct vcpu *v, struct virt_exit *e)
{
	vcpu_task_switch(v, &e->u.task);
}

/* KVM's convention: result in RAX. We offer none: -ENOSYS (KVM_ENOSYS = 1000). */
static void on_hypercall(struct vcpu *v, struct virt_exit *e)
{
	v->regs[VREG_RAX] = (uint64_t)-1000;
	vcpu_skip(v, e->insn_len);
}

static void on_rdpmc(struct vcpu *v, struct virt_exit *e)
{
	vcpu_inject_gp(v);
}

static void on_undefined(struct vcpu *v, struct virt_exit *e)
{
	vcpu_inject_ud(v);
}

static void on_shutdown(struct vcpu *v, struct virt_exit *e)
{
	vcpu_crash(v, "triple fault");
}

static void on_invalid(struct vcpu *v, struct virt_exit *e)
{
	log_error("vcpu.invalid", "entry refused: %s", e->u.text);
	vcpu_crash(v, e->u.text);
}

static void on_crash(struct vcpu *v, struct virt_exit *e)
{
	log_error("vcpu.exit", "exit code %llx info %llx %llx", (unsigned long long)e->code, (unsigned long long)e->info1, (unsigned long long)e->info2);
	vcpu_crash(v, e->u.text);
}

static const struct row rows[VEXIT_COUNT] = {
	[VEXIT_NONE] = {on_nothing, 0, {0}, 0},
	[VEXIT_DEBUG_REGISTER] = {on_nothing, 0, {0}, 0},
	[VEXIT_CONTROL_REGISTER] = {on_nothing, 0, {0}, 0},
	[VEXIT_INTERRUPT] = {on_nothing, 0, {0}, 0},
	[VEXIT_NMI] = {on_nothing, 0, {0}, 0},
	[VEXIT_EXCEPTION] = {on_exception, 0, {0}, 0},
	[VEXIT_IRQ_WINDOW] = {on_irq_window, 0, {0}, 0},
	[VEXIT_NMI_WINDOW] = {on_nmi_window, 0, {0}, 0},
	[VEXIT_NMI_OPEN] = {on_nmi_open, 0, {0}, 0},
	[VEXIT_CPUID] = {on_cpuid, 2, {0x0f, 0xa2}, 0},
	[VEXIT_HLT] = {on_hlt, 1, {0xf4}, 0},
	[VEXIT_RDMSR] = {on_rdmsr, 2, {0x0f, 0x32}, 0},
	[VEXIT_WRMSR] = {on_wrmsr, 2, {0x0f, 0x30}, 0},
	[VEXIT_IO] = {on_io, 0, {0}, 0},
	[VEXIT_IO_STRING] = {on_emulate, 0, {0}, 0},
	[VEXIT_MEMORY] = {on_memory, 0, {0}, 0},
	[VEXIT_CR_ACCESS] = {on_emulate, 0, {0}, 0},
	[VEXIT_RDPMC] = {on_rdpmc, 0, {0}, 0},
	[VEXIT_XSETBV] = {on_xsetbv, 3, {0x0f, 0x01, 0xd1}, 0},
	[VEXIT_WBINVD] = {on_skip, 2, {0x0f, 0x09}, 1},
	[VEXIT_INVD] = {on_skip, 2, {0x0f, 0x08}, 1},
	[VEXIT_TASK_SWITCH] = {on_task_switch, 0, {0}, 0},
	[VEXIT_LOG_FULL] = {on_nothing, 0, {0}, 0},
	[VEXIT_EOI] = {on_eoi, 0, {0}, 0},
	[VEXIT_APIC_WRITE] = {on_apic_write, 0, {0}, 0},
	[VEXIT_PAUSE] = {on_skip, 1, {0x90}, 0},
	[VEXIT_HYPERCALL] = {on_hypercall, 3, {0x0f, 0x01, 0xd9}, 0},
	[VEXIT_UNDEFINED] = {on_undefined, 0, {0}, 0},
	[VEXIT_SHUTDOWN] = {on_shutdown, 0, {0}, 0},
	[VEXIT_INVALID_STATE] = {on_invalid, 0, {0}, 0},
	[VEXIT_CRASH] = {on_crash, 0, {0}, 0},
};

void vcpu_handle_exit(struct vcpu *v, struct virt_exit *e)
{
	const struct row *row = &rows[e->reason];
	if (row->opcode_bytes && e->insn_len == 0 && !find_length(v, row, e))
		return;
	row->handle(v, e);
}
