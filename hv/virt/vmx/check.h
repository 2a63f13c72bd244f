/* Why a VM entry would refuse a VMCS. */
#ifndef HV_VIRT_VMX_CHECK_H
#define HV_VIRT_VMX_CHECK_H

#include "virt/vmx/vmcs.h"

/* What the processor allows: low half must be 1, high half may be 1 (appendix A.3 to A.5); fixed bits of CR0 and CR4 (A.7, A.8). */
struct vmx_limits {
	uint64_t pin, proc, proc2, exit, entry;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint64_t basic, misc;           /* IA32_VMX_BASIC, IA32_VMX_MISC (A.1, A.6) */
	uint8_t phys_bits, linear_bits; /* CPUID 8000_0008h EAX[7:0], [15:8] */
	bool ept_uc, ept_wb, ept_ad;    /* IA32_VMX_EPT_VPID_CAP bits 8, 14, 21 */
};

/* Which bits of a present PDPTE must be 0 (SDM vol. 3, table 4-8). */
static inline uint64_t vmx_pdpte_reserved(uint8_t phys_bits)
{
	return ~0ull << phys_bits | 0x1e6;
}

/* Why Berth cannot use a processor with this IA32_VMX_BASIC (A.1), a clause about "this machine"; NULL: it can. Pure. */
const char *vmx_check_basic(uint64_t basic);
/* The first rule of SDM vol. 3, 27.2 and 27.3 that the VMCS breaks, "field: rule"; NULL when there is none. Pure. */
const char *vmx_check(const struct vmcs_image *b, const struct vmx_limits *limits);

#endif
