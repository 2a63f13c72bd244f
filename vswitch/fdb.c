/*
 * MAC learning: an open hash table. Each address lies in a window of eight slots from its first place on, or, when that is full, in a
 * window elsewhere. Fixed size, no allocation; a lookup that succeeds nearly always ends at the first or second slot.
 *
 * Owner: the switch's core. States of an entry: free -> learned (stamp = tick of the last frame) -> free by ageing; or static (an own
 * guest's or vmk's address) until removed. Invariants: a key is in at most one slot; `spilled` of a first place (eight of them share a
 * counter) counts the addresses that lie outside their first window; `learned` counts all entries that are not static.
 *
 * Hostile sources: learning is limited per second and in total, hashing uses a secret multiplier, a static entry is never moved or evicted
 * by a frame, and a static entry evicts a learned one when its windows are full.
 */
#include "fdb.h"

#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <hv/rand.h>
#include <string.h>

/*
 * The multiplier's low 16 bits alone tell how addresses that differ in their last two bytes lie to each other: a rack of one vendor's NICs,
 * or VMs' generated addresses. 2^16 / golden ratio spreads any number of them evenly; 1 would crowd them. All other bits are secret.
 */
#define MULTIPLIER_LOW 0x9e37u
#define FDB_BYTES ((2 * FDB_TABLE + 1) * sizeof(uint64_t) + FDB_SLOTS / FDB_WINDOW * sizeof(uint16_t))

static uint16_t *spilled_of(const struct fdb *f, uint32_t first)
{
	return &f->spilled[first / FDB_WINDOW];
}

/* The other place of an address: from both halves of the product, so that addresses which crowd in their first places are apart in these.
 */
static uint32_t second_place(const struct fdb *f, uint64_t key)
{
	unsigned __int128 product = (unsigned __int128)key * f->multiplier;

	return (uint32_t)((uint64_t)(product >> 84) ^ (uint64_t)(product >> 20)) & (FDB_SLOTS - 1);
}

static uint32_t window_find(const struct fdb *f, uint32_t place, uint64_t key)
{
	for (uint32_t slot = place; slot < place + FDB_WINDOW; slot++) {
		if (f->key[slot] == key)
			return slot;
	}
	return FDB_NONE;
}

uint32_t fdb_find_far(const struct fdb *f, uint64_t key, uint32_t first)
{
	uint32_t slot = window_find(f, first, key);

	if (slot != FDB_NONE || !*spilled_of(f, first))
		return slot;
	return window_find(f, second_place(f, key), key);
}

uint64_t fdb_view_find_far(struct fdb *f, uint64_t key)
{
	uint32_t first = fdb_first(f, key), slot = fdb_find_far(f, key, first);

	if (slot == FDB_NONE && f->elsewhere) {
		slot = f->elsewhere(f, key);
		if (slot != FDB_NONE) {
			*fdb_memo_of(f, first + 1ull) = (struct fdb_memo){key, slot};
			f->memo_used = true;
		}
	}
	return slot == FDB_NONE ? FDB_ABSENT : slot;
}

void fdb_forget(struct fdb *f)
{
	for (unsigned i = 0; f->memo_used && i < FDB_MEMO; i++)
		f->memo[i] = (struct fdb_memo){0, FDB_ABSENT}; /* a frame may have the key 0 */
	f->memo_used = false;
}

static bool is_static(const struct fdb *f, uint32_t slot)
{
	return fdb_entry_stamp(f->entry[slot]) == FDB_STATIC;
}

bool fdb_is_static(const struct fdb *f, uint32_t slot)
{
	return slot != FDB_NONE && is_static(f, slot);
}

static void slot_clear(struct fdb *f, uint32_t slot)
{
	uint32_t first = fdb_first(f, f->key[slot]);

	if (slot - first >= FDB_WINDOW)
		--*spilled_of(f, first);
	if (!is_static(f, slot))
		f->learned--;
	fdb_forget(f);
	f->key[slot] = 0;
	f->entry[slot] = 0; /* no key is 0, but a frame may have it: it must find nothing */
}

static void slot_set(struct fdb *f, uint32_t slot, uint64_t key, uint16_t port, uint32_t stamp)
{
	uint32_t first = fdb_first(f, key);

	if (slot - first >= FDB_WINDOW)
		++*spilled_of(f, first);
	if (stamp != FDB_STATIC)
		f->learned++;
	fdb_forget(f);
	f->key[slot] = key;
	f->entry[slot] = fdb_entry(stamp, port);
}

/* Makes room in a full window: one of its learned entries goes to its other window, if there is room. The slot that is free now. */
static uint32_t slot_vacate(struct fdb *f, uint32_t place)
{
	for (uint32_t slot = place; slot < place + FDB_WINDOW; slot++) {
		uint64_t key = f->key[slot], entry = f->entry[slot];
		uint32_t first = fdb_first(f, key), other;

		if (is_static(f, slot))
			continue;
		other = window_find(f, slot - first < FDB_WINDOW ? second_place(f, key) : first, 0);
		if (other == FDB_NONE)
			continue;
		slot_clear(f, slot);
		slot_set(f, other, key, fdb_entry_port(entry), fdb_entry_stamp(entry));
		return slot;
	}
	return FDB_NONE;
}

/* A free slot for key, its first window first; with evict also one that holds a learned entry (which is dropped). */
static uint32_t slot_for(struct fdb *f, uint64_t key, bool evict)
{
	uint32_t places[2] = {fdb_first(f, key), second_place(f, key)};

	for (unsigned i = 0; i < 2; i++) {
		uint32_t slot = window_find(f, places[i], 0);

		if (slot != FDB_NONE)
			return slot;
	}
	for (unsigned i = 0; i < 2; i++) {
		uint32_t slot = slot_vacate(f, places[i]);

		if (slot != FDB_NONE)
			return slot;
	}
	for (uint32_t i = 0; evict && i < 2 * FDB_WINDOW; i++) {
		uint32_t slot = places[i / FDB_WINDOW] + i % FDB_WINDOW;

		if (!is_static(f, slot)) {
			slot_clear(f, slot);
			return slot;
		}
	}
	return FDB_NONE;
}

int fdb_create(struct fdb *f)
{
	char *memory = hv_contig_alloc(FDB_BYTES, HV_PAGE_SIZE);

	*f = (struct fdb){.tick = 1, .tokens = FDB_LEARN_PER_TICK, .memo_used = true};
	if (!memory)
		return trace_error(-ENOMEM);
	f->key = (uint64_t *)memory;
	f->entry = f->key + FDB_TABLE;
	f->entry[FDB_ABSENT] = FDB_NO_ENTRY;
	f->spilled = (uint16_t *)(f->entry + FDB_TABLE + 1);
	hv_random(&f->multiplier, sizeof(f->multiplier));
	f->multiplier = (f->multiplier & ~0xffffull) | MULTIPLIER_LOW;
	fdb_forget(f);
	return 0;
}

void fdb_destroy(struct fdb *f)
{
	if (f->key)
		hv_contig_free(f->key, FDB_BYTES);
	f->key = NULL;
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
		f->entry[slot] = fdb_entry(f->tick, port);
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
	for (uint32_t slot = 0; slot < FDB_TABLE; slot++) {
		if (f->key[slot] && gone(arg, f->key[slot], fdb_slot_port(f, slot), is_static(f, slot)))
			slot_clear(f, slot);
	}
}

void fdb_remove_port(struct fdb *f, uint16_t port)
{
	for (uint32_t slot = 0; slot < FDB_TABLE; slot++) {
		if (f->key[slot] && fdb_slot_port(f, slot) == port)
			slot_clear(f, slot);
	}
}

/* The whole table is swept every ageing_s / 4 seconds at the latest (at most 16 seconds), a slice per tick. */
void fdb_tick(struct fdb *f, uint32_t ageing_s)
{
	uint32_t rounds = HV_MAX(1u, HV_MIN(16u, ageing_s / 4));
	uint32_t slice = FDB_TABLE / rounds + 1;

	f->tick++;
	f->tokens = FDB_LEARN_PER_TICK;
	for (uint32_t i = 0; i < slice; i++) {
		uint32_t slot = f->sweep;

		if (f->key[slot] && !is_static(f, slot) && f->tick - fdb_entry_stamp(f->entry[slot]) > ageing_s)
			slot_clear(f, slot);
		f->sweep = slot + 1 == FDB_TABLE ? 0 : slot + 1;
	}
}

const size_t fdb_saved_bytes = sizeof(struct fdb) + FDB_BYTES;

void *fdb_save(const struct fdb *f)
{
	uint8_t *saved = hv_contig_alloc(fdb_saved_bytes, HV_PAGE_SIZE);

	if (!saved)
		return NULL;
	memcpy(saved, f, sizeof(*f));
	memcpy(saved + sizeof(*f), f->key, FDB_BYTES);
	return saved;
}

void fdb_saved_free(void *saved)
{
	hv_contig_free(saved, fdb_saved_bytes);
}

void fdb_restore(struct fdb *f, void *saved)
{
	memcpy(f, saved, sizeof(*f));
	memcpy(f->key, (const uint8_t *)saved + sizeof(*f), FDB_BYTES);
	fdb_saved_free(saved);
}
