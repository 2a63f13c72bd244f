/* Host memory: pages, slabs, address translation. */
#ifndef HV_MEM_H
#define HV_MEM_H

#include <hv/types.h>

enum hv_page_order { HV_ORDER_4K = 0, HV_ORDER_2M = 9, HV_ORDER_1G = 18 };

/*
 * 2^order pages, naturally aligned, zeroed, physically contiguous, mapped in the direct map (RW, NX). NULL when there is none.
 * Any core, loop context. Takes a short lock: not for data paths.
 */
void *hv_pages_alloc(unsigned order);
void hv_pages_free(void *p, unsigned order);
/* Any number of bytes, rounded up to pages, zeroed, physically contiguous, align a power of two >= 4096. Control paths. */
void *hv_contig_alloc(size_t bytes, size_t align);
void hv_contig_free(void *p, size_t bytes);
/* Bytes of memory that the allocator manages, and how many are free. */
void hv_mem_usage(uint64_t *total_bytes, uint64_t *free_bytes);

/* Translation for memory of the direct map and of the image. Any context. */
hpa_t hv_virt_to_phys(const void *p);
void *hv_phys_to_virt(hpa_t pa);
/* Maps device registers uncached, RW, NX; -ENOMEM/-EINVAL -> NULL. Control paths. */
void *hv_mmio_map(hpa_t pa, size_t bytes);

/* ---- slabs: objects of one size, owned by one core, no lock ---- */
struct hv_slab {
	const char *name;
	size_t object_bytes;
	void *base;
	void *free_list;
	unsigned in_use, capacity;
};
/* Reserves room for `capacity` objects at once; get never allocates. -ENOMEM. */
int hv_slab_init(struct hv_slab *s, const char *name, size_t object_bytes, unsigned capacity) HV_MUST_CHECK;
/* NULL when all are in use: the caller leaves its work queued (back-pressure). Contents are not zeroed. Owner core. */
void *hv_slab_get(struct hv_slab *s);
void hv_slab_put(struct hv_slab *s, void *object);
void hv_slab_destroy(struct hv_slab *s);

#endif
