/* Page blocks, see buddy.h. A run that is not a power of two is a sequence of naturally aligned blocks, cut the same way when it is freed. */
#include "kern/buddy.h"

#define STATE_FREE 0x80u
#define STATE_USED 0x40u

static struct buddy_block *block_at(const struct buddy *b, uint64_t page)
{
	return (struct buddy_block *)(b->base + page * HV_PAGE_SIZE);
}

static uint64_t page_of(const struct buddy *b, const void *p)
{
	return (uint64_t)((const char *)p - b->base) / HV_PAGE_SIZE;
}

static void list_add(struct buddy *b, uint64_t page, unsigned order)
{
	struct buddy_block *head = &b->free[order], *block = block_at(b, page);

	block->next = head->next;
	block->prev = head;
	head->next->prev = block;
	head->next = block;
	b->state[page] = (uint8_t)(STATE_FREE | order);
}

static void list_remove(struct buddy *b, uint64_t page)
{
	struct buddy_block *block = block_at(b, page);

	block->next->prev = block->prev;
	block->prev->next = block->next;
	b->state[page] = 0;
}

/* Puts a block back, joined with its free neighbours. */
static void release(struct buddy *b, uint64_t page, unsigned order)
{
	b->state[page] = 0;
	b->free_pages += 1ull << order;
	while (order < BUDDY_MAX_ORDER) {
		uint64_t other = page ^ 1ull << order;

		if (other >= b->pages || b->state[other] != (STATE_FREE | order))
			break;
		list_remove(b, other);
		page = HV_MIN(page, other);
		order++;
	}
	list_add(b, page, order);
}

/* The largest block that starts at `page` and ends by `end`. */
static unsigned cut(uint64_t page, uint64_t end)
{
	unsigned order = 0;

	while (order < BUDDY_MAX_ORDER && page % (2ull << order) == 0 && page + (2ull << order) <= end)
		order++;
	return order;
}

void buddy_init(struct buddy *b, void *base, uint8_t *state, uint64_t pages)
{
	b->base = base;
	b->state = state;
	b->pages = pages;
	b->total_pages = b->free_pages = 0;
	for (unsigned i = 0; i <= BUDDY_MAX_ORDER; i++)
		b->free[i].next = b->free[i].prev = &b->free[i];
}

void buddy_add(struct buddy *b, uint64_t first, uint64_t end)
{
	end = HV_MIN(end, b->pages);
	while (first < end) {
		unsigned order = cut(first, end);

		release(b, first, order);
		b->total_pages += 1ull << order;
		first += 1ull << order;
	}
}

void *buddy_alloc(struct buddy *b, unsigned order)
{
	unsigned have = order;
	uint64_t page;

	while (have <= BUDDY_MAX_ORDER && b->free[have].next == &b->free[have])
		have++;
	if (have > BUDDY_MAX_ORDER)
		return NULL;
	page = page_of(b, b->free[have].next);
	list_remove(b, page);
	while (have > order) {
		have--;
		list_add(b, page + (1ull << have), have);
	}
	b->state[page] = (uint8_t)(STATE_USED | order);
	b->free_pages -= 1ull << order;
	return block_at(b, page);
}

bool buddy_free(struct buddy *b, void *p, unsigned order)
{
	uint64_t page = page_of(b, p);

	if (page >= b->pages || b->state[page] != (STATE_USED | order))
		return false;
	release(b, page, order);
	return true;
}

void *buddy_alloc_run(struct buddy *b, uint64_t n, uint64_t align_pages)
{
	uint64_t page, end, whole = HV_MAX(n, align_pages);
	unsigned order = 0;
	void *p;

	if (!n || whole > 1ull << BUDDY_MAX_ORDER)
		return NULL;
	while (1ull << order < whole)
		order++;
	p = buddy_alloc(b, order);
	if (!p)
		return NULL;
	page = page_of(b, p);
	end = page + (1ull << order);
	b->state[page] = 0;
	for (uint64_t at = page; at < page + n;) {
		unsigned part = cut(at, page + n);

		b->state[at] = (uint8_t)(STATE_USED | part);
		at += 1ull << part;
	}
	for (uint64_t at = page + n; at < end;) {
		unsigned part = cut(at, end);

		release(b, at, part);
		at += 1ull << part;
	}
	return p;
}

bool buddy_free_run(struct buddy *b, void *p, uint64_t n)
{
	uint64_t page = page_of(b, p), end = page + n;

	if (page >= b->pages || n > b->pages - page)
		return false;
	for (uint64_t at = page; at < end;) {
		unsigned part = cut(at, end);

		if (b->state[at] != (STATE_USED | part))
			return false;
		at += 1ull << part;
	}
	for (uint64_t at = page; at < end;) {
		unsigned part = cut(at, end);

		release(b, at, part);
		at += 1ull << part;
	}
	return true;
}
