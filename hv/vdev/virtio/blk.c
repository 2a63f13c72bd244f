/*
 * virtio-blk (VIRTIO 1.2, 5.2): guest requests in, struct blk_req out, zero-copy: the segments of a request are guest memory.
 *
 * Owner: io_core, which is also the disk's core (hv/blk.h rule 2). Everything is allocated when the disk is attached.
 *
 * A chain becomes a slot. Most have few segments, which the slot holds itself; longer ones borrow one of a few large arrays. When slots or
 * arrays run out, or the disk says -EAGAIN, the chain stays in the ring (or its slot waits) and is tried again after a completion or a
 * millisecond: back-pressure, never an error.
 *
 *	FREE --chain taken--> ACTIVE --blk_submit = 0--> in flight --done--> next part, or: status and used entry written --> FREE
 *	                        ^  |--EAGAIN--> `waiting` list --retry--^
 *
 * A request larger than the disk takes at once (max_bytes, max_segs) is done in parts, one after the other; a part's failure is the
 *request's.
 *
 * Chains without room for header or status are malformed and break the device (there is nowhere to report an error); everything else that
 *is wrong with a request ends in its status byte.
 */
#include "vdev/virtio/device.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

/* 5.2.3, 5.2.6 */
#define F_SEG_MAX (1ull << 2)
#define F_RO (1ull << 5)
#define F_BLK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)
#define F_TOPOLOGY (1ull << 10)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
#define RANGE_UNMAP 1u /* flag of a discard/write-zeroes range */

enum {
	VBLK_QUEUE_SIZE = 256,
	VBLK_SEG_MAX = 126, /* data descriptors: with header and status half a queue */
	VBLK_SMALL_SEGS = 16,
	VBLK_LARGE_SEGS = 256, /* a descriptor may lie across 2 MiB boundaries and become several */
	VBLK_LARGE_COUNT = 32,
	VBLK_BURST = 32,
	VBLK_ID_BYTES = 20,
	SECTOR = 512,
};
#define VBLK_RETRY_NS 1000000ull

struct vblk_header {
	uint32_t type, reserved;
	uint64_t sector;
};
struct vblk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* 5.2.4 */
struct vblk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct vblk_config) == 60, "5.2.4");

struct vblk;

struct vblk_large {
	struct vblk_large *next;
	struct hv_seg segs[VBLK_LARGE_SEGS];
};

struct vblk_slot {
	struct blk_req req;
	struct vblk *owner;
	struct vblk_slot *next, *prev; /* free list, or one of: waiting, in flight */
	struct vblk_large *large;      /* NULL: small */
	struct hv_seg *segs;           /* data segments not yet transferred */
	uint16_t nsegs, head;
	bool cancelled;
	bool submitting, over; /* inside blk_submit; done() was called there, with `result` */
	int result;
	uint8_t *status;
	uint32_t read_bytes; /* what a successful request writes to guest memory before the status byte */
	uint64_t left_bytes; /* of the request, beyond the part in flight */
	uint32_t cut_bytes;  /* of the last segment of the part, beyond the part */
	struct hv_seg small[VBLK_SMALL_SEGS];
};

struct vblk {
	struct virtio_dev dev;
	struct blk_dev *disk;
	char serial[VBLK_ID_BYTES];
	struct vblk_slot *free, *waiting, **waiting_last, *flying;
	struct vblk_large *large_free;
	unsigned in_flight;
	struct hv_timer retry;
	uint64_t requests, errors, again;
	struct hv_seg scratch[VBLK_LARGE_SEGS];
	struct vblk_slot slots[VBLK_QUEUE_SIZE];
	struct vblk_large large[VBLK_LARGE_COUNT];
};

static struct vblk *of_dev(const struct virtio_dev *d)
{
	return hv_container_of(d, struct vblk, dev);
}

/* ---- slots ---- */

static void slots_init(struct vblk *b)
{
	b->free = NULL;
	b->large_free = NULL;
	for (unsigned i = VBLK_QUEUE_SIZE; i-- > 0;) {
		b->slots[i].owner = b;
		b->slots[i].next = b->free;
		b->free = &b->slots[i];
	}
	for (unsigned i = 0; i < VBLK_LARGE_COUNT; i++) {
		b->large[i].next = b->large_free;
		b->large_free = &b->large[i];
	}
	b->waiting = NULL;
	b->waiting_last = &b->waiting;
}

static void slot_free(struct vblk *b, struct vblk_slot *s)
{
	if (s->large) {
		s->large->next = b->large_free;
		b->large_free = s->large;
		s->large = NULL;
	}
	s->next = b->free;
	b->free = s;
	b->dev.queues[0].stalled = false;
}

/* NULL when slots or large arrays are all in use. */
static struct vblk_slot *slot_get(struct vblk *b, unsigned nsegs)
{
	struct vblk_slot *s = b->free;
	if (!s || (nsegs > VBLK_SMALL_SEGS && !b->large_free))
		return NULL;
	b->free = s->next;
	s->large = NULL;
	if (nsegs > VBLK_SMALL_SEGS) {
		s->large = b->large_free;
		b->large_free = s->large->next;
	}
	s->segs = s->large ? s->large->segs : s->small;
	s->next = s->prev = NULL;
	s->cancelled = false;
	return s;
}

static void fly(struct vblk *b, struct vblk_slot *s)
{
	s->prev = NULL;
	s->next = b->flying;
	if (b->flying)
		b->flying->prev = s;
	b->flying = s;
	b->in_flight++;
}

static void land(struct vblk *b, struct vblk_slot *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		b->flying = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->next = s->prev = NULL;
	b->in_flight--;
}

static void wait_in_line(struct vblk *b, struct vblk_slot *s)
{
	s->next = NULL;
	*b->waiting_last = s;
	b->waiting_last = &s->next;
}

/* ---- the end of a request ---- */

static uint8_t status_byte(int err)
{
	return err == 0 ? S_OK : err == -EOPNOTSUPP ? S_UNSUPP : S_IOERR;
}

/* Reports to the guest, unless the device is being reset: then nobody listens any more. */
static void finish(struct vblk *b, struct vblk_slot *s, uint8_t status)
{
	if (virtio_running(&b->dev)) {
		/* 2.7.8.2: bytes valid from the start; after a failed read the data before the status byte are not. */
		uint32_t written = status == S_OK ? s->read_bytes + 1 : s->read_bytes ? 0 : 1;
		__atomic_store_n(s->status, status, __ATOMIC_RELAXED);
		vring_push(&b->dev.queues[0].ring, s->head, written);
		b->requests++;
		b->errors += status != S_OK;
	}
	slot_free(b, s);
}

/* Forgets the segments of the part that is done; the next one starts where it ended. */
static void next_part(struct vblk_slot *s)
{
	struct blk_req *r = &s->req;
	unsigned used = s->cut_bytes ? r->nsegs - 1u : r->nsegs;
	if (s->cut_bytes) {
		struct hv_seg *cut = &s->segs[used];
		cut->base = (uint8_t *)cut->base + cut->len;
		cut->len = s->cut_bytes;
	}
	s->segs += used;
	s->nsegs = (uint16_t)(s->nsegs - used);
	r->offset_bytes += r->length_bytes;
}

/* A part ended with `status`. True when the next part is to be submitted; otherwise the request is over. */
static bool part_over(struct vblk *b, struct vblk_slot *s, int status)
{
	if (status == 0 && s->left_bytes && virtio_running(&b->dev)) {
		next_part(s);
		return true;
	}
	finish(b, s, status_byte(status));
	return false;
}

/* ---- submitting ---- */

/* Chooses how much of the rest the disk takes at once, on a block boundary. */
static void cut_part(struct vblk *b, struct vblk_slot *s)
{
	struct blk_req *r = &s->req;
	const struct blk_dev *disk = b->disk;
	uint64_t rest = s->left_bytes, take = 0;
	unsigned n = 0;
	uint64_t most = HV_ALIGN_DOWN(disk->max_bytes, disk->block_bytes);
	while (n < s->nsegs && n < disk->max_segs && take < most)
		take += s->segs[n++].len;
	take = HV_MIN(take, most);
	take = take < rest ? HV_ALIGN_DOWN(take, (uint64_t)disk->block_bytes) : rest;
	uint64_t sum = 0;
	for (n = 0; sum < take; n++)
		sum += s->segs[n].len;
	s->cut_bytes = (uint32_t)(sum - take);
	if (n)
		s->segs[n - 1].len -= s->cut_bytes;
	r->segs = s->segs;
	r->nsegs = (uint16_t)n;
	r->length_bytes = take;
	s->left_bytes = rest - take;
}

/*
 * Hands the part in s->req to the disk. True when the disk has already done it and the next part is due: the caller loops, because a fast
 * disk with a small max_bytes would otherwise nest done() and submit as deep as the request has parts.
 */
static bool try_submit(struct vblk *b, struct vblk_slot *s)
{
	s->submitting = true;
	s->over = false;
	fly(b, s);
	int err = blk_submit(b->disk, &s->req);
	s->submitting = false;
	if (err == 0)
		return s->over && part_over(b, s, s->result);
	land(b, s);
	if (err != -EAGAIN) {
		finish(b, s, status_byte(err));
		return false;
	}
	b->again++;
	wait_in_line(b, s);
	b->dev.queues[0].stalled = true;
	hv_timer_arm(&b->retry, hv_now_ns() + VBLK_RETRY_NS);
	return false;
}

/* Submits a transfer's parts until one is in flight or waits, or the request is over. */
static void submit_parts(struct vblk *b, struct vblk_slot *s)
{
	do {
		cut_part(b, s);
		if (s->req.length_bytes == 0) { /* an empty request; or segments so small that no block of it fits into max_segs */
			finish(b, s, s->left_bytes ? S_IOERR : S_OK);
			return;
		}
	} while (try_submit(b, s));
}

static void part_done(struct blk_req *r, int status)
{
	struct vblk_slot *s = r->owner;
	struct vblk *b = s->owner;
	land(b, s);
	if (s->submitting) {
		s->over = true;
		s->result = status;
	} else if (part_over(b, s, status)) {
		submit_parts(b, s);
	}
}

/* ---- requests ---- */

static bool in_range(const struct vblk *b, uint64_t sector, uint64_t bytes)
{
	uint64_t capacity = b->disk->size_bytes;
	return sector <= capacity / SECTOR && bytes <= capacity - sector * SECTOR;
}

/* Drops `skip` bytes from the front and keeps `bytes` of what follows. */
static void trim(struct vblk_slot *s, const struct hv_seg *from, unsigned n, uint64_t skip, uint64_t bytes)
{
	s->nsegs = 0;
	for (unsigned i = 0; i < n && bytes; i++) {
		uint64_t cut = HV_MIN(skip, (uint64_t)from[i].len), len = HV_MIN(from[i].len - cut, bytes);
		skip -= cut;
		if (!len)
			continue;
		s->segs[s->nsegs++] = (struct hv_seg){.base = (uint8_t *)from[i].base + cut, .len = (uint32_t)len};
		bytes -= len;
	}
}

static void start_transfer(struct vblk *b, struct vblk_slot *s, const struct vblk_header *h, const struct vring_chain *c)
{
	bool read = h->type == T_IN;
	uint64_t bytes = read ? c->in_bytes - 1 : c->out_bytes - sizeof(*h);
	if (bytes % SECTOR || bytes % b->disk->block_bytes || !in_range(b, h->sector, bytes) || h->sector * SECTOR % b->disk->block_bytes ||
		(!read && (b->disk->read_only || c->in_bytes != 1))) {
		finish(b, s, S_IOERR);
		return;
	}
	if (read)
		trim(s, c->segs + c->out_segs, c->in_segs, 0, bytes);
	else
		trim(s, c->segs, c->out_segs, sizeof(*h), bytes);
	s->req.op = read ? BLK_READ : BLK_WRITE;
	s->req.offset_bytes = h->sector * SECTOR;
	s->read_bytes = read ? (uint32_t)bytes : 0;
	s->left_bytes = bytes;
	if (!read && !virtio_has(&b->dev, F_FLUSH))
		s->req.flags = BLK_F_FUA; /* 5.2.6.2: a driver that cannot flush gets a write-through disk */
	submit_parts(b, s);
}

/* Discard and write zeroes (5.2.6.2): one range per request, as config says. */
static void start_range(struct vblk *b, struct vblk_slot *s, const struct vblk_header *h, const struct vring_chain *c)
{
	struct vblk_range range;
	bool discard = h->type == T_DISCARD;
	if (!virtio_has(&b->dev, discard ? F_DISCARD : F_WRITE_ZEROES)) {
		finish(b, s, S_UNSUPP);
		return;
	}
	if (c->out_bytes != sizeof(*h) + sizeof(range) || b->disk->read_only) {
		finish(b, s, S_IOERR);
		return;
	}
	blk_segs_to_buf(c->segs, c->out_segs, sizeof(*h), &range, sizeof(range));
	uint64_t bytes = (uint64_t)range.sectors * SECTOR;
	if (range.flags & ~(discard ? 0u : RANGE_UNMAP)) {
		finish(b, s, S_UNSUPP);
		return;
	}
	if (!in_range(b, range.sector, bytes) || bytes % b->disk->block_bytes || range.sector * SECTOR % b->disk->block_bytes) {
		finish(b, s, S_IOERR);
		return;
	}
	s->req.op = discard ? BLK_DISCARD : BLK_WRITE_ZEROES;
	s->req.flags = range.flags & RANGE_UNMAP ? BLK_F_UNMAP : 0;
	s->req.offset_bytes = range.sector * SECTOR;
	s->req.length_bytes = bytes;
	if (bytes)
		(void)try_submit(b, s); /* one part: never true */
	else
		finish(b, s, S_OK);
}

static void start_get_id(struct vblk *b, struct vblk_slot *s, const struct vring_chain *c)
{
	size_t room = HV_MIN(c->in_bytes - 1u, (uint32_t)VBLK_ID_BYTES);
	blk_segs_from_buf(c->segs + c->out_segs, c->in_segs, 0, b->serial, room);
	s->read_bytes = (uint32_t)room;
	finish(b, s, S_OK);
}

/* Decides by type. `c` lies in b->scratch, with at least a header and a status byte. */
static void start_request(struct vblk *b, struct vblk_slot *s, const struct vring_chain *c)
{
	struct vblk_header h;
	const struct hv_seg *last = &c->segs[c->out_segs + c->in_segs - 1];
	blk_segs_to_buf(c->segs, c->out_segs, 0, &h, sizeof(h));
	s->head = c->head;
	s->status = (uint8_t *)last->base + last->len - 1;
	s->nsegs = 0;
	s->read_bytes = 0;
	s->left_bytes = 0;
	s->cut_bytes = 0;
	memset(&s->req, 0, sizeof(s->req));
	s->req.done = part_done;
	s->req.owner = s;
	switch (h.type) {
	case T_IN:
	case T_OUT:
		start_transfer(b, s, &h, c);
		break;
	case T_FLUSH:
		s->req.op = BLK_FLUSH;
		(void)try_submit(b, s); /* one part: never true */
		break;
	case T_GET_ID:
		start_get_id(b, s, c);
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		start_range(b, s, &h, c);
		break;
	default:
		finish(b, s, S_UNSUPP);
		break;
	}
}

/* Takes one chain; false when there is none, or it has to stay. */
static bool take_request(struct vblk *b)
{
	struct vring_chain c;
	struct virtio_dev *d = &b->dev;
	enum vring_pop got = virtio_pop(d, 0, &c, b->scratch, VBLK_LARGE_SEGS);
	if (got == VRING_TOO_LONG)
		virtio_break(d, 0, c.head, "request with more segments than seg_max allows");
	if (got != VRING_CHAIN)
		return false;
	if (c.out_bytes < sizeof(struct vblk_header) || c.in_bytes < 1) {
		virtio_break(d, 0, c.head, "request without room for header or status");
		return false;
	}
	struct vblk_slot *s = slot_get(b, c.out_segs + c.in_segs);
	if (!s) {
		vring_unpop(&d->queues[0].ring, 1);
		d->queues[0].stalled = true;
		return false;
	}
	start_request(b, s, &c);
	return true;
}

/* Offers the waiting ones again, in order. True when none waits any more. */
static bool retry_waiting(struct vblk *b)
{
	unsigned again = 0;
	while (b->waiting && !again) {
		struct vblk_slot *s = b->waiting;
		uint64_t before = b->again;
		b->waiting = s->next;
		if (!b->waiting)
			b->waiting_last = &b->waiting;
		if (try_submit(b, s))
			submit_parts(b, s);
		again = b->again != before;
	}
	return !b->waiting;
}

static unsigned vblk_poll(struct virtio_dev *d)
{
	struct vblk *b = of_dev(d);
	unsigned taken = 0;
	if (retry_waiting(b)) {
		d->queues[0].stalled = false;
		while (!d->draining && taken < VBLK_BURST && !b->waiting && take_request(b))
			taken++;
	}
	return taken + virtio_publish(d, 0);
}

/* ---- stopping ---- */

static unsigned vblk_in_flight(const struct virtio_dev *d)
{
	const struct vblk *b = of_dev(d);
	unsigned n = b->in_flight;
	for (const struct vblk_slot *s = b->waiting; s; s = s->next)
		n++;
	return n;
}

/* Waiting requests end at once; for those in flight the disk is asked, once each. A cancel may call done(), which changes the list. */
static void vblk_cancel(struct virtio_dev *d)
{
	struct vblk *b = of_dev(d);
	while (b->waiting) {
		struct vblk_slot *s = b->waiting;
		b->waiting = s->next;
		finish(b, s, S_IOERR);
	}
	b->waiting_last = &b->waiting;
	for (unsigned i = 0; i < VBLK_QUEUE_SIZE; i++) {
		struct vblk_slot *s = b->flying;
		while (s && s->cancelled)
			s = s->next;
		if (!s)
			break;
		s->cancelled = true;
		blk_cancel(b->disk, &s->req);
	}
}

/* ---- configuration ---- */

static void fill_config(const struct blk_dev *disk, struct vblk_config *c)
{
	*c = (struct vblk_config){.capacity = disk->size_bytes / SECTOR, .seg_max = VBLK_SEG_MAX, .blk_size = disk->block_bytes};
	uint32_t ratio = disk->physical_bytes / disk->block_bytes;
	while (ratio > 1 && c->physical_block_exp < 31) {
		c->physical_block_exp++;
		ratio >>= 1;
	}
	c->opt_io_size = disk->max_bytes / disk->block_bytes;
	uint32_t most = HV_ALIGN_DOWN(0x7fffffffu / SECTOR, disk->block_bytes / SECTOR);
	c->max_discard_sectors = c->max_write_zeroes_sectors = most;
	c->max_discard_seg = c->max_write_zeroes_seg = 1;
	c->discard_sector_alignment = HV_MAX(disk->physical_bytes, disk->block_bytes) / SECTOR;
	c->write_zeroes_may_unmap = 1;
}

static void disk_changed(struct blk_dev *disk, void *arg)
{
	struct vblk *b = arg;
	struct vblk_config c;
	fill_config(disk, &c);
	virtio_config_set(&b->dev, 0, &c, sizeof(c));
}

static void nothing_to_start(struct virtio_dev *d)
{
}

static void retry_now(struct hv_timer *t)
{
	/* Nothing: the loop, awake now, polls and so offers the waiting requests again. */
}

static void vblk_stats(struct virtio_dev *d, struct vm_stats_sink *sink)
{
	struct vblk *b = of_dev(d);
	virtio_counter(d, sink, "requests", b->requests);
	virtio_counter(d, sink, "errors", b->errors);
	virtio_counter(d, sink, "again", b->again);
}

static void vblk_destroy(struct virtio_dev *d)
{
	struct vblk *b = of_dev(d);
	hv_timer_cancel(&b->retry);
	b->disk->changed = NULL;
	hv_contig_free(b, sizeof(*b));
}

static const struct virtio_ops vblk_ops = {
	.start = nothing_to_start,
	.poll = vblk_poll,
	.cancel = vblk_cancel,
	.in_flight = vblk_in_flight,
	.stats = vblk_stats,
	.destroy = vblk_destroy,
};

static bool disk_usable(const struct vm *vm, const struct blk_dev *disk)
{
	return disk && disk->core == vm->config.io_core && disk->block_bytes >= SECTOR && !(disk->block_bytes & (disk->block_bytes - 1)) &&
	       disk->max_bytes >= disk->block_bytes && disk->max_segs;
}

int vblk_attach(struct vm *vm, unsigned index, const struct vm_disk_config *config)
{
	struct blk_dev *disk = config->dev;
	if (!disk_usable(vm, disk)) {
		log_error("vblk.disk", "%s: disk%u cannot be used: it must live on core %u and have sane block, request and segment limits",
			vm->name, index, vm->config.io_core);
		return trace_error(-EINVAL);
	}
	struct vblk *b = hv_contig_alloc(sizeof(*b), HV_PAGE_SIZE);
	if (!b)
		return trace_error(-ENOMEM);
	memset(b, 0, sizeof(*b));
	b->disk = disk;
	slots_init(b);
	b->retry.fn = retry_now;
	if (config->serial)
		for (unsigned i = 0; i < VBLK_ID_BYTES && config->serial[i]; i++)
			b->serial[i] = config->serial[i];
	struct virtio_dev *d = &b->dev;
	hv_snprintf(d->name, sizeof(d->name), "disk%u", index);
	d->queue_count = 1;
	d->queues[0].max_size = VBLK_QUEUE_SIZE;
	d->queues[0].listens = true;
	d->offered = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | (disk->read_only ? F_RO : 0) | (disk->can_discard ? F_DISCARD : 0) |
		     (disk->can_write_zeroes ? F_WRITE_ZEROES : 0);
	d->config_bytes = sizeof(struct vblk_config);
	struct vblk_config c;
	fill_config(disk, &c);
	memcpy(d->config, &c, sizeof(c));
	int err = virtio_dev_add(vm, d, 2, 0x010000, &vblk_ops);
	if (err < 0) {
		hv_contig_free(b, sizeof(*b));
		return err;
	}
	disk->changed = disk_changed;
	disk->changed_arg = b;
	return 0;
}
