/* The MAC table (forwarding database). One per vSwitch; the key carries the broadcast domain, so equal MACs in two VLANs are two entries.
 */
#ifndef VSWITCH_FDB_H
#define VSWITCH_FDB_H

#include <hv/types.h>

#define FDB_BUCKETS 8192u /* power of two */
#define FDB_WAYS 4u
#define FDB_LEARNED_MAX 16384u   /* half of the slots: two candidate buckets then nearly always have room */
#define FDB_LEARN_PER_TICK 4096u /* new or moved addresses per second: a flood of sources cannot churn the table */
#define FDB_STATIC UINT32_MAX    /* stamp of an entry that neither ages nor moves */
#define FDB_NONE UINT32_MAX

struct fdb_bucket {
	uint64_t key[FDB_WAYS];   /* 0 = free */
	uint32_t stamp[FDB_WAYS]; /* tick of the last frame from that address */
	uint16_t port[FDB_WAYS];
	uint32_t spilled; /* entries that belong here and lie in their second bucket */
	uint32_t pad;
} HV_CACHE_ALIGNED;

struct fdb {
	struct fdb_bucket *buckets;
	uint64_t multiplier; /* secret and odd: outsiders cannot aim at one bucket */
	uint32_t tick;       /* seconds */
	uint32_t learned, tokens, sweep;
	uint64_t refused;
};

enum fdb_learn { FDB_KNOWN, FDB_LEARNED, FDB_REFUSED, FDB_OWNED };

/* A MAC as its six bytes lie in memory (little-endian load), and the key of a MAC in a broadcast domain (domain >= 1: no key is 0). */
static inline uint64_t fdb_key(uint64_t mac, uint16_t domain)
{
	return mac << 16 | domain;
}

/* -ENOMEM */
int fdb_create(struct fdb *f) HV_MUST_CHECK;
void fdb_destroy(struct fdb *f);
/* Slot for fdb_slot_*, or FDB_NONE. */
static inline uint32_t fdb_find(const struct fdb *f, uint64_t key);
/*
 * A frame with source `key` came from `port`: refreshes, learns or moves the entry. FDB_OWNED: a static entry of another port has the
 * address; FDB_REFUSED: no room or too fast, counted; the frame is forwarded all the same.
 */
static inline enum fdb_learn fdb_learn(struct fdb *f, uint64_t key, uint16_t port);
enum fdb_learn fdb_learn_slow(struct fdb *f, uint32_t slot, uint64_t key, uint16_t port);
/* An address that belongs to `port` for good; takes over a learned entry. -EEXIST: static at another port; -ENOSPC: both buckets are full
 * of static ones. */
int fdb_static_add(struct fdb *f, uint64_t key, uint16_t port) HV_MUST_CHECK;
/* Is this slot (or FDB_NONE) a static entry? */
bool fdb_is_static(const struct fdb *f, uint32_t slot);
void fdb_remove(struct fdb *f, uint64_t key);
/* Removes every entry, learned or static, for which gone() says so. Walks the whole table. */
void fdb_remove_if(struct fdb *f, bool (*gone)(void *arg, uint64_t key, uint16_t port, bool is_static), void *arg);
void fdb_remove_port(struct fdb *f, uint16_t port);
/* Once a second: refills the learning allowance and expires, in a part of the table, what was unused for ageing_s seconds. */
void fdb_tick(struct fdb *f, uint32_t ageing_s);

static inline uint32_t fdb_first(const struct fdb *f, uint64_t key)
{
	return (uint32_t)((key * f->multiplier) >> 51) & (FDB_BUCKETS - 1);
}

/* The other candidate; applying it twice leads back, so it works from either. Never the bucket itself. */
static inline uint32_t fdb_second(const struct fdb *f, uint64_t key, uint32_t first)
{
	return first ^ (((uint32_t)((key * f->multiplier) >> 20) & (FDB_BUCKETS - 1)) | 1);
}

static inline uint32_t fdb_probe(const struct fdb *f, uint32_t bucket, uint64_t key)
{
	const struct fdb_bucket *b = &f->buckets[bucket];

	for (uint32_t way = 0; way < FDB_WAYS; way++) {
		if (b->key[way] == key)
			return bucket * FDB_WAYS + way;
	}
	return FDB_NONE;
}

static inline uint32_t fdb_find(const struct fdb *f, uint64_t key)
{
	uint32_t first = fdb_first(f, key);
	uint32_t slot = fdb_probe(f, first, key);

	if (__builtin_expect(slot != FDB_NONE || !f->buckets[first].spilled, 1))
		return slot;
	return fdb_probe(f, fdb_second(f, key, first), key);
}

static inline uint16_t fdb_slot_port(const struct fdb *f, uint32_t slot)
{
	return f->buckets[slot / FDB_WAYS].port[slot % FDB_WAYS];
}

static inline enum fdb_learn fdb_learn(struct fdb *f, uint64_t key, uint16_t port)
{
	uint32_t slot = fdb_find(f, key);

	if (__builtin_expect(slot != FDB_NONE && fdb_slot_port(f, slot) == port, 1)) {
		uint32_t *stamp = &f->buckets[slot / FDB_WAYS].stamp[slot % FDB_WAYS];

		if (*stamp < f->tick) /* a static stamp is the greatest value */
			*stamp = f->tick;
		return FDB_KNOWN;
	}
	return fdb_learn_slow(f, slot, key, port);
}

#endif
