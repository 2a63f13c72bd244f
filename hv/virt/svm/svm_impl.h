/* AMD-V back end, its own parts: svm.c (verbs), probe.c (capabilities), npt.c (nested paging), exit.c (exit codes), check.c (VMRUN's rules), entry.S (world switch). */
#ifndef HV_VIRT_SVM_SVM_IMPL_H
#define HV_VIRT_SVM_SVM_IMPL_H

#include "virt/nested.h"
#include "virt/svm/check.h"
#include "virt/vcpu_impl.h"

/* vcpu.virt. Owned by the vCPU's core. */
struct virt_vcpu {
	struct vmcb *vmcb;
	uint64_t vmcb_pa;
	uint32_t nested_generation; /* of nested paging, when it took its ASID */
	uint64_t asid_generation; /* of its core's allocator; 0: has none */
	bool dr_live; /* DR0-3 are in the machine and not intercepted */
	bool window;     /* an exit is wanted as soon as an interrupt can be taken */
	bool virq;       /* interrupt virq_vector is to be delivered by the next entry */
	bool watch_cr8;
	uint8_t virq_vector;
	uint8_t virq_programmed; /* enum virq_use: what the VMCB and the VINTR intercept are set to */
};

/* vm.virt. Constant while the VM runs. */
struct virt_vm {
	struct nested npt;
};

struct svm_features {
	struct svm_limits limits;
	bool next_rip, flush_by_asid, clean_bits, gib_pages, pause_filter;
};
extern struct svm_features svm_features;
/* probe.c: the verb. */
int svm_probe(void);

/* entry.S: loads guest registers, VMRUN, stores them. @pre GIF = 0, RFLAGS.IF = 1. Returns with GIF = 0. */
void svm_world_switch(uint64_t *regs, uint64_t vmcb_pa, uint64_t host_pa);
/* exit.c: the VMCB's exit fields in neutral form. */
void svm_decode_exit(struct vcpu *v, struct virt_exit *e);
/* svm.c: the guest touched a debug register. */
void svm_dr_load(struct vcpu *v);
/* npt.c */
extern const struct nested_format svm_npt_format;

#endif
