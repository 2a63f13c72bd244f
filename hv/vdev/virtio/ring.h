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

#include <hv/types.h>

struct gmem;

#define VRING_SIZE_MAX 256

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
