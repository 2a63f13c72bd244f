/*
 * MAC learning: a hash table of 64-byte buckets with four entries, each address in one of two candidate buckets. Fixed size, no allocation;
 * a lookup touches one cache line unless its bucket has spilled.
 *
 * Owner: the switch's core. States of an entry: free -> learned (stamp = tick of the last frame) -> free by ageing; or static (an own
 * guest's or vmk's address) until removed. Invariants: a key is in at most one slot; `spilled` of a bucket counts the entries whose first
 * bucket it is and that lie in their second; `learned` counts all entries that are not static.
 *
 * Hostile sources: learning is limited per second and in total, hashing uses a secret multiplier, a static entry is never moved or evicted
 * by a frame, and a static entry evicts a learned one when its buckets are full.
 */
#include "fdb.h"

#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <hv/rand.h>

#define FDB_BYTES (FDB_BUCKETS * sizeof(struct fdb_bucket))

static bool is_static(const struct fdb *f, uint32_t slot)
{
	return f->buckets[slot / FDB_WAYS].stamp[slot % FDB_WAYS] == FDB_STATIC;
}

bool fdb_is_static(const struct fdb *f, uint32_t slot)
{
	return slot != FDB_NONE && is_static(f, slot);
}

static void slot_clear(struct fdb *f, uint32_t slot)
{
	struct fdb_bucket *b = &f->buckets[slot / FDB_WAYS];
	unsigned way = slot % FDB_WAYS;
	uint32_t first = fdb_first(f, b->key[way]);

	if (first != slot / FDB_WAYS)
		f->buckets[first].spilled--;
	if (b->stamp[way] != FDB_STATIC)
		f->learned--;
	b->key[way] = 0;
}

static void slot_set(struct fdb *f, uint32_t slot, uint64_t key, uint16_t port, uint32_t stamp)
{
	struct fdb_bucket *b = &f->buckets[slot / FDB_WAYS];
	unsigned way = slot % FDB_WAYS;
	uint32_t first = fdb_first(f, key);

	if (first != slot / FDB_WAYS)
		f->buckets[first].spilled++;
	if (stamp != FDB_STATIC)
		f->learned++;
	b->key[way] = key;
	b->port[way] = port;
	b->stamp[way] = stamp;
}

/* Makes room in a full bucket: one of its learned entries goes to its other bucket, if there is room. The slot that is free now. */
static uint32_t slot_vacate(struct fdb *f, uint32_t bucket)
{
	for (uint32_t way = 0; way < FDB_WAYS; way++) {
		uint32_t slot = bucket * FDB_WAYS + way, other;
		const struct fdb_bucket copy = f->buckets[bucket];

		if (is_static(f, slot))
			continue;
		other = fdb_probe(f, fdb_second(f, copy.key[way], bucket), 0);
		if (other == FDB_NONE)
			continue;
		slot_clear(f, slot);
		slot_set(f, other, copy.key[way], copy.port[way], copy.stamp[way]);
		return slot;
	}
	return FDB_NONE;
}

/* A free slot for key, first bucket first; with evict also one that holds a learned entry (which is dropped). */
static uint32_t slot_for(struct fdb *f, uint64_t key, bool evict)
{
	uint32_t first = fdb_first(f, key);
	uint32_t candidates[2] = {first, fdb_second(f, key, first)};

	for (unsigned i = 0; i < 2; i++) {
		uint32_t slot = fdb_probe(f, candidates[i], 0);

		if (slot != FDB_NONE)
			return slot;
	}
	for (unsigned i = 0; i < 2; i++) {
		uint32_t slot = slot_vacate(f, candidates[i]);

		if (slot != FDB_NONE)
			return slot;
	}
	for (uint32_t i = 0; evict && i < 2 * FDB_WAYS; i++) {
		uint32_t slot = candidates[i / FDB_WAYS] * FDB_WAYS + i % FDB_WAYS;

		if (!is_static(f, slot)) {
			slot_clear(f, slot);
			return slot;
		}
	}
	return FDB_NONE;
}

int fdb_create(struct fdb *f)
{
	*f = (struct fdb){.tick = 1, .tokens = FDB_LEARN_PER_TICK};
	f->buckets = hv_contig_alloc(FDB_BYTES, HV_PAGE_SIZE);
	if (!f->buckets)
		return trace_error(-ENOMEM);
	hv_random(&f->multiplier, sizeof(f->multiplier));
	f->multiplier |= 1;
	return 0;
}

void fdb_destroy(struct fdb *f)
{
	if (f->buckets)
		hv_contig_free(f->buckets, FDB_BYTES);
	f->buckets = NULL;
}

enum fdb_learn fdb_learn_slow(struct fdb *f, uint32_t slot, uint64_t key, uint16_t port)
{
	if (slot != FDB_NONE && is_static(f, slot))
		return FDB_OWNED;
	if (!f->tokens || (slot == FDB_NONE && f->learned >= FDB_LEARNED_MAX)) {
		f->refused++;
		return FDB_REFUSED;
	}
	f->tokens--;
	if (slot != FDB_NONE) {
		f->buckets[slot / FDB_WAYS].port[slot % FDB_WAYS] = port;
		f->buckets[slot / FDB_WAYS].stamp[slot % FDB_WAYS] = f->tick;
		return FDB_LEARNED;
	}
	slot = slot_for(f, key, false);
	if (slot == FDB_NONE) {
		f->refused++;
		return FDB_REFUSED;
	}
	slot_set(f, slot, key, port, f->tick);
	return FDB_LEARNED;
}

int fdb_static_add(struct fdb *f, uint64_t key, uint16_t port)
{
	uint32_t slot = fdb_find(f, key);

	if (slot != FDB_NONE && is_static(f, slot))
		return fdb_slot_port(f, slot) == port ? 0 : -EEXIST;
	if (slot != FDB_NONE)
		slot_clear(f, slot);
	else
		slot = slot_for(f, key, true);
	if (slot == FDB_NONE)
		return trace_error(-ENOSPC);
	slot_set(f, slot, key, port, FDB_STATIC);
	return 0;
}

void fdb_remove(struct fdb *f, uint64_t key)
{
	uint32_t slot = fdb_find(f, key);

	if (slot != FDB_NONE)
		slot_clear(f, slot);
}

void fdb_remove_if(struct fdb *f, bool (*gone)(void *arg, uint64_t key, uint16_t port, bool is_static), void *arg)
{
	for (uint32_t slot = 0; slot < FDB_BUCKETS * FDB_WAYS; slot++) {
		uint64_t key = f->buckets[slot / FDB_WAYS].key[slot % FDB_WAYS];

		if (key && gone(arg, key, fdb_slot_port(f, slot), is_static(f, slot)))
			slot_clear(f, slot);
	}
}

void fdb_remove_port(struct fdb *f, uint16_t port)
{
	for (uint32_t slot = 0; slot < FDB_BUCKETS * FDB_WAYS; slot++) {
		if (f->buckets[slot / FDB_WAYS].key[slot % FDB_WAYS] && fdb_slot_port(f, slot) == port)
			slot_clear(f, slot);
	}
}

static void bucket_expire(struct fdb *f, uint32_t bucket, uint32_t ageing_s)
{
	const struct fdb_bucket *b = &f->buckets[bucket];

	for (uint32_t way = 0; way < FDB_WAYS; way++) {
		if (b->key[way] && b->stamp[way] != FDB_STATIC && f->tick - b->stamp[way] > ageing_s)
			slot_clear(f, bucket * FDB_WAYS + way);
	}
}

/* The whole table is swept every ageing_s / 4 seconds at the latest (at most 16 seconds), a slice per tick. */
void fdb_tick(struct fdb *f, uint32_t ageing_s)
{
	uint32_t rounds = HV_MAX(1u, HV_MIN(16u, ageing_s / 4));
	uint32_t slice = FDB_BUCKETS / rounds + 1;

	f->tick++;
	f->tokens = FDB_LEARN_PER_TICK;
	for (uint32_t i = 0; i < slice; i++) {
		bucket_expire(f, f->sweep, ageing_s);
		f->sweep = (f->sweep + 1) % FDB_BUCKETS;
	}
}
