/*
 * The checks of VM entry (SDM vol. 3: 27.2.1 controls, 27.2.2 to 27.2.4 host state, 27.3.1 guest state; chapter 26 in older editions). The
 * processor tells only which group failed; this names the field. Plain data in, text out, so that it is tested natively. Rules for controls
 * that Berth never sets are left out.
 */
#include "virt/vmx/check.h"

#include "virt/x86.h"

#define CR4_CET (1ull << 23)
#define EFER_VALID (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define AR_TYPE 0x0fu
#define AR_S (1u << 4)
#define AR_DPL(ar) ((ar) >> 5 & 3)
#define AR_P (1u << 7)
#define AR_L (1u << 13)
#define AR_DB (1u << 14)
#define AR_G (1u << 15)
#define AR_RESERVED 0xfffe0f00u

struct seg {
	uint64_t selector, base, limit, ar;
};

static bool canonical(uint64_t va)
{
	int64_t top = (int64_t)va >> 47;
	return top == 0 || top == -1;
}

static bool allowed(uint64_t value, uint64_t capability)
{
	uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);
	return (value & must) == must && !(value & ~(uint64_t)may);
}

static bool page(uint64_t pa, uint8_t phys_bits)
{
	return !(pa & 0xfff) && !(pa >> phys_bits);
}

static bool pat_ok(uint64_t pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint8_t t = (uint8_t)(pat >> i);
		if (t > 7 || t == 2 || t == 3)
			return false;
	}
	return true;
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
	if (b->cr3_target_count > 4)
		return "cr3_target_count: above 4";
	if (b->proc_controls & PROC_MSR_BITMAP && !page(b->msr_bitmap, l->phys_bits))
		return "msr_bitmap: not a page of physical memory";
	if (b->pin_controls & PIN_VIRTUAL_NMI && !(b->pin_controls & PIN_NMI))
		return "pin_controls: virtual NMIs without NMI exiting";
	if (b->proc_controls & PROC_NMI_WINDOW && !(b->pin_controls & PIN_VIRTUAL_NMI))
		return "proc_controls: NMI-window exiting without virtual NMIs";
	return NULL;
}

static const char *check_nested(const struct vmcs_image *b, const struct vmx_limits *l)
{
	uint64_t proc2 = b->proc_controls & PROC_SECONDARY ? b->proc2_controls : 0;
	if (b->proc_controls & PROC_TPR_SHADOW) {
		if (!page(b->virtual_apic, l->phys_bits))
			return "virtual_apic: not a page of physical memory";
		if (b->tpr_threshold >> 4 && !(proc2 & PROC2_VIRTUAL_INTERRUPTS))
			return "tpr_threshold: bits 31:4 not zero";
	} else if (proc2 & (PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)) {
		return "proc2_controls: a virtualized LAPIC without TPR shadow";
	}
	if (proc2 & PROC2_X2APIC && proc2 & PROC2_APIC_ACCESS)
		return "proc2_controls: the LAPIC is virtualized by page and by MSRs";
	if (proc2 & PROC2_VIRTUAL_INTERRUPTS && !(b->pin_controls & PIN_INTERRUPT))
		return "proc2_controls: virtual-interrupt delivery without external-interrupt exiting";
	if (proc2 & PROC2_APIC_ACCESS && !page(b->apic_access, l->phys_bits))
		return "apic_access: not a page of physical memory";
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
	if ((b->eptp & 7) != 0 && !((b->eptp & 7) == 6 && l->ept_wb))
		return "eptp: memory type that the processor does not allow";
	if ((b->eptp >> 3 & 7) != 3)
		return "eptp: the walk must have four levels";
	if (b->eptp & 1u << 6 && !l->ept_ad)
		return "eptp: accessed and dirty flags that the processor does not have";
	return b->eptp & 0xf80 || b->eptp >> l->phys_bits ? "eptp: reserved bit set" : NULL;
}

/* 27.2.1.3 "VM-entry control fields": the event to inject. */
static const char *check_event(const struct vmcs_image *b)
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
	bool wants =
		b->cr0 & CR0_PE && type == VMX_HARDWARE && (vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC);
	if (!(b->entry_event & EVENT_ERROR) == wants)
		return wants ? "entry_event: this exception has an error code" : "entry_event: this event has no error code";
	if (b->entry_event & EVENT_ERROR && b->entry_error >> 16)
		return "entry_error: bits 31:16 not zero";
	if (type >= VMX_SOFTWARE_INT && (b->entry_insn_len == 0 || b->entry_insn_len > 15))
		return "entry_insn_len: not 1 to 15";
	return NULL;
}

/* 27.2.2 to 27.2.4 */
static const char *check_host(const struct vmcs_image *b, const struct vmx_limits *l)
{
	if ((b->host_cr0 & l->cr0_fixed0) != l->cr0_fixed0 || b->host_cr0 & ~l->cr0_fixed1)
		return "host_cr0: a fixed bit is wrong";
	if ((b->host_cr4 & l->cr4_fixed0) != l->cr4_fixed0 || b->host_cr4 & ~l->cr4_fixed1)
		return "host_cr4: a fixed bit is wrong";
	if (b->host_cr3 >> l->phys_bits)
		return "host_cr3: bits beyond the physical address width";
	if (!canonical(b->host_sysenter_esp) || !canonical(b->host_sysenter_eip))
		return "host_sysenter_esp: not canonical, or host_sysenter_eip";
	if (b->exit_controls & EXIT_LOAD_PAT && !pat_ok(b->host_pat))
		return "host_pat: impossible memory type";
	if (b->exit_controls & EXIT_LOAD_EFER &&
		(b->host_efer & ~EFER_VALID || (b->host_efer & (EFER_LMA | EFER_LME)) != (EFER_LMA | EFER_LME)))
		return "host_efer: reserved bit, or not long mode";
	if ((b->host_es | b->host_cs | b->host_ss | b->host_ds | b->host_fs | b->host_gs | b->host_tr) & 7)
		return "host_cs: a host selector has RPL or TI set";
	if (!b->host_cs || !b->host_tr)
		return "host_tr: host CS and TR must not be 0";
	if (!canonical(b->host_fs_base) || !canonical(b->host_gs_base) || !canonical(b->host_tr_base))
		return "host_fs_base: a host segment base is not canonical";
	if (!canonical(b->host_gdtr_base) || !canonical(b->host_idtr_base))
		return "host_gdtr_base: a host table's base is not canonical";
	if (!(b->exit_controls & EXIT_HOST_64) || !(b->host_cr4 & CR4_PAE) || !canonical(b->host_rip))
		return "host_rip: the host must be in 64-bit mode at a canonical address";
	return NULL;
}

/* 27.3.1.1 */
static const char *check_registers(const struct vmcs_image *b, const struct vmx_limits *l)
{
	bool unrestricted = b->proc2_controls & PROC2_UNRESTRICTED, long_mode = b->entry_controls & ENTRY_LONG_MODE;
	uint64_t fixed0 = l->cr0_fixed0 & ~(unrestricted ? CR0_PE | CR0_PG : 0);
	if ((b->cr0 & fixed0) != fixed0 || b->cr0 & ~l->cr0_fixed1)
		return "cr0: a fixed bit is wrong";
	if (b->cr0 & CR0_PG && !(b->cr0 & CR0_PE))
		return "cr0: PG set while PE is clear";
	if ((b->cr4 & l->cr4_fixed0) != l->cr4_fixed0 || b->cr4 & ~l->cr4_fixed1)
		return "cr4: a fixed bit is wrong";
	if (b->cr4 & CR4_CET && !(b->cr0 & CR0_WP))
		return "cr4: CET set while CR0.WP is clear";
	if (long_mode && (!(b->cr0 & CR0_PG) || !(b->cr4 & CR4_PAE)))
		return "entry_controls: IA-32e mode guest without paging and PAE";
	if (b->cr3 >> l->phys_bits)
		return "cr3: bits beyond the physical address width";
	if (b->entry_controls & ENTRY_LOAD_DEBUG && b->dr7 >> 32)
		return "dr7: bits 63:32 not zero";
	if (!canonical(b->sysenter_esp))
		return "sysenter_esp: not canonical";
	if (!canonical(b->sysenter_eip))
		return "sysenter_eip: not canonical";
	if (b->entry_controls & ENTRY_LOAD_PAT && !pat_ok(b->pat))
		return "pat: impossible memory type";
	if (!(b->entry_controls & ENTRY_LOAD_EFER))
		return NULL;
	if (b->efer & ~EFER_VALID)
		return "efer: reserved bit set";
	if (!(b->efer & EFER_LMA) == long_mode)
		return "efer: LMA differs from the IA-32e mode guest control";
	if (b->cr0 & CR0_PG && !(b->efer & EFER_LMA) != !(b->efer & EFER_LME))
		return "efer: LMA differs from LME while paging is on";
	return NULL;
}

static const char *check_seg_limit(const struct seg *s)
{
	if ((s->limit & 0xfff) != 0xfff && s->ar & AR_G)
		return "limit: bits 11:0 not all 1 while G is set";
	return s->limit >> 20 && !(s->ar & AR_G) ? "limit: above 1 MiB while G is clear" : NULL;
}

/* 27.3.1.2: data segments and SS, outside of virtual-8086 mode. */
static const char *check_data(const struct seg *s, bool stack, bool long_mode)
{
	unsigned type = s->ar & AR_TYPE;
	if (s->ar & VMX_SEG_UNUSABLE)
		return NULL;
	if (stack ? type != 3 && type != 7 : !(type & 1) || ((type & 8) && !(type & 2)))
		return "type";
	if (!(s->ar & AR_S) || !(s->ar & AR_P) || s->ar & AR_RESERVED)
		return "S, P or a reserved bit";
	if ((!long_mode || stack) && s->base >> 32)
		return "base above 4 GiB";
	return check_seg_limit(s);
}

static const char *check_code(const struct seg *s, const struct seg *ss, bool long_mode, bool unrestricted)
{
	unsigned type = s->ar & AR_TYPE;
	if (type != 9 && type != 11 && type != 13 && type != 15 && !(type == 3 && unrestricted))
		return "cs: type";
	if (s->ar & VMX_SEG_UNUSABLE || !(s->ar & AR_S) || !(s->ar & AR_P) || s->ar & AR_RESERVED)
		return "cs: unusable, S, P or a reserved bit";
	if (type == 3 && AR_DPL(s->ar) != 0)
		return "cs: DPL must be 0 for a data segment";
	if ((type == 9 || type == 11) && AR_DPL(s->ar) != AR_DPL(ss->ar))
		return "cs: DPL differs from SS's";
	if (long_mode && s->ar & AR_L && s->ar & AR_DB)
		return "cs: L and D are both set in long mode";
	if (s->base >> 32)
		return "cs: base above 4 GiB";
	return check_seg_limit(s) ? "cs: limit does not fit G" : NULL;
}

/* In virtual-8086 mode segments are as 8086's. */
static const char *check_v8086(const struct seg *s)
{
	for (unsigned i = 0; i < 6; i++)
		if (s[i].base != s[i].selector << 4 || s[i].limit != 0xffff || s[i].ar != 0xf3)
			return "cs: a segment is not as virtual-8086 mode wants it";
	return NULL;
}

static const char *check_system(const struct vmcs_image *b)
{
	const struct seg tr = {b->tr_selector, b->tr_base, b->tr_limit, b->tr_attr},
			 ldtr = {b->ldtr_selector, b->ldtr_base, b->ldtr_limit, b->ldtr_attr};
	unsigned type = tr.ar & AR_TYPE;
	bool long_mode = b->entry_controls & ENTRY_LONG_MODE;
	if (tr.selector & 4 || !canonical(tr.base))
		return "tr: TI set, or base not canonical";
	if (type != 11 && !(type == 3 && !long_mode))
		return "tr: type must be a busy TSS";
	if (tr.ar & (AR_S | VMX_SEG_UNUSABLE | AR_RESERVED) || !(tr.ar & AR_P) || check_seg_limit(&tr))
		return "tr: S, P, unusable, a reserved bit, or limit does not fit G";
	if (ldtr.ar & VMX_SEG_UNUSABLE)
		return NULL;
	if (ldtr.selector & 4 || !canonical(ldtr.base))
		return "ldtr: TI set, or base not canonical";
	if ((ldtr.ar & AR_TYPE) != 2 || ldtr.ar & (AR_S | AR_RESERVED) || !(ldtr.ar & AR_P) || check_seg_limit(&ldtr))
		return "ldtr: type, S, P, a reserved bit, or limit does not fit G";
	return NULL;
}

static const char *check_segments(const struct vmcs_image *b)
{
	static const char *const bad[] = {"es: attributes, base or limit", NULL, "ss: attributes, base or limit",
		"ds: attributes, base or limit", "fs: attributes, base or limit", "gs: attributes, base or limit"};
	const struct seg s[6] = {{b->es_selector, b->es_base, b->es_limit, b->es_attr},
		{b->cs_selector, b->cs_base, b->cs_limit, b->cs_attr}, {b->ss_selector, b->ss_base, b->ss_limit, b->ss_attr},
		{b->ds_selector, b->ds_base, b->ds_limit, b->ds_attr}, {b->fs_selector, b->fs_base, b->fs_limit, b->fs_attr},
		{b->gs_selector, b->gs_base, b->gs_limit, b->gs_attr}};
	bool long_mode = b->entry_controls & ENTRY_LONG_MODE;
	if (b->rflags & FLAGS_VM)
		return check_v8086(s);
	const char *text = check_code(&s[1], &s[2], long_mode, b->proc2_controls & PROC2_UNRESTRICTED);
	for (unsigned i = 0; !text && i < 6; i++)
		if (bad[i] && check_data(&s[i], i == 2, long_mode || i >= 4))
			text = bad[i];
	if (!text && (!canonical(b->fs_base) || !canonical(b->gs_base)))
		text = "fs: base of FS or GS is not canonical";
	if (!text)
		text = check_system(b);
	if (!text && (!canonical(b->gdtr_base) || b->gdtr_limit >> 16))
		text = "gdtr: base not canonical, or limit above 16 bits";
	if (!text && (!canonical(b->idtr_base) || b->idtr_limit >> 16))
		text = "idtr: base not canonical, or limit above 16 bits";
	return text;
}

/* 27.3.1.4 */
static const char *check_flow(const struct vmcs_image *b)
{
	bool long_mode = b->entry_controls & ENTRY_LONG_MODE, valid = b->entry_event & EVENT_VALID;
	unsigned type = EVENT_TYPE(b->entry_event);
	if (!(long_mode && b->cs_attr & AR_L) ? b->rip >> 32 : !canonical(b->rip))
		return "rip: above 32 bits outside of 64-bit mode, or not canonical";
	if (!(b->rflags & 2) || b->rflags & ~0x3f7fd7ull)
		return "rflags: a reserved bit is wrong";
	if (b->rflags & FLAGS_VM && (long_mode || !(b->cr0 & CR0_PE)))
		return "rflags: VM set in long or real mode";
	if (valid && type == VMX_EXTERNAL && !(b->rflags & FLAGS_IF))
		return "rflags: IF is clear while an interrupt is injected";
	if (b->activity > 3)
		return "activity: unknown state";
	if (b->interruptibility & ~0x1full)
		return "interruptibility: reserved bit set";
	if ((b->interruptibility & 3) == 3)
		return "interruptibility: blocked by both STI and MOV SS";
	if (b->interruptibility & BLOCKED_STI && !(b->rflags & FLAGS_IF))
		return "interruptibility: blocked by STI while IF is clear";
	if (valid && type == VMX_EXTERNAL && b->interruptibility & 3)
		return "interruptibility: blocked while an interrupt is injected";
	if (valid && type == VMX_NMI && b->interruptibility & (BLOCKED_MOV_SS | BLOCKED_NMI))
		return "interruptibility: blocked while an NMI is injected";
	if (b->interruptibility & 3 && !(b->debugctl & 2) && !(b->pending_debug >> 14 & 1) != !(b->rflags & FLAGS_TF))
		return "pending_debug: BS differs from RFLAGS.TF in a shadow";
	if (b->link_pointer != ~0ull)
		return "link_pointer: not all ones";
	return NULL;
}

const char *vmx_check(const struct vmcs_image *b, const struct vmx_limits *limits)
{
	const char *bad = check_controls(b, limits);
	if (!bad)
		bad = check_nested(b, limits);
	if (!bad)
		bad = check_event(b);
	if (!bad)
		bad = check_host(b, limits);
	if (!bad)
		bad = check_registers(b, limits);
	if (!bad)
		bad = check_segments(b);
	if (!bad)
		bad = check_flow(b);
	return bad;
}
