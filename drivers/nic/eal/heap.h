/*
 * DPDK's memory: allocations that are each physically contiguous, so that a device can be given any of them.
 *
 * The heap takes chunks of contiguous memory from hv and cuts them into elements; a header of one cache line precedes each. Elements of a
 * chunk tile it without gaps and know their neighbour below, so a freed one is joined with free neighbours; free ones wait in bins by size.
 * A chunk that is wholly free goes back to hv, but for the last. For set-up paths: takes a short spin lock, any core, loop context.
 */
#ifndef NIC_EAL_HEAP_H
#define NIC_EAL_HEAP_H

#include <hv/types.h>

#define EAL_HEAP_LINE 64u              /* least alignment, and what sizes are rounded up to */
#define EAL_HEAP_CHUNK (4u << 20)      /* bytes of an ordinary chunk */
#define EAL_HEAP_MAX ((size_t)1 << 40) /* a larger request, size or alignment, is refused */
#define EAL_HEAP_BINS 42u

struct eal_heap_element;
struct eal_heap_chunk;

/* All zero is an empty heap. */
struct eal_heap {
	int locked;
	struct eal_heap_chunk *chunks;
	struct eal_heap_element *bin[EAL_HEAP_BINS]; /* free elements of 2^n .. 2^(n+1)-1 bytes */
	size_t chunk_bytes, used_bytes;              /* both with headers */
};

/*
 * `bytes` (> 0) at a multiple of `align` (0 or a power of two; at least EAL_HEAP_LINE is taken). boundary (0 or a power of two): the memory
 * does not cross a multiple of it. Contents are undefined. NULL: none left, or arguments that cannot be met.
 */
void *eal_heap_alloc(struct eal_heap *h, size_t bytes, size_t align, size_t boundary);
/* p NULL: nothing. A pointer that is not an allocation, or was freed, is a broken invariant: panics. */
void eal_heap_free(struct eal_heap *h, void *p);
/* Bytes usable at p: at least what was asked for. */
size_t eal_heap_size(const void *p);

#endif
