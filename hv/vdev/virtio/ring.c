/*
 * Split virtqueue, device side (VIRTIO 1.2, 2.7). See ring.h for owner and invariants.
 *
 * Ordering with the driver, which runs on another core (2.7.13, 2.7.14):
 *   pop      avail.idx is loaded with acquire, so entries and descriptors written before it are seen.
 *   publish  used entries, then used.idx with release; then a full fence, then avail.used_event or avail.flags: either we see the driver's
 *            wish for an interrupt, or the driver, which re-checks used.idx after writing its wish, sees our entries.
 *   arm      used.avail_event or used.flags, a full fence, then avail.idx: the mirror image for notifications.
 */
#include "vdev/virtio/ring.h"
#include "virt/gmem.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

enum {
	DESC_NEXT = 1,
	DESC_WRITE = VRING_DESC_WRITE,
	DESC_INDIRECT = 4,
	AVAIL_NO_INTERRUPT = 1,
	USED_NO_NOTIFY = 1,
};

/* ---- ring memory ---- */

static int area_map(struct vring *r, struct vring_area *area, uint64_t gpa, uint32_t bytes, uint32_t align, bool write)
{
	struct hv_seg piece[2];
	if (gpa % align)
		return -EINVAL;
	int n = gmem_segs(r->gmem, GPA(gpa), bytes, write, piece, 2);
	/* No aligned word of up to 16 bytes may lie across the cut between two pieces. */
	if (n < 1 || (n == 2 && (gpa + piece[0].len) % 16))
		return -EINVAL;
	*area = (struct vring_area){.first = piece[0].base, .second = n == 2 ? piece[1].base : NULL, .first_bytes = piece[0].len};
	return 0;
}

static inline uint16_t load16(const struct vring_area *area, uint32_t offset)
{
	return __atomic_load_n((const uint16_t *)vring_area_at(area, offset), __ATOMIC_RELAXED);
}

static inline void store16(const struct vring_area *area, uint32_t offset, uint16_t value)
{
	__atomic_store_n((uint16_t *)vring_area_at(area, offset), value, __ATOMIC_RELAXED);
}

static inline uint32_t avail_ring(const struct vring *r, uint16_t index)
{
	return 4 + 2u * (index & (r->config.size - 1u));
}

static inline uint32_t used_event_offset(const struct vring *r)
{
	return 4 + 2u * r->config.size;
}

static inline uint32_t avail_event_offset(const struct vring *r)
{
	return 4 + 8u * r->config.size;
}

int vring_start(struct vring *r, struct gmem *gmem, const struct vring_config *config, uint16_t next_avail, uint16_t next_used)
{
	uint32_t size = config->size;
	*r = (struct vring){.gmem = gmem, .config = *config, .next_avail = next_avail, .next_used = next_used, .published = next_used};
	if (size == 0 || size > VRING_SIZE_MAX || (size & (size - 1))) {
		r->fault = "queue size is not a power of two in range";
		return -EINVAL;
	}
	/* 2.7: alignment and size of the three areas. The event words are mapped only when they are in use. */
	uint32_t event = config->event_idx ? 2 : 0;
	if (area_map(r, &r->desc, config->desc, 16 * size, 16, false) < 0)
		r->fault = "descriptor table is not aligned RAM";
	else if (area_map(r, &r->avail, config->driver, 4 + 2 * size + event, 2, false) < 0)
		r->fault = "available ring is not aligned RAM";
	else if (area_map(r, &r->used, config->device, 4 + 8 * size + event, 4, true) < 0)
		r->fault = "used ring is not aligned RAM";
	if (r->fault)
		return -EINVAL;
	if (!gmem_extent_of(gmem, GPA(config->desc), &r->extent))
		return -EINVAL; /* cannot be: it is RAM */
	r->flat = !r->desc.second && !r->avail.second && !r->used.second;
	r->running = true;
	return 0;
}

void vring_stop(struct vring *r)
{
	r->running = false;
}

/* ---- taking chains ---- */

static enum vring_pop broken(struct vring *r, uint16_t desc, const char *why)
{
	r->fault = why;
	r->fault_desc = desc;
	return VRING_BROKEN;
}

static struct vring_desc ring_desc(const struct vring *r, uint16_t index)
{
	struct vring_desc d;
	const volatile uint64_t *p = vring_area_at(&r->desc, 16u * index); /* two loads, never repeated by the compiler */
	uint64_t word[2] = {p[0], p[1]};
	memcpy(&d, word, sizeof(d));
	return d;
}

/* Adds one descriptor's memory to the chain. */
static enum vring_pop take_desc(struct vring *r, struct vring_chain *c, const struct vring_desc *d, uint16_t index, unsigned max_segs)
{
	bool write = d->flags & DESC_WRITE;
	uint32_t *bytes = write ? &c->in_bytes : &c->out_bytes;
	unsigned used = c->out_segs + c->in_segs;
	if (!write && c->in_segs)
		return broken(r, index, "readable descriptor after a writable one");
	if (d->len > UINT32_MAX - c->in_bytes - (uint64_t)c->out_bytes)
		return broken(r, index, "chain of 4 GiB or more");
	if (d->len == 0)
		return VRING_CHAIN;
	int n = gmem_segs(r->gmem, GPA(d->addr), d->len, write, c->segs + used, max_segs - used);
	if (n == -E2BIG)
		return VRING_TOO_LONG;
	if (n < 0)
		return broken(r, index, "buffer is not RAM");
	*bytes += d->len;
	if (write)
		c->in_segs = (uint16_t)(c->in_segs + n);
	else
		c->out_segs = (uint16_t)(c->out_segs + n);
	return VRING_CHAIN;
}

/* Walks an indirect table (2.7.5.3). Its last entry ends the chain. */
static enum vring_pop take_table(struct vring *r, struct vring_chain *c, const struct vring_desc *table, uint16_t index, unsigned max_segs)
{
	uint32_t entries = table->len / 16, i = 0;
	if (!r->config.indirect)
		return broken(r, index, "indirect descriptor without the feature");
	if (table->flags & (DESC_NEXT | DESC_WRITE))
		return broken(r, index, "indirect descriptor with NEXT or WRITE");
	if (table->len % 16 || entries == 0 || table->addr > UINT64_MAX - table->len)
		return broken(r, index, "indirect table of a bad size");
	for (unsigned steps = 0; steps < r->config.size; steps++) {
		struct vring_desc d;
		if (gmem_read(r->gmem, GPA(table->addr + 16ull * i), &d, sizeof(d)) < 0)
			return broken(r, index, "indirect table is not RAM");
		if (d.flags & DESC_INDIRECT)
			return broken(r, (uint16_t)i, "nested indirect table");
		enum vring_pop step = take_desc(r, c, &d, (uint16_t)i, max_segs);
		if (step != VRING_CHAIN || !(d.flags & DESC_NEXT))
			return step;
		i = d.next;
		if (i >= entries)
			return broken(r, (uint16_t)i, "next beyond the indirect table");
	}
	return broken(r, index, "chain longer than the queue");
}

static enum vring_pop take_chain(struct vring *r, struct vring_chain *c, unsigned max_segs)
{
	uint16_t index = c->head;
	for (unsigned steps = 0; steps < r->config.size; steps++) {
		if (index >= r->config.size)
			return broken(r, index, "descriptor index beyond the table");
		struct vring_desc d = ring_desc(r, index);
		if (d.flags & DESC_INDIRECT)
			return take_table(r, c, &d, index, max_segs);
		enum vring_pop step = take_desc(r, c, &d, index, max_segs);
		if (step != VRING_CHAIN || !(d.flags & DESC_NEXT))
			return step;
		index = d.next;
	}
	return broken(r, index, "chain longer than the queue");
}

enum vring_pop vring_pop(struct vring *r, struct vring_chain *c, struct hv_seg *segs, unsigned max_segs)
{
	uint16_t waiting = vring_waiting(r);
	if (waiting == 0)
		return VRING_EMPTY;
	if (waiting > r->config.size)
		return broken(r, r->next_avail, "available index is ahead by more than the queue");
	*c = (struct vring_chain){.head = load16(&r->avail, avail_ring(r, r->next_avail)), .segs = segs};
	enum vring_pop got = take_chain(r, c, max_segs);
	if (got != VRING_BROKEN)
		r->next_avail++;
	return got;
}

uint8_t *vring_buffer(struct vring *r, uint64_t gpa, uint32_t len)
{
	if (gpa - r->extent.gpa >= r->extent.bytes && !gmem_extent_of(r->gmem, GPA(gpa), &r->extent))
		return NULL;
	uint64_t in_extent = gpa - r->extent.gpa;
	return len <= r->extent.bytes - in_extent ? r->extent.host + in_extent : NULL;
}
_Static_assert(VRING_BUFFER_MAX < GMEM_UNIT, "no extent is smaller");

void vring_unpop(struct vring *r, unsigned n)
{
	r->next_avail = (uint16_t)(r->next_avail - n);
}

/* ---- giving back ---- */

/* What the device wrote is in the descriptors still, or the guest has changed them and loses by it. */
static void mark_desc(struct vring *r, const struct vring_desc *d)
{
	if (d->flags & DESC_WRITE)
		gmem_mark(r->gmem, GPA(d->addr), d->len);
}

static void mark_table(struct vring *r, const struct vring_desc *table)
{
	struct vring_desc d;
	for (uint32_t i = 0, steps = 0; steps < r->config.size && i < table->len / 16; i = d.next, steps++) {
		if (gmem_read(r->gmem, GPA(table->addr + 16ull * i), &d, sizeof(d)) < 0)
			return;
		mark_desc(r, &d);
		if (!(d.flags & DESC_NEXT))
			return;
	}
}

/* Marks the chain's writable memory for the dirty log: now, because only now it has been written. */
static void mark_chain(struct vring *r, uint16_t index)
{
	for (unsigned steps = 0; steps < r->config.size && index < r->config.size; steps++) {
		struct vring_desc d = ring_desc(r, index);
		if (d.flags & DESC_INDIRECT)
			mark_table(r, &d);
		else
			mark_desc(r, &d);
		if (!(d.flags & DESC_NEXT))
			return;
		index = d.next;
	}
}

/* The chains of bursts, which come without vring_push. */
static void mark_bursts(struct vring *r)
{
	r->unmarked = false;
	if (!gmem_is_logged(r->gmem))
		return;
	for (uint16_t i = r->published; i != r->next_used; i++)
		mark_chain(r, (uint16_t) * (const uint32_t *)vring_area_at(&r->used, 4 + 8u * (i & (r->config.size - 1u))));
}

static void mark_used(struct vring *r)
{
	gmem_mark(r->gmem, GPA(r->config.device), 4 + 8ull * r->config.size + 2);
}

void vring_push(struct vring *r, uint16_t head, uint32_t written)
{
	if (gmem_is_logged(r->gmem))
		mark_chain(r, head);
	uint32_t offset = 4 + 8u * (r->next_used & (r->config.size - 1u));
	__atomic_store_n((uint32_t *)vring_area_at(&r->used, offset), head, __ATOMIC_RELAXED);
	__atomic_store_n((uint32_t *)vring_area_at(&r->used, offset + 4), written, __ATOMIC_RELAXED);
	r->next_used++;
}

/* 2.7.10.1: true when `event` is one of the entries from `old` up to, not including, `now`. */
static bool passed_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool vring_publish(struct vring *r)
{
	uint16_t old = r->published;
	if (r->next_used == old)
		return false;
	if (r->unmarked)
		mark_bursts(r);
	__atomic_store_n((uint16_t *)vring_area_at(&r->used, 2), r->next_used, __ATOMIC_RELEASE);
	r->published = r->next_used;
	mark_used(r);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	bool interrupt = r->config.event_idx ? passed_event(load16(&r->avail, used_event_offset(r)), r->next_used, old)
					     : !(load16(&r->avail, 0) & AVAIL_NO_INTERRUPT);
	r->interrupts_wanted += interrupt;
	r->interrupts_suppressed += !interrupt;
	return interrupt;
}

/*
 * With EVENT_IDX the flags are not used (2.7.10): notifications are off as long as avail_event lies behind what the guest adds, which it
 * does when it is left alone. (After 65536 chains the index comes round to it and one notification too many arrives: harmless.)
 */
bool vring_arm(struct vring *r, bool on)
{
	if (!r->running)
		return false;
	if (r->config.event_idx) {
		if (on)
			store16(&r->used, avail_event_offset(r), r->next_avail);
	} else {
		store16(&r->used, 0, on ? 0 : USED_NO_NOTIFY);
	}
	mark_used(r);
	if (!on)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_waiting(r) != 0;
}
