/*
 * The checks of VM entry (SDM vol. 3, 27.2 and 27.3; chapter 26 in older editions). The processor tells only which group failed; this names
 * the field. Plain data in, text out, so that it is tested natively.
 *
 * | chapter | subject | |
 * | --- | --- | --- |
 * | 27.2.1.1 | execution controls | check_controls, check_apic, check_nested |
 * | 27.2.1.2 | exit controls | check_controls |
 * | 27.2.1.3 | entry controls, the event to inject | check_controls, check_event |
 * | 27.2.2 to 27.2.4 | host registers, MSRs, segments, tables; its address-space size | check_host |
 * | 27.3 | guest state | check_guest.c: |
 * | 27.3.1.1 | control and debug registers, MSRs | check_registers |
 * | 27.3.1.2, 27.3.1.3 | segments, GDTR, IDTR | check_segments |
 * | 27.3.1.4 | RIP, RFLAGS | check_flow |
 * | 27.3.1.5 | activity, interruptibility, pending debug exceptions, link pointer | check_activity, check_shadow, check_pending_debug |
 * | 27.3.1.6 | PDPTEs | check_pdptes |
 *
 * The rules of controls that Berth does not set (I/O bitmaps, TSC scaling, VMCS shadowing, SMM, CET, PKS and so on) are not here: such a
 * control is itself the mistake, and named (check_unknown). Of the VMCS link pointer only "none" is right.
 * A.1, what IA32_VMX_BASIC says about the regions, is vmx_check_basic.
 */
#include "virt/vmx/check_impl.h"

#define MISC_ZERO_LENGTH (1u << 30) /* an injected software event may have length 0 */
#define BASIC_32_BITS (1ull << 48)
#define BASIC_TRUE_CONTROLS (1ull << 55)
#define BASIC_ANY_ERROR (1ull << 56) /* hardware exceptions with or without an error code, whatever the vector */
/* What Berth sets, besides what must be 1. */
#define PIN_KNOWN (PIN_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_POSTED)
#define PROC_KNOWN                                                                                                                         \
	(PROC_IRQ_WINDOW | PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_CR8_LOAD | PROC_CR8_STORE | PROC_TPR_SHADOW |       \
		PROC_NMI_WINDOW | PROC_MOV_DR | PROC_IO | PROC_MSR_BITMAP | PROC_MONITOR | PROC_SECONDARY)
#define PROC2_KNOWN                                                                                                                        \
	(PROC2_APIC_ACCESS | PROC2_EPT | PROC2_RDTSCP | PROC2_X2APIC | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED |                    \
		PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS | PROC2_PAUSE_LOOP | PROC2_INVPCID | PROC2_PML)
#define EXIT_KNOWN (EXIT_ACKNOWLEDGE | EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ENTRY_KNOWN (ENTRY_LOAD_DEBUG | ENTRY_LONG_MODE | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

static bool allowed(uint64_t value, uint64_t capability)
{
	uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);
	return (value & must) == must && !(value & ~(uint64_t)may);
}

static bool page(uint64_t pa, uint8_t phys_bits)
{
	return !(pa & 0xfff) && !(pa >> phys_bits);
}

/* `count` MSRs of 16 bytes. */
static bool msr_area(uint64_t count, uint64_t pa, uint8_t phys_bits)
{
	return count == 0 || (!(pa & 15) && !(pa >> phys_bits) && !((pa + count * 16 - 1) >> phys_bits));
}

static bool is_known(uint64_t value, uint64_t capability, uint64_t known)
{
	return !(value & ~(known | (uint32_t)capability));
}

static const char *check_unknown(const struct vmcs_image *b, const struct vmx_limits *l)
{
	if (!is_known(b->pin_controls, l->pin, PIN_KNOWN))
		return "pin_controls: a control that Berth does not use";
	if (!is_known(b->proc_controls, l->proc, PROC_KNOWN))
		return "proc_controls: a control that Berth does not use";
	if (!is_known(vmx_proc2(b), l->proc2, PROC2_KNOWN))
		return "proc2_controls: a control that Berth does not use";
	if (!is_known(b->exit_controls, l->exit, EXIT_KNOWN))
		return "exit_controls: a control that Berth does not use";
	return is_known(b->entry_controls, l->entry, ENTRY_KNOWN) ? NULL : "entry_controls: a control that Berth does not use";
}

/* 27.2.1.1 to 27.2.1.3 */
static const char *check_controls(const struct vmcs_image *b, const struct vmx_limits *l)
{
	if (!allowed(b->pin_controls, l->pin))
		return "pin_controls: a bit that the processor does not allow";
	if (!allowed(b->proc_controls, l->proc))
		return "proc_controls: a bit that the processor does not allow";
	if (b->proc_controls & PROC_SECONDARY && !allowed(b->proc2_controls, l->proc2))
		return "proc2_controls: a bit that the processor does not allow";
	if (!allowed(b->exit_controls, l->exit))
		return "exit_controls: a bit that the processor does not allow";
	if (!allowed(b->entry_controls, l->entry))
		return "entry_controls: a bit that the processor does not allow";
	if (b->cr3_target_count > (l->misc >> 16 & 0x1ff))
		return "cr3_target_count: above what the processor has";
	if (b->proc_controls & PROC_MSR_BITMAP && !page(b->msr_bitmap, l->phys_bits))
		return "msr_bitmap: not a page of physical memory";
	if (b->pin_controls & PIN_VIRTUAL_NMI && !(b->pin_controls & PIN_NMI))
		return "pin_controls: virtual NMIs without NMI exiting";
	if (b->proc_controls & PROC_NMI_WINDOW && !(b->pin_controls & PIN_VIRTUAL_NMI))
		return "proc_controls: NMI-window exiting without virtual NMIs";
	if (!msr_area(b->exit_msr_store_count, b->exit_msr_store, l->phys_bits))
		return "exit_msr_store: not 16 aligned bytes of physical memory for each MSR";
	if (!msr_area(b->exit_msr_load_count, b->exit_msr_load, l->phys_bits))
		return "exit_msr_load: not 16 aligned bytes of physical memory for each MSR";
	if (!msr_area(b->entry_msr_load_count, b->entry_msr_load, l->phys_bits))
		return "entry_msr_load: not 16 aligned bytes of physical memory for each MSR";
	return NULL;
}

static const char *check_apic(const struct vmcs_image *b, const struct vmx_limits *l)
{
	uint64_t proc2 = vmx_proc2(b);
	if (b->proc_controls & PROC_TPR_SHADOW) {
		if (!page(b->virtual_apic, l->phys_bits))
			return "virtual_apic: not a page of physical memory";
		if (b->tpr_threshold >> 4 && !(proc2 & PROC2_VIRTUAL_INTERRUPTS))
			return "tpr_threshold: bits 31:4 not zero";
		if (!(proc2 & (PROC2_APIC_ACCESS | PROC2_VIRTUAL_INTERRUPTS)) && (b->tpr_threshold & 15) > (b->vtpr >> 4 & 15))
			return "tpr_threshold: above the virtual-APIC page's TPR";
	} else if (proc2 & (PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)) {
		return "proc2_controls: a virtualized LAPIC without TPR shadow";
	}
	if (proc2 & PROC2_X2APIC && proc2 & PROC2_APIC_ACCESS)
		return "proc2_controls: the LAPIC is virtualized by page and by MSRs";
	if (proc2 & PROC2_VIRTUAL_INTERRUPTS && !(b->pin_controls & PIN_INTERRUPT))
		return "proc2_controls: virtual-interrupt delivery without external-interrupt exiting";
	if (b->pin_controls & PIN_POSTED && !(proc2 & PROC2_VIRTUAL_INTERRUPTS))
		return "pin_controls: posted interrupts without virtual-interrupt delivery";
	if (b->pin_controls & PIN_POSTED && !(b->exit_controls & EXIT_ACKNOWLEDGE))
		return "exit_controls: posted interrupts without acknowledge interrupt on exit";
	if (b->pin_controls & PIN_POSTED && b->posted_vector > 255)
		return "posted_vector: above 255";
	if (b->pin_controls & PIN_POSTED && (b->posted_descriptor & 63 || b->posted_descriptor >> l->phys_bits))
		return "posted_descriptor: not 64 aligned bytes of physical memory";
	if (proc2 & PROC2_APIC_ACCESS && !page(b->apic_access, l->phys_bits))
		return "apic_access: not a page of physical memory";
	return NULL;
}

static const char *check_nested(const struct vmcs_image *b, const struct vmx_limits *l)
{
	uint64_t proc2 = vmx_proc2(b);
	if (proc2 & PROC2_PML && !(proc2 & PROC2_EPT))
		return "proc2_controls: page-modification logging without EPT";
	if (proc2 & PROC2_PML && !page(b->pml, l->phys_bits))
		return "pml: not a page of physical memory";
	if (proc2 & PROC2_VPID && b->vpid == 0)
		return "vpid: must not be 0";
	if (proc2 & PROC2_UNRESTRICTED && !(proc2 & PROC2_EPT))
		return "proc2_controls: unrestricted guest without EPT";
	if (!(proc2 & PROC2_EPT))
		return NULL;
	if (!((b->eptp & 7) == 0 && l->ept_uc) && !((b->eptp & 7) == 6 && l->ept_wb))
		return "eptp: memory type that the processor does not allow";
	if ((b->eptp >> 3 & 7) != 3)
		return "eptp: the walk must have four levels";
	if (b->eptp & 1u << 6 && !l->ept_ad)
		return "eptp: accessed and dirty flags that the processor does not have";
	return b->eptp & 0xf80 || b->eptp >> l->phys_bits ? "eptp: reserved bit set" : NULL;
}

/* An error code is pushed in protected mode, for some vectors (vol. 3, table 6-1); newer processors leave it to us. */
static const char *check_event_error(const struct vmcs_image *b, const struct vmx_limits *l)
{
	unsigned type = EVENT_TYPE(b->entry_event), vector = b->entry_event & 0xff;
	bool may = type == VMX_HARDWARE && (!vmx_unrestricted(b) || b->cr0 & CR0_PE), has = b->entry_event & EVENT_ERROR;
	bool wants = may && (vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC);
	if (has && !may)
		return "entry_event: this event has no error code";
	if (has != wants && !(l->basic & BASIC_ANY_ERROR))
		return wants ? "entry_event: this exception has an error code" : "entry_event: this event has no error code";
	return has && b->entry_error >> 16 ? "entry_error: bits 31:16 not zero" : NULL;
}

/* 27.2.1.3 "VM-entry control fields": the event to inject. */
static const char *check_event(const struct vmcs_image *b, const struct vmx_limits *l)
{
	unsigned type = EVENT_TYPE(b->entry_event), vector = b->entry_event & 0xff;
	if (!(b->entry_event & EVENT_VALID))
		return NULL;
	if (type == 1 || type == 7)
		return "entry_event: reserved type";
	if (type == VMX_NMI && vector != X86_NMI)
		return "entry_event: an NMI has vector 2";
	if (type == VMX_HARDWARE && vector > 31)
		return "entry_event: exception vector above 31";
	if (b->entry_event & 0x7ffff000)
		return "entry_event: bits 30:12 not zero";
	if (type >= VMX_SOFTWARE_INT && ((b->entry_insn_len == 0 && !(l->misc & MISC_ZERO_LENGTH)) || b->entry_insn_len > 15))
		return "entry_insn_len: not 1 to 15";
	return check_event_error(b, l);
}

/* 27.2.2 to 27.2.4 */
static const char *check_host(const struct vmcs_image *b, const struct vmx_limits *l)
{
	if ((b->host_cr0 & l->cr0_fixed0) != l->cr0_fixed0 || b->host_cr0 & ~l->cr0_fixed1)
		return "host_cr0: a fixed bit is wrong";
	if ((b->host_cr4 & l->cr4_fixed0) != l->cr4_fixed0 || b->host_cr4 & ~l->cr4_fixed1)
		return "host_cr4: a fixed bit is wrong";
	if (b->host_cr4 & CR4_CET && !(b->host_cr0 & CR0_WP))
		return "host_cr4: CET set while CR0.WP is clear";
	if (b->host_cr3 >> l->phys_bits)
		return "host_cr3: bits beyond the physical address width";
	if (!vmx_canonical(b->host_sysenter_esp, l) || !vmx_canonical(b->host_sysenter_eip, l))
		return "host_sysenter_esp: not canonical, or host_sysenter_eip";
	if (b->exit_controls & EXIT_LOAD_PAT && !vmx_pat_ok(b->host_pat))
		return "host_pat: impossible memory type";
	if (b->exit_controls & EXIT_LOAD_EFER &&
		(b->host_efer & ~EFER_VALID || (b->host_efer & (EFER_LMA | EFER_LME)) != (EFER_LMA | EFER_LME)))
		return "host_efer: reserved bit, or not long mode";
	if ((b->host_es | b->host_cs | b->host_ss | b->host_ds | b->host_fs | b->host_gs | b->host_tr) & 7)
		return "host_cs: a host selector has RPL or TI set";
	if (!b->host_cs || !b->host_tr)
		return "host_tr: host CS and TR must not be 0";
	if (!vmx_canonical(b->host_fs_base, l) || !vmx_canonical(b->host_gs_base, l) || !vmx_canonical(b->host_tr_base, l))
		return "host_fs_base: a host segment base is not canonical";
	if (!vmx_canonical(b->host_gdtr_base, l) || !vmx_canonical(b->host_idtr_base, l))
		return "host_gdtr_base: a host table's base is not canonical";
	if (!(b->exit_controls & EXIT_HOST_64) || !(b->host_cr4 & CR4_PAE) || !vmx_canonical(b->host_rip, l))
		return "host_rip: the host must be in 64-bit mode at a canonical address";
	return NULL;
}

const char *vmx_check(const struct vmcs_image *b, const struct vmx_limits *limits)
{
	const char *bad = check_controls(b, limits);
	if (!bad)
		bad = check_unknown(b, limits);
	if (!bad)
		bad = check_apic(b, limits);
	if (!bad)
		bad = check_nested(b, limits);
	if (!bad)
		bad = check_event(b, limits);
	if (!bad)
		bad = check_host(b, limits);
	return bad ? bad : vmx_check_guest(b, limits);
}

const char *vmx_check_basic(uint64_t basic)
{
	uint64_t bytes = basic >> 32 & 0x1fff;
	if (bytes == 0 || bytes > 4096)
		return "its processor's VT-x says that a VMCS takes no bytes or more than a page (IA32_VMX_BASIC bits 44:32)";
	if (basic & BASIC_32_BITS)
		return "its processor's VT-x reaches 4 GiB of memory only (IA32_VMX_BASIC bit 48), and Berth's structures lie anywhere";
	if ((basic >> 50 & 15) != 6)
		return "its processor's VT-x wants its structures in other than write-back memory (IA32_VMX_BASIC bits 53:50)";
	if (!(basic & BASIC_TRUE_CONTROLS))
		return "its processor's VT-x has no TRUE control capabilities (IA32_VMX_BASIC bit 55), which Berth needs";
	return NULL;
}
