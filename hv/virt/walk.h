/*
 * The guest's own page tables, walked in software (SDM vol. 3 ch. 4, APM vol. 2 ch. 5): for instruction fetch and emulation.
 * Pure: a context of control registers and guest memory in, guest-physical address or page-fault error code out.
 */
#ifndef HV_VIRT_WALK_H
#define HV_VIRT_WALK_H

#include "virt/gmem.h"

struct walk {
	struct gmem *gmem;
	uint64_t cr0, cr3, cr4, efer, rflags;
	uint8_t cpl;
	uint8_t phys_bits; /* 0: 52 */
};

enum walk_access { WALK_READ = 0, WALK_WRITE = 1, WALK_FETCH = 2, WALK_IMPLICIT = 4 /* supervisor access whatever the CPL */ };

/*
 * Translates gva for `access`, setting accessed and dirty bits as the machine does. 0 and *gpa; -EFAULT: the guest gets #PF with *error and
 * CR2 = gva; -ENXIO: a page table is not in RAM. Exit context.
 */
int walk_translate(const struct walk *w, uint64_t gva, unsigned access, gpa_t *gpa, uint32_t *error) HV_MUST_CHECK;

#endif
