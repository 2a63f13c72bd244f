/*
 * SVM exit codes (APM vol. 2, appendix C) in neutral form: one const row for every code. A row without a decoder needs none; a row that cannot
 * happen with our intercepts says so, and ends the VM instead of guessing.
 */
#include "virt/svm/svm_impl.h"

struct row {
	uint8_t reason; /* enum virt_exit_reason */
	void (*decode)(struct vcpu *v, const struct vmcb *b, struct virt_exit *e);
	const char *text; /* VEXIT_CRASH: what happened */
};

/* An intercepted instruction: its length, when the processor tells (NRIP save, APM 15.7.1). */
static void decode_instruction(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	if (svm_features.next_rip) {
		e->insn_len = (uint8_t)(b->next_rip - b->rip);
		return;
	}
	e->code_at.cs_base = b->cs.base;
	e->code_at.cs_attr = b->cs.attr;
	e->code_at.cr3 = b->cr3;
}

/* 15.10.2: EXITINFO1 describes the access, EXITINFO2 is the next RIP on every processor. */
static void decode_io(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	uint32_t info = (uint32_t)b->exit_info1;
	if (info & 4)
		e->reason = VEXIT_IO_STRING;
	e->u.io.port = (uint16_t)(info >> 16);
	e->u.io.size = (info >> 4 & 7);
	e->u.io.in = info & 1;
	e->insn_len = (uint8_t)(b->exit_info2 - b->rip);
}

static void decode_msr(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	e->reason = b->exit_info1 & 1 ? VEXIT_WRMSR : VEXIT_RDMSR;
	decode_instruction(v, b, e);
}

/* 15.25.6: EXITINFO1 is a page-fault error code; bit 33 is set for a fault in the guest's page walk. */
static void decode_npf(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	e->u.memory.gpa = GPA(b->exit_info2);
	e->u.memory.write = b->exit_info1 >> 1 & 1;
	e->u.memory.fetch = b->exit_info1 >> 4 & 1;
	e->u.memory.page_table = b->exit_info1 >> 33 & 1;
}

static void decode_exception(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	e->u.exception.vector = (uint8_t)(b->exit_code - SVM_EXCP0);
	e->u.exception.has_error = e->u.exception.vector == X86_AC;
	e->u.exception.error = (uint32_t)b->exit_info1;
}

static void decode_dr(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	svm_dr_load(v);
}

static void decode_invalid(struct vcpu *v, const struct vmcb *b, struct virt_exit *e)
{
	const char *field = svm_check(b, &svm_features.limits);
	e->u.text = field ? field : "no rule of APM 15.5.1 is broken that we know";
}

#define CRASH(what) {VEXIT_CRASH, NULL, what}
#define UNDEFINED {VEXIT_UNDEFINED, NULL, NULL}
#define INSTRUCTION(reason) {VEXIT_##reason, decode_instruction, NULL}

static const struct row rows[] = {
	[SVM_CR0_READ... SVM_CR0_READ + 15] = CRASH("control register read: not intercepted"),
	[SVM_CR0_WRITE... SVM_CR0_WRITE + 3] = CRASH("control register write: not intercepted"),
	[SVM_CR0_WRITE + 4] = INSTRUCTION(CR_ACCESS),
	[SVM_CR0_WRITE + 5 ... SVM_CR0_WRITE + 7] = CRASH("control register write: not intercepted"),
	[SVM_CR0_WRITE + 8] = INSTRUCTION(CR_ACCESS),
	[SVM_CR0_WRITE + 9 ... SVM_CR0_WRITE + 15] = CRASH("control register write: not intercepted"),
	[SVM_DR0_READ... SVM_DR0_READ + 15] = {VEXIT_DEBUG_REGISTER, decode_dr, NULL},
	[SVM_DR0_WRITE... SVM_DR0_WRITE + 15] = {VEXIT_DEBUG_REGISTER, decode_dr, NULL},
	[SVM_EXCP0] = CRASH("#DE: not intercepted"),
	[SVM_EXCP0 + X86_DB] = {VEXIT_EXCEPTION, decode_exception, NULL},
	[SVM_EXCP0 + 2 ... SVM_EXCP0 + 16] = CRASH("exception: not intercepted"),
	[SVM_EXCP0 + X86_AC] = {VEXIT_EXCEPTION, decode_exception, NULL},
	[SVM_EXCP0 + X86_MC] = CRASH("machine check of the host while the guest ran"),
	[SVM_EXCP0 + 19 ... SVM_EXCP0 + 31] = CRASH("exception: not intercepted"),
	[SVM_INTR] = {VEXIT_INTERRUPT, NULL, NULL},
	[SVM_NMI] = {VEXIT_NMI, NULL, NULL},
	[SVM_SMI] = CRASH("SMI: not intercepted"),
	[SVM_INIT] = CRASH("INIT sent to the host's processor"),
	[SVM_VINTR] = {VEXIT_IRQ_WINDOW, NULL, NULL},
	[SVM_CR0_SEL_WRITE] = CRASH("CR0 selective write: not intercepted"),
	[SVM_IDTR_READ... SVM_TR_WRITE] = CRASH("descriptor table access: not intercepted"),
	[SVM_RDTSC] = CRASH("RDTSC: not intercepted"),
	[SVM_RDPMC] = INSTRUCTION(RDPMC),
	[SVM_PUSHF] = CRASH("PUSHF: not intercepted"),
	[SVM_POPF] = CRASH("POPF: not intercepted"),
	[SVM_CPUID] = INSTRUCTION(CPUID),
	[SVM_RSM] = UNDEFINED,
	[SVM_IRET] = {VEXIT_NMI_WINDOW, NULL, NULL},
	[SVM_SWINT] = CRASH("INT n: not intercepted"),
	[SVM_INVD] = INSTRUCTION(INVD),
	[SVM_PAUSE] = INSTRUCTION(PAUSE),
	[SVM_HLT] = INSTRUCTION(HLT),
	[SVM_INVLPG] = CRASH("INVLPG: not intercepted"),
	[SVM_INVLPGA] = UNDEFINED,
	[SVM_IOIO] = {VEXIT_IO, decode_io, NULL},
	[SVM_MSR] = {VEXIT_RDMSR, decode_msr, NULL},
	[SVM_TASK_SWITCH] = CRASH("task switch: not intercepted"),
	[SVM_FERR_FREEZE] = CRASH("FERR freeze: not intercepted"),
	[SVM_SHUTDOWN] = {VEXIT_SHUTDOWN, NULL, NULL},
	[SVM_VMRUN] = UNDEFINED,
	[SVM_VMMCALL] = INSTRUCTION(HYPERCALL),
	[SVM_VMLOAD... SVM_SKINIT] = UNDEFINED,
	[SVM_RDTSCP] = CRASH("RDTSCP: not intercepted"),
	[SVM_ICEBP] = CRASH("ICEBP: not intercepted"),
	[SVM_WBINVD] = INSTRUCTION(WBINVD),
	[SVM_MONITOR... SVM_MWAIT_CONDITIONAL] = UNDEFINED,
	[SVM_XSETBV] = INSTRUCTION(XSETBV),
	[SVM_RDPRU] = UNDEFINED,
	[SVM_EFER_WRITE_TRAP] = CRASH("EFER write trap: not enabled"),
	[SVM_CR0_WRITE_TRAP... SVM_CR0_WRITE_TRAP + 15] = CRASH("control register write trap: not enabled"),
	[SVM_INVLPGB] = UNDEFINED,
	[SVM_INVLPGB_ILLEGAL] = UNDEFINED,
	[SVM_INVPCID] = CRASH("INVPCID: not intercepted"),
	[SVM_MCOMMIT] = UNDEFINED,
	[SVM_TLBSYNC] = UNDEFINED,
	[SVM_BUSLOCK] = CRASH("bus lock: not intercepted"),
	[SVM_IDLE_HLT] = CRASH("idle HLT: not intercepted"),
};

static const struct row rows_400[] = {
	[SVM_NPF - SVM_NPF] = {VEXIT_MEMORY, decode_npf, NULL},
	[SVM_AVIC_INCOMPLETE_IPI - SVM_NPF] = CRASH("AVIC incomplete IPI: AVIC is off"),
	[SVM_AVIC_NOACCEL - SVM_NPF] = CRASH("AVIC unaccelerated access: AVIC is off"),
	[SVM_VMGEXIT - SVM_NPF] = CRASH("VMGEXIT: SEV-ES is off"),
};

static const struct row row_invalid = {VEXIT_INVALID_STATE, decode_invalid, NULL};
static const struct row row_busy = CRASH("VMCB busy");
static const struct row row_unknown = CRASH("an exit code that APM 3.42 does not list");

static const struct row *row_of(uint64_t code)
{
	if (code < HV_ARRAY_LEN(rows))
		return &rows[code];
	if (code - SVM_NPF < HV_ARRAY_LEN(rows_400))
		return &rows_400[code - SVM_NPF];
	if (code == SVM_INVALID)
		return &row_invalid;
	return code == SVM_BUSY ? &row_busy : &row_unknown;
}

static void crash(const struct vmcb *b, struct virt_exit *e, const char *text)
{
	e->code = b->exit_code;
	e->info1 = b->exit_info1;
	e->info2 = b->exit_info2;
	e->u.text = text;
}

void svm_decode_exit(struct vcpu *v, struct virt_exit *e)
{
	const struct vmcb *b = v->virt->vmcb;
	const struct row *row = row_of(b->exit_code);
	e->insn_len = 0;
	e->reason = row->reason;
	if (row->decode)
		row->decode(v, b, e);
	else if (row->reason == VEXIT_CRASH)
		crash(b, e, row->text);
}
