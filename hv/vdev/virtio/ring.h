/*
 * A split virtqueue, seen from the device (VIRTIO 1.2, 2.7). Pure: guest memory in, private descriptor chains out, used entries back.
 *
 * Owner: one core (the VM's io_core, loop context). The guest's driver runs on other cores at the same time and is not trusted:
 *  1. Every ring value is read once into private memory and then checked; what was checked is what is used.
 *  2. A chain has at most `size` descriptors (2.7.5.3.1), so loops end; indirect tables are not nested; readable parts come first
 *     (2.7.4.2).
 *  3. Ring memory is resolved to host addresses once, in vring_start; it stays valid until vring_stop (guest RAM is never unmapped while
 *     the VM lives).
 *
 * Used entries are gathered with vring_push and become visible all at once in vring_publish, which also says whether the guest wants an
 * interrupt: one decision for a burst.
 */
#ifndef HV_VDEV_VIRTIO_RING_H
#define HV_VDEV_VIRTIO_RING_H

#include "virt/gmem.h"
#include <hv/types.h>
#include <string.h>

#define VRING_SIZE_MAX 256
#define VRING_DESC_WRITE 2 /* 2.7.5: the device writes */

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
_Static_assert(sizeof(struct vring_desc) == 16, "2.7.5");

/* 2.7.8 */
struct vring_used {
	uint32_t head, written;
};

/* Part of the ring in guest memory; a ring area is smaller than 2 MiB, so it lies in at most two pieces of host memory. */
struct vring_area {
	uint8_t *first, *second;
	uint32_t first_bytes;
};

struct vring_config {
	uint16_t size;                 /* power of two, up to VRING_SIZE_MAX */
	uint64_t desc, driver, device; /* guest-physical */
	bool event_idx, indirect;      /* negotiated features */
};

struct vring {
	struct gmem *gmem;
	struct vring_config config;
	bool running;
	uint16_t next_avail; /* the next available entry to take */
	uint16_t next_used;  /* the next used entry to write */
	uint16_t published;  /* used index that the guest sees */
	struct vring_area desc, avail, used;
	struct gmem_extent extent; /* in which the last buffer of a burst was */
	bool flat;                 /* each area in one piece, as bursts need it */
	bool unmarked;             /* some used entry not published yet is of a burst: the dirty log has not heard of it */
	/* Why the last chain was refused; for the log. */
	const char *fault;
	uint16_t fault_desc;
	uint64_t interrupts_wanted, interrupts_suppressed;
};

/* A chain in private memory: device-readable segments first, then writable ones. */
struct vring_chain {
	uint16_t head;
	uint16_t out_segs, in_segs;
	uint32_t out_bytes, in_bytes;
	struct hv_seg *segs; /* out_segs + in_segs entries, the caller's array */
};

enum vring_pop { VRING_EMPTY, VRING_CHAIN, VRING_TOO_LONG /* valid so far, but more segments than the caller's array */, VRING_BROKEN };

/* Checks the configuration and starts at the given indices (0, 0 for a fresh queue). 0, -EINVAL (r->fault says why). */
int vring_start(
	struct vring *r, struct gmem *gmem, const struct vring_config *config, uint16_t next_avail, uint16_t next_used) HV_MUST_CHECK;
void vring_stop(struct vring *r);

static inline void *vring_area_at(const struct vring_area *area, uint32_t offset)
{
	return offset < area->first_bytes ? area->first + offset : area->second + (offset - area->first_bytes);
}

/* Chains that the guest has made available and that were not taken. More than `size` is a broken ring: vring_pop says so. */
static inline uint16_t vring_waiting(const struct vring *r)
{
	uint16_t index = __atomic_load_n((const uint16_t *)vring_area_at(&r->avail, 2), __ATOMIC_ACQUIRE);
	return (uint16_t)(index - r->next_avail);
}
static inline bool vring_has_chains(const struct vring *r)
{
	return r->running && vring_waiting(r) != 0;
}

/*
 * Takes the next chain. With VRING_CHAIN and VRING_TOO_LONG it must be given back by vring_push or untaken by vring_unpop; VRING_TOO_LONG
 * sets only `head`. VRING_BROKEN: the device needs a reset; fault and fault_desc say why.
 */
enum vring_pop vring_pop(struct vring *r, struct vring_chain *c, struct hv_seg *segs, unsigned max_segs);
/*
 * Bursts of the usual chains: one descriptor, not indirect, its buffer of at most VRING_BUFFER_MAX bytes in one extent of guest memory.
 * vring_burst_begin copies what the loop needs, so that it stays in registers, and says how many chains there are in a row, up to the
 * ring's end; vring_look sees the i-th of them. What it does not take (false) is for vring_pop, which judges it. vring_took says how many
 * were taken. Where no other chain is in flight (vring_is_idle when it began), used entry i answers available entry i: vring_answer writes
 * it, and vring_answered says how many of them count.
 */
struct vring_burst {
	const uint64_t *desc;
	const uint16_t *avail; /* from the first one on */
	struct vring_used *used;
	uint64_t last; /* the highest descriptor */
	uint64_t gpa, bytes;
	uint8_t *host; /* the extent used last, without its last VRING_BUFFER_MAX bytes */
};

struct vring_one {
	uint64_t head;
	uint32_t len; /* of the buffer */
	uint8_t *base;
};

#define VRING_BUFFER_MAX 0x10000u /* an extent is larger: a unit at least */

/* vring_look for a buffer that does not lie well inside of the extent used last: its host address or NULL; its extent is the last one then.
 */
uint8_t *vring_buffer(struct vring *r, uint64_t gpa, uint32_t len);

static HV_ALWAYS_INLINE void vring_burst_extent(const struct vring *r, struct vring_burst *b)
{
	b->gpa = r->extent.gpa;
	b->bytes = r->extent.bytes - VRING_BUFFER_MAX;
	b->host = r->extent.host;
}

static inline bool vring_is_idle(const struct vring *r)
{
	return r->next_avail == r->next_used;
}

/* At most `most`; 0 where there is no chain, or none for bursts. */
static HV_ALWAYS_INLINE unsigned vring_burst_begin(struct vring *r, struct vring_burst *b, unsigned most)
{
	if (HV_UNLIKELY(!r->running || !r->flat))
		return 0;
	unsigned waiting = vring_waiting(r), at = r->next_avail & (r->config.size - 1u);
	if (!waiting || HV_UNLIKELY(waiting > r->config.size))
		return 0;
	b->desc = (const uint64_t *)r->desc.first;
	b->avail = (const uint16_t *)(r->avail.first + 4) + at;
	b->used = (struct vring_used *)(r->used.first + 4) + at;
	__asm__("" : "+r"(b->avail), "+r"(b->used)); /* pointers, not sums that are computed for each chain */
	b->last = r->config.size - 1u;
	vring_burst_extent(r, b);
	most = HV_MIN(most, r->config.size - at);
	return HV_MIN(most, waiting);
}

/* A value that comes from guest memory, read once: the compiler cannot read it again, nor compute it anew, behind this. */
static HV_ALWAYS_INLINE uint64_t vring_once(uint64_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

/*
 * The i-th chain, when it is one buffer, device-writable or not, of `least` to `least + more` bytes. @pre at most VRING_BUFFER_MAX. The
 * descriptor (2.7.5) has none of the other flags, so its `next` means nothing.
 */
static HV_ALWAYS_INLINE bool vring_look(
	struct vring *r, struct vring_burst *b, size_t i, bool write, uint32_t least, uint32_t more, struct vring_one *one)
{
	const struct vring_desc *d;
	size_t at;
	uint32_t spare;
	one->head = vring_once(b->avail[i]);
	if (HV_UNLIKELY(one->head > b->last))
		return false;
	/* Counted in the words that an address can be indexed by; then each field is one instruction. */
	at = vring_once(one->head * (sizeof(*d) / sizeof(uint64_t)));
	d = (const struct vring_desc *)(b->desc + at);
	if (HV_UNLIKELY(d->flags != (write ? VRING_DESC_WRITE : 0))) /* used only here: no need for vring_once */
		return false;
	spare = (uint32_t)vring_once(d->len - least);
	if (HV_UNLIKELY(spare > more))
		return false;
	one->len = least + spare;
	at = vring_once(d->addr - b->gpa);
	if (HV_LIKELY(at < b->bytes)) {
		one->base = b->host + at;
		return true;
	}
	one->base = vring_buffer(r, at + b->gpa, one->len);
	vring_burst_extent(r, b);
	return one->base != NULL;
}

/* The guest sees the entry when it is published. */
static HV_ALWAYS_INLINE void vring_answer(struct vring_burst *b, size_t i, uint64_t head, uint32_t written)
{
	b->used[i].head = (uint32_t)head;
	b->used[i].written = written;
}

/* The same for a buffer that was only read: one store, because the head's upper half is zero. */
static HV_ALWAYS_INLINE void vring_answer_read(struct vring_burst *b, size_t i, uint64_t head)
{
	memcpy(&b->used[i], &head, sizeof(head));
}

static inline void vring_took(struct vring *r, unsigned n)
{
	r->next_avail = (uint16_t)(r->next_avail + n);
}

static inline void vring_answered(struct vring *r, unsigned n)
{
	r->unmarked = true;
	r->next_used = (uint16_t)(r->next_used + n);
}

/* The i-th of the used entries to come, of chains in any order, on a flat ring; nothing was written. vring_answered counts them. */
static HV_ALWAYS_INLINE void vring_return(struct vring *r, unsigned i, uint16_t head)
{
	struct vring_used *ring = (struct vring_used *)(r->used.first + 4);
	ring[(r->next_used + i) & (r->config.size - 1u)] = (struct vring_used){.head = head};
}

/* Puts the newest `n` taken chains back: the next vring_pop reads the oldest of them anew. None of them may have been pushed. */
void vring_unpop(struct vring *r, unsigned n);
/* Gathers a used entry: `written` bytes from the start of the writable part are valid. */
void vring_push(struct vring *r, uint16_t head, uint32_t written);
/* Shows the gathered entries to the guest. True when it must be interrupted. */
bool vring_publish(struct vring *r);
/*
 * Asks the guest to notify (on) or, as far as the ring can, not to. After on, returns true if chains are waiting: the caller goes on
 * polling, because the guest may have seen the old state when it added them.
 */
bool vring_arm(struct vring *r, bool on);

#endif
