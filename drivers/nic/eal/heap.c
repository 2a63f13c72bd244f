/*
 * The heap of heap.h. Owner: whoever holds h->locked.
 *
 * Invariants, checked by tests/unit/drivers/nic/eal/test_heap.c after each step:
 *  1. the elements of a chunk follow each other from its first line to its end; `below` of each is the one before it, NULL for the first;
 *  2. no two neighbours are both free;
 *  3. a free element is in exactly the bin of its size; a used one is in none.
 */
#include "eal/heap.h"

#include <hv/log.h>
#include <hv/mem.h>

enum element_state { ELEMENT_FREE = 0x46524545, ELEMENT_USED = 0x55534544 }; /* unlikely by accident */

struct eal_heap_chunk {
	struct eal_heap_chunk *next, *prev;
	size_t bytes; /* of the whole chunk, this header included */
} HV_CACHE_ALIGNED;

struct eal_heap_element {
	size_t bytes; /* this header included; a multiple of EAL_HEAP_LINE */
	struct eal_heap_element *below;
	struct eal_heap_chunk *chunk;
	uint64_t state;
	struct eal_heap_element *next, *prev; /* in the bin, while free */
} HV_CACHE_ALIGNED;

_Static_assert(sizeof(struct eal_heap_chunk) == EAL_HEAP_LINE, "elements start at the chunk's second line");
_Static_assert(sizeof(struct eal_heap_element) == EAL_HEAP_LINE, "the header is one line");

static void lock(struct eal_heap *h)
{
	while (__atomic_exchange_n(&h->locked, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void unlock(struct eal_heap *h)
{
	__atomic_store_n(&h->locked, 0, __ATOMIC_RELEASE);
}

static unsigned bin_of(size_t bytes)
{
	return 63u - (unsigned)__builtin_clzll(bytes);
}

static void bin_insert(struct eal_heap *h, struct eal_heap_element *e)
{
	struct eal_heap_element **bin = &h->bin[bin_of(e->bytes)];

	e->state = ELEMENT_FREE;
	e->prev = NULL;
	e->next = *bin;
	if (e->next)
		e->next->prev = e;
	*bin = e;
}

static void bin_remove(struct eal_heap *h, struct eal_heap_element *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		h->bin[bin_of(e->bytes)] = e->next;
	if (e->next)
		e->next->prev = e->prev;
}

static struct eal_heap_element *above(const struct eal_heap_element *e)
{
	char *end = (char *)e + e->bytes;

	return end == (char *)e->chunk + e->chunk->bytes ? NULL : (struct eal_heap_element *)end;
}

/* Cuts e after `bytes`; the upper part becomes an element of its own, in no bin yet. */
static struct eal_heap_element *split(struct eal_heap_element *e, size_t bytes)
{
	struct eal_heap_element *upper = (struct eal_heap_element *)((char *)e + bytes), *next = above(e);

	upper->bytes = e->bytes - bytes;
	upper->chunk = e->chunk;
	upper->below = e;
	e->bytes = bytes;
	if (next)
		next->below = upper;
	return upper;
}

/* Where in the free element e an allocation can start (address of its memory, not of its header), or 0. */
static uintptr_t place(const struct eal_heap_element *e, size_t bytes, size_t align, size_t boundary)
{
	uintptr_t end = (uintptr_t)e + e->bytes, at = HV_ALIGN_UP((uintptr_t)(e + 1), align);

	if (boundary && HV_ALIGN_DOWN(at, boundary) != HV_ALIGN_DOWN(at + bytes - 1, boundary))
		at = HV_ALIGN_UP(HV_ALIGN_UP(at, boundary), align);
	return at <= end && end - at >= bytes ? at : 0;
}

static struct eal_heap_element *find(struct eal_heap *h, size_t bytes, size_t align, size_t boundary, uintptr_t *at)
{
	for (unsigned bin = bin_of(bytes + EAL_HEAP_LINE); bin < EAL_HEAP_BINS; bin++) {
		for (struct eal_heap_element *e = h->bin[bin]; e; e = e->next) {
			*at = place(e, bytes, align, boundary);
			if (*at)
				return e;
		}
	}
	return NULL;
}

/* A new chunk that holds the request wherever its memory happens to lie. */
static bool grow(struct eal_heap *h, size_t bytes, size_t align, size_t boundary)
{
	size_t want = HV_ALIGN_UP(2 * EAL_HEAP_LINE + bytes + align + boundary, (size_t)HV_PAGE_SIZE);
	struct eal_heap_chunk *c;
	struct eal_heap_element *e;

	want = HV_MAX(want, (size_t)EAL_HEAP_CHUNK);
	c = hv_contig_alloc(want, HV_PAGE_SIZE);
	if (!c)
		return false;
	c->bytes = want;
	c->prev = NULL;
	c->next = h->chunks;
	if (c->next)
		c->next->prev = c;
	h->chunks = c;
	h->chunk_bytes += want;
	e = (struct eal_heap_element *)(c + 1);
	e->bytes = want - sizeof(*c);
	e->below = NULL;
	e->chunk = c;
	bin_insert(h, e);
	return true;
}

/* Takes [at - header, at + bytes) out of the free element e; what is left on either side stays free. */
static void *take(struct eal_heap *h, struct eal_heap_element *e, uintptr_t at, size_t bytes)
{
	size_t front = at - (uintptr_t)(e + 1);

	bin_remove(h, e);
	if (front) {
		struct eal_heap_element *lower = e;

		e = split(lower, front);
		bin_insert(h, lower);
	}
	if (e->bytes - EAL_HEAP_LINE - bytes >= EAL_HEAP_LINE)
		bin_insert(h, split(e, EAL_HEAP_LINE + bytes));
	e->state = ELEMENT_USED;
	h->used_bytes += e->bytes;
	return e + 1;
}

static bool power_of_two(size_t x)
{
	return x && !(x & (x - 1));
}

void *eal_heap_alloc(struct eal_heap *h, size_t bytes, size_t align, size_t boundary)
{
	struct eal_heap_element *e;
	uintptr_t at;
	void *p = NULL;

	align = HV_MAX(align, (size_t)EAL_HEAP_LINE);
	if (!bytes || bytes > EAL_HEAP_MAX || align > EAL_HEAP_MAX || !power_of_two(align))
		return NULL;
	if (boundary && (!power_of_two(boundary) || boundary < bytes || boundary > EAL_HEAP_MAX))
		return NULL;
	bytes = HV_ALIGN_UP(bytes, (size_t)EAL_HEAP_LINE);
	boundary = boundary >= bytes ? boundary : 0; /* smaller than a line, and a line starts at it: cannot be crossed */
	lock(h);
	e = find(h, bytes, align, boundary, &at);
	if (!e && grow(h, bytes, align, boundary))
		e = find(h, bytes, align, boundary, &at);
	if (e)
		p = take(h, e, at, bytes);
	unlock(h);
	return p;
}

/* Makes e and its upper neighbour `up`, neither in a bin, one element: e. */
static void join(struct eal_heap_element *e, struct eal_heap_element *up)
{
	struct eal_heap_element *next;

	e->bytes += up->bytes;
	up->state = 0;
	next = above(e);
	if (next)
		next->below = e;
}

/* Joins e, which is in no bin, with its free neighbours; returns the result. */
static struct eal_heap_element *join_neighbours(struct eal_heap *h, struct eal_heap_element *e)
{
	struct eal_heap_element *up = above(e), *down = e->below;

	if (up && up->state == ELEMENT_FREE) {
		bin_remove(h, up);
		join(e, up);
	}
	if (down && down->state == ELEMENT_FREE) {
		bin_remove(h, down);
		join(down, e);
		e = down;
	}
	return e;
}

static void give_back(struct eal_heap *h, struct eal_heap_chunk *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		h->chunks = c->next;
	if (c->next)
		c->next->prev = c->prev;
	h->chunk_bytes -= c->bytes;
	hv_contig_free(c, c->bytes);
}

void eal_heap_free(struct eal_heap *h, void *p)
{
	struct eal_heap_element *e;
	struct eal_heap_chunk *c;

	if (!p)
		return;
	hv_assert((uintptr_t)p % EAL_HEAP_LINE == 0);
	e = (struct eal_heap_element *)p - 1;
	lock(h);
	hv_assert(e->state == ELEMENT_USED);
	h->used_bytes -= e->bytes;
	e = join_neighbours(h, e);
	c = e->chunk;
	if (e->bytes == c->bytes - sizeof(*c) && (c->next || c->prev))
		give_back(h, c);
	else
		bin_insert(h, e);
	unlock(h);
}

size_t eal_heap_size(const void *p)
{
	return ((const struct eal_heap_element *)p - 1)->bytes - EAL_HEAP_LINE;
}
