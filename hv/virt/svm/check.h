/* Why VMRUN would refuse a VMCB. */
#ifndef HV_VIRT_SVM_CHECK_H
#define HV_VIRT_SVM_CHECK_H

#include "virt/svm/vmcb.h"

struct svm_limits {
	uint32_t asids;     /* CPUID Fn8000_000A_EBX */
	uint8_t phys_bits;  /* CPUID Fn8000_0008_EAX[7:0] */
	uint64_t cr4_valid; /* CR4 bits that the processor has */
	uint64_t efer_valid;
};

/* The first consistency rule of APM vol. 2, 15.5.1 that the VMCB breaks, "field: rule"; NULL when there is none. Pure. */
const char *svm_check(const struct vmcb *b, const struct svm_limits *limits);

#endif
