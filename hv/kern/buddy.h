/*
 * A buddy allocator over physical pages that are all mapped at one offset. Free blocks are linked through their own memory; one byte a page keeps
 * what starts there. The caller serialises.
 */
#ifndef HV_KERN_BUDDY_H
#define HV_KERN_BUDDY_H

#include <hv/types.h>

#define BUDDY_MAX_ORDER 18u /* 1 GiB */

struct buddy_block {
	struct buddy_block *next, *prev;
};

struct buddy {
	char *base;     /* where page 0 is mapped; aligned to the largest block that is ever used */
	uint8_t *state; /* one byte a page: 0, or FREE/USED | order where a block starts */
	uint64_t pages; /* size of `state` */
	uint64_t total_pages, free_pages;
	struct buddy_block free[BUDDY_MAX_ORDER + 1]; /* list heads */
};

/* `state` has one zeroed byte for each of `pages`. */
void buddy_init(struct buddy *b, void *base, uint8_t *state, uint64_t pages);
/* Gives pages [first, end) to the allocator; each only once. */
void buddy_add(struct buddy *b, uint64_t first, uint64_t end);
/* 2^order pages, naturally aligned (as page numbers); NULL when there is none. Contents are left as they are. */
void *buddy_alloc(struct buddy *b, unsigned order);
/* n pages whose first is a multiple of align_pages (a power of two); NULL when there is none or n is beyond 2^BUDDY_MAX_ORDER. */
void *buddy_alloc_run(struct buddy *b, uint64_t n, uint64_t align_pages);
/* Gives back what the functions above gave. False, and nothing changed, when that is not what lies there (a double free). */
bool buddy_free(struct buddy *b, void *p, unsigned order) HV_MUST_CHECK;
bool buddy_free_run(struct buddy *b, void *p, uint64_t n) HV_MUST_CHECK;

#endif
