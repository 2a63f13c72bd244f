/*
 * Captured frames in a ring of bytes: records one behind the other, each whole; where one does not fit in front of the end, the rest is
 * skipped. A new frame overwrites the oldest: what is there is always the latest, so a session can run for weeks and be read when something
 * has happened. Readers name the frames by sequence number and see by it what they missed; the store keeps no reader's state but a hint.
 *
 *   0 .......... tail ====== records ====== head .......... size      or      ==== head ....... tail ==== (skipped)
 *
 * Owner: the switch's core.
 */
#include "capture.h"

#include "vlan.h"

#include <hv/mem.h>
#include <string.h>

#define RECORD_ALIGN 8u

struct record {
	uint64_t sequence, time_ns;
	uint32_t frame_bytes, len; /* len UINT32_MAX: nothing more up to the end of the ring */
	uint8_t port, direction;   /* port: index of a name */
	uint8_t bytes[];
};
#define SKIP UINT32_MAX

struct vsw_capture {
	size_t size;       /* of ring */
	size_t head, tail; /* next to write, oldest */
	uint64_t first, next;
	uint64_t hint_sequence; /* a record that was read lately, and where it lies */
	size_t hint_at;
	uint64_t overwritten;
	unsigned port_count;
	char ports[VSW_CAPTURE_PORTS][VSW_PORT_NAME_MAX + 1];
	size_t whole; /* bytes of all this */
	_Alignas(8) uint8_t ring[];
};

static struct record *record_at(struct vsw_capture *c, size_t at)
{
	return (struct record *)(c->ring + at);
}

static size_t record_size(uint32_t len)
{
	return (sizeof(struct record) + len + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

struct vsw_capture *vsw_capture_create(size_t bytes)
{
	size_t ring = bytes & ~(size_t)(RECORD_ALIGN - 1), whole = sizeof(struct vsw_capture) + ring;
	struct vsw_capture *c = hv_contig_alloc(whole, HV_PAGE_SIZE);

	if (!c)
		return NULL;
	c->size = ring;
	c->whole = whole;
	return c;
}

void vsw_capture_destroy(struct vsw_capture *c)
{
	if (c)
		hv_contig_free(c, c->whole);
}

/* The record behind the one at `at`, which is not the newest. */
static size_t following(struct vsw_capture *c, size_t at)
{
	at += record_size(record_at(c, at)->len);
	return c->size - at < sizeof(struct record) || record_at(c, at)->len == SKIP ? 0 : at;
}

static void forget_oldest(struct vsw_capture *c)
{
	c->first++;
	c->overwritten++;
	if (c->first == c->next)
		c->head = c->tail = 0;
	else
		c->tail = following(c, c->tail);
}

/* Is there room of `size` bytes at the head, without the oldest? */
static bool fits(struct vsw_capture *c, size_t size)
{
	if (c->first == c->next) {
		c->head = c->tail = 0;
		return true;
	}
	if (c->head > c->tail) {
		if (c->size - c->head >= size)
			return true;
		if (c->tail < size) /* nor at the beginning */
			return false;
		if (c->size - c->head >= sizeof(struct record))
			record_at(c, c->head)->len = SKIP;
		c->head = 0;
		return true;
	}
	return c->tail - c->head >= size;
}

static uint8_t port_index(struct vsw_capture *c, const char *name)
{
	unsigned i = 0;

	while (i < c->port_count && strcmp(c->ports[i], name) != 0)
		i++;
	if (i == c->port_count && i < VSW_CAPTURE_PORTS)
		hv_snprintf(c->ports[c->port_count++], sizeof(c->ports[0]), "%s", name);
	return (uint8_t)i;
}

/* len bytes from offset on; they are there. */
static void copy_bytes(uint8_t *to, const struct rte_mbuf *m, uint32_t offset, uint32_t len)
{
	const void *from = len ? rte_pktmbuf_read(m, offset, len, to) : to;

	if (from && from != to)
		memcpy(to, from, len);
}

static void copy_frame(uint8_t *to, uint32_t len, const struct rte_mbuf *m, uint16_t tci)
{
	const uint8_t tag[VLAN_TAG_LEN] = {0x81, 0x00, (uint8_t)(tci >> 8), (uint8_t)tci};
	uint8_t head[12 + VLAN_TAG_LEN];

	if (!tci) {
		copy_bytes(to, m, 0, len);
		return;
	}
	copy_bytes(head, m, 0, 12);
	memcpy(head + 12, tag, sizeof(tag));
	memcpy(to, head, HV_MIN(len, sizeof(head)));
	if (len > sizeof(head))
		copy_bytes(to + sizeof(head), m, 12, len - (uint32_t)sizeof(head));
}

bool vsw_capture_add(struct vsw_capture *c, const struct vsw_port *p, enum vsw_mirror_direction dir, const struct rte_mbuf *m, uint16_t tci,
	uint32_t snap)
{
	uint32_t frame_bytes = m->pkt_len + (tci ? VLAN_TAG_LEN : 0), len = snap ? HV_MIN(frame_bytes, snap) : frame_bytes;
	size_t size = record_size(len);
	struct record *r;

	if (size > c->size)
		return false;
	while (!fits(c, size))
		forget_oldest(c);
	r = record_at(c, c->head);
	*r = (struct record){.sequence = c->next++,
		.time_ns = hv_now_ns(),
		.frame_bytes = frame_bytes,
		.len = len,
		.port = port_index(c, p->name),
		.direction = (uint8_t)dir};
	copy_frame(r->bytes, len, m, tci);
	c->head += size;
	return true;
}

void vsw_capture_read(struct vsw_capture *c, uint64_t from, bool (*fn)(void *arg, const struct vsw_captured *frame), void *arg)
{
	bool near = c->hint_sequence >= c->first && c->hint_sequence < c->next && c->hint_sequence <= from;
	uint64_t sequence = near ? c->hint_sequence : c->first;
	size_t at = near ? c->hint_at : c->tail;

	for (; sequence < c->next; sequence++) {
		const struct record *r = record_at(c, at);
		struct vsw_captured frame = {.sequence = sequence,
			.time_ns = r->time_ns,
			.port = r->port < VSW_CAPTURE_PORTS ? c->ports[r->port] : "?",
			.direction = (enum vsw_mirror_direction)r->direction,
			.frame_bytes = r->frame_bytes,
			.len = r->len,
			.bytes = r->bytes};

		c->hint_sequence = sequence;
		c->hint_at = at;
		if (sequence >= from && !fn(arg, &frame))
			return;
		if (sequence + 1 < c->next)
			at = following(c, at);
	}
}

struct vsw_capture_state vsw_capture_state(const struct vsw_capture *c)
{
	return (struct vsw_capture_state){.first = c->first, .next = c->next, .overwritten = c->overwritten};
}
