/* Why a VM entry would refuse a VMCS. */
#ifndef HV_VIRT_VMX_CHECK_H
#define HV_VIRT_VMX_CHECK_H

#include "virt/vmx/vmcs.h"

/* What the processor allows: low half must be 1, high half may be 1 (appendix A.3 to A.5); fixed bits of CR0 and CR4 (A.7, A.8). */
struct vmx_limits {
	uint64_t pin, proc, proc2, exit, entry;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint8_t phys_bits;   /* CPUID 8000_0008h EAX[7:0] */
	bool ept_wb, ept_ad; /* IA32_VMX_EPT_VPID_CAP bits 14, 21 */
};

/* The first rule of SDM vol. 3, 27.2 and 27.3 that the VMCS breaks, "field: rule"; NULL when there is none. Pure. */
const char *vmx_check(const struct vmcs_image *b, const struct vmx_limits *limits);

#endif
