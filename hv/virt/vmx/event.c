/* Events for a guest: injection, windows, the interrupt shadow (SDM vol. 3: 27.6 "event injection", 26.4). */
#include "virt/vmx/insn.h"
#include "virt/vmx/vmx_impl.h"

/* ---- events ---- */

void vmx_inject(struct vcpu *v, const struct virt_event *e)
{
	struct virt_vcpu *s = v->virt;
	bool error = e->has_error && vmx_cr0_get() & CR0_PE; /* none in real mode */
	s->event = e->vector | (uint32_t)e->type << 8 | (error ? EVENT_ERROR : 0) | EVENT_VALID;
	s->event_error = e->error;
	if (e->type == VEVENT_NMI) /* one that was cut short has left the block behind; delivery sets it again */
		vmwrite(VMCS_interruptibility, vmread(VMCS_interruptibility) & ~(uint64_t)BLOCKED_NMI);
}

void vmx_block_nmi(struct vcpu *v)
{
	vmwrite(VMCS_interruptibility, vmread(VMCS_interruptibility) | BLOCKED_NMI);
}

/*
 * Once asked for, the window's control stays until its exit, wanted or not: Bochs keeps the event pending when the control is cleared
 * before (seen with 2.7: STI, HLT with an interrupt waiting; then exits for windows without end).
 */
static void watch_irq(struct vcpu *v, bool on)
{
	v->virt->window = on;
}

/* The machine blocks virtual NMIs from delivery to IRET by itself; the window tells when they are open. */
static void watch_nmi(struct vcpu *v, bool on)
{
	bool injecting = v->virt->event & EVENT_VALID && EVENT_TYPE(v->virt->event) == VMX_NMI;
	vmx_proc_control(v, PROC_NMI_WINDOW, on);
	if (injecting)
		return;
	vmx_acquire(v);
	uint64_t was = vmread(VMCS_interruptibility);
	vmwrite(VMCS_interruptibility, on ? was | BLOCKED_NMI : was & ~(uint64_t)BLOCKED_NMI);
	vmx_release(v);
}

void vmx_shadow(struct vcpu *v, bool on)
{
	vmx_acquire(v);
	uint64_t was = vmread(VMCS_interruptibility), now = was & ~(uint64_t)(BLOCKED_STI | BLOCKED_MOV_SS);
	if (on)
		now |= v->rflags & FLAGS_IF ? BLOCKED_STI : BLOCKED_MOV_SS;
	if (now != was) {
		vmwrite(VMCS_interruptibility, now);
		vmwrite(VMCS_pending_debug, on && v->rflags & FLAGS_TF ? 1u << 14 : 0);
	}
	vmx_release(v);
	v->shadow = on;
}

void vmx_watch(struct vcpu *v, enum virt_watch what, bool on)
{
	if (what == VWATCH_IRQ)
		watch_irq(v, on);
	else if (what == VWATCH_NMI)
		watch_nmi(v, on);
	else
		v->virt->watch_cr8 = on;
}
