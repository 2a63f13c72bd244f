/*
 * The consistency checks of VMRUN (APM vol. 2, 15.5.1 "Basic Operation", list of illegal states; 15.20 for injected events). VMEXIT_INVALID
 * tells only that one of them failed; this names it. Plain data in, text out, so that it is tested natively.
 */
#include "virt/svm/check.h"

#include "virt/x86.h"

static bool page_aligned_below(uint64_t pa, uint64_t bytes, uint8_t phys_bits)
{
	uint64_t limit = 1ull << phys_bits;
	return pa < limit && limit - pa >= bytes && !(pa & 0xfff);
}

static bool canonical(uint64_t va)
{
	int64_t top = (int64_t)va >> 47;
	return top == 0 || top == -1;
}

static const char *check_control(const struct vmcb *b, const struct svm_limits *l)
{
	if (!(b->intercept2 & 1u << (SVM_VMRUN - 0x80)))
		return "intercept2: VMRUN must be intercepted";
	if (b->asid == 0)
		return "asid: must not be 0";
	if (b->asid >= l->asids)
		return "asid: not below the processor's number of ASIDs";
	if (!page_aligned_below(b->msrpm_pa & ~0xfffull, 0x2000, l->phys_bits))
		return "msrpm_pa: reaches beyond the physical address space";
	if (!page_aligned_below(b->iopm_pa & ~0xfffull, 0x3000, l->phys_bits))
		return "iopm_pa: reaches beyond the physical address space";
	if (b->np_enable & 1 && !page_aligned_below(b->n_cr3 & ~0xfffull, 0x1000, l->phys_bits))
		return "n_cr3: reaches beyond the physical address space";
	return NULL;
}

static const char *check_event(const struct vmcb *b)
{
	if (!(b->event_inj & VMCB_EVENT_VALID))
		return NULL;
	unsigned type = b->event_inj >> 8 & 7, vector = b->event_inj & 0xff;
	if (type == 1 || type > 4)
		return "event_inj: reserved type";
	if (type == 3 && vector == X86_NMI)
		return "event_inj: vector 2 is not an exception";
	if (type == 3 && vector > 31)
		return "event_inj: exception vector above 31";
	if (type == 3 && vector == X86_BR && b->efer & EFER_LMA && b->cs.attr & SEG_L)
		return "event_inj: #BR cannot happen in 64-bit mode";
	return NULL;
}

static const char *check_registers(const struct vmcb *b, const struct svm_limits *l)
{
	if (!(b->efer & EFER_SVME))
		return "efer: SVME is zero";
	if (b->efer & ~l->efer_valid)
		return "efer: reserved bit set";
	if (!(b->cr0 & CR0_CD) && b->cr0 & CR0_NW)
		return "cr0: NW set while CD is clear";
	if (b->cr0 >> 32)
		return "cr0: bits 63:32 not zero";
	if (b->cr0 & CR0_PG && !(b->cr0 & CR0_PE))
		return "cr0: PG set while PE is clear";
	if (b->cr4 & ~l->cr4_valid)
		return "cr4: reserved bit set";
	if (b->efer & EFER_LMA && b->cr3 >> l->phys_bits)
		return "cr3: bits beyond the physical address width";
	if (b->dr6 >> 32)
		return "dr6: bits 63:32 not zero";
	if (b->dr7 >> 32)
		return "dr7: bits 63:32 not zero";
	return NULL;
}

static const char *check_long_mode(const struct vmcb *b)
{
	bool lme_pg = b->efer & EFER_LME && b->cr0 & CR0_PG;
	if (lme_pg && !(b->cr4 & CR4_PAE))
		return "cr4: PAE is zero while EFER.LME and CR0.PG are set";
	if (lme_pg && !(b->cr0 & CR0_PE))
		return "cr0: PE is zero while EFER.LME and CR0.PG are set";
	if (lme_pg && b->cr4 & CR4_PAE && b->cs.attr & SEG_L && b->cs.attr & SEG_DB)
		return "cs: L and D are both set in long mode";
	return NULL;
}

static const char *check_bases(const struct vmcb *b)
{
	if (!canonical(b->fs.base))
		return "fs: base is not canonical";
	if (!canonical(b->gs.base))
		return "gs: base is not canonical";
	if (!canonical(b->tr.base))
		return "tr: base is not canonical";
	if (!canonical(b->ldtr.base))
		return "ldtr: base is not canonical";
	return NULL;
}

const char *svm_check(const struct vmcb *b, const struct svm_limits *limits)
{
	const char *bad = check_registers(b, limits);
	if (!bad)
		bad = check_long_mode(b);
	if (!bad)
		bad = check_control(b, limits);
	if (!bad)
		bad = check_event(b);
	if (!bad)
		bad = check_bases(b);
	return bad;
}
