/*
 * Text that waits for a serial port: whole lines in, bytes out. A line that finds no room is left out as a whole and counted, so what comes
 * out is never half a line. Owner: whoever holds the port's lock.
 */
#ifndef HV_KERN_LINE_RING_H
#define HV_KERN_LINE_RING_H

#include <hv/types.h>

struct line_ring {
	char *buf;             /* NULL: not there yet, nothing fits */
	uint32_t size;         /* power of two */
	uint32_t head, tail;   /* bytes ever put and taken, modulo 2^32 */
	uint64_t bytes;        /* ever put */
	uint64_t dropped;      /* lines that found no room */
	uint64_t dropped_told; /* of these, reported */
};

static inline uint32_t line_ring_used(const struct line_ring *r)
{
	return r->head - r->tail;
}

/* All of text, or nothing: false when that would leave less than `keep` bytes of room. */
bool line_ring_put(struct line_ring *r, const char *text, size_t len, uint32_t keep) HV_MUST_CHECK;
/* Takes up to `max` bytes out; returns how many. */
unsigned line_ring_take(struct line_ring *r, char *out, unsigned max);
/* Lines dropped that nobody was told about yet, once there is room again (half of the ring); they count as told then. */
uint64_t line_ring_news(struct line_ring *r);

#endif
