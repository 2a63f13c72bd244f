/*
 * virtio-net's shortest ways: plain frames to the switch, and frames from other guests' memory. What they leave to the others, and that
 * both together keep the order.
 */
#include "guest_driver.h"
#include "vdev/virtio/net_header.h"
#include "vdev/virtio/virtio.h"

#define F_CSUM (1ull << 0)
#define F_MRG (1ull << 15)
#define F_MQ (1ull << 22)
#define F_CTRL (1ull << 17)
#define F_INDIRECT (1ull << 28)

enum { RX, TX, FRAMES = 512 };

static struct {
	struct netport port;
	const struct netport_client *client;
	unsigned room, count, flushes, plain;
	uint32_t len[FRAMES];
	bool was_plain[FRAMES];
	uint8_t first[FRAMES]; /* byte of each */
} sw;

static void take(uint32_t len, uint8_t first, bool plain)
{
	sw.len[sw.count] = len;
	sw.first[sw.count] = first;
	sw.was_plain[sw.count++] = plain;
	sw.plain += plain;
	sw.room--;
}

static unsigned sw_tx(struct netport *p, const struct netport_frame *f, unsigned n)
{
	unsigned i;
	uint8_t first;
	for (i = 0; i < n && sw.room; i++) {
		assert_int_equal(blk_segs_to_buf(f[i].segs, f[i].nsegs, 0, &first, 1), 1);
		take(f[i].len, first, false);
	}
	return i;
}

static unsigned sw_plain(struct netport *p, const struct hv_seg *f, unsigned n)
{
	unsigned i;
	assert_in_range(n, 1, NETPORT_BURST);
	for (i = 0; i < n && sw.room; i++) {
		assert_in_range(f[i].len, NETPORT_PLAIN_MIN, 1518);
		take(f[i].len, *(const uint8_t *)f[i].base, true);
	}
	return i;
}

static void sw_flush(struct netport *p)
{
	sw.flushes++;
}
static void sw_client(struct netport *p, const struct netport_client *c)
{
	sw.client = c;
}
static void sw_features(struct netport *p, uint32_t f)
{
}
static void sw_mac(struct netport *p, const uint8_t mac[6])
{
}
static void sw_filter(struct netport *p, bool promisc, bool allmulti)
{
}
static const struct netport_ops ops = {.tx_burst = sw_tx,
	.tx_plain = sw_plain,
	.tx_flush = sw_flush,
	.set_client = sw_client,
	.set_features = sw_features,
	.set_mac = sw_mac,
	.set_filter = sw_filter};

static struct dev dev;

static void start(uint64_t features, unsigned pairs)
{
	struct vm_config config = {.nic_count = 1, .nics = {{.port = &sw.port, .queue_pairs = pairs}}};
	memset(&sw, 0, sizeof(sw));
	sw.port = (struct netport){
		.ops = &ops, .name = "p", .mac = {0x52, 0x54, 0, 1, 2, 3}, .mtu = 1500, .link_up = true, .features = NETPORT_F_CSUM};
	sw.room = FRAMES;
	guest_start(&config);
	dev_open(&dev, 1, features, 1 + 2 * pairs, 0);
}

static int teardown(void **state)
{
	guest_end();
	return 0;
}

static uint64_t counter_value;
static const char *counter_name;
static void look(struct vm_stats_sink *s, const char *name, uint64_t value)
{
	if (strcmp(name, counter_name) == 0)
		counter_value = value;
}
static uint64_t counter(const char *name)
{
	struct vm_stats_sink sink = {look};
	counter_name = name;
	counter_value = ~0ull;
	virtio_stats(&guest.vm, &sink);
	assert_true(counter_value != ~0ull);
	return counter_value;
}

/* ---- to the switch ---- */

static unsigned sent_back(void)
{
	unsigned n = 0;
	uint32_t len;
	for (; queue_used(&dev.queues[TX], NULL, &len); n++)
		assert_int_equal(len, 0);
	return n;
}

/* One frame in one buffer; its first byte is `mark`. */
static void send(uint8_t mark, uint32_t len, const struct vnet_header *h)
{
	uint64_t gpa = ram_alloc(12 + len);
	ram_fill(gpa, 0, 12 + len);
	if (h)
		memcpy(ram(gpa, 12), h, 12);
	*(uint8_t *)ram(gpa + 12, 1) = mark;
	queue_add(&dev.queues[TX], (struct buf[]){{gpa, 12 + len, false}}, 1);
}

static void send_in_two(uint8_t mark, uint32_t len)
{
	uint64_t gpa = ram_alloc(12 + len);
	ram_fill(gpa, 0, 12 + len);
	*(uint8_t *)ram(gpa + 12, 1) = mark;
	queue_add(&dev.queues[TX], (struct buf[]){{gpa, 12, false}, {gpa + 12, len, false}}, 2);
}

static void go(void)
{
	queue_kick(&dev.queues[TX], 1);
	guest_run();
}

static void plain_frames_go_the_shortest_way(void **state)
{
	start(0, 1);
	for (unsigned i = 0; i < 600; i += 100) { /* over the ring's end more than once */
		sw.count = sw.plain = 0;
		sw.room = FRAMES;
		for (unsigned k = 0; k < 100; k++)
			send((uint8_t)k, 60 + k, NULL);
		go();
		assert_int_equal(sent_back(), 100);
		assert_int_equal(sw.count, 100);
		assert_int_equal(sw.plain, 100);
		for (unsigned k = 0; k < 100; k++) {
			assert_int_equal(sw.len[k], 60 + k);
			assert_int_equal(sw.first[k], k);
		}
		guest.next_free = 0x100000;
	}
	assert_int_equal(counter("nic0.tx_frames"), 600);
	assert_int_equal(counter("nic0.tx_bytes"), 6 * (100 * 60 + 4950));
	assert_true(sw.flushes >= 6 * 4);
}

/* Everything else goes another way, in its place. */
static void others_keep_their_place(void **state)
{
	static const struct vnet_header csum = {.flags = 1, .csum_start = 34, .csum_offset = 16}, bad = {.gso_type = 9},
					valid = {.flags = 2};
	static const uint32_t len[] = {60, 60, 60, 60, NETPORT_PLAIN_MIN - 1, NETPORT_PLAIN_MIN, 14, 60, 60, 1518, 60};
	static const bool plain[] = {true, false, false, true, false, true, false, false, true, true, true};
	unsigned want = 0;
	start(F_CSUM | F_INDIRECT, 1);
	send(0, 60, NULL);
	send(1, 60, &csum);
	send_in_two(2, 60);
	send(3, 60, NULL);
	send(4, NETPORT_PLAIN_MIN - 1, NULL);
	send(5, NETPORT_PLAIN_MIN, NULL);
	send(6, 14, NULL);
	send(99, 13, NULL);
	send(99, 60, &bad);
	send(7, 60, &valid); /* a flag that means nothing here */
	send(99, 1519, NULL);
	dev.queues[TX].indirect = true;
	send(8, 60, NULL); /* in a table */
	dev.queues[TX].indirect = false;
	send(9, 1518, NULL);
	send(10, 60, NULL);
	go();
	assert_int_equal(sent_back(), 14);
	assert_int_equal(sw.count, 11);
	for (unsigned i = 0; i < 11; i++) {
		assert_int_equal(sw.first[i], i);
		assert_int_equal(sw.len[i], len[i]);
		want += plain[i];
	}
	assert_true(sw.plain > 0 && sw.plain <= want); /* what comes behind another in one burst goes with it */
	assert_true(sw.was_plain[0] && !sw.was_plain[1] && !sw.was_plain[4] && !sw.was_plain[6] && !sw.was_plain[7]);
	assert_int_equal(counter("nic0.drop.runt"), 1);
	assert_int_equal(counter("nic0.drop.too_long"), 1);
	assert_int_equal(counter("nic0.drop.bad_gso"), 1);
	assert_int_equal(counter("nic0.tx_frames"), 11);
	assert_int_equal(dev_status(&dev), 15);
}

/* What the switch does not take stays in the ring and goes later, once. */
static void a_full_switch_delays_only(void **state)
{
	start(0, 1);
	for (unsigned i = 0; i < 40; i++)
		send((uint8_t)i, 60 + i, NULL);
	sw.room = 3;
	queue_kick(&dev.queues[TX], 40);
	native_core_step();
	assert_int_equal(sw.count, 3);
	assert_int_equal(sent_back(), 3);
	native_core_step();
	assert_int_equal(sw.count, 3);
	assert_int_equal(counter("nic0.tx_bytes"), 60 + 61 + 62);
	sw.room = 500;
	guest_run();
	assert_int_equal(sent_back(), 37);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(sw.first[i], i);
	assert_int_equal(sw.count, 40);
	assert_int_equal(counter("nic0.tx_frames"), 40);
	assert_int_equal(counter("nic0.tx_bytes"), 40 * 60 + 780);
}

static void a_broken_chain_behind_plain_ones_breaks_the_device(void **state)
{
	start(0, 1);
	send(0, 60, NULL);
	send(1, 60, NULL);
	queue_add_head(&dev.queues[TX], 256); /* beyond the table */
	go();
	assert_int_equal(sw.count, 2);
	assert_int_equal(dev_status(&dev) & 64, 64);
}

/* ---- to the guest ---- */

static uint8_t bytes[2048];

static uint64_t post(uint32_t len)
{
	uint64_t gpa = ram_alloc(len);
	ram_fill(gpa, 0xcc, len);
	queue_add(&dev.queues[RX], (struct buf[]){{gpa, len, true}}, 1);
	return gpa;
}

/* A frame of `len` bytes, numbered, `head_bytes` of them checked already. */
static struct netport_direct direct(uint32_t len, uint32_t head_bytes)
{
	struct netport_direct f = {.head_bytes = head_bytes, .rest = bytes + head_bytes, .bytes = len};
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	memset(f.head, 0xaa, sizeof(f.head)); /* behind head_bytes: not of the frame */
	memcpy(f.head, bytes, head_bytes);
	return f;
}

static unsigned deliver(const struct netport_direct *f, unsigned n)
{
	unsigned taken = sw.client->rx_direct(sw.client->arg, f, n);
	sw.client->rx_flush(sw.client->arg);
	return taken;
}

static void expect(uint64_t gpa, uint32_t len, uint16_t buffers)
{
	struct vnet_header h;
	memcpy(&h, ram(gpa, 12), 12);
	assert_int_equal(h.num_buffers, buffers);
	assert_int_equal(h.flags | h.gso_type | h.hdr_len | h.gso_size | h.csum_start | h.csum_offset, 0);
	for (uint32_t i = 0; i < len; i++)
		if (*(uint8_t *)ram(gpa + 12 + i, 1) != (uint8_t)(i * 7 + 1))
			fail_msg("byte %u", i);
}

static void direct_frames_arrive(void **state)
{
	static const uint32_t heads[] = {16, 20};
	start(0, 1);
	for (unsigned k = 0; k < 2; k++)
		for (uint32_t len = 20; len < 1515; len += 498) {
			struct netport_direct f[3] = {direct(len, heads[k]), direct(len + 1, heads[k]), direct(len, heads[k])};
			uint64_t gpa[3] = {post(1536), post(12 + len + 1), post(12 + len)};
			uint32_t used;
			assert_int_equal(deliver(f, 3), 3);
			for (unsigned i = 0; i < 3; i++) {
				assert_true(queue_used(&dev.queues[RX], NULL, &used));
				assert_int_equal(used, 12 + len + (i == 1));
				expect(gpa[i], len + (i == 1), 1);
			}
			assert_int_equal(*(uint8_t *)ram(gpa[0] + 12 + len, 1), 0xcc); /* nothing behind its end */
			assert_false(queue_used(&dev.queues[RX], NULL, NULL));
			assert_int_equal(deliver(f, 3), 0); /* no buffers */
		}
	assert_int_equal(counter("nic0.rx_frames"), 24);
	assert_int_equal(counter("nic0.rx_bytes"), 2 * (3 * (20 + 518 + 1016 + 1514) + 4));
	assert_int_equal(counter("nic0.rx_no_buffer"), 8);
	assert_true(guest.msi[RX] >= 8);
}

/* Buffers of other forms: in two descriptors, in a table, several for one frame; the usual ones before and behind keep their place. */
static void direct_frames_in_any_buffers(void **state)
{
	struct netport_direct f[5];
	uint64_t whole = 0, two, table, small[2], last;
	uint32_t used;
	start(F_MRG | F_INDIRECT, 1);
	for (unsigned i = 0; i < 5; i++)
		f[i] = direct(1000, 16);
	whole = post(1536);
	two = ram_alloc(1100);
	queue_add(&dev.queues[RX], (struct buf[]){{two, 12, true}, {two + 12, 1088, true}}, 2);
	dev.queues[RX].indirect = true;
	table = post(1536);
	dev.queues[RX].indirect = false;
	small[0] = post(600);
	small[1] = post(600);
	last = post(1536);
	assert_int_equal(deliver(f, 5), 5);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(queue_used(&dev.queues[RX], NULL, &used));
		assert_int_equal(used, i == 3 ? 600 : i == 4 ? 412 : 1012);
	}
	expect(whole, 1000, 1);
	expect(two, 1000, 1);
	expect(table, 1000, 1);
	expect(small[0], 588, 2);
	for (unsigned i = 0; i < 412; i++)
		assert_int_equal(*(uint8_t *)ram(small[1] + i, 1), (uint8_t)((588 + i) * 7 + 1));
	expect(last, 1000, 1);
	assert_int_equal(counter("nic0.rx_frames"), 5);
}

static void hostile_buffers_for_direct_frames(void **state)
{
	struct netport_direct f;
	start(0, 1);
	f = direct(100, 16);
	post(111); /* a byte too small, and no merging: dropped here */
	assert_int_equal(deliver(&f, 1), 1);
	assert_int_equal(counter("nic0.drop.rx_buffers_too_small"), 1);
	assert_false(queue_used(&dev.queues[RX], NULL, NULL));
	dev_open(&dev, 1, 0, 3, 0);
	queue_add(&dev.queues[RX], (struct buf[]){{ram_alloc(1536), 1536, false}}, 1); /* readable */
	assert_int_equal(deliver(&f, 1), 0);
	assert_int_equal(dev_status(&dev) & 64, 64);
	dev_open(&dev, 1, 0, 3, 0);
	queue_add(&dev.queues[RX], (struct buf[]){{GUEST_MEMORY - 100, 1536, true}}, 1); /* not RAM */
	assert_int_equal(deliver(&f, 1), 0);
	assert_int_equal(dev_status(&dev) & 64, 64);
	assert_int_equal(deliver(&f, 1), 0); /* broken: nothing more */
}

/* One VM may have sent what it receives: the buffer is the sender's own. */
static void a_frame_onto_itself(void **state)
{
	struct netport_direct f;
	uint64_t gpa;
	start(0, 1);
	f = direct(1000, 16);
	gpa = post(1536);
	memcpy(ram(gpa + 8, 1000), bytes, 1000);
	f.rest = (uint8_t *)ram(gpa + 8, 1000) + 16;
	assert_int_equal(deliver(&f, 1), 1);
	for (unsigned i = 40; i < 1000; i++) /* what lay below the header's and the head's end is overwritten before */
		assert_int_equal(*(uint8_t *)ram(gpa + 12 + i, 1), (uint8_t)(i * 7 + 1));
}

static void direct_frames_find_their_queue(void **state)
{
	struct netport_direct f[8];
	static uint8_t flows[8][64];
	unsigned got = 0;
	start(F_MQ | F_CTRL, 2);
	uint64_t out = ram_alloc(4), ack = ram_alloc(1);
	memcpy(ram(out, 4), (uint8_t[]){4, 0, 2, 0}, 4);
	queue_add(&dev.queues[4], (struct buf[]){{out, 4, false}, {ack, 1, true}}, 2);
	queue_kick(&dev.queues[4], 1);
	guest_run();
	for (unsigned i = 0; i < 8; i++) {
		static const uint8_t head[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17};
		uint64_t gpa = ram_alloc(76);
		memcpy(flows[i], head, sizeof(head));
		flows[i][29] = (uint8_t)(i / 2 + 1); /* two frames of each flow, one after the other */
		memset(ram(gpa, 12), 0, 12);
		memcpy(ram(gpa + 12, 64), flows[i], 64);
		queue_add(&dev.queues[i / 2 % 2 ? 3 : 1], (struct buf[]){{gpa, 76, false}}, 1); /* the flow is learned there */
		f[i] = (struct netport_direct){.head_bytes = 16, .rest = flows[i] + 16, .bytes = 64};
		memcpy(f[i].head, flows[i], 16);
		for (unsigned q = 0; q < 3; q += 2)
			queue_add(&dev.queues[q], (struct buf[]){{ram_alloc(256), 256, true}}, 1);
	}
	queue_kick(&dev.queues[1], 4);
	queue_kick(&dev.queues[3], 4);
	guest_run();
	assert_int_equal(sw.plain, 8);
	assert_int_equal(deliver(f, 8), 8);
	for (; queue_used(&dev.queues[0], NULL, NULL); got++)
		;
	assert_int_equal(got, 4);
	for (; queue_used(&dev.queues[2], NULL, NULL); got++)
		;
	assert_int_equal(got, 8);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {T(plain_frames_go_the_shortest_way), T(others_keep_their_place), T(a_full_switch_delays_only),
		T(a_broken_chain_behind_plain_ones_breaks_the_device), T(direct_frames_arrive), T(direct_frames_in_any_buffers),
		T(hostile_buffers_for_direct_frames), T(a_frame_onto_itself), T(direct_frames_find_their_queue)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
