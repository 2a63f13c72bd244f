/* Segments and MSRs that VT-x switches with the guest, or that vmx.c switches by hand. */
#include "virt/vmx/insn.h"
#include "virt/vmx/vmx_impl.h"

/* ---- state: neutral segment order is VMX's ---- */

#define SEG_FIELD(first, id) ((enum vmcs_field)((first) + 2 * (id)))

void vmx_get_seg(const struct vcpu *v, enum virt_seg_id id, struct virt_seg *seg)
{
	vmx_acquire(v);
	*seg = (struct virt_seg){.base = vmread(SEG_FIELD(VMCS_es_base, id)), .limit = (uint32_t)vmread(SEG_FIELD(VMCS_es_limit, id))};
	if (id < VSEG_GDTR) {
		uint64_t ar = vmread(SEG_FIELD(VMCS_es_attr, id));
		seg->selector = (uint16_t)vmread(SEG_FIELD(VMCS_es_selector, id));
		seg->attr = (uint16_t)((ar & 0xff) | (ar >> 4 & 0xf00));
		if (ar & VMX_SEG_UNUSABLE)
			seg->attr &= (uint16_t)~SEG_P;
	}
	vmx_release(v);
}

void vmx_set_seg(struct vcpu *v, enum virt_seg_id id, const struct virt_seg *seg)
{
	vmx_acquire(v);
	vmwrite(SEG_FIELD(VMCS_es_base, id), seg->base);
	vmwrite(SEG_FIELD(VMCS_es_limit, id), seg->limit);
	if (id < VSEG_GDTR) {
		vmwrite(SEG_FIELD(VMCS_es_selector, id), seg->selector);
		vmwrite(SEG_FIELD(VMCS_es_attr, id),
			(seg->attr & 0xffu) | (seg->attr & 0xf00u) << 4 | (seg->attr & SEG_P ? 0 : VMX_SEG_UNUSABLE));
	}
	vmx_release(v);
}

static uint64_t *own_msr(struct virt_vcpu *s, uint32_t msr)
{
	switch (msr) {
	case MSR_STAR:
		return &s->star;
	case MSR_LSTAR:
		return &s->lstar;
	case MSR_CSTAR:
		return &s->cstar;
	case MSR_SFMASK:
		return &s->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &s->kernel_gs_base;
	default:
		return NULL;
	}
}

static enum vmcs_field msr_field(uint32_t msr)
{
	switch (msr) {
	case MSR_SYSENTER_CS:
		return VMCS_sysenter_cs;
	case MSR_SYSENTER_ESP:
		return VMCS_sysenter_esp;
	case MSR_SYSENTER_EIP:
		return VMCS_sysenter_eip;
	case MSR_FS_BASE:
		return VMCS_fs_base;
	case MSR_GS_BASE:
		return VMCS_gs_base;
	case MSR_PAT:
		return VMCS_pat;
	default:
		return VMCS_exit_reason; /* none */
	}
}

bool vmx_get_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const uint64_t *own = own_msr(v->virt, msr);
	enum vmcs_field f = msr_field(msr);
	if (own) {
		*value = msr == MSR_KERNEL_GS_BASE && v->virt->loaded ? x86_rdmsr(msr) : *own;
		return true;
	}
	if (f == VMCS_exit_reason)
		return false;
	vmx_acquire(v);
	*value = vmread(f);
	vmx_release(v);
	return true;
}

bool vmx_set_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t *own = own_msr(v->virt, msr);
	enum vmcs_field f = msr_field(msr);
	if (own) {
		*own = value;
		if (v->virt->loaded && msr == MSR_KERNEL_GS_BASE)
			x86_wrmsr(msr, value);
		else if (v->virt->loaded)
			vmx_load_syscall_msrs(v->virt);
		return true;
	}
	if (f == VMCS_exit_reason)
		return false;
	vmx_acquire(v);
	vmwrite(f, value);
	vmx_release(v);
	return true;
}
