/* The host's page tables. Bare metal only. */
#ifndef HV_ARCH_PAGING_H
#define HV_ARCH_PAGING_H

#include <hv/types.h>
#include "kern/ranges.h"

enum paging_rights {
	PAGING_RW = 1u << 0,
	PAGING_EXEC = 1u << 1,
	PAGING_UNCACHED = 1u << 2,
};

/*
 * Makes the root with the image, `writable` and `readable` (disjoint) in the direct map; takes page-table pages from `free` (below 4 GiB: the boot page tables
 * reach no further). Then activates it.
 */
void paging_init(const struct ranges *writable, const struct ranges *readable, struct ranges *free);
/* From here on page tables come from the page allocator. */
void paging_use_allocator(void);
/* Physical address of the root, for other cores. */
uint64_t paging_root(void);
/* Control-register bits that every core uses (WP, NX, SMEP, SMAP, UMIP where present). */
void paging_init_core(void);
/* Adds mappings; all sizes and addresses multiples of 4 KiB. @pre not mapped. False when out of memory. Serialised inside. */
bool paging_map(uint64_t va, uint64_t pa, uint64_t bytes, unsigned rights) HV_MUST_CHECK;
/* Walks the tables; false when not mapped. */
bool paging_lookup(uint64_t va, uint64_t *pa) HV_MUST_CHECK;
/* Maps firmware tables read-only, cached; NULL when out of memory. Never unmapped. */
const void *paging_map_firmware(uint64_t pa, uint64_t bytes);

#endif
