/* Every rule of VM entry that the checker knows: good guests (64-bit, real mode, virtual-8086) pass, each single damage is named. */
#include "test.h"
#include "virt/vmx/check.h"
#include "virt/x86.h"

#define ANY 0xffffffff00000000ull
static const struct vmx_limits limits = {
	.pin = ANY | 0x16, .proc = ANY | 0x04006172, .proc2 = ANY, .exit = ANY | 0x36dfb, .entry = ANY | 0x11fb,
	.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG, .cr0_fixed1 = 0xffffffff, .cr4_fixed0 = 1u << 13, .cr4_fixed1 = 0x3767ff, .phys_bits = 40,
	.ept_wb = true, .ept_ad = true,
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

static void real_mode(void)
{
	b.entry_controls &= ~(uint64_t)ENTRY_LONG_MODE;
	b.cr0 = CR0_NE;
	b.efer = 0;
	set_segs(0x9b, 0x93);
}

static void v8086(void)
{
	b.entry_controls &= ~(uint64_t)ENTRY_LONG_MODE;
	b.efer = 0;
	b.rflags |= FLAGS_VM;
	set_segs(0xf3, 0xf3);
}

#define NAMES(change, field)                                                     \
	do {                                                                     \
		setup(NULL);                                                     \
		change;                                                          \
		const char *bad_ = vmx_check(&b, &limits);                       \
		assert_non_null(bad_);                                           \
		if (strncmp(bad_, field ":", strlen(field ":")) != 0)            \
			fail_msg("%s: named %s", #change, bad_);                 \
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

static void controls(void **state)
{
	NAMES(b.pin_controls &= ~2ull, "pin_controls");
	NAMES(b.pin_controls |= 1ull << 32, "pin_controls");
	NAMES(b.pin_controls &= ~(uint64_t)PIN_NMI, "pin_controls");
	NAMES(b.proc_controls &= ~2ull, "proc_controls");
	NAMES(b.proc2_controls |= 1ull << 32, "proc2_controls");
	NAMES(b.proc2_controls &= ~(uint64_t)PROC2_EPT, "proc2_controls");
	NAMES(b.exit_controls &= ~2ull, "exit_controls");
	NAMES(b.entry_controls &= ~2ull, "entry_controls");
	NAMES(b.cr3_target_count = 5, "cr3_target_count");
	NAMES(b.msr_bitmap = 0x800, "msr_bitmap");
	NAMES(b.virtual_apic = 1ull << 40, "virtual_apic");
	NAMES(b.tpr_threshold = 16, "tpr_threshold");
	NAMES((b.proc2_controls |= PROC2_X2APIC, b.proc_controls &= ~(uint64_t)PROC_TPR_SHADOW), "proc2_controls");
	NAMES(b.proc2_controls |= PROC2_X2APIC | PROC2_APIC_ACCESS, "proc2_controls");
	NAMES((b.proc2_controls |= PROC2_VIRTUAL_INTERRUPTS, b.pin_controls &= ~(uint64_t)PIN_INTERRUPT), "proc2_controls");
	NAMES((b.proc2_controls |= PROC2_APIC_ACCESS, b.apic_access = 8), "apic_access");
	NAMES((b.proc2_controls |= PROC2_PML, b.pml = 1), "pml");
	NAMES((b.proc2_controls = PROC2_PML), "proc2_controls");
	NAMES(b.vpid = 0, "vpid");
	NAMES(b.eptp = 0x100000 | 3 << 3 | 1, "eptp");
	NAMES(b.eptp = 0x100000 | 2 << 3 | 6, "eptp");
	NAMES(b.eptp = 1ull << 40 | 3 << 3 | 6, "eptp");
	NAMES(b.entry_event = EVENT_VALID | 1 << 8, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | 32, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | VMX_HARDWARE << 8 | X86_PF, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_UD, "entry_event");
	NAMES(b.entry_event = EVENT_VALID | VMX_SOFTWARE_INT << 8 | 0x80, "entry_insn_len");
}

static void host(void **state)
{
	NAMES(b.host_cr0 = 0, "host_cr0");
	NAMES(b.host_cr4 = CR4_PAE, "host_cr4");
	NAMES(b.host_cr3 = 1ull << 40, "host_cr3");
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
	NAMES((real_mode(), b.ds_base = 1ull << 32), "ds");
	NAMES((v8086(), b.gs_limit = 0xfffff), "cs");
	NAMES(b.gs_base = 1ull << 47, "fs");
	NAMES(b.tr_attr = 0x83, "tr");
	NAMES(b.ldtr_attr = 0x83, "ldtr");
	NAMES(b.gdtr_limit = 0x10000, "gdtr");
	NAMES(b.idtr_base = 1ull << 47, "idtr");
	NAMES((real_mode(), b.rip = 1ull << 32), "rip");
	NAMES(b.rflags = 0, "rflags");
	NAMES(b.entry_event = EVENT_VALID | 0x30, "rflags");
	NAMES(b.activity = 4, "activity");
	NAMES(b.interruptibility = BLOCKED_STI, "interruptibility");
	NAMES(b.interruptibility = 3, "interruptibility");
	NAMES((b.interruptibility = BLOCKED_NMI, b.entry_event = EVENT_VALID | VMX_NMI << 8 | X86_NMI), "interruptibility");
	NAMES((b.interruptibility = BLOCKED_MOV_SS, b.rflags |= FLAGS_TF), "pending_debug");
	NAMES(b.link_pointer = 0, "link_pointer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(good_passes, setup),
		cmocka_unit_test_setup(controls, setup),
		cmocka_unit_test_setup(host, setup),
		cmocka_unit_test_setup(guest, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
