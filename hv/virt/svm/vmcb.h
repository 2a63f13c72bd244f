/* The virtual machine control block, APM vol. 2 appendix B (table B-1 control area, table B-2 state-save area), and exit codes (appendix C). */
#ifndef HV_VIRT_SVM_VMCB_H
#define HV_VIRT_SVM_VMCB_H

#include <hv/types.h>

struct vmcb_seg {
	uint16_t selector, attr;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* Control area */
	uint16_t intercept_cr_read, intercept_cr_write; /* 000 */
	uint16_t intercept_dr_read, intercept_dr_write; /* 004 */
	uint32_t intercept_exceptions;                  /* 008 */
	uint32_t intercept1, intercept2, intercept3;    /* 00c: codes 60.., 80.., a0.. */
	uint8_t reserved1[0x3c - 0x18];
	uint16_t pause_threshold, pause_count; /* 03c */
	uint64_t iopm_pa, msrpm_pa;            /* 040 */
	uint64_t tsc_offset;                   /* 050 */
	uint32_t asid;                         /* 058 */
	uint8_t tlb_control, reserved2[3];
	uint8_t v_tpr;       /* 060 */
	uint8_t v_irq;       /* bit 0 V_IRQ, bit 1 VGIF */
	uint8_t v_prio;      /* bits 3:0 priority, bit 4 V_IGN_TPR */
	uint8_t v_control;   /* bit 0 V_INTR_MASKING, bit 1 VGIF enable, bit 7 AVIC */
	uint8_t v_vector, reserved3[3];
	uint64_t shadow;     /* 068: bit 0 interrupt shadow */
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info; /* 070 */
	uint64_t np_enable;  /* 090: bit 0 */
	uint8_t reserved4[0xa8 - 0x98];
	uint64_t event_inj;  /* 0a8 */
	uint64_t n_cr3;      /* 0b0 */
	uint64_t lbr;        /* 0b8 */
	uint32_t clean, reserved5; /* 0c0 */
	uint64_t next_rip;   /* 0c8 */
	uint8_t insn_bytes, insn[15]; /* 0d0 */
	uint8_t reserved6[0x400 - 0xe0];
	/* State-save area */
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 400 */
	uint8_t reserved7[0xcb - 0xa0];
	uint8_t cpl; /* 4cb */
	uint8_t reserved8[4];
	uint64_t efer; /* 4d0 */
	uint8_t reserved9[0x148 - 0xd8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548 */
	uint8_t reserved10[0x1d8 - 0x180];
	uint64_t rsp; /* 5d8 */
	uint8_t reserved11[0x1f8 - 0x1e0];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2; /* 5f8 */
	uint8_t reserved12[0x268 - 0x248];
	uint64_t pat, debugctl, br_from, br_to, last_excp_from, last_excp_to; /* 668 */
	uint8_t reserved13[0x1000 - 0x698];
};
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB size");
_Static_assert(offsetof(struct vmcb, v_tpr) == 0x60 && offsetof(struct vmcb, exit_code) == 0x70 && offsetof(struct vmcb, event_inj) == 0xa8 &&
	offsetof(struct vmcb, next_rip) == 0xc8 && offsetof(struct vmcb, es) == 0x400 && offsetof(struct vmcb, cpl) == 0x4cb &&
	offsetof(struct vmcb, efer) == 0x4d0 && offsetof(struct vmcb, cr4) == 0x548 && offsetof(struct vmcb, rsp) == 0x5d8 &&
	offsetof(struct vmcb, rax) == 0x5f8 && offsetof(struct vmcb, cr2) == 0x640 && offsetof(struct vmcb, pat) == 0x668, "VMCB layout");

/* Exit codes: also the bit numbers of the intercepts (code - 0x60 in intercept1, - 0x80 in intercept2). */
enum svm_exit_code {
	SVM_CR0_READ = 0x00, SVM_CR0_WRITE = 0x10, SVM_DR0_READ = 0x20, SVM_DR0_WRITE = 0x30, SVM_EXCP0 = 0x40,
	SVM_INTR = 0x60, SVM_NMI, SVM_SMI, SVM_INIT, SVM_VINTR, SVM_CR0_SEL_WRITE, SVM_IDTR_READ, SVM_GDTR_READ, SVM_LDTR_READ, SVM_TR_READ,
	SVM_IDTR_WRITE, SVM_GDTR_WRITE, SVM_LDTR_WRITE, SVM_TR_WRITE, SVM_RDTSC, SVM_RDPMC, SVM_PUSHF, SVM_POPF, SVM_CPUID, SVM_RSM, SVM_IRET,
	SVM_SWINT, SVM_INVD, SVM_PAUSE, SVM_HLT, SVM_INVLPG, SVM_INVLPGA, SVM_IOIO, SVM_MSR, SVM_TASK_SWITCH, SVM_FERR_FREEZE, SVM_SHUTDOWN,
	SVM_VMRUN = 0x80, SVM_VMMCALL, SVM_VMLOAD, SVM_VMSAVE, SVM_STGI, SVM_CLGI, SVM_SKINIT, SVM_RDTSCP, SVM_ICEBP, SVM_WBINVD, SVM_MONITOR,
	SVM_MWAIT, SVM_MWAIT_CONDITIONAL, SVM_XSETBV, SVM_RDPRU, SVM_EFER_WRITE_TRAP, SVM_CR0_WRITE_TRAP,
	SVM_INVLPGB = 0xa0, SVM_INVLPGB_ILLEGAL, SVM_INVPCID, SVM_MCOMMIT, SVM_TLBSYNC, SVM_BUSLOCK, SVM_IDLE_HLT,
	SVM_NPF = 0x400, SVM_AVIC_INCOMPLETE_IPI, SVM_AVIC_NOACCEL, SVM_VMGEXIT,
};
#define SVM_INVALID (~0ull)
#define SVM_BUSY (~1ull)

#define VMCB_V_INTR_MASKING 1u
#define VMCB_V_IGN_TPR 0x10u
#define VMCB_EVENT_VALID (1ull << 31)
#define VMCB_EVENT_ERROR (1ull << 11)
#define VMCB_TLB_FLUSH_ALL 1
#define VMCB_TLB_FLUSH_ASID 3

/* Clean bits (APM 15.15.3): set for state that has not changed since the last VMRUN of this VMCB on this core. */
#define VMCB_CLEAN_INTERCEPTS (1u << 0)
#define VMCB_CLEAN_IOPM (1u << 1)
#define VMCB_CLEAN_ASID (1u << 2)
#define VMCB_CLEAN_TPR (1u << 3)
#define VMCB_CLEAN_NP (1u << 4)
#define VMCB_CLEAN_CR (1u << 5)
#define VMCB_CLEAN_DR (1u << 6)
#define VMCB_CLEAN_DT (1u << 7)
#define VMCB_CLEAN_SEG (1u << 8)
#define VMCB_CLEAN_CR2 (1u << 9)
#define VMCB_CLEAN_LBR (1u << 10)
#define VMCB_CLEAN_ALL 0x7ffu

#endif
