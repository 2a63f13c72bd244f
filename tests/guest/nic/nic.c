/* Polling driver for virtio-net over PCI (VIRTIO 1.2, 4.1, 5.1): one pair of split queues, no offloads, no interrupts. */
#include "nic.h"

#define QUEUE 16u
#define HEADER 12u /* 5.1.6: struct virtio_net_hdr with num_buffers */
#define PATIENCE 50000000u /* turns of a loop: many seconds on any machine */
#define DESC_WRITE 2

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_DEVICE = 4 };
enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8 };
enum { RX, TX };

/* 4.1.4.3 */
struct common {
	uint32_t feature_select, features, accept_select, accepted;
	uint16_t config_vector, queues;
	uint8_t status, generation;
	uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
	uint32_t desc[2], driver[2], device[2];
};

/* 2.7 */
struct ring {
	struct {
		uint32_t address[2], len;
		uint16_t flags, next;
	} desc[QUEUE];
	struct {
		uint16_t flags, idx, ring[QUEUE], event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE];
	} __attribute__((aligned(4))) used;
	uint16_t seen; /* of `used`, by us */
	uint16_t notify_port;
	uint8_t buffer[QUEUE][HEADER + NIC_FRAME_MAX + 2];
} __attribute__((aligned(16)));

static struct nic {
	volatile struct common *common;
	uint8_t mac[6];
	struct ring ring[2];
} nics[NIC_MAX];
static unsigned nic_count;

static void copy(void *to, const void *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static void barrier(void)
{
	__asm__ volatile("lock; addl $0, (%%esp)" : : : "memory");
}

/* ---- PCI ---- */

static uint32_t config_read(unsigned slot, unsigned offset)
{
	uint32_t x;
	outl(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfcu));
	__asm__ volatile("inl %1, %0" : "=a"(x) : "Nd"((uint16_t)0xcfc));
	return x >> offset % 4 * 8;
}

static void config_write(unsigned slot, unsigned offset, uint32_t x)
{
	outl(0xcf8, 0x80000000u | slot << 11 | offset);
	outl(0xcfc, x);
}

/* ---- start ---- */

static void start_queue(struct nic *n, unsigned q, uint16_t notify_base, uint32_t notify_multiplier)
{
	struct ring *r = &n->ring[q];
	volatile struct common *c = n->common;

	c->queue_select = (uint16_t)q;
	CHECK(c->queue_size >= QUEUE);
	c->queue_size = QUEUE;
	c->desc[0] = (uint32_t)r->desc;
	c->desc[1] = 0;
	c->driver[0] = (uint32_t)&r->avail;
	c->driver[1] = 0;
	c->device[0] = (uint32_t)&r->used;
	c->device[1] = 0;
	r->notify_port = (uint16_t)(notify_base + c->queue_notify_off * notify_multiplier);
	for (unsigned i = 0; i < QUEUE; i++) {
		r->desc[i].address[0] = (uint32_t)r->buffer[i];
		r->desc[i].len = q == RX ? sizeof(r->buffer[i]) : 0;
		r->desc[i].flags = q == RX ? DESC_WRITE : 0;
		r->avail.ring[i] = (uint16_t)i;
	}
	r->avail.flags = 1; /* no interrupts */
	r->avail.idx = q == RX ? QUEUE : 0;
	c->queue_enable = 1;
}

static void start(struct nic *n, unsigned slot)
{
	uint32_t bar[2] = {config_read(slot, 0x10) & ~3u, config_read(slot, 0x14) & ~15u}, notify_base = 0, multiplier = 0;
	volatile const uint8_t *device = 0;

	for (unsigned cap = config_read(slot, 0x34) & 0xfc; cap; cap = config_read(slot, cap + 1) & 0xfc) {
		unsigned type = config_read(slot, cap + 3) & 0xff, which = config_read(slot, cap + 4) & 0xff;
		uint32_t offset = config_read(slot, cap + 8);

		if ((config_read(slot, cap) & 0xff) != 9 || which > 1)
			continue;
		if (type == CAP_COMMON)
			n->common = (volatile struct common *)(bar[which] + offset);
		if (type == CAP_DEVICE)
			device = (volatile const uint8_t *)(bar[which] + offset);
		if (type == CAP_NOTIFY && which == 0) {
			notify_base = bar[0] + offset;
			multiplier = config_read(slot, cap + 16);
		}
	}
	CHECK(n->common && device && notify_base);
	config_write(slot, 4, 7); /* I/O, memory, bus master */
	n->common->status = 0;
	n->common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	n->common->feature_select = 1;
	CHECK(n->common->features & 1); /* VIRTIO_F_VERSION_1 */
	n->common->accept_select = 0;
	n->common->accepted = 1u << 5; /* VIRTIO_NET_F_MAC */
	n->common->accept_select = 1;
	n->common->accepted = 1;
	n->common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	CHECK(n->common->status & STATUS_FEATURES_OK);
	for (unsigned i = 0; i < 6; i++)
		n->mac[i] = device[i];
	start_queue(n, RX, (uint16_t)notify_base, multiplier);
	start_queue(n, TX, (uint16_t)notify_base, multiplier);
	n->common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
}

void nic_start_all(unsigned count)
{
	for (unsigned slot = 0; slot < 32; slot++) {
		if (config_read(slot, 0) != 0x10411af4)
			continue;
		CHECK(nic_count < NIC_MAX);
		start(&nics[nic_count++], slot);
	}
	CHECK(nic_count == count);
	for (unsigned i = 0; i < count; i++) {
		struct frame f = frame_make(nics[i].mac, nics[i].mac, 0, NIC_TEST_TYPE, 0);

		nic_send(i, &f); /* it goes nowhere; when the device has taken it, it receives, too */
	}
}

const uint8_t *nic_mac(unsigned nic)
{
	return nics[nic].mac;
}

/* ---- frames ---- */

static void notify(const struct ring *r, unsigned q)
{
	barrier();
	__asm__ volatile("outw %0, %1" : : "a"((uint16_t)q), "Nd"(r->notify_port));
}

static bool is_used(const struct ring *r)
{
	barrier();
	return *(volatile const uint16_t *)&r->used.idx != r->seen;
}

void nic_send(unsigned nic, const struct frame *f)
{
	struct ring *r = &nics[nic].ring[TX];
	uint32_t patience = PATIENCE;

	for (unsigned i = 0; i < HEADER; i++)
		r->buffer[0][i] = 0;
	copy(r->buffer[0] + HEADER, f->bytes, f->len);
	r->desc[0].len = HEADER + f->len;
	r->avail.ring[r->avail.idx % QUEUE] = 0;
	barrier();
	r->avail.idx++;
	notify(r, TX);
	while (!is_used(r) && patience--)
		__asm__ volatile("pause");
	CHECK(is_used(r));
	r->seen++;
}

bool nic_receive(unsigned nic, struct frame *f)
{
	struct ring *r = &nics[nic].ring[RX];
	uint32_t id;

	if (!is_used(r))
		return false;
	id = r->used.ring[r->seen % QUEUE].id;
	f->len = r->used.ring[r->seen % QUEUE].len - HEADER;
	CHECK(id < QUEUE && f->len <= NIC_FRAME_MAX);
	copy(f->bytes, r->buffer[id] + HEADER, f->len);
	r->seen++;
	r->avail.ring[r->avail.idx % QUEUE] = (uint16_t)id;
	barrier();
	r->avail.idx++;
	notify(r, RX);
	return true;
}

void nic_expect(unsigned nic, struct frame *f)
{
	uint32_t patience = PATIENCE;

	while (!nic_receive(nic, f)) {
		CHECK(patience--);
		__asm__ volatile("pause");
	}
}

unsigned nic_until_marker(unsigned nic, struct frame *f)
{
	struct frame next;
	unsigned n = 0;

	f->len = 0;
	for (nic_expect(nic, &next); frame_type(&next) != NIC_MARKER_TYPE; nic_expect(nic, &next), n++)
		*f = next;
	return n;
}

void nic_arrived(unsigned count, const struct frame *const want[])
{
	struct frame f;

	for (unsigned i = 0; i < count; i++) {
		unsigned n = nic_until_marker(i, &f);

		CHECK(n == (want[i] != 0));
		CHECK(!n || frame_same(&f, want[i]));
	}
}

struct frame frame_make(const uint8_t dst[6], const uint8_t src[6], uint16_t tag, uint16_t type, uint8_t number)
{
	struct frame f = {.len = 60};

	copy(f.bytes, dst, 6);
	copy(f.bytes + 6, src, 6);
	f.bytes[12] = (uint8_t)(type >> 8);
	f.bytes[13] = (uint8_t)type;
	f.bytes[14] = number;
	return tag ? frame_tagged(&f, tag) : f;
}

struct frame frame_tagged(const struct frame *f, uint16_t tag)
{
	struct frame out = {.len = f->len + 4};

	copy(out.bytes, f->bytes, 12);
	out.bytes[12] = 0x81;
	out.bytes[14] = (uint8_t)(tag >> 8);
	out.bytes[15] = (uint8_t)tag;
	copy(out.bytes + 16, f->bytes + 12, f->len - 12);
	return out;
}

bool frame_same(const struct frame *a, const struct frame *b)
{
	uint32_t longer = a->len > b->len ? a->len : b->len;

	for (uint32_t i = 0; i < longer; i++) {
		if ((i < a->len ? a->bytes[i] : 0) != (i < b->len ? b->bytes[i] : 0))
			return false;
	}
	return a->len && b->len;
}

uint16_t frame_type(const struct frame *f)
{
	const uint8_t *at = f->bytes + (f->bytes[12] == 0x81 && !f->bytes[13] ? 16 : 12);

	return (uint16_t)(at[0] << 8 | at[1]);
}

void *memset(void *to, int value, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		((volatile uint8_t *)to)[i] = (uint8_t)value;
	return to;
}

void *memcpy(void *to, const void *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}
