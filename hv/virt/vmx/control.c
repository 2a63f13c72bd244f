/*
 * Control and debug registers of a guest (SDM vol. 3: 26.3 "changes to instruction behavior in VMX non-root operation", 2.5).
 *
 * CR0.NE, CD and NW and the unlisted bits of CR4 are the host's: the guest sees its own values by the read shadows, and a write that
 * changes them exits. DR0-3 and DR6 are not switched: accesses exit until the first one in a time slice, as with SVM.
 */
#include "virt/vmx/insn.h"
#include "virt/vmx/vmx_impl.h"

#include "vm/vm_impl.h"
#include <string.h>

#define CR4_MCE (1ull << 6)
#define CR4_PCIDE (1ull << 17)
#define CR0_KNOWN 0xe005003full
#define CR0_OWN (CR0_NE | CR0_CD | CR0_NW)
/* VME PVI TSD DE PSE PAE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE PCIDE OSXSAVE SMEP SMAP PKE: the guest's. */
#define CR4_GUEST 0x770fbfull
#define CR4_GUEST_BITS (CR4_GUEST & ~CR4_MCE)
#define CR4_VMXE (1ull << 13)
#define TPR 0x20 /* in the LAPIC's page, in words of four bytes */

/* ---- debug registers ---- */

void vmx_proc_control(struct vcpu *v, uint32_t bits, bool on)
{
	struct virt_vcpu *s = v->virt;
	s->proc_controls = on ? s->proc_controls | bits : s->proc_controls & ~bits;
}

void vmx_dr_load(struct vcpu *v)
{
	__asm__ volatile("mov %0, %%db0" : : "r"(v->dr[0]));
	__asm__ volatile("mov %0, %%db1" : : "r"(v->dr[1]));
	__asm__ volatile("mov %0, %%db2" : : "r"(v->dr[2]));
	__asm__ volatile("mov %0, %%db3" : : "r"(v->dr[3]));
	__asm__ volatile("mov %0, %%db6" : : "r"(v->virt->dr6));
	vmx_proc_control(v, PROC_MOV_DR, false);
	v->virt->dr_live = true;
}

void vmx_dr_save(struct vcpu *v)
{
	__asm__ volatile("mov %%db0, %0" : "=r"(v->dr[0]));
	__asm__ volatile("mov %%db1, %0" : "=r"(v->dr[1]));
	__asm__ volatile("mov %%db2, %0" : "=r"(v->dr[2]));
	__asm__ volatile("mov %%db3, %0" : "=r"(v->dr[3]));
	__asm__ volatile("mov %%db6, %0" : "=r"(v->virt->dr6));
	vmx_proc_control(v, PROC_MOV_DR, true);
	v->virt->dr_live = false;
}

static uint64_t dr6_get(const struct vcpu *v)
{
	uint64_t x = v->virt->dr6;
	if (v->virt->dr_live)
		__asm__ volatile("mov %%db6, %0" : "=r"(x));
	return x;
}

static void dr6_set(struct vcpu *v, uint64_t value)
{
	v->virt->dr6 = value;
	if (v->virt->dr_live)
		__asm__ volatile("mov %0, %%db6" : : "r"(value));
}

void vmx_debug_exception(struct vcpu *v, uint64_t qualification)
{
	dr6_set(v, (dr6_get(v) & ~0xfull) | (qualification & 0x600f));
	vmwrite(VMCS_dr7, vmread(VMCS_dr7) & ~(1ull << 13)); /* GD, cleared by delivery (18.2.4) */
}

/* ---- control registers ---- */

void vmx_control_init(void)
{
	vmwrite(VMCS_cr0_mask, CR0_OWN);
	vmwrite(VMCS_cr4_mask, ~CR4_GUEST_BITS);
}

uint64_t vmx_cr0_get(void)
{
	return (vmread(VMCS_cr0) & ~CR0_OWN) | (vmread(VMCS_cr0_shadow) & CR0_OWN);
}

static uint64_t cr4_get(void)
{
	return (vmread(VMCS_cr4) & CR4_GUEST_BITS) | (vmread(VMCS_cr4_shadow) & ~CR4_GUEST_BITS);
}

static void cr0_set(uint64_t value)
{
	vmwrite(VMCS_cr0, (value & ~(CR0_CD | CR0_NW)) | CR0_NE);
	vmwrite(VMCS_cr0_shadow, value);
}

static void cr4_set(uint64_t value)
{
	vmwrite(VMCS_cr4, (value & CR4_GUEST_BITS) | CR4_VMXE | (vmx_host_cr(4) & CR4_MCE));
	vmwrite(VMCS_cr4_shadow, value);
}

static void efer_set(uint64_t value)
{
	uint64_t entry = vmread(VMCS_entry_controls) & ~(uint64_t)ENTRY_LONG_MODE;
	vmwrite(VMCS_efer, value);
	vmwrite(VMCS_entry_controls, value & EFER_LMA ? entry | ENTRY_LONG_MODE : entry);
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* The four PDPTEs as the processor would load them (4.4.1); false: one has a reserved bit, or they are not in RAM. */
static bool read_pdptes(struct vcpu *v, uint64_t pdpte[4])
{
	uint64_t reserved = vmx_pdpte_reserved(vmx_features.limits.phys_bits);
	if (gmem_read(v->vm->gmem, GPA(vmread(VMCS_cr3) & 0xffffffe0), pdpte, 4 * sizeof(*pdpte)))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (pdpte[i] & 1 && pdpte[i] & reserved)
			return false;
	return true;
}

/* Paging was changed by us: drop the guest's TLB entries, load PDPTEs. */
void vmx_sync_paging(struct vcpu *v)
{
	uint64_t pdpte[4];
	v->virt->flush = false;
	if (vmx_features.vpid)
		invvpid(1, v->virt->vpid);
	if (!pae_paging(vmx_cr0_get(), cr4_get(), vmread(VMCS_efer)))
		return;
	if (!read_pdptes(v, pdpte))
		memset(pdpte, 0, sizeof(pdpte));
	vmwrite(VMCS_pdpte0, pdpte[0]);
	vmwrite(VMCS_pdpte1, pdpte[1]);
	vmwrite(VMCS_pdpte2, pdpte[2]);
	vmwrite(VMCS_pdpte3, pdpte[3]);
}

/* MOV to CR0 (SDM vol. 2, "MOV: Move to/from Control Registers", and vol. 3, 9.8.5). False: #GP. */
static bool write_cr0(struct vcpu *v, uint64_t value)
{
	uint64_t old = vmx_cr0_get(), cr4 = cr4_get(), efer = vmread(VMCS_efer), pdpte[4];
	bool on = value & CR0_PG && !(old & CR0_PG), off = !(value & CR0_PG) && old & CR0_PG;
	if (value >> 32 || (value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return false;
	bool code64 = vmread(VMCS_cs_attr) & 1u << 13;
	if (on && efer & EFER_LME && (!(cr4 & CR4_PAE) || code64 || (vmread(VMCS_tr_attr) & 15) != 11))
		return false;
	if (on && !(efer & EFER_LME) && cr4 & CR4_PAE && !read_pdptes(v, pdpte))
		return false;
	if (off && ((efer & EFER_LMA && code64) || cr4 & CR4_PCIDE))
		return false;
	cr0_set((value & CR0_KNOWN) | CR0_ET);
	if (on && efer & EFER_LME)
		efer_set(efer | EFER_LMA);
	if (off)
		efer_set(efer & ~EFER_LMA);
	v->virt->flush = true;
	return true;
}

/* MOV to CR4 that changes a bit which is not the guest's. False: #GP. */
static bool write_cr4(struct vcpu *v, uint64_t value)
{
	uint64_t efer = vmread(VMCS_efer), pdpte[4], old = cr4_get();
	if (value & ~(CR4_GUEST & vmx_features.limits.cr4_fixed1))
		return false;
	if (efer & EFER_LMA && !(value & CR4_PAE))
		return false;
	if (value & CR4_PCIDE && !(old & CR4_PCIDE) && (!(efer & EFER_LMA) || vmread(VMCS_cr3) & 0xfff))
		return false;
	if (pae_paging(vmx_cr0_get(), value, efer) && !read_pdptes(v, pdpte))
		return false;
	cr4_set(value);
	v->virt->flush = true;
	return true;
}

uint64_t vmx_cr8_get(const struct vcpu *v)
{
	return vmx_features.tpr_shadow ? v->apic_page[TPR] >> 4 & 15 : v->virt->cr8;
}

static void cr8_set(struct vcpu *v, uint64_t value)
{
	v->virt->cr8 = value & 15;
	if (vmx_features.tpr_shadow && vmx_cr8_get(v) != (value & 15)) /* the low half stays when nothing changes */
		v->apic_page[TPR] = (uint32_t)(value & 15) << 4;
}

static bool write_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
	if (cr == 0)
		return write_cr0(v, value);
	if (cr == 4)
		return write_cr4(v, value);
	if (cr != 8 || value > 15)
		return false;
	cr8_set(v, value);
	return true;
}

void vmx_cr_access(struct vcpu *v, uint64_t q, unsigned insn_len)
{
	unsigned cr = q & 15, reg = q >> 8 & 15;
	bool ok = true;
	switch (q >> 4 & 3) {
	case 0:
		ok = write_cr(v, cr, vcpu_code_bits(v) == 64 ? v->regs[reg] : (uint32_t)v->regs[reg]);
		break;
	case 1:
		if (cr == 8)
			v->regs[reg] = vmx_cr8_get(v);
		else
			v->regs[reg] = cr == 3 ? vmread(VMCS_cr3) : cr == 4 ? cr4_get() : vmx_cr0_get();
		break;
	case 2:
		cr0_set(vmx_cr0_get() & ~(1ull << 3));
		break;
	case 3: /* LMSW: PE can be set, not cleared */
		ok = write_cr0(v, (vmx_cr0_get() & ~0xeull) | (q >> 16 & 0xf));
		break;
	}
	if (ok)
		vcpu_skip(v, insn_len);
	else
		vcpu_inject_gp(v);
}

uint64_t vmx_get_control(const struct vcpu *v, enum virt_control c)
{
	uint64_t x = 0;
	if (c == VCTL_CR8)
		return vmx_cr8_get(v);
	vmx_acquire(v);
	switch (c) {
	case VCTL_CR0:
		x = vmx_cr0_get();
		break;
	case VCTL_CR2:
		x = v->virt->cr2;
		break;
	case VCTL_CR3:
		x = vmread(VMCS_cr3);
		break;
	case VCTL_CR4:
		x = cr4_get();
		break;
	case VCTL_EFER:
		x = vmread(VMCS_efer);
		break;
	case VCTL_DR6:
		x = dr6_get(v);
		break;
	case VCTL_DR7:
		x = vmread(VMCS_dr7);
		break;
	case VCTL_CPL: /* 25.4.1: SS's DPL is the CPL */
		x = vmread(VMCS_ss_attr) >> SEG_DPL_SHIFT & 3;
		break;
	default:
		break;
	}
	vmx_release(v);
	return x;
}

void vmx_set_control(struct vcpu *v, enum virt_control c, uint64_t value)
{
	struct virt_vcpu *s = v->virt;
	vmx_acquire(v);
	switch (c) {
	case VCTL_CR0:
		cr0_set(value);
		s->flush = true;
		break;
	case VCTL_CR2:
		s->cr2 = value;
		break;
	case VCTL_CR3:
		vmwrite(VMCS_cr3, value);
		s->flush = true;
		break;
	case VCTL_CR4:
		cr4_set(value);
		s->flush = true;
		break;
	case VCTL_EFER:
		efer_set(value);
		s->flush = true;
		break;
	case VCTL_CR8:
		cr8_set(v, value);
		break;
	case VCTL_DR6:
		dr6_set(v, value);
		break;
	case VCTL_DR7:
		vmwrite(VMCS_dr7, value);
		break;
	case VCTL_CPL:
		vmwrite(VMCS_ss_attr, (vmread(VMCS_ss_attr) & ~(3ull << SEG_DPL_SHIFT)) | (value & 3) << SEG_DPL_SHIFT);
		break;
	default:
		break;
	}
	vmx_release(v);
}
