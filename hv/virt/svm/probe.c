/* What this machine's AMD-V offers (APM vol. 2, 15.4 "enabling SVM", and CPUID Fn8000_000A in vol. 3). */
#include "virt/svm/svm_impl.h"

#include <errno.h>

#define VM_CR_SVMDIS (1u << 4)

struct svm_features svm_features;

int svm_probe(void)
{
	if (x86_cpuid(0x80000000, 0).eax < 0x8000000a || !(x86_cpuid(0x80000001, 0).ecx & 4))
		return -ENODEV;
	if (x86_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
		virt_refuse("AMD-V is disabled by firmware (VM_CR.SVMDIS): turn on SVM in the machine's setup");
		return -ENODEV;
	}
	struct x86_cpuid svm = x86_cpuid(0x8000000a, 0);
	if (!(svm.edx & 1)) {
		virt_refuse("its processor's AMD-V has no nested paging (CPUID 8000_000Ah EDX bit 0)");
		return -ENODEV;
	}
	svm_features = (struct svm_features){
		.limits = {.asids = svm.ebx,
			.phys_bits = (uint8_t)x86_cpuid(0x80000008, 0).eax,
			.cr4_valid = 0xfffffffful,
			.efer_valid = 0xff01},
		.next_rip = svm.edx >> 3 & 1,
		.clean_bits = svm.edx >> 5 & 1,
		.flush_by_asid = svm.edx >> 6 & 1,
		.pause_filter = svm.edx >> 10 & 1 && svm.edx >> 12 & 1,
		.gib_pages = x86_cpuid(0x80000001, 0).edx >> 26 & 1,
	};
	if (svm_features.limits.asids < 2) {
		virt_refuse("its processor's AMD-V has no address space identifiers");
		return -ENODEV;
	}
	return 0;
}
