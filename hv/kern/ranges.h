/* A small set of address ranges, sorted and disjoint: the memory map at boot. Fixed room, no allocation. */
#ifndef HV_KERN_RANGES_H
#define HV_KERN_RANGES_H

#include <hv/types.h>

#define RANGES_MAX 256

struct range {
	uint64_t start, end; /* [start, end) */
};

struct ranges {
	struct range r[RANGES_MAX];
	unsigned count;
};

/* Adds [start, end); overlaps merge. Nothing for an empty range. False when there is no room (the set is unchanged). */
bool ranges_add(struct ranges *set, uint64_t start, uint64_t end) HV_MUST_CHECK;
/* Takes [start, end) out. False when a split has no room (the set is unchanged). */
bool ranges_remove(struct ranges *set, uint64_t start, uint64_t end) HV_MUST_CHECK;
/* Takes `bytes` aligned to `align` (a power of two) from the top of the highest range below `limit`. False when there is none. */
bool ranges_take(struct ranges *set, uint64_t bytes, uint64_t align, uint64_t limit, uint64_t *start) HV_MUST_CHECK;

#endif
