/*
 * VMX exit reasons (SDM vol. 3, appendix C) in neutral form: one const row for every basic reason. A row says which exit fields it needs;
 * vmx.c reads only those. A row that cannot happen with our controls says so, and ends the VM instead of guessing.
 */
#include "virt/vmx/vmx_impl.h"

struct vmx_exit_row {
	uint8_t reason; /* enum virt_exit_reason */
	uint8_t wants;  /* VMX_WANT_* */
	void (*decode)(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e);
	const char *text; /* VEXIT_CRASH: what happened */
};

static void crash(const struct vmx_exit *x, struct virt_exit *e, const char *text)
{
	e->reason = VEXIT_CRASH;
	e->code = x->reason;
	e->info1 = x->qualification;
	e->info2 = x->row->wants & VMX_WANT_EVENT ? x->event : x->row->wants & VMX_WANT_PHYSICAL ? x->guest_physical : 0;
	e->u.text = text;
}

/* Exceptions and NMIs (28.2.2): the interruption information says which. */
static void decode_event(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	uint8_t vector = (uint8_t)x->event;
	if (EVENT_TYPE(x->event) == VMX_NMI) {
		e->reason = VEXIT_NMI;
		return;
	}
	if (vector != X86_DB && vector != X86_AC) {
		crash(x, e, vector == X86_MC ? "machine check of the host while the guest ran" : "exception: not intercepted");
		return;
	}
	if (EVENT_TYPE(x->event) == VMX_PRIVILEGED) /* ICEBP: a trap, but RIP is still there (28.2.4) */
		v->rip += x->insn_len;
	else if (vector == X86_DB)
		vmx_debug_exception(v, x->qualification);
	e->u.exception.vector = vector;
	e->u.exception.has_error = x->event & EVENT_ERROR;
	e->u.exception.error = x->event_error;
	e->u.exception.cr2 = 0;
}

static void decode_instruction(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	e->insn_len = (uint8_t)x->insn_len;
}

/* Table 28-5. */
static void decode_io(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	uint64_t q = x->qualification;
	if (q & 1u << 4)
		e->reason = VEXIT_IO_STRING;
	e->u.io.port = (uint16_t)(q >> 16);
	e->u.io.size = (uint8_t)((q & 7) + 1);
	e->u.io.in = q >> 3 & 1;
	e->insn_len = (uint8_t)x->insn_len;
}

/* Table 28-7: bit 7 linear address valid, bit 8 clear: the access was to a paging structure; bit 12: an IRET had opened NMIs. */
static void decode_violation(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	uint64_t q = x->qualification;
	e->u.memory.gpa = GPA(x->guest_physical);
	e->u.memory.write = q >> 1 & 1;
	e->u.memory.fetch = q >> 2 & 1;
	e->u.memory.page_table = (q >> 7 & 3) == 1;
	if (q & 1u << 12 && !e->interrupted.valid)
		vmx_block_nmi(v);
}

static void decode_cr(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	vmx_cr_access(v, x->qualification, x->insn_len);
}

static void decode_dr(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	vmx_dr_load(v);
}

/* Table 28-6: an access to the LAPIC's page that the processor does not do by itself: as to any device. */
static void decode_apic_access(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	unsigned type = x->qualification >> 12 & 15;
	e->u.memory.gpa = GPA(APIC_PAGE | (x->qualification & 0xfff));
	e->u.memory.write = type == 1;
	e->u.memory.fetch = type == 2;
	e->u.memory.page_table = false;
}

static void decode_eoi(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	e->u.vector = (uint8_t)x->qualification;
}

static void decode_apic_write(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	e->u.offset = x->qualification & 0xfff;
}

/* Table 28-7, bit 12 only. */
static void decode_log_full(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	vmx_pml_drain(v);
	if (x->qualification & 1u << 12 && !e->interrupted.valid)
		vmx_block_nmi(v);
}

/* 26.4.2 and table 28-2. An event that came by a task gate is not delivered again: the switch is its delivery. */
static void decode_task(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	struct virt_event *by = &e->interrupted;
	bool gate = (x->qualification >> 30 & 3) == VTASK_GATE;
	bool instruction =
		!gate || by->type == VEVENT_SOFTWARE || (by->type == VEVENT_EXCEPTION && (by->vector == X86_BP || by->vector == X86_OF));
	e->u.task = (struct virt_task){.selector = (uint16_t)x->qualification,
		.source = x->qualification >> 30 & 3,
		.skip = instruction ? (uint8_t)x->insn_len : 0,
		.has_error = gate && by->has_error,
		.error = by->error};
	if (gate && by->type == VEVENT_NMI)
		vmx_block_nmi(v);
	if (gate)
		by->valid = false;
}

static void decode_invalid(struct vcpu *v, const struct vmx_exit *x, struct virt_exit *e)
{
	const char *field = vmx_why_invalid(v);
	e->u.text = field ? field : "no rule of SDM vol. 3 ch. 27 is broken that we know";
}

#define CRASH(what)                                                                                                                        \
	{                                                                                                                                  \
		VEXIT_CRASH, VMX_WANT_QUALIFICATION, NULL, what                                                                            \
	}
#define UNDEFINED                                                                                                                          \
	{                                                                                                                                  \
		VEXIT_UNDEFINED, 0, NULL, NULL                                                                                             \
	}
#define INSTRUCTION(reason)                                                                                                                \
	{                                                                                                                                  \
		VEXIT_##reason, VMX_WANT_LENGTH, decode_instruction, NULL                                                                  \
	}
#define INVALID                                                                                                                            \
	{                                                                                                                                  \
		VEXIT_INVALID_STATE, VMX_WANT_QUALIFICATION, decode_invalid, NULL                                                          \
	}

static const struct vmx_exit_row rows[VMX_EXIT_COUNT] = {
	[0] = {VEXIT_EXCEPTION, VMX_WANT_EVENT | VMX_WANT_QUALIFICATION | VMX_WANT_LENGTH, decode_event, NULL},
	[1] = {VEXIT_INTERRUPT, VMX_WANT_EVENT, NULL, NULL}, /* valid: acknowledged, and handled by read_state */
	[2] = {VEXIT_SHUTDOWN, 0, NULL, NULL},
	[3] = CRASH("INIT sent to the host's processor"),
	[4] = CRASH("SIPI: no vCPU waits for one in the machine"),
	[5] = CRASH("I/O SMI: no SMM monitor"),
	[6] = CRASH("SMI: no SMM monitor"),
	[7] = {VEXIT_IRQ_WINDOW, 0, NULL, NULL},
	[8] = {VEXIT_NMI_OPEN, 0, NULL, NULL},
	[9] = {VEXIT_TASK_SWITCH, VMX_WANT_QUALIFICATION | VMX_WANT_LENGTH, decode_task, NULL},
	[10] = INSTRUCTION(CPUID),
	[11] = UNDEFINED, /* GETSEC */
	[12] = INSTRUCTION(HLT),
	[13] = INSTRUCTION(INVD),
	[14] = CRASH("INVLPG: not intercepted"),
	[15] = INSTRUCTION(RDPMC),
	[16] = CRASH("RDTSC: not intercepted"),
	[17] = UNDEFINED, /* RSM */
	[18] = INSTRUCTION(HYPERCALL),
	[19 ... 27] = UNDEFINED, /* VMCLEAR .. VMXON */
	[28] = {VEXIT_CONTROL_REGISTER, VMX_WANT_QUALIFICATION | VMX_WANT_LENGTH, decode_cr, NULL},
	[29] = {VEXIT_DEBUG_REGISTER, 0, decode_dr, NULL},
	[30] = {VEXIT_IO, VMX_WANT_QUALIFICATION | VMX_WANT_LENGTH, decode_io, NULL},
	[31] = INSTRUCTION(RDMSR),
	[32] = INSTRUCTION(WRMSR),
	[33] = INVALID,
	[34] = CRASH("VM entry: an MSR was refused; we load none"),
	[35] = CRASH("exit reason 35: not defined by the SDM"),
	[36] = UNDEFINED, /* MWAIT */
	[37] = CRASH("monitor trap flag: not enabled"),
	[38] = CRASH("exit reason 38: not defined by the SDM"),
	[39] = UNDEFINED, /* MONITOR */
	[40] = INSTRUCTION(PAUSE),
	[41] = CRASH("machine check of the host during VM entry"),
	[42] = CRASH("exit reason 42: not defined by the SDM"),
	[43] = {VEXIT_CONTROL_REGISTER, 0, NULL, NULL}, /* TPR below threshold: the new value is taken as after every exit */
	[44] = {VEXIT_MEMORY, VMX_WANT_QUALIFICATION, decode_apic_access, NULL},
	[45] = {VEXIT_EOI, VMX_WANT_QUALIFICATION, decode_eoi, NULL},
	[46] = CRASH("GDTR or IDTR access: not intercepted"),
	[47] = CRASH("LDTR or TR access: not intercepted"),
	[48] = {VEXIT_MEMORY, VMX_WANT_QUALIFICATION | VMX_WANT_PHYSICAL, decode_violation, NULL},
	[49] = {VEXIT_CRASH, VMX_WANT_QUALIFICATION | VMX_WANT_PHYSICAL, NULL, "EPT misconfiguration"},
	[50] = UNDEFINED, /* INVEPT */
	[51] = CRASH("RDTSCP: not intercepted"),
	[52] = CRASH("preemption timer: not enabled"),
	[53] = UNDEFINED, /* INVVPID */
	[54] = INSTRUCTION(WBINVD),
	[55] = INSTRUCTION(XSETBV),
	[56] = {VEXIT_APIC_WRITE, VMX_WANT_QUALIFICATION, decode_apic_write, NULL},
	[57] = CRASH("RDRAND: not intercepted"),
	[58] = CRASH("INVPCID: not intercepted"),
	[59] = UNDEFINED, /* VMFUNC */
	[60] = UNDEFINED, /* ENCLS */
	[61] = CRASH("RDSEED: not intercepted"),
	[62] = {VEXIT_LOG_FULL, VMX_WANT_QUALIFICATION, decode_log_full, NULL},
	[63] = UNDEFINED, /* XSAVES */
	[64] = UNDEFINED, /* XRSTORS */
	[65] = UNDEFINED, /* PCONFIG */
	[66] = CRASH("sub-page permission: not enabled"),
	[67] = UNDEFINED, /* UMWAIT */
	[68] = UNDEFINED, /* TPAUSE */
	[69] = UNDEFINED, /* LOADIWKEY */
	[70] = UNDEFINED, /* ENCLV */
	[71] = CRASH("exit reason 71: not defined by the SDM"),
	[72] = CRASH("ENQCMD PASID translation: not enabled"),
	[73] = CRASH("ENQCMDS PASID translation: not enabled"),
	[74] = CRASH("bus lock: not enabled"),
	[75] = CRASH("instruction timeout: not enabled"),
	[76] = UNDEFINED, /* SEAMCALL */
	[77] = UNDEFINED, /* TDCALL */
};

static const struct vmx_exit_row row_failed = INVALID;
static const struct vmx_exit_row row_unknown = CRASH("an exit reason that SDM appendix C does not list");

static const struct vmx_exit_row *row_of(uint32_t reason)
{
	uint32_t basic = reason & VMX_EXIT_BASIC;
	if (reason & VMX_EXIT_ENTRY_FAILED)
		return basic == VMX_EXIT_ENTRY_MC || basic == VMX_EXIT_MSR_LOAD ? &rows[basic] : &row_failed;
	return basic < VMX_EXIT_COUNT ? &rows[basic] : &row_unknown;
}

unsigned vmx_exit_begin(struct vmx_exit *x, uint32_t reason)
{
	x->reason = reason;
	x->row = row_of(reason);
	return x->row->wants;
}

/* INT n and ICEBP run again by themselves; INT3 and INTO, too, which the neutral side knows by their vectors. */
void vmx_event_from(uint32_t info, uint32_t error, struct virt_event *e)
{
	unsigned type = EVENT_TYPE(info);
	*e = (struct virt_event){.valid = info & EVENT_VALID};
	if (!e->valid)
		return;
	e->vector = (uint8_t)info;
	e->type = type == VMX_SOFTWARE_INT || type == VMX_PRIVILEGED ? VEVENT_SOFTWARE
		  : type == VMX_SOFTWARE                             ? VEVENT_EXCEPTION
								     : (uint8_t)type;
	e->has_error = info & EVENT_ERROR;
	e->error = e->has_error ? error : 0;
}

void vmx_decode_exit(struct vcpu *v, struct virt_exit *e)
{
	const struct vmx_exit *x = &v->virt->exit;
	e->insn_len = 0;
	e->reason = x->row->reason;
	if (x->row->decode)
		x->row->decode(v, x, e);
	else if (x->row->text)
		crash(x, e, x->row->text);
}
