/*
 * The checks of VM entry on guest state (SDM vol. 3, 27.3); check.c's head has the whole list.
 */
#include "virt/vmx/check_impl.h"

#define DEBUGCTL_BTF 2u
#define DEBUGCTL_RESERVED ~0xffc7ull
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

/* 27.3.1.1 */
static const char *check_registers(const struct vmcs_image *b, const struct vmx_limits *l)
{
	uint64_t fixed0 = l->cr0_fixed0 & ~(vmx_unrestricted(b) ? CR0_PE | CR0_PG : 0);
	if ((b->cr0 & fixed0) != fixed0 || b->cr0 & ~l->cr0_fixed1)
		return "cr0: a fixed bit is wrong";
	if (b->cr0 & CR0_PG && !(b->cr0 & CR0_PE))
		return "cr0: PG set while PE is clear";
	if ((b->cr4 & l->cr4_fixed0) != l->cr4_fixed0 || b->cr4 & ~l->cr4_fixed1)
		return "cr4: a fixed bit is wrong";
	if (b->cr4 & CR4_CET && !(b->cr0 & CR0_WP))
		return "cr4: CET set while CR0.WP is clear";
	if (vmx_long_mode(b) && (!(b->cr0 & CR0_PG) || !(b->cr4 & CR4_PAE)))
		return "entry_controls: IA-32e mode guest without paging and PAE";
	if (!vmx_long_mode(b) && b->cr4 & CR4_PCIDE)
		return "cr4: PCIDE set outside of IA-32e mode";
	if (b->cr3 >> l->phys_bits)
		return "cr3: bits beyond the physical address width";
	if (b->entry_controls & ENTRY_LOAD_DEBUG && b->debugctl & DEBUGCTL_RESERVED)
		return "debugctl: reserved bit set";
	if (b->entry_controls & ENTRY_LOAD_DEBUG && b->dr7 >> 32)
		return "dr7: bits 63:32 not zero";
	if (!vmx_canonical(b->sysenter_esp, l))
		return "sysenter_esp: not canonical";
	if (!vmx_canonical(b->sysenter_eip, l))
		return "sysenter_eip: not canonical";
	if (b->entry_controls & ENTRY_LOAD_PAT && !vmx_pat_ok(b->pat))
		return "pat: impossible memory type";
	if (!(b->entry_controls & ENTRY_LOAD_EFER))
		return NULL;
	if (b->efer & ~EFER_VALID)
		return "efer: reserved bit set";
	if (!(b->efer & EFER_LMA) == vmx_long_mode(b))
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

/* 27.3.1.2: data segments and SS, outside of virtual-8086 mode. `wide`: FS and GS, whose bases have 64 bits. */
static const char *check_data(const struct seg *s, bool stack, bool wide, bool unrestricted_guest)
{
	unsigned type = s->ar & AR_TYPE;
	if (s->ar & VMX_SEG_UNUSABLE)
		return NULL;
	if (stack ? type != 3 && type != 7 : !(type & 1) || ((type & 8) && !(type & 2)))
		return "type";
	if (!(s->ar & AR_S) || !(s->ar & AR_P) || s->ar & AR_RESERVED)
		return "S, P or a reserved bit";
	if (!stack && !unrestricted_guest && type < 12 && AR_DPL(s->ar) < (s->selector & 3))
		return "DPL below RPL";
	if (!wide && s->base >> 32)
		return "base above 4 GiB";
	return check_seg_limit(s);
}

static const char *check_code(const struct seg *s, const struct seg *ss, const struct vmcs_image *b)
{
	unsigned type = s->ar & AR_TYPE;
	if (type != 9 && type != 11 && type != 13 && type != 15 && !(type == 3 && vmx_unrestricted(b)))
		return "cs: type";
	if (s->ar & VMX_SEG_UNUSABLE || !(s->ar & AR_S) || !(s->ar & AR_P) || s->ar & AR_RESERVED)
		return "cs: unusable, S, P or a reserved bit";
	if (type == 3 && AR_DPL(s->ar) != 0)
		return "cs: DPL must be 0 for a data segment";
	if ((type == 9 || type == 11) && AR_DPL(s->ar) != AR_DPL(ss->ar))
		return "cs: DPL differs from SS's";
	if ((type == 13 || type == 15) && AR_DPL(s->ar) > AR_DPL(ss->ar))
		return "cs: DPL of a conforming segment above SS's";
	if (vmx_long_mode(b) && s->ar & AR_L && s->ar & AR_DB)
		return "cs: L and D are both set in long mode";
	if (s->base >> 32)
		return "cs: base above 4 GiB";
	return check_seg_limit(s) ? "cs: limit does not fit G" : NULL;
}

/* SS's DPL is the CPL. */
static const char *check_privilege(const struct seg *cs, const struct seg *ss, const struct vmcs_image *b)
{
	if (!vmx_unrestricted(b) && ((ss->selector ^ cs->selector) & 3 || AR_DPL(ss->ar) != (ss->selector & 3)))
		return "ss: RPL differs from CS's or from DPL";
	if (AR_DPL(ss->ar) != 0 && ((cs->ar & AR_TYPE) == 3 || !(b->cr0 & CR0_PE)))
		return "ss: DPL not 0 in real mode, or with a data segment in CS";
	return NULL;
}

/* In virtual-8086 mode segments are as 8086's. */
static const char *check_v8086(const struct seg *s)
{
	for (unsigned i = 0; i < 6; i++)
		if (s[i].base != s[i].selector << 4 || s[i].limit != 0xffff || s[i].ar != 0xf3)
			return "cs: a segment is not as virtual-8086 mode wants it";
	return NULL;
}

static const char *check_system(const struct vmcs_image *b, const struct vmx_limits *l)
{
	const struct seg tr = {b->tr_selector, b->tr_base, b->tr_limit, b->tr_attr},
			 ldtr = {b->ldtr_selector, b->ldtr_base, b->ldtr_limit, b->ldtr_attr};
	unsigned type = tr.ar & AR_TYPE;
	if (tr.selector & 4 || !vmx_canonical(tr.base, l))
		return "tr: TI set, or base not canonical";
	if (type != 11 && !(type == 3 && !vmx_long_mode(b)))
		return "tr: type must be a busy TSS";
	if (tr.ar & (AR_S | VMX_SEG_UNUSABLE | AR_RESERVED) || !(tr.ar & AR_P) || check_seg_limit(&tr))
		return "tr: S, P, unusable, a reserved bit, or limit does not fit G";
	if (ldtr.ar & VMX_SEG_UNUSABLE)
		return NULL;
	if (ldtr.selector & 4 || !vmx_canonical(ldtr.base, l))
		return "ldtr: TI set, or base not canonical";
	if ((ldtr.ar & AR_TYPE) != 2 || ldtr.ar & (AR_S | AR_RESERVED) || !(ldtr.ar & AR_P) || check_seg_limit(&ldtr))
		return "ldtr: type, S, P, a reserved bit, or limit does not fit G";
	return NULL;
}

static const char *check_code_and_data(const struct vmcs_image *b, const struct vmx_limits *l)
{
	static const char *const bad[] = {"es: attributes, base or limit", NULL, "ss: attributes, base or limit",
		"ds: attributes, base or limit", "fs: attributes, base or limit", "gs: attributes, base or limit"};
	const struct seg s[6] = {{b->es_selector, b->es_base, b->es_limit, b->es_attr},
		{b->cs_selector, b->cs_base, b->cs_limit, b->cs_attr}, {b->ss_selector, b->ss_base, b->ss_limit, b->ss_attr},
		{b->ds_selector, b->ds_base, b->ds_limit, b->ds_attr}, {b->fs_selector, b->fs_base, b->fs_limit, b->fs_attr},
		{b->gs_selector, b->gs_base, b->gs_limit, b->gs_attr}};
	if (b->rflags & FLAGS_VM)
		return check_v8086(s);
	const char *text = check_code(&s[1], &s[2], b);
	if (!text)
		text = check_privilege(&s[1], &s[2], b);
	for (unsigned i = 0; !text && i < 6; i++)
		if (bad[i] && check_data(&s[i], i == 2, i >= 4, vmx_unrestricted(b)))
			text = bad[i];
	if (!text && (!vmx_canonical(b->fs_base, l) || !vmx_canonical(b->gs_base, l)))
		text = "fs: base of FS or GS is not canonical";
	return text;
}

/* 27.3.1.2, 27.3.1.3 */
static const char *check_segments(const struct vmcs_image *b, const struct vmx_limits *l)
{
	const char *text = check_code_and_data(b, l);
	if (!text)
		text = check_system(b, l);
	if (!text && (!vmx_canonical(b->gdtr_base, l) || b->gdtr_limit >> 16))
		text = "gdtr: base not canonical, or limit above 16 bits";
	if (!text && (!vmx_canonical(b->idtr_base, l) || b->idtr_limit >> 16))
		text = "idtr: base not canonical, or limit above 16 bits";
	return text;
}

/* 27.3.1.4. In 64-bit mode RIP need not be canonical: the first fetch faults then. */
static const char *check_flow(const struct vmcs_image *b, const struct vmx_limits *l)
{
	int64_t top = (int64_t)b->rip >> l->linear_bits;
	if (!(vmx_long_mode(b) && b->cs_attr & AR_L) ? b->rip >> 32 : top != 0 && top != -1)
		return "rip: above 32 bits outside of 64-bit mode, or above the linear address width";
	if (!(b->rflags & 2) || b->rflags & ~0x3f7fd7ull)
		return "rflags: a reserved bit is wrong";
	if (b->rflags & FLAGS_VM && (vmx_long_mode(b) || !(b->cr0 & CR0_PE)))
		return "rflags: VM set in long or real mode";
	if (b->entry_event & EVENT_VALID && EVENT_TYPE(b->entry_event) == VMX_EXTERNAL && !(b->rflags & FLAGS_IF))
		return "rflags: IF is clear while an interrupt is injected";
	return NULL;
}

/* 27.3.1.5: what may wake a processor that is not active. */
static bool wakes(const struct vmcs_image *b)
{
	unsigned type = EVENT_TYPE(b->entry_event), vector = b->entry_event & 0xff;
	bool machine_check = type == VMX_HARDWARE && vector == X86_MC;
	if (b->activity == ACTIVITY_HLT)
		return type == VMX_EXTERNAL || type == VMX_NMI || machine_check || (type == VMX_HARDWARE && vector == X86_DB);
	return b->activity == ACTIVITY_SHUTDOWN && (type == VMX_NMI || machine_check);
}

static const char *check_activity(const struct vmcs_image *b, const struct vmx_limits *l)
{
	if (b->activity == ACTIVITY_ACTIVE)
		return NULL;
	if (b->activity > ACTIVITY_WAIT_FOR_SIPI || !(l->misc >> 5 & 1u << b->activity))
		return "activity: a state that the processor does not have";
	if (b->activity == ACTIVITY_HLT && AR_DPL(b->ss_attr) != 0)
		return "activity: halted outside of privilege level 0";
	if (b->interruptibility & (BLOCKED_STI | BLOCKED_MOV_SS))
		return "activity: not active in an interrupt shadow";
	return b->entry_event & EVENT_VALID && !wakes(b) ? "activity: the injected event cannot come in this state" : NULL;
}

static const char *check_shadow(const struct vmcs_image *b)
{
	bool valid = b->entry_event & EVENT_VALID;
	unsigned type = EVENT_TYPE(b->entry_event);
	if (b->interruptibility & ~(uint64_t)(BLOCKED_STI | BLOCKED_MOV_SS | BLOCKED_NMI))
		return "interruptibility: reserved bit set, or blocked by SMI or an enclave";
	if ((b->interruptibility & 3) == 3)
		return "interruptibility: blocked by both STI and MOV SS";
	if (b->interruptibility & BLOCKED_STI && !(b->rflags & FLAGS_IF))
		return "interruptibility: blocked by STI while IF is clear";
	if (valid && type == VMX_EXTERNAL && b->interruptibility & 3)
		return "interruptibility: blocked while an interrupt is injected";
	if (valid && type == VMX_NMI && b->interruptibility & (BLOCKED_MOV_SS | (b->pin_controls & PIN_VIRTUAL_NMI ? BLOCKED_NMI : 0)))
		return "interruptibility: blocked while an NMI is injected";
	return NULL;
}

static const char *check_pending_debug(const struct vmcs_image *b)
{
	uint64_t p = b->pending_debug;
	bool held = b->interruptibility & (BLOCKED_STI | BLOCKED_MOV_SS) || b->activity == ACTIVITY_HLT;
	bool steps = b->rflags & FLAGS_TF && !(b->debugctl & DEBUGCTL_BTF);
	if (p & ~(uint64_t)(PENDING_BREAKPOINTS | PENDING_ENABLED | PENDING_BS | PENDING_RTM))
		return "pending_debug: reserved bit set";
	if (held && !(p & PENDING_BS) == steps)
		return "pending_debug: BS differs from single-stepping in a shadow, or halted";
	if (p & PENDING_RTM && (p != (PENDING_RTM | PENDING_ENABLED) || b->interruptibility & BLOCKED_MOV_SS))
		return "pending_debug: RTM with others, or in MOV SS's shadow";
	return NULL;
}

/* 27.3.1.6: with EPT, PAE paging goes on with the VMCS's PDPTEs (table 4-8). */
static const char *check_pdptes(const struct vmcs_image *b, const struct vmx_limits *l)
{
	static const char *const bad[] = {
		"pdpte0: reserved bit set", "pdpte1: reserved bit set", "pdpte2: reserved bit set", "pdpte3: reserved bit set"};
	const uint64_t pdpte[] = {b->pdpte0, b->pdpte1, b->pdpte2, b->pdpte3};
	if (!(vmx_proc2(b) & PROC2_EPT) || !(b->cr0 & CR0_PG) || !(b->cr4 & CR4_PAE) || vmx_long_mode(b))
		return NULL;
	for (unsigned i = 0; i < 4; i++)
		if (pdpte[i] & 1 && pdpte[i] & vmx_pdpte_reserved(l->phys_bits))
			return bad[i];
	return NULL;
}

const char *vmx_check_guest(const struct vmcs_image *b, const struct vmx_limits *l)
{
	const char *bad = check_registers(b, l);
	if (!bad)
		bad = check_segments(b, l);
	if (!bad)
		bad = check_flow(b, l);
	if (!bad)
		bad = check_activity(b, l);
	if (!bad)
		bad = check_shadow(b);
	if (!bad)
		bad = check_pending_debug(b);
	if (!bad)
		bad = b->link_pointer != ~0ull ? "link_pointer: not all ones" : check_pdptes(b, l);
	return bad;
}
