/* The virtual machine control structure: field encodings (SDM vol. 3, appendix B), control bits (ch. 25), exit reasons (appendix C). */
#ifndef HV_VIRT_VMX_VMCS_H
#define HV_VIRT_VMX_VMCS_H

#include <hv/types.h>

/* Every field that Berth writes or that an entry's rules look at: its name, for the enum and for the image that check.c looks at, and its encoding. */
#define VMCS_FIELDS(X)                                                                                                                       \
	X(vpid, 0x0000) X(posted_vector, 0x0002)                                                                                             \
	X(es_selector, 0x0800) X(cs_selector, 0x0802) X(ss_selector, 0x0804) X(ds_selector, 0x0806) X(fs_selector, 0x0808)                   \
	X(gs_selector, 0x080a) X(ldtr_selector, 0x080c) X(tr_selector, 0x080e) X(interrupt_status, 0x0810) X(pml_index, 0x0812)              \
	X(host_es, 0x0c00) X(host_cs, 0x0c02) X(host_ss, 0x0c04) X(host_ds, 0x0c06) X(host_fs, 0x0c08) X(host_gs, 0x0c0a) X(host_tr, 0x0c0c) \
	X(msr_bitmap, 0x2004) X(exit_msr_store, 0x2006) X(exit_msr_load, 0x2008) X(entry_msr_load, 0x200a) X(pml, 0x200e)                    \
	X(tsc_offset, 0x2010) X(virtual_apic, 0x2012) X(apic_access, 0x2014) X(posted_descriptor, 0x2016) X(eptp, 0x201a)                    \
	X(eoi_exits0, 0x201c) X(eoi_exits1, 0x201e) X(eoi_exits2, 0x2020) X(eoi_exits3, 0x2022)                                              \
	X(link_pointer, 0x2800) X(debugctl, 0x2802) X(pat, 0x2804) X(efer, 0x2806)                                                           \
	X(pdpte0, 0x280a) X(pdpte1, 0x280c) X(pdpte2, 0x280e) X(pdpte3, 0x2810)                                                              \
	X(host_pat, 0x2c00) X(host_efer, 0x2c02)                                                                                             \
	X(pin_controls, 0x4000) X(proc_controls, 0x4002) X(exception_bitmap, 0x4004) X(pf_mask, 0x4006) X(pf_match, 0x4008)                  \
	X(cr3_target_count, 0x400a) X(exit_controls, 0x400c) X(exit_msr_store_count, 0x400e) X(exit_msr_load_count, 0x4010)                  \
	X(entry_controls, 0x4012) X(entry_msr_load_count, 0x4014) X(entry_event, 0x4016) X(entry_error, 0x4018)                              \
	X(entry_insn_len, 0x401a) X(tpr_threshold, 0x401c) X(proc2_controls, 0x401e) X(ple_gap, 0x4020) X(ple_window, 0x4022)                \
	X(es_limit, 0x4800) X(cs_limit, 0x4802) X(ss_limit, 0x4804) X(ds_limit, 0x4806) X(fs_limit, 0x4808) X(gs_limit, 0x480a)              \
	X(ldtr_limit, 0x480c) X(tr_limit, 0x480e) X(gdtr_limit, 0x4810) X(idtr_limit, 0x4812)                                                \
	X(es_attr, 0x4814) X(cs_attr, 0x4816) X(ss_attr, 0x4818) X(ds_attr, 0x481a) X(fs_attr, 0x481c) X(gs_attr, 0x481e)                    \
	X(ldtr_attr, 0x4820) X(tr_attr, 0x4822)                                                                                              \
	X(interruptibility, 0x4824) X(activity, 0x4826) X(sysenter_cs, 0x482a) X(host_sysenter_cs, 0x4c00)                                   \
	X(cr0_mask, 0x6000) X(cr4_mask, 0x6002) X(cr0_shadow, 0x6004) X(cr4_shadow, 0x6006)                                                  \
	X(cr0, 0x6800) X(cr3, 0x6802) X(cr4, 0x6804)                                                                                         \
	X(es_base, 0x6806) X(cs_base, 0x6808) X(ss_base, 0x680a) X(ds_base, 0x680c) X(fs_base, 0x680e) X(gs_base, 0x6810)                    \
	X(ldtr_base, 0x6812) X(tr_base, 0x6814) X(gdtr_base, 0x6816) X(idtr_base, 0x6818)                                                    \
	X(dr7, 0x681a) X(rsp, 0x681c) X(rip, 0x681e) X(rflags, 0x6820) X(pending_debug, 0x6822)                                              \
	X(sysenter_esp, 0x6824) X(sysenter_eip, 0x6826)                                                                                      \
	X(host_cr0, 0x6c00) X(host_cr3, 0x6c02) X(host_cr4, 0x6c04) X(host_fs_base, 0x6c06) X(host_gs_base, 0x6c08)                          \
	X(host_tr_base, 0x6c0a) X(host_gdtr_base, 0x6c0c) X(host_idtr_base, 0x6c0e) X(host_sysenter_esp, 0x6c10)                             \
	X(host_sysenter_eip, 0x6c12) X(host_rsp, 0x6c14) X(host_rip, 0x6c16)

enum vmcs_field {
#define X(name, encoding) VMCS_##name = (encoding),
	VMCS_FIELDS(X)
#undef X
	/* Read-only: what an exit says. */
	VMCS_guest_physical = 0x2400,
	VMCS_insn_error = 0x4400,
	VMCS_exit_reason = 0x4402,
	VMCS_exit_event = 0x4404,
	VMCS_exit_event_error = 0x4406,
	VMCS_idt_event = 0x4408,
	VMCS_idt_error = 0x440a,
	VMCS_insn_len = 0x440c,
	VMCS_qualification = 0x6400,
};

/* A copy of all fields as plain data. */
struct vmcs_image {
#define X(name, encoding) uint64_t name;
	VMCS_FIELDS(X)
#undef X
	uint64_t vtpr; /* not a field: the TPR in the virtual-APIC page */
};

/* Pin-based controls (table 25-5). */
#define PIN_INTERRUPT (1u << 0)
#define PIN_NMI (1u << 3)
#define PIN_VIRTUAL_NMI (1u << 5)
#define PIN_POSTED (1u << 7)
/* Primary processor-based controls (table 25-6). */
#define PROC_IRQ_WINDOW (1u << 2)
#define PROC_TSC_OFFSET (1u << 3)
#define PROC_HLT (1u << 7)
#define PROC_MWAIT (1u << 10)
#define PROC_RDPMC (1u << 11)
#define PROC_CR8_LOAD (1u << 19)
#define PROC_CR8_STORE (1u << 20)
#define PROC_TPR_SHADOW (1u << 21)
#define PROC_NMI_WINDOW (1u << 22)
#define PROC_MOV_DR (1u << 23)
#define PROC_IO (1u << 24)
#define PROC_MSR_BITMAP (1u << 28)
#define PROC_MONITOR (1u << 29)
#define PROC_SECONDARY (1u << 31)
/* Secondary processor-based controls (table 25-7). */
#define PROC2_APIC_ACCESS (1u << 0)
#define PROC2_EPT (1u << 1)
#define PROC2_RDTSCP (1u << 3)
#define PROC2_X2APIC (1u << 4)
#define PROC2_VPID (1u << 5)
#define PROC2_WBINVD (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_APIC_REGISTERS (1u << 8)
#define PROC2_VIRTUAL_INTERRUPTS (1u << 9)
#define PROC2_PAUSE_LOOP (1u << 10)
#define PROC2_INVPCID (1u << 12)
#define PROC2_PML (1u << 17)
/* VM-exit controls (table 25-13). */
#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_ACKNOWLEDGE (1u << 15)
#define EXIT_SAVE_PAT (1u << 18)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_SAVE_EFER (1u << 20)
#define EXIT_LOAD_EFER (1u << 21)
/* VM-entry controls (table 25-15). */
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_LONG_MODE (1u << 9)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

/* Activity state (25.4.2); IA32_VMX_MISC bits 8:6 tell which of the last three there are. */
enum vmx_activity { ACTIVITY_ACTIVE = 0, ACTIVITY_HLT = 1, ACTIVITY_SHUTDOWN = 2, ACTIVITY_WAIT_FOR_SIPI = 3 };
/* Pending debug exceptions (table 25-4). */
#define PENDING_BREAKPOINTS 0xfu
#define PENDING_ENABLED (1u << 12)
#define PENDING_BS (1u << 14)
#define PENDING_RTM (1u << 16)
/* Interruptibility state (table 25-3). */
#define BLOCKED_STI (1u << 0)
#define BLOCKED_MOV_SS (1u << 1)
#define BLOCKED_NMI (1u << 3)
/* Event fields: entry interruption, exit interruption, IDT vectoring (tables 25-17, 25-19, 25-20). */
#define EVENT_VALID (1u << 31)
#define EVENT_ERROR (1u << 11)
#define EVENT_TYPE(info) ((info) >> 8 & 7)
enum vmx_event_type { VMX_EXTERNAL = 0, VMX_NMI = 2, VMX_HARDWARE = 3, VMX_SOFTWARE_INT = 4, VMX_PRIVILEGED = 5, VMX_SOFTWARE = 6 };

/* Segment attributes (table 25-2): the upper four bits lie four higher than in struct virt_seg. */
#define VMX_SEG_UNUSABLE (1u << 16)

/* Basic exit reasons, appendix C. */
enum vmx_exit_reason {
	VMX_EXIT_EXCEPTION = 0, VMX_EXIT_INTERRUPT = 1, VMX_EXIT_TRIPLE_FAULT = 2, VMX_EXIT_IRQ_WINDOW = 7, VMX_EXIT_NMI_WINDOW = 8,
	VMX_EXIT_TASK_SWITCH = 9, VMX_EXIT_CPUID = 10, VMX_EXIT_HLT = 12, VMX_EXIT_CR = 28, VMX_EXIT_DR = 29, VMX_EXIT_IO = 30, VMX_EXIT_RDMSR = 31,
	VMX_EXIT_WRMSR = 32, VMX_EXIT_INVALID_GUEST = 33, VMX_EXIT_MSR_LOAD = 34, VMX_EXIT_ENTRY_MC = 41, VMX_EXIT_TPR = 43,
	VMX_EXIT_EPT_VIOLATION = 48, VMX_EXIT_EPT_MISCONFIG = 49, VMX_EXIT_COUNT = 78,
};
#define VMX_EXIT_BASIC 0xffffu
#define VMX_EXIT_ENTRY_FAILED (1u << 31)

#endif
