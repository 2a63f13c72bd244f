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
	bool flat;     /* each area in one piece, as bursts need it */
	bool unmarked; /* some used entry not published yet is of a burst: the dirty log has not heard of it */
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

/* Chains that the guest has made available and that were not taken. More than `size` is a broken ring: vring_pop says so. */
uint16_t vring_waiting(const struct vring *r);
/*
 * Takes the next chain. With VRING_CHAIN and VRING_TOO_LONG it must be given back by vring_push or untaken by vring_unpop; VRING_TOO_LONG
 * sets only `head`. VRING_BROKEN: the device needs a reset; fault and fault_desc say why.
 */
enum vring_pop vring_pop(struct vring *r, struct vring_chain *c, struct hv_seg *segs, unsigned max_segs);
/*
 * Bursts of the usual chains: one descriptor, not indirect, in one piece of host memory. vring_burst_begin copies what the loop needs, so
 * that it stays in registers; vring_look sees the next chain, vring_take takes it, vring_return gives one back; vring_burst_end writes the
 * ring's indexes back. What vring_look does not take (false) is for vring_pop, which judges it, between an end and a begin.
 */
struct vring_burst {
	const uint64_t (*desc)[2];
	const uint16_t *avail;
	uint8_t *used;
	uint32_t mask;
	uint16_t next_avail, next_used;
	uint16_t left; /* chains that were waiting when it began */
	struct gmem_view ram;
};

struct vring_one {
	uint16_t head;
	uint32_t len; /* of the buffer */
	uint8_t *base;
};

/* With nothing `left` where there is no chain, or none for bursts. */
static inline void vring_burst_begin(struct vring *r, struct vring_burst *b)
{
	uint16_t waiting = r->running ? vring_waiting(r) : 0;
	*b = (struct vring_burst){.next_avail = r->next_avail, .next_used = r->next_used};
	if (!waiting || !r->flat || waiting > r->config.size)
		return;
	r->unmarked = true;
	b->left = waiting;
	b->desc = (const uint64_t(*)[2])r->desc.first;
	b->avail = (const uint16_t *)(r->avail.first + 4);
	b->used = r->used.first + 4;
	b->mask = r->config.size - 1u;
	b->ram = gmem_view(r->gmem);
}

static HV_ALWAYS_INLINE void vring_burst_end(struct vring *r, const struct vring_burst *b)
{
	r->next_avail = b->next_avail;
	r->next_used = b->next_used;
}

/* A chain of one buffer, device-writable or not, of `least` bytes or more, which is above 0. */
static HV_ALWAYS_INLINE bool vring_look(const struct vring_burst *b, bool write, uint32_t least, struct vring_one *one)
{
	uint64_t address, rest;
	if (HV_UNLIKELY(!b->left))
		return false;
	one->head = __atomic_load_n(&b->avail[b->next_avail & b->mask], __ATOMIC_RELAXED);
	if (HV_UNLIKELY(one->head > b->mask))
		return false;
	/* 2.7.5: address; length, flags, next. Read once. */
	address = __atomic_load_n(&b->desc[one->head][0], __ATOMIC_RELAXED);
	rest = __atomic_load_n(&b->desc[one->head][1], __ATOMIC_RELAXED);
	one->len = (uint32_t)rest;
	if (HV_UNLIKELY((uint16_t)(rest >> 32) != (write ? VRING_DESC_WRITE : 0) || one->len < least))
		return false;
	one->base = gmem_view_at(&b->ram, address, one->len);
	return one->base != NULL;
}

static HV_ALWAYS_INLINE void vring_take(struct vring_burst *b)
{
	b->next_avail++;
	b->left--;
}

static HV_ALWAYS_INLINE void vring_return(struct vring_burst *b, uint16_t head, uint32_t written)
{
	uint64_t entry = head | (uint64_t)written << 32;
	memcpy(b->used + 8 * (b->next_used & b->mask), &entry, sizeof(entry));
	b->next_used++;
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
