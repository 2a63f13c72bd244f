/* See line_ring.h. */
#include "kern/line_ring.h"

bool line_ring_put(struct line_ring *r, const char *text, size_t len, uint32_t keep)
{
	uint32_t room = r->size - line_ring_used(r);

	if (room < keep || len > room - keep) {
		r->dropped++;
		return false;
	}
	for (size_t i = 0; i < len; i++)
		r->buf[(r->head + i) & (r->size - 1)] = text[i];
	r->head += (uint32_t)len;
	r->bytes += len;
	return true;
}

unsigned line_ring_take(struct line_ring *r, char *out, unsigned max)
{
	unsigned n = HV_MIN(line_ring_used(r), max);

	for (unsigned i = 0; i < n; i++)
		out[i] = r->buf[(r->tail + i) & (r->size - 1)];
	r->tail += n;
	return n;
}

uint64_t line_ring_news(struct line_ring *r)
{
	uint64_t news = r->dropped - r->dropped_told;

	if (!news || line_ring_used(r) > r->size / 2)
		return 0;
	r->dropped_told = r->dropped;
	return news;
}
