/*
 * What this machine's VT-x offers (SDM vol. 3, appendix A) and which controls every VMCS starts with: what must be 1 is, what may not be is
 * not, and a must-have that is missing is named.
 */
#include "virt/vmx/vmx_impl.h"

#include <errno.h>
#include <hv/log.h>

#define MSR_FEATURE_CONTROL 0x3au
#define MSR_VMX_BASIC 0x480u
#define MSR_VMX_MISC 0x485u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR0_FIXED1 0x487u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_CR4_FIXED1 0x489u
#define MSR_VMX_PROC2 0x48bu
#define MSR_VMX_EPT_VPID 0x48cu
#define MSR_VMX_TRUE_PIN 0x48du
#define MSR_VMX_TRUE_PROC 0x48eu
#define MSR_VMX_TRUE_EXIT 0x48fu
#define MSR_VMX_TRUE_ENTRY 0x490u
#define FEATURE_LOCKED 1u
#define FEATURE_VMX 4u
#define APICV (PROC2_APIC_ACCESS | PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)
#define EPT_WALK_4 (1ull << 6)
#define EPT_UC (1ull << 8)
#define EPT_WB (1ull << 14)
#define EPT_2M (1ull << 16)
#define EPT_1G (1ull << 17)
#define EPT_INVEPT_SINGLE (1ull << 20 | 1ull << 25)
#define EPT_AD (1ull << 21)
#define EPT_INVVPID_SINGLE (1ull << 32 | 1ull << 41)
#define EPT_INVVPID_ALL (1ull << 42)

struct vmx_features vmx_features;

struct must {
	uint32_t bit;
	const char *name;
};
static const struct must pin_must[] = {
	{PIN_INTERRUPT, "external-interrupt exiting"}, {PIN_NMI, "NMI exiting"}, {PIN_VIRTUAL_NMI, "virtual NMIs"}, {0}};
static const struct must proc_must[] = {{PROC_IRQ_WINDOW, "interrupt-window exiting"}, {PROC_TSC_OFFSET, "TSC offsetting"},
	{PROC_HLT, "HLT exiting"}, {PROC_MWAIT, "MWAIT exiting"}, {PROC_RDPMC, "RDPMC exiting"}, {PROC_NMI_WINDOW, "NMI-window exiting"},
	{PROC_MOV_DR, "MOV-DR exiting"}, {PROC_IO, "unconditional I/O exiting"}, {PROC_MSR_BITMAP, "MSR bitmaps"},
	{PROC_MONITOR, "MONITOR exiting"}, {PROC_SECONDARY, "secondary controls"}, {0}};
static const struct must proc2_must[] = {
	{PROC2_EPT, "EPT"}, {PROC2_UNRESTRICTED, "unrestricted guest"}, {PROC2_WBINVD, "WBINVD exiting"}, {0}};
static const struct must exit_must[] = {{EXIT_SAVE_DEBUG, "save debug controls"}, {EXIT_HOST_64, "64-bit host"},
	{EXIT_SAVE_PAT, "save PAT"}, {EXIT_LOAD_PAT, "load PAT on exit"}, {EXIT_SAVE_EFER, "save EFER"},
	{EXIT_LOAD_EFER, "load EFER on exit"}, {0}};
static const struct must entry_must[] = {{ENTRY_LOAD_DEBUG, "load debug controls"}, {ENTRY_LONG_MODE, "64-bit guests"},
	{ENTRY_LOAD_PAT, "load PAT on entry"}, {ENTRY_LOAD_EFER, "load EFER on entry"}, {0}};

/* Must-haves, what the processor wants set, and of `may` what it allows (appendix A.2: low half must be 1, high half may be 1). */
static bool pick(uint64_t capability, const struct must *must, uint32_t may, uint32_t *out)
{
	uint32_t allowed = (uint32_t)(capability >> 32);
	*out = (uint32_t)capability | (may & allowed);
	for (; must->bit; must++) {
		if (!(allowed & must->bit)) {
			virt_refuse("its processor's VT-x has no %s, which Berth needs", must->name);
			return false;
		}
		*out |= must->bit;
	}
	return true;
}

static bool pick_controls(void)
{
	struct vmx_features *f = &vmx_features;
	struct vmx_limits *l = &f->limits;
	uint32_t widths = x86_cpuid(0x80000008, 0).eax;
	*l = (struct vmx_limits){.pin = x86_rdmsr(MSR_VMX_TRUE_PIN),
		.proc = x86_rdmsr(MSR_VMX_TRUE_PROC),
		.exit = x86_rdmsr(MSR_VMX_TRUE_EXIT),
		.entry = x86_rdmsr(MSR_VMX_TRUE_ENTRY),
		.cr0_fixed0 = x86_rdmsr(MSR_VMX_CR0_FIXED0),
		.cr0_fixed1 = x86_rdmsr(MSR_VMX_CR0_FIXED1),
		.cr4_fixed0 = x86_rdmsr(MSR_VMX_CR4_FIXED0),
		.cr4_fixed1 = x86_rdmsr(MSR_VMX_CR4_FIXED1),
		.basic = x86_rdmsr(MSR_VMX_BASIC),
		.misc = x86_rdmsr(MSR_VMX_MISC),
		.phys_bits = (uint8_t)widths,
		.linear_bits = (uint8_t)(widths >> 8)};
	if (!pick(l->pin, pin_must, 0, &f->pin) || !pick(l->proc, proc_must, PROC_TPR_SHADOW, &f->proc))
		return false;
	l->proc2 = x86_rdmsr(MSR_VMX_PROC2);
	if (!pick(l->proc2, proc2_must, PROC2_VPID | PROC2_RDTSCP | PROC2_INVPCID | PROC2_PAUSE_LOOP | PROC2_PML | APICV, &f->proc2) ||
		!pick(l->exit, exit_must, 0, &f->exit) || !pick(l->entry, entry_must, 0, &f->entry))
		return false;
	f->entry &= ~ENTRY_LONG_MODE; /* follows EFER.LMA */
	f->tpr_shadow = f->proc & PROC_TPR_SHADOW && !virt_without("tpr-shadow");
	f->apicv = f->tpr_shadow && (f->proc2 & APICV) == APICV && !virt_without("apicv");
	f->proc2 &= ~APICV; /* follow the LAPIC's mode */
	f->posted = f->apicv && l->pin >> 32 & PIN_POSTED && l->exit >> 32 & EXIT_ACKNOWLEDGE && !virt_without("posted-interrupts");
	if (f->posted)
		f->exit |= EXIT_ACKNOWLEDGE;
	if (!f->tpr_shadow)
		f->proc = (f->proc & ~PROC_TPR_SHADOW) | PROC_CR8_LOAD | PROC_CR8_STORE;
	return true;
}

static bool pick_ept(void)
{
	struct vmx_features *f = &vmx_features;
	uint64_t cap = x86_rdmsr(MSR_VMX_EPT_VPID);
	if (!(cap & EPT_WALK_4) || !(cap & EPT_WB) || !(cap & EPT_2M) || (cap & EPT_INVEPT_SINGLE) != EPT_INVEPT_SINGLE) {
		virt_refuse("its processor's EPT lacks four levels, write-back tables, 2 MiB pages or INVEPT (IA32_VMX_EPT_VPID_CAP %llx)",
			(unsigned long long)cap);
		return false;
	}
	f->limits.ept_uc = cap & EPT_UC;
	f->limits.ept_wb = true;
	f->limits.ept_ad = f->accessed_dirty = cap & EPT_AD;
	f->gib_pages = cap & EPT_1G;
	f->pml = f->accessed_dirty && f->proc2 & PROC2_PML && !virt_without("pml");
	f->proc2 &= ~PROC2_PML; /* follows the dirty log */
	f->vpid =
		f->proc2 & PROC2_VPID && (cap & EPT_INVVPID_SINGLE) == EPT_INVVPID_SINGLE && cap & EPT_INVVPID_ALL && !virt_without("vpid");
	if (!f->vpid)
		f->proc2 &= ~PROC2_VPID;
	return true;
}

int vmx_probe(void)
{
	if (!(x86_cpuid(1, 0).ecx & 1u << 5))
		return -ENODEV;
	uint64_t control = x86_rdmsr(MSR_FEATURE_CONTROL);
	if (control & FEATURE_LOCKED && !(control & FEATURE_VMX)) {
		virt_refuse("VT-x is disabled by firmware (IA32_FEATURE_CONTROL is locked without it): turn on virtualization "
			    "in the machine's setup");
		return -ENODEV;
	}
	uint64_t basic = x86_rdmsr(MSR_VMX_BASIC);
	const char *unusable = vmx_check_basic(basic);
	if (unusable) {
		virt_refuse("%s", unusable);
		return -ENODEV;
	}
	vmx_features.revision = (uint32_t)basic & 0x7fffffff;
	return pick_controls() && pick_ept() ? 0 : -ENODEV;
}
