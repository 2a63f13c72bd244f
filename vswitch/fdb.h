/* The MAC table (forwarding database). One per vSwitch; the key carries the broadcast domain, so equal MACs in two VLANs are two entries.
 */
#ifndef VSWITCH_FDB_H
#define VSWITCH_FDB_H

#include <hv/types.h>

#define FDB_SLOTS 32768u /* power of two */
#define FDB_WINDOW 8u    /* an address lies in one of so many slots from its first, or its second, place on */
#define FDB_TABLE (FDB_SLOTS + FDB_WINDOW)
#define FDB_ABSENT FDB_TABLE     /* a slot without key, for what is not in the table */
#define FDB_LEARNED_MAX 16384u   /* half of the slots: two windows then nearly always have room */
#define FDB_LEARN_PER_TICK 4096u /* new or moved addresses per second: a flood of sources cannot churn the table */
#define FDB_STATIC UINT32_MAX    /* stamp of an entry that neither ages nor moves */
#define FDB_NONE UINT32_MAX
#define FDB_NO_PORT 513                      /* VSW_PORT_UNKNOWN */
#define FDB_NO_ENTRY ((uint64_t)FDB_NO_PORT) /* of a port that there is not, never heard of */

#define FDB_MEMO 64u

/* Keys and entries lie in arrays of their own: a lookup is a multiplication, an exclusive or, a shift and a comparison. */
struct fdb {
	uint64_t *key;       /* [FDB_TABLE], 0 = free */
	uint64_t *entry;     /* [FDB_TABLE + 1], fdb_entry; right behind the keys */
	uint64_t multiplier; /* secret and odd: outsiders cannot aim at one place */
	uint32_t tick;       /* seconds */
	uint16_t *spilled;   /* [FDB_SLOTS / FDB_WINDOW], by first place: addresses that lie in their second window */
	uint32_t learned, tokens, sweep;
	uint64_t refused;
	/*
	 * Where else the switch looks for an address that is not in the table (a trunk port's): the slot that stands for it, or FDB_NONE.
	 * Only for views; asked once, then remembered until something changes. NULL: nowhere.
	 */
	uint32_t (*elsewhere)(const struct fdb *f, uint64_t key);
	struct fdb_memo {
		uint64_t key, slot;
	} memo[FDB_MEMO];
	bool memo_used;
};

enum fdb_learn { FDB_KNOWN, FDB_LEARNED, FDB_REFUSED, FDB_OWNED };

/* A MAC as its six bytes lie in memory (little-endian load), and the key of a MAC in a broadcast domain (domain >= 1: no key is 0). */
static inline uint64_t fdb_key(uint64_t mac, uint16_t domain)
{
	return mac << 16 | domain;
}

/* Stamp (tick of the last frame from the address) and port in one word: "known there in this second" is one comparison. */
static inline uint64_t fdb_entry(uint32_t stamp, uint16_t port)
{
	return (uint64_t)stamp << 32 | port;
}

static inline uint16_t fdb_entry_port(uint64_t entry)
{
	return (uint16_t)entry;
}

static inline uint32_t fdb_entry_stamp(uint64_t entry)
{
	return (uint32_t)(entry >> 32);
}

/* -ENOMEM */
int fdb_create(struct fdb *f) HV_MUST_CHECK;
void fdb_destroy(struct fdb *f);
/* Slot of key, or FDB_NONE. */
static inline uint32_t fdb_find(const struct fdb *f, uint64_t key);
/*
 * A frame with source `key` came from `port`: refreshes, learns or moves the entry. FDB_OWNED: a static entry of another port has the
 * address; FDB_REFUSED: no room or too fast, counted; the frame is forwarded all the same.
 */
static inline enum fdb_learn fdb_learn(struct fdb *f, uint64_t key, uint16_t port);
enum fdb_learn fdb_learn_slow(struct fdb *f, uint32_t slot, uint64_t key, uint16_t port);
/* An address that belongs to `port` for good; takes over a learned entry. -EEXIST: static at another port; -ENOSPC: both windows are full
 * of static ones. */
int fdb_static_add(struct fdb *f, uint64_t key, uint16_t port) HV_MUST_CHECK;
/* Is this slot (or FDB_NONE) a static entry? */
bool fdb_is_static(const struct fdb *f, uint32_t slot);
void fdb_remove(struct fdb *f, uint64_t key);
/* Removes every entry, learned or static, for which gone() says so. Walks the whole table. */
void fdb_remove_if(struct fdb *f, bool (*gone)(void *arg, uint64_t key, uint16_t port, bool is_static), void *arg);
void fdb_remove_port(struct fdb *f, uint16_t port);
/*
 * A copy of the whole table, of fdb_saved_bytes, for trace.c; restore makes the table as it was then and frees the copy. NULL: no memory.
 * @pre no entry is added or removed for good between the two
 */
extern const size_t fdb_saved_bytes;
void *fdb_save(const struct fdb *f);
void fdb_restore(struct fdb *f, void *saved);
void fdb_saved_free(void *saved);
/* Once a second: refills the learning allowance and expires, in a part of the table, what was unused for ageing_s seconds. */
void fdb_tick(struct fdb *f, uint32_t ageing_s);

/* An address's first place: the top 15 bits of the product. */
static HV_ALWAYS_INLINE uint64_t fdb_place(uint64_t multiplier, uint64_t key)
{
	return key * multiplier >> 49;
}

static HV_ALWAYS_INLINE uint32_t fdb_first(const struct fdb *f, uint64_t key)
{
	return (uint32_t)fdb_place(f->multiplier, key);
}

/* The rest of fdb_find, and of fdb_view_find. */
uint32_t fdb_find_far(const struct fdb *f, uint64_t key, uint32_t first);
uint64_t fdb_view_find_far(struct fdb *f, uint64_t key);
/* What `elsewhere` said may be wrong from now on. Changes of the table do this themselves. */
void fdb_forget(struct fdb *f);

/* What a look-up needs, copied for a burst, so that it stays in registers. */
struct fdb_view {
	struct fdb *fdb;
	const uint64_t *key;
	uint64_t multiplier;
};

static HV_ALWAYS_INLINE struct fdb_view fdb_view(struct fdb *f)
{
	return (struct fdb_view){f, f->key, f->multiplier};
}

/* By the slot behind an address's first one; its top bits depend on all of the key. */
static HV_ALWAYS_INLINE struct fdb_memo *fdb_memo_of(struct fdb *f, uint64_t slot)
{
	return &f->memo[slot / (FDB_SLOTS / FDB_MEMO) % FDB_MEMO];
}

/* The slot of key, or FDB_ABSENT, whose entry is FDB_NO_ENTRY. Nearly always it is at the first place of key, or next to it. */
static HV_ALWAYS_INLINE uint64_t fdb_view_find(const struct fdb_view *w, uint64_t key)
{
	uint64_t place = fdb_place(w->multiplier, key);
	const struct fdb_memo *memo;

	if (HV_LIKELY(w->key[place] == key))
		return place;
	__asm__("" : "+r"(place)); /* keeps gcc from computing what is rare before the comparison */
	if (HV_LIKELY(w->key[++place] == key))
		return place;
	memo = fdb_memo_of(w->fdb, place);
	return memo->key == key ? memo->slot : fdb_view_find_far(w->fdb, key);
}

static HV_ALWAYS_INLINE uint64_t fdb_view_entry(const struct fdb_view *w, uint64_t slot)
{
	return w->key[slot + FDB_TABLE];
}

/* The port alone: the entry's low half. */
static HV_ALWAYS_INLINE unsigned fdb_view_port(const struct fdb_view *w, uint64_t slot)
{
	uint16_t port;

	__builtin_memcpy(&port, &w->key[slot + FDB_TABLE], sizeof(port));
	return port;
}

static HV_ALWAYS_INLINE uint32_t fdb_find(const struct fdb *f, uint64_t key)
{
	uint32_t first = fdb_first(f, key);

	if (HV_LIKELY(f->key[first] == key))
		return first;
	return fdb_find_far(f, key, first);
}

static HV_ALWAYS_INLINE uint16_t fdb_slot_port(const struct fdb *f, uint32_t slot)
{
	return fdb_entry_port(f->entry[slot]);
}

static inline enum fdb_learn fdb_learn(struct fdb *f, uint64_t key, uint16_t port)
{
	uint32_t slot = fdb_find(f, key);

	if (HV_LIKELY(slot != FDB_NONE && fdb_slot_port(f, slot) == port)) {
		if (f->entry[slot] < fdb_entry(f->tick, port)) /* a static stamp is the greatest value */
			f->entry[slot] = fdb_entry(f->tick, port);
		return FDB_KNOWN;
	}
	return fdb_learn_slow(f, slot, key, port);
}

#endif
