/* Every rule of VM entry that the checker knows: good guests (64-bit, real mode, virtual-8086) pass, each single damage is named. */
#include "test.h"
#include "virt/vmx/check.h"
#include "virt/x86.h"

#define ANY 0xffffffff00000000ull
static struct vmx_limits limits;
static const struct vmx_limits whole = {
	.pin = ANY | 0x16,
	.proc = ANY | 0x04006172,
	.proc2 = ANY,
	.exit = ANY | 0x36dfb,
	.entry = ANY | 0x11fb,
	.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = 1u << 13,
	.cr4_fixed1 = 0x3767ff,
	.phys_bits = 40,
	.linear_bits = 48,
	.misc = 4u << 16 | 7u << 6,
	.ept_wb = true,
	.ept_ad = true,
};
static struct vmcs_image b;

static void set_segs(uint64_t cs, uint64_t data)
{
	b.cs_attr = cs;
	b.es_attr = b.ss_attr = b.ds_attr = b.fs_attr = b.gs_attr = data;
	b.cs_limit = b.es_limit = b.ss_limit = b.ds_limit = b.fs_limit = b.gs_limit = cs & 0x8000 ? 0xffffffff : 0xffff;
}

static int setup(void **state)
{
	limits = whole;
	memset(&b, 0, sizeof(b));
	b.pin_controls = 0x16 | PIN_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI;
	b.proc_controls = 0x04006172 | PROC_SECONDARY | PROC_MSR_BITMAP | PROC_TPR_SHADOW;
	b.proc2_controls = PROC2_EPT | PROC2_UNRESTRICTED | PROC2_VPID;
	b.exit_controls = 0x36dfb | EXIT_HOST_64 | EXIT_LOAD_PAT | EXIT_LOAD_EFER;
	b.entry_controls = 0x11fb | ENTRY_LOAD_DEBUG | ENTRY_LONG_MODE | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER;
	b.vpid = 1;
	b.eptp = 0x100000 | 3 << 3 | 6;
	b.host_cr0 = b.cr0 = CR0_PE | CR0_NE | CR0_PG;
	b.host_cr4 = b.cr4 = 1u << 13 | CR4_PAE;
	b.host_pat = b.pat = PAT_RESET;
	b.host_efer = b.efer = EFER_LME | EFER_LMA;
	b.host_cs = 8;
	b.host_tr = 24;
	set_segs(0xa09b, 0xc093);
	b.tr_attr = 0x8b;
	b.tr_limit = 0xffff;
	b.ldtr_attr = VMX_SEG_UNUSABLE;
	b.rflags = 2;
	b.link_pointer = ~0ull;
	return 0;
}

static void posted(void)
{
	b.pin_controls |= PIN_POSTED;
	b.exit_controls |= EXIT_ACKNOWLEDGE;
	b.proc2_controls |= PROC2_VIRTUAL_INTERRUPTS;
	b.posted_descriptor = 0x100040;
}

static void real_mode(void)
{
	b.entry_controls &= ~(uint64_t)ENTRY_LONG_MODE;
	b.cr0 = CR0_NE;
	b.efer = 0;
	set_segs(0x9b, 0x93);
}

static void pae(void)
{
	b.entry_controls &= ~(uint64_t)ENTRY_LONG_MODE;
	b.efer = 0;
	set_segs(0xc09b, 0xc093);
	b.pdpte0 = 0x123001;
	b.pdpte3 = 0x1e6; /* not present */
}

/* What a processor without unrestricted guest wants to be right, too. */
static void restricted(void)
{
	b.proc2_controls &= ~(uint64_t)PROC2_UNRESTRICTED;
}

static void user(void)
{
	set_segs(0xa0fb, 0xc0f3);
	b.cs_selector = b.ss_selector = b.ds_selector = b.es_selector = b.fs_selector = b.gs_selector = 3;
}

static void halted(void)
{
	b.activity = ACTIVITY_HLT;
}

static void v8086(void)
{
	b.entry_controls &= ~(uint64_t)ENTRY_LONG_MODE;
	b.efer = 0;
	b.rflags |= FLAGS_VM;
	set_segs(0xf3, 0xf3);
}

#define NAMES(change, field)                                                                                                               \
	do {                                                                                                                               \
		setup(NULL);                                                                                                               \
		change;                                                                                                                    \
		const char *bad_ = vmx_check(&b, &limits);                                                                                 \
		assert_non_null(bad_);                                                                                                     \
		if (strncmp(bad_, field ":", strlen(field ":")) != 0)                                                                      \
			fail_msg("%s: named %s", #change, bad_);                                                                           \
	} while (0)

static void good_passes(void **state)
{
	assert_null(vmx_check(&b, &limits));
	b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_PF;
	assert_null(vmx_check(&b, &limits));
	setup(NULL);
	real_mode();
	assert_null(vmx_check(&b, &limits));
	b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | X86_GP; /* no error codes in real mode */
	assert_null(vmx_check(&b, &limits));
	setup(NULL);
	v8086();
	assert_null(vmx_check(&b, &limits));
}

#define PASSES(change)                                                                                                                     \
	do {                                                                                                                               \
		setup(NULL);                                                                                                               \
		change;                                                                                                                    \
		const char *bad_ = vmx_check(&b, &limits);                                                                                 \
		if (bad_)                                                                                                                  \
			fail_msg("%s: named %s", #change, bad_);                                                                           \
	} while (0)

/* What looks like a broken rule, and is none. */
static void allowed_passes(void **state)
{
	PASSES(pae());
	PASSES((pae(), b.cr4 &= ~(uint64_t)CR4_PAE, b.pdpte1 = 0x1e7)); /* two-level paging has no PDPTEs */
	PASSES((b.pdpte1 = 0x1e7));
	PASSES((pae(), b.cr0 &= ~CR0_PG, b.pdpte1 = 0x1e7));
	PASSES((pae(), b.proc2_controls = PROC2_VPID, b.eptp = 5, b.pdpte1 = 0x1e7));
	PASSES((b.entry_controls &= ~(uint64_t)ENTRY_LOAD_EFER, b.efer = ~0ull));
	PASSES((b.proc_controls |= PROC_NMI_WINDOW));
	PASSES((b.proc2_controls |= PROC2_PML, b.pml = 0x5000));
	PASSES((b.eptp |= 1u << 6));
	PASSES((b.entry_event = ~EVENT_VALID));
	PASSES((b.ds_attr = VMX_SEG_UNUSABLE, b.ds_base = ~0ull));
	PASSES((b.ds_attr = 0xc09b)); /* readable code */
	PASSES((user(), restricted()));
	PASSES((user(), b.cs_attr = 0xa09f)); /* conforming code of a higher level */
	PASSES((user(), b.ds_selector = 0));
	PASSES(b.rip = 1ull << 47); /* not canonical: the fetch faults */
	PASSES(b.proc2_controls = b.proc2_controls | PROC2_APIC_REGISTERS | PROC2_APIC_ACCESS);
	PASSES((b.tpr_threshold = 3, b.vtpr = 0x3f));
	PASSES((b.tpr_threshold = 3, b.proc2_controls |= PROC2_APIC_ACCESS));
	PASSES((b.tpr_threshold = 16, b.proc2_controls |= PROC2_VIRTUAL_INTERRUPTS));
	PASSES((b.proc_controls &= ~(uint64_t)PROC_SECONDARY, b.proc2_controls = ~0ull, b.cs_attr = 0xa09b));
	PASSES((limits.basic = 1ull << 56, b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | X86_PF));
	PASSES((limits.misc |= 1u << 30, b.entry_event = EVENT_VALID | VMX_SOFTWARE_INT << 8 | 0x80));
	PASSES((limits.ept_uc = true, b.eptp = 0x100000 | 3 << 3));
	PASSES((limits.linear_bits = 57, b.gs_base = 1ull << 47));
	PASSES((b.entry_msr_load_count = 1, b.entry_msr_load = (1ull << 40) - 16));
	PASSES((halted(), b.entry_event = EVENT_VALID | VMX_EXTERNAL << 8 | 0x30, b.rflags |= FLAGS_IF));
	PASSES((halted(), b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | X86_DB));
	PASSES((halted(), b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | X86_MC));
	PASSES((halted(), b.entry_event = EVENT_VALID | VMX_NMI << 8 | X86_NMI));
	PASSES((b.activity = ACTIVITY_SHUTDOWN, b.entry_event = EVENT_VALID | VMX_NMI << 8 | X86_NMI));
	PASSES(b.activity = ACTIVITY_WAIT_FOR_SIPI);
	PASSES((b.interruptibility = BLOCKED_MOV_SS, b.rflags |= FLAGS_TF, b.pending_debug = PENDING_BS));
	PASSES((b.interruptibility = BLOCKED_MOV_SS, b.rflags |= FLAGS_TF, b.debugctl = 2));
	PASSES(b.pending_debug = PENDING_BS | PENDING_ENABLED | 1);
	PASSES(b.pending_debug = PENDING_RTM | PENDING_ENABLED);
}

static void controls(void **state)
{
	NAMES(b.pin_controls &= ~2ull, "pin_controls");
	NAMES(b.pin_controls |= 1ull << 32, "pin_controls");
	NAMES(b.pin_controls &= ~(uint64_t)PIN_NMI, "pin_controls");
	NAMES(b.proc_controls &= ~2ull, "proc_controls");
	NAMES(b.proc2_controls |= 1ull << 32, "proc2_controls");
	NAMES(limits.proc2 &= ~((uint64_t)PROC2_VPID << 32), "proc2_controls");
	NAMES(b.proc2_controls &= ~(uint64_t)PROC2_EPT, "proc2_controls");
	NAMES(b.exit_controls &= ~2ull, "exit_controls");
	NAMES(b.entry_controls &= ~2ull, "entry_controls");
	NAMES(b.cr3_target_count = 5, "cr3_target_count");
	NAMES((limits.misc = 3u << 16, b.cr3_target_count = 4), "cr3_target_count");
	NAMES(b.pin_controls |= 1u << 6, "pin_controls");      /* preemption timer */
	NAMES(b.proc_controls |= 1u << 25, "proc_controls");   /* I/O bitmaps */
	NAMES(b.proc_controls |= 1u << 17, "proc_controls");   /* tertiary controls */
	NAMES(b.proc2_controls |= 1u << 25, "proc2_controls"); /* TSC scaling */
	NAMES(b.proc2_controls |= 1u << 14, "proc2_controls"); /* VMCS shadowing */
	NAMES(b.exit_controls |= 1u << 22, "exit_controls");   /* save the preemption timer */
	NAMES(b.entry_controls |= 1u << 10, "entry_controls"); /* entry to SMM */
	NAMES((b.exit_msr_store_count = 1, b.exit_msr_store = 8), "exit_msr_store");
	NAMES((b.exit_msr_load_count = 1, b.exit_msr_load = 1ull << 40), "exit_msr_load");
	NAMES((b.entry_msr_load_count = 2, b.entry_msr_load = (1ull << 40) - 16), "entry_msr_load");
	NAMES((b.pin_controls &= ~(uint64_t)PIN_VIRTUAL_NMI, b.proc_controls |= PROC_NMI_WINDOW), "proc_controls");
	NAMES(b.msr_bitmap = 0x800, "msr_bitmap");
	NAMES(b.virtual_apic = 1ull << 40, "virtual_apic");
	NAMES(b.tpr_threshold = 16, "tpr_threshold");
	NAMES((b.tpr_threshold = 4, b.vtpr = 0x3f), "tpr_threshold");
	NAMES((b.proc2_controls |= PROC2_X2APIC, b.proc_controls &= ~(uint64_t)PROC_TPR_SHADOW), "proc2_controls");
	NAMES(b.proc2_controls |= PROC2_X2APIC | PROC2_APIC_ACCESS, "proc2_controls");
	NAMES((b.proc2_controls |= PROC2_VIRTUAL_INTERRUPTS, b.pin_controls &= ~(uint64_t)PIN_INTERRUPT), "proc2_controls");
	NAMES(b.pin_controls |= PIN_POSTED, "pin_controls");
	NAMES((b.pin_controls |= PIN_POSTED, b.proc2_controls |= PROC2_VIRTUAL_INTERRUPTS, b.exit_controls &= ~(uint64_t)EXIT_ACKNOWLEDGE),
		"exit_controls");
	NAMES((posted(), b.posted_vector = 256), "posted_vector");
	NAMES((posted(), b.posted_descriptor = 32), "posted_descriptor");
	NAMES((posted(), b.posted_descriptor = 1ull << 40), "posted_descriptor");
	NAMES((b.proc2_controls |= PROC2_APIC_ACCESS, b.apic_access = 8), "apic_access");
	NAMES((b.proc2_controls |= PROC2_PML, b.pml = 1), "pml");
	NAMES((b.proc2_controls = PROC2_PML), "proc2_controls");
	NAMES(b.vpid = 0, "vpid");
	NAMES(b.eptp = 0x100000 | 3 << 3 | 1, "eptp");
	NAMES(b.eptp = 0x100000 | 2 << 3 | 6, "eptp");
	NAMES(b.eptp = 1ull << 40 | 3 << 3 | 6, "eptp");
	NAMES(b.eptp = 0x100000 | 3 << 3, "eptp");
	NAMES((limits.ept_wb = false), "eptp");
	NAMES((limits.ept_ad = false, b.eptp |= 1u << 6), "eptp");
	NAMES((b.proc2_controls &= ~(uint64_t)PROC2_EPT), "proc2_controls");
	NAMES((b.proc2_controls = PROC2_VPID | PROC2_PML), "proc2_controls");
	NAMES(b.entry_event = EVENT_VALID | 1 << 8, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | 32, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | X86_PF, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_UD, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | VMX_SOFTWARE_INT << 8 | 0x80, "entry_insn_len");
	NAMES((b.entry_event = EVENT_VALID | VMX_SOFTWARE_INT << 8 | 0x80, b.entry_insn_len = 16), "entry_insn_len");
	NAMES(b.entry_event = EVENT_VALID | VMX_NMI << 8 | 3, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | 7 << 8, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | 1u << 12 | 0x30, "entry_event");
	NAMES((real_mode(), b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_GP), "entry_event");
	NAMES((limits.basic = 1ull << 56, b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_NMI << 8 | X86_NMI), "entry_event");
	NAMES((b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_GP, b.entry_error = 1u << 16), "entry_error");
}

static void host(void **state)
{
	NAMES(b.host_cr0 = 0, "host_cr0");
	NAMES(b.host_cr4 = CR4_PAE, "host_cr4");
	NAMES(b.host_cr3 = 1ull << 40, "host_cr3");
	NAMES((b.host_cr4 |= 1u << 23, limits.cr4_fixed1 |= 1u << 23), "host_cr4");
	NAMES(b.host_sysenter_eip = 1ull << 47, "host_sysenter_esp");
	NAMES(b.exit_controls &= ~(uint64_t)EXIT_HOST_64, "host_rip");
	NAMES(b.host_pat = 2, "host_pat");
	NAMES(b.host_efer = 0, "host_efer");
	NAMES(b.host_ss = 3, "host_cs");
	NAMES(b.host_tr = 0, "host_tr");
	NAMES(b.host_gs_base = 1ull << 47, "host_fs_base");
	NAMES(b.host_idtr_base = 1ull << 47, "host_gdtr_base");
	NAMES(b.host_rip = 1ull << 47, "host_rip");
}

static void guest(void **state)
{
	NAMES(b.cr0 = CR0_PE, "cr0");
	NAMES(b.cr0 &= ~CR0_PE, "cr0");
	NAMES(b.cr4 = CR4_PAE, "cr4");
	NAMES(b.cr4 &= ~CR4_PAE, "entry_controls");
	NAMES(b.cr3 = 1ull << 40, "cr3");
	NAMES((b.cr4 |= 1u << 23, limits.cr4_fixed1 |= 1u << 23), "cr4");
	NAMES((pae(), b.cr4 |= CR4_PCIDE), "cr4");
	NAMES(b.debugctl = 1u << 4, "debugctl");
	NAMES(b.sysenter_eip = 1ull << 60, "sysenter_eip");
	NAMES(b.efer = 0, "efer");
	NAMES(b.efer &= ~(uint64_t)EFER_LME, "efer");
	NAMES(b.dr7 = 1ull << 32, "dr7");
	NAMES(b.sysenter_esp = 1ull << 60, "sysenter_esp");
	NAMES(b.pat = 3, "pat");
	NAMES(b.efer |= EFER_FFXSR, "efer");
	NAMES(b.efer = EFER_LME, "efer");
	NAMES(b.cs_attr = 0xa092, "cs");
	NAMES(b.cs_attr |= 1u << 14, "cs");
	NAMES(b.cs_attr |= 3 << 5, "cs");
	NAMES(b.ss_attr = 0xc091, "ss");
	NAMES(b.ds_attr = 0xc090, "ds");
	NAMES(b.es_limit = 0xfffff000, "es");
	NAMES(b.ds_attr = 0xc083, "ds");
	NAMES(b.ds_attr = 0xc013, "ds");
	NAMES(b.ds_attr = 0xc193, "ds");
	NAMES(b.ds_attr = 0xc099, "ds"); /* code that cannot be read */
	NAMES(b.cs_attr = 0xa08b, "cs");
	NAMES(b.cs_attr = 0xa01b, "cs");
	NAMES(b.cs_attr = 0xa19b, "cs");
	NAMES(b.es_limit = 0x100000, "es");
	NAMES((b.ds_attr = 0x93, b.ds_limit = 0x100000), "ds");
	NAMES((real_mode(), b.ds_base = 1ull << 32), "ds");
	NAMES(b.ds_base = 1ull << 32, "ds");
	NAMES(b.ss_base = 1ull << 32, "ss");
	NAMES(b.cs_base = 1ull << 32, "cs");
	NAMES(b.cs_limit = 0, "cs");
	NAMES(b.cs_attr |= VMX_SEG_UNUSABLE, "cs");
	NAMES((user(), b.cs_attr = 0xc0f3), "cs");
	NAMES(b.cs_attr = 0xa0ff, "cs");
	NAMES((real_mode(), b.ss_attr = 0xf3, b.cs_attr = 0x9f), "ss");
	NAMES((user(), b.cs_attr = 0xc093), "ss");
	NAMES((restricted(), user(), b.ss_selector = 0), "ss");
	NAMES((restricted(), b.ss_selector = b.cs_selector = 3), "ss");
	NAMES((restricted(), b.ds_selector = 3), "ds");
	NAMES((restricted(), b.cs_attr = 0xc093), "cs");
	NAMES((v8086(), b.gs_limit = 0xfffff), "cs");
	NAMES((v8086(), b.gs_base = 0x10), "cs");
	NAMES((v8086(), b.gs_attr = 0x93), "cs");
	NAMES((v8086(), b.tr_attr = 0x82), "tr");
	NAMES((v8086(), b.gdtr_limit = 0x10000), "gdtr");
	NAMES(b.gs_base = 1ull << 47, "fs");
	NAMES(b.tr_attr = 0x83, "tr");
	NAMES(b.tr_selector = 4, "tr");
	NAMES(b.tr_base = 1ull << 47, "tr");
	NAMES(b.tr_attr = 0x9b, "tr");
	NAMES(b.tr_attr = 0x0b, "tr");
	NAMES(b.ldtr_attr = 0x83, "ldtr");
	NAMES(b.ldtr_attr = 0x02, "ldtr");
	NAMES(b.ldtr_attr = 0x92, "ldtr");
	NAMES((b.ldtr_attr = 0x82, b.ldtr_limit = 0x100000), "ldtr");
	NAMES((b.ldtr_attr = 0x82, b.ldtr_selector = 4), "ldtr");
	NAMES((b.ldtr_attr = 0x82, b.ldtr_base = 1ull << 47), "ldtr");
	NAMES(b.gdtr_limit = 0x10000, "gdtr");
	NAMES(b.idtr_base = 1ull << 47, "idtr");
	NAMES((real_mode(), b.rip = 1ull << 32), "rip");
	NAMES(b.rip = 1ull << 48, "rip");
	NAMES((b.cs_attr = 0xc09b, b.rip = 1ull << 32), "rip");
	NAMES(b.rflags = 0, "rflags");
	NAMES((v8086(), b.cr0 &= ~(CR0_PE | CR0_PG)), "rflags");
	NAMES(b.entry_event = EVENT_VALID | 0x30, "rflags");
	NAMES(b.activity = 4, "activity");
	NAMES((halted(), limits.misc &= ~(1u << 6)), "activity");
	NAMES((halted(), user()), "activity");
	NAMES((halted(), b.rflags |= FLAGS_IF, b.interruptibility = BLOCKED_STI), "activity");
	NAMES((halted(), b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_GP), "activity");
	NAMES((b.activity = ACTIVITY_SHUTDOWN, b.rflags |= FLAGS_IF, b.entry_event = EVENT_VALID | 0x30), "activity");
	NAMES((b.activity = ACTIVITY_WAIT_FOR_SIPI, b.entry_event = EVENT_VALID | VMX_NMI << 8 | X86_NMI), "activity");
	NAMES((halted(), b.pending_debug = PENDING_BS), "pending_debug");
	NAMES(b.pending_debug = 1u << 4, "pending_debug");
	NAMES(b.pending_debug = PENDING_RTM, "pending_debug");
	NAMES((b.pending_debug = PENDING_RTM | PENDING_ENABLED, b.interruptibility = BLOCKED_MOV_SS), "pending_debug");
	NAMES(b.interruptibility = 1u << 2, "interruptibility"); /* SMI */
	NAMES(b.interruptibility = 1u << 4, "interruptibility"); /* enclave */
	NAMES((b.rflags |= FLAGS_IF, b.interruptibility = BLOCKED_STI, b.entry_event = EVENT_VALID | 0x30), "interruptibility");
	NAMES((b.interruptibility = BLOCKED_MOV_SS, b.entry_event = EVENT_VALID | VMX_NMI << 8 | X86_NMI), "interruptibility");
	NAMES(b.interruptibility = BLOCKED_STI, "interruptibility");
	NAMES((b.rflags |= FLAGS_IF, b.interruptibility = BLOCKED_STI | BLOCKED_MOV_SS), "interruptibility");
	NAMES((b.interruptibility = BLOCKED_NMI, b.entry_event = EVENT_VALID | VMX_NMI << 8 | X86_NMI), "interruptibility");
	NAMES((b.interruptibility = BLOCKED_MOV_SS, b.rflags |= FLAGS_TF), "pending_debug");
	NAMES((b.interruptibility = BLOCKED_MOV_SS, b.rflags |= FLAGS_TF, b.debugctl = 2, b.pending_debug = PENDING_BS), "pending_debug");
	NAMES(b.link_pointer = 0, "link_pointer");
}

static void pdptes(void **state)
{
	NAMES((pae(), b.pdpte0 |= 1u << 1), "pdpte0");
	NAMES((pae(), b.pdpte1 = 1u << 2 | 1), "pdpte1");
	NAMES((pae(), b.pdpte2 = 1u << 8 | 1), "pdpte2");
	NAMES((pae(), b.pdpte3 |= 1), "pdpte3");
	NAMES((pae(), b.pdpte2 = 1ull << 40 | 1), "pdpte2");
	NAMES((pae(), b.pdpte2 = 1ull << 63 | 1), "pdpte2"); /* no execute-disable here */
}

/* IA32_VMX_BASIC as real processors have it, then each thing that Berth cannot use. */
static void basic(void **state)
{
	const uint64_t good = 1ull << 55 | 1ull << 54 | 6ull << 50 | 1024ull << 32 | 4;
	assert_null(vmx_check_basic(good));
	assert_null(vmx_check_basic(good | 1ull << 56));
	assert_null(vmx_check_basic((good & ~(0x1fffull << 32)) | 4096ull << 32));
	assert_non_null(strstr(vmx_check_basic(good & ~(0x1fffull << 32)), "44:32"));
	assert_non_null(strstr(vmx_check_basic((good & ~(0x1fffull << 32)) | 4097ull << 32), "44:32"));
	assert_non_null(strstr(vmx_check_basic(good | 1ull << 48), "bit 48"));
	assert_non_null(strstr(vmx_check_basic(good & ~(15ull << 50)), "53:50"));
	assert_non_null(strstr(vmx_check_basic(good | 1ull << 50), "53:50"));
	assert_non_null(strstr(vmx_check_basic(good & ~(1ull << 55)), "bit 55"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(good_passes, setup),
		cmocka_unit_test_setup(allowed_passes, setup),
		cmocka_unit_test_setup(controls, setup),
		cmocka_unit_test_setup(host, setup),
		cmocka_unit_test_setup(guest, setup),
		cmocka_unit_test_setup(pdptes, setup),
		cmocka_unit_test(basic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
