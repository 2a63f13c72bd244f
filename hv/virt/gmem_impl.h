/* Guest memory: making it, and what nested paging needs to know of it. Users of guest memory need only gmem.h. */
#ifndef HV_VIRT_GMEM_IMPL_H
#define HV_VIRT_GMEM_IMPL_H

#include "virt/gmem.h"

#define GMEM_LOW_MAX 0xc0000000ull /* RAM below 4 GiB ends here; the hole up to 4 GiB is for devices */
#define GMEM_MAX_BYTES (1ull << 40)

/* -EINVAL (zero, not a multiple of 2 MiB, over 1 TiB), -ENOMEM. Fiber (yields between zeroing pages) or loop context. */
int gmem_create(uint64_t bytes, struct gmem **out) HV_MUST_CHECK;
/* @pre nothing refers to it any more. NULL allowed. */
void gmem_destroy(struct gmem *m);
uint64_t gmem_bytes(const struct gmem *m);
/* Host memory of the 2 MiB unit at gpa (a multiple of 2 MiB), NULL when it is not RAM. */
void *gmem_unit(const struct gmem *m, gpa_t gpa);

/* ---- the dirty log's bits (dirty.c): one a 4 KiB page, in order of guest memory without its hole ---- */
/* The page of gpa; false: not RAM. Any context. */
bool gmem_page(const struct gmem *m, gpa_t gpa, uint64_t *page);
gpa_t gmem_page_gpa(const struct gmem *m, uint64_t page);
/* All bits clear, and writes set them. -ENOMEM. */
int gmem_log_start(struct gmem *m) HV_MUST_CHECK;
void gmem_log_stop(struct gmem *m);
/* Takes 64 pages' bits. */
uint64_t gmem_log_take(struct gmem *m, size_t word);

#endif
