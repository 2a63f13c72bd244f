/*
 * A token bucket: `rate` units a second on the average, `burst` units at once. Units are what the user makes them: bits, frames.
 *
 * Exact: tokens are kept in units x 10^9, so that rate x nanoseconds is a whole number. A cost larger than the bucket passes when the
 * bucket is full, and leaves a debt; so a large frame does not wait for ever, and the rate holds. Limits: burst up to 9 * 10^9 units, cost
 * up to BUCKET_COST_MAX, rate up to 10^12.
 */
#ifndef VSWITCH_BUCKET_H
#define VSWITCH_BUCKET_H

#include <hv/types.h>

#define BUCKET_SCALE 1000000000ll
#define BUCKET_COST_MAX (8 * 131072ll) /* twice the largest frame, in bits */

struct vsw_bucket {
	uint64_t rate;
	int64_t full, tokens; /* x BUCKET_SCALE */
	uint64_t full_ns;     /* after so long it is full, whatever was taken */
	uint64_t then_ns;     /* tokens are as of then */
};

/* A full bucket. @pre rate >= 1 */
static inline void vsw_bucket_init(struct vsw_bucket *b, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
	b->rate = rate;
	b->full = b->tokens = (int64_t)burst * BUCKET_SCALE;
	b->full_ns = (uint64_t)(b->full + BUCKET_COST_MAX * BUCKET_SCALE) / rate + 1;
	b->then_ns = now_ns;
}

/* Other limits for a bucket in use: what is in it stays, up to the new size. */
static inline void vsw_bucket_change(struct vsw_bucket *b, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
	int64_t tokens = b->tokens;

	vsw_bucket_init(b, rate, burst, now_ns);
	b->tokens = tokens < b->full ? tokens : b->full;
}

/* Before a burst's vsw_bucket_has and _take. */
static inline void vsw_bucket_fill(struct vsw_bucket *b, uint64_t now_ns)
{
	uint64_t passed = now_ns - b->then_ns;

	b->then_ns = now_ns;
	if (passed < b->full_ns) {
		b->tokens += (int64_t)(passed * b->rate);
		if (b->tokens <= b->full)
			return;
	}
	b->tokens = b->full;
}

static inline int64_t vsw_bucket_need(const struct vsw_bucket *b, uint32_t cost)
{
	int64_t need = cost * BUCKET_SCALE;

	return need < b->full ? need : b->full;
}

static inline bool vsw_bucket_has(const struct vsw_bucket *b, uint32_t cost)
{
	return b->tokens >= vsw_bucket_need(b, cost);
}

/* Has it the whole cost, be it larger than the bucket? @pre cost < 2^33 */
static inline bool vsw_bucket_has_all(const struct vsw_bucket *b, uint64_t cost)
{
	return b->tokens >= (int64_t)cost * BUCKET_SCALE;
}

static inline void vsw_bucket_take(struct vsw_bucket *b, uint64_t cost)
{
	b->tokens -= (int64_t)cost * BUCKET_SCALE;
}

/* How long, from then_ns on, until it has `cost`; 0: now. */
static inline uint64_t vsw_bucket_wait_ns(const struct vsw_bucket *b, uint32_t cost)
{
	int64_t missing = vsw_bucket_need(b, cost) - b->tokens;

	return missing > 0 ? ((uint64_t)missing + b->rate - 1) / b->rate : 0;
}

#endif
