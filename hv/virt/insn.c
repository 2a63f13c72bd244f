/* Between an exit and the emulator: gathers the vCPU's state, fetches the code, applies the result. */
#include "vdev/lapic.h"
#include "virt/emulate.h"
#include "virt/iobus.h"
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"

#define INSN_MAX 15

static void on_device(struct emu *e, gpa_t gpa, unsigned size, bool write, uint64_t *value)
{
	struct vcpu *v = e->arg;
	struct io_access a = {
		.vcpu = v, .addr = gpa.v, .size = (uint8_t)size, .write = write, .value = *value, .hint = &v->io_hints[IO_MMIO]};
	iobus_dispatch(v->vm, IO_MMIO, &a);
	*value = a.value;
}

static void on_port(struct emu *e, uint16_t port, unsigned size, bool write, uint64_t *value)
{
	struct vcpu *v = e->arg;
	struct io_access a = {
		.vcpu = v, .addr = port, .size = (uint8_t)size, .write = write, .value = *value, .hint = &v->io_hints[IO_PORT]};
	iobus_dispatch(v->vm, IO_PORT, &a);
	*value = a.value;
}

/* MOV to CR4 (SDM vol. 2, "MOV: Move to/from Control Registers"): what CPUID does not offer cannot be set, whatever the machine has. */
static bool set_cr4(struct vcpu *v, uint64_t value)
{
	uint64_t old = virt_ops->get_control(v, VCTL_CR4), efer = virt_ops->get_control(v, VCTL_EFER);
	if (value & ~virt_cr4_mask() || (efer & EFER_LMA && !(value & CR4_PAE)))
		return false;
	if (value & CR4_PCIDE && !(old & CR4_PCIDE) && (!(efer & EFER_LMA) || virt_ops->get_control(v, VCTL_CR3) & 0xfff))
		return false;
	virt_ops->set_control(v, VCTL_CR4, value);
	return true;
}

static bool on_cr(struct emu *e, unsigned cr, uint64_t value)
{
	struct vcpu *v = e->arg;
	if (cr == 4)
		return set_cr4(v, value);
	if (value > 15)
		return false;
	if (v->lapic)
		lapic_set_cr8(v->lapic, (uint8_t)value);
	v->irq_check = true;
	return true;
}

void vcpu_emulate(struct vcpu *v, struct virt_exit *exit)
{
	uint8_t code[INSN_MAX];
	struct emu e = {
		.regs = v->regs,
		.rip = v->rip,
		.rflags = v->rflags,
		.bits = vcpu_code_bits(v),
		.code = code,
		.cache = v->emu_cache,
		.device = on_device,
		.port = on_port,
		.set_cr = on_cr,
		.arg = v,
	};
	e.code_bytes = vcpu_fetch(v, code, INSN_MAX);
	if (e.code_bytes == 0)
		return; /* its page is gone: the guest runs again and takes the fault */
	vcpu_walk_context(v, &e.walk);
	for (unsigned i = 0; i < 6; i++)
		virt_ops->get_seg(v, i, &e.seg[i]);
	enum emu_result r = emulate(&e);
	v->counters.emulated++;
	switch (r) {
	case EMU_DONE:
		v->rflags = e.rflags & ~FLAGS_RF;
		vcpu_skip(v, (unsigned)(e.rip - v->rip));
		break;
	case EMU_AGAIN:
		v->rflags = e.rflags;
		break;
	case EMU_FAULT:
		v->rflags = e.rflags; /* of the iterations before, in a string */
		if (e.vector == X86_PF)
			virt_ops->set_control(v, VCTL_CR2, e.cr2);
		vcpu_inject(v, e.vector, e.has_error, e.error);
		break;
	case EMU_UNKNOWN:
		vcpu_crash(v, e.reason);
		break;
	}
}
