/* virtio-net between a driver in guest memory and a switch port of the test's own. */
#include "guest_driver.h"
#include "vdev/virtio/net_header.h"
#include "vdev/virtio/virtio.h"
#include "vm/state.h"

#define F_CSUM (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_GUEST_TSO4 (1ull << 7)
#define F_HOST_TSO4 (1ull << 11)
#define F_MRG (1ull << 15)
#define F_STATUS (1ull << 16)
#define F_CTRL (1ull << 17 | 1ull << 18 | 1ull << 23)
#define F_MQ (1ull << 22)
#define F_EVENT_IDX (1ull << 29)

enum { RX, TX, CTRL };

static struct {
	struct netport port;
	const struct netport_client *client;
	uint32_t features;
	bool promisc, allmulti;
	uint8_t mac[6];
	unsigned room; /* frames it takes until told more */
	unsigned count, bursts, flushes;
	uint32_t len[512];
	struct netport_offload off[512];
	uint8_t last[70000];
} sw;

static unsigned sw_tx(struct netport *p, const struct netport_frame *f, unsigned n)
{
	unsigned i;
	sw.bursts++;
	for (i = 0; i < n && sw.room; i++, sw.room--, sw.count++) {
		sw.len[sw.count] = f[i].len;
		sw.off[sw.count] = f[i].off;
		assert_int_equal(blk_segs_to_buf(f[i].segs, f[i].nsegs, 0, sw.last, f[i].len), f[i].len);
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
	sw.features = f;
}
static void sw_mac(struct netport *p, const uint8_t mac[6])
{
	memcpy(sw.mac, mac, 6);
}
static void sw_filter(struct netport *p, bool promisc, bool allmulti)
{
	sw.promisc = promisc;
	sw.allmulti = allmulti;
}
static const struct netport_ops ops = {.tx_burst = sw_tx,
	.tx_flush = sw_flush,
	.set_client = sw_client,
	.set_features = sw_features,
	.set_mac = sw_mac,
	.set_filter = sw_filter};

static struct dev dev;
static unsigned ctrl_queue;

static void start_pairs(uint64_t features, unsigned pairs, unsigned queues)
{
	struct vm_config config = {.nic_count = 1, .nics = {{.port = &sw.port, .queue_pairs = pairs}}};
	sw.port = (struct netport){.ops = &ops,
		.name = "p",
		.mac = {0x52, 0x54, 0, 1, 2, 3},
		.mtu = 1500,
		.link_up = true,
		.features = NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_TSO6 | NETPORT_F_ECN};
	sw.room = 512;
	guest_start(&config);
	dev_open(&dev, 1, features, queues, 0);
}

static void start(uint64_t features)
{
	start_pairs(features, 1, 3);
}

static int setup(void **state)
{
	ctrl_queue = CTRL;
	memset(&sw, 0, sizeof(sw));
	return 0;
}

static int teardown(void **state)
{
	guest_end();
	assert_null(sw.client);
	return 0;
}

/* ---- transmit ---- */

static uint64_t frame_at(uint32_t len)
{
	uint64_t gpa = ram_alloc(len + 16);
	for (uint32_t i = 0; i < len; i++)
		*(uint8_t *)ram(gpa + i, 1) = (uint8_t)(i * 13 + len);
	return gpa;
}

static void send(const struct vnet_header *h, uint32_t len, unsigned pieces)
{
	uint64_t header = ram_alloc(12), data = frame_at(len);
	struct buf b[128] = {{header, 12, false}};
	memcpy(ram(header, 12), h, 12);
	for (unsigned i = 0; i < pieces; i++)
		b[1 + i] = (struct buf){data + len * i / pieces, len * (i + 1) / pieces - len * i / pieces, false};
	queue_add(&dev.queues[TX], b, 1 + pieces);
}

static unsigned sent_back(void)
{
	unsigned n = 0;
	while (queue_used(&dev.queues[TX], NULL, NULL))
		n++;
	return n;
}

struct counter {
	struct vm_stats_sink sink;
	const char *name;
	uint64_t value;
	bool found;
};
static void look(struct vm_stats_sink *s, const char *name, uint64_t value)
{
	struct counter *c = hv_container_of(s, struct counter, sink);
	if (strcmp(name, c->name) == 0) {
		c->value = value;
		c->found = true;
	}
}
static uint64_t counter(const char *name)
{
	struct counter c = {.sink = {look}, .name = name};
	virtio_stats(&guest.vm, &c.sink);
	assert_true(c.found);
	return c.value;
}

static void frames_go_out(void **state)
{
	start(F_EVENT_IDX);
	struct vnet_header h = {0};
	for (unsigned i = 0; i < 40; i++)
		send(&h, 60 + i, 1 + i % 3);
	queue_kick(&dev.queues[TX], 40);
	guest_run();
	assert_int_equal(sw.count, 40);
	assert_int_equal(sent_back(), 40);
	assert_int_equal(sw.bursts, 2);
	for (unsigned i = 0; i < 99; i++)
		assert_int_equal(sw.last[i], (uint8_t)(i * 13 + 99));
	assert_int_equal(counter("nic0.tx_frames"), 40);
}

/* What the switch does not take stays and goes out later, in order, exactly once; drops in between are counted once. */
static void a_full_switch_delays_only(void **state)
{
	start(0);
	struct vnet_header h = {0}, bad = {.gso_type = 99};
	for (unsigned i = 0; i < 10; i++) {
		send(&h, 60 + i, 1);
		send(&bad, 60, 1);
	}
	sw.room = 3;
	queue_kick(&dev.queues[TX], 20);
	native_core_step();
	assert_int_equal(sw.count, 3);
	assert_int_equal(sent_back(), 6);
	native_core_step();
	assert_int_equal(sw.count, 3);
	sw.room = 100;
	guest_run();
	assert_int_equal(sent_back(), 14);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(sw.len[i], 60 + i);
	assert_int_equal(sw.count, 10);
	assert_int_equal(counter("nic0.drop.bad_gso"), 10);
}

static void offload_notes_are_passed_on(void **state)
{
	start(F_CSUM | F_HOST_TSO4);
	struct vnet_header h = {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 1448, .hdr_len = 66};
	send(&h, 60000, 20);
	queue_kick(&dev.queues[TX], 1);
	guest_run();
	assert_int_equal(sw.count, 1);
	assert_int_equal(sw.len[0], 60000);
	assert_true(sw.off[0].needs_csum);
	assert_int_equal(sw.off[0].csum_start, 34);
	assert_int_equal(sw.off[0].csum_offset, 16);
	assert_int_equal(sw.off[0].gso, NETPORT_GSO_TCPV4);
	assert_int_equal(sw.off[0].gso_size, 1448);
	assert_int_equal(sw.off[0].hdr_len, 66);
}

static void hostile_headers_are_dropped_by_reason(void **state)
{
	static const struct {
		struct vnet_header h;
		uint32_t len;
		const char *counter;
	} bad[] = {
		{{0}, 13, "nic0.drop.runt"},
		{{0}, 1519, "nic0.drop.too_long"},
		{{.flags = 1, .csum_start = 13, .csum_offset = 0}, 60, "nic0.drop.bad_csum_request"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 25}, 60, "nic0.drop.bad_csum_request"},
		{{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, 60, "nic0.drop.bad_csum_request"},
		{{.gso_type = 1, .gso_size = 1000}, 3000, "nic0.drop.bad_gso"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 4, .gso_size = 1000}, 3000, "nic0.drop.bad_gso"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3, .gso_size = 1000}, 3000, "nic0.drop.bad_gso"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x81, .gso_size = 1000}, 3000, "nic0.drop.bad_gso"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 0}, 3000, "nic0.drop.bad_gso_size"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 7}, 3000, "nic0.drop.bad_gso_size"},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 1000, .hdr_len = 3001}, 3000,
			"nic0.drop.bad_gso_size"},
	};
	start(F_CSUM | F_HOST_TSO4);
	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++) {
		uint64_t before = counter(bad[i].counter);
		send(&bad[i].h, bad[i].len, 1);
		queue_kick(&dev.queues[TX], 1);
		guest_run();
		if (sw.count || sent_back() != 1 || counter(bad[i].counter) != before + 1)
			fail_msg("header %u", i);
	}
	send(&(struct vnet_header){0}, 600, 70); /* more pieces than we take */
	queue_kick(&dev.queues[TX], 1);
	guest_run();
	assert_int_equal(sw.count, 0);
	assert_int_equal(counter("nic0.drop.segments"), 1);
	assert_int_equal(dev_status(&dev), 15);
}

static void a_chain_that_is_no_frame_breaks_the_device(void **state)
{
	start(0);
	queue_add(&dev.queues[TX], (struct buf[]){{ram_alloc(64), 11, false}}, 1);
	queue_kick(&dev.queues[TX], 1);
	guest_run();
	assert_int_equal(dev_status(&dev) & 64, 64);
	dev_open(&dev, 1, 0, 3, 0);
	queue_add(&dev.queues[TX], (struct buf[]){{ram_alloc(64), 64, false}, {ram_alloc(64), 64, true}}, 2);
	queue_kick(&dev.queues[TX], 1);
	guest_run();
	assert_int_equal(dev_status(&dev) & 64, 64);
	assert_int_equal(counter("nic0.malformed"), 2);
	assert_int_equal(sw.client->rx_burst(sw.client->arg, &(netport_rx_frame){.len = 60}, 1), 0);
}

/* ---- receive ---- */

static uint64_t post(uint32_t len)
{
	uint64_t gpa = ram_alloc(len);
	queue_add(&dev.queues[RX], (struct buf[]){{gpa, len, true}}, 1);
	return gpa;
}

static unsigned deliver(uint32_t len, const struct netport_offload *off)
{
	static uint8_t data[70000];
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 5 + len);
	struct hv_seg s[2] = {{data, len / 3}, {data + len / 3, len - len / 3}};
	netport_rx_frame f = {.segs = s, .nsegs = 2, .len = len, .off = *off};
	unsigned n = sw.client->rx_burst(sw.client->arg, &f, 1);
	sw.client->rx_flush(sw.client->arg);
	return n;
}

static const struct netport_offload none;

static void a_frame_arrives(void **state)
{
	start(F_EVENT_IDX);
	uint64_t gpa = post(1526);
	queue_want_interrupt(&dev.queues[RX]);
	assert_int_equal(deliver(1000, &none), 1);
	uint32_t len;
	assert_true(queue_used(&dev.queues[RX], NULL, &len));
	assert_int_equal(len, 1012);
	assert_int_equal(guest.msi[RX], 1);
	struct vnet_header *h = ram(gpa, 12);
	assert_int_equal(h->num_buffers, 1);
	assert_int_equal(h->flags, 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(*(uint8_t *)ram(gpa + 12 + i, 1), (uint8_t)(i * 5 + 1000 % 256));
	assert_int_equal(deliver(60, &none), 0); /* no buffer */
	assert_int_equal(counter("nic0.rx_no_buffer"), 1);
	post(50);
	assert_int_equal(deliver(60, &none), 1); /* too small: dropped here, counted */
	assert_false(queue_used(&dev.queues[RX], NULL, NULL));
	assert_int_equal(counter("nic0.drop.rx_buffers_too_small"), 1);
	assert_int_equal(counter("nic0.kicks"), 0);
}

static void a_long_frame_in_merged_buffers(void **state)
{
	start(F_MRG | F_GUEST_CSUM | F_GUEST_TSO4);
	assert_int_equal(sw.features, NETPORT_F_CSUM | NETPORT_F_TSO4);
	uint64_t gpa[10];
	struct netport_offload off = {
		.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1448, .hdr_len = 54};
	for (unsigned i = 0; i < 2; i++)
		gpa[i] = post(1000);
	assert_int_equal(deliver(2500, &off), 0); /* two are not enough; both are still there */
	gpa[2] = post(1000);
	assert_int_equal(deliver(2500, &off), 1);
	uint32_t len, sum = 0;
	uint8_t flat[3000];
	for (unsigned i = 0; i < 3; i++) {
		assert_true(queue_used(&dev.queues[RX], NULL, &len));
		memcpy(flat + sum, ram(gpa[i], len), len);
		sum += len;
	}
	assert_false(queue_used(&dev.queues[RX], NULL, NULL));
	assert_int_equal(sum, 2512);
	struct vnet_header h;
	memcpy(&h, flat, 12);
	assert_int_equal(h.num_buffers, 3);
	assert_int_equal(h.flags, 1);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.gso_type, 1);
	assert_int_equal(h.gso_size, 1448);
	for (unsigned i = 0; i < 2500; i++)
		assert_int_equal(flat[12 + i], (uint8_t)(i * 5 + 2500 % 256));
}

static void no_offload_that_was_not_accepted(void **state)
{
	start(F_MRG);
	post(4000);
	assert_int_equal(sw.features, 0);
	assert_int_equal(deliver(100, &(struct netport_offload){.needs_csum = true, .csum_start = 34, .csum_offset = 16}), 1);
	assert_int_equal(counter("nic0.drop.rx_offload"), 1);
	assert_int_equal(deliver(100, &(struct netport_offload){.csum_valid = true}), 1);
	assert_true(queue_used(&dev.queues[RX], NULL, NULL));
}

static void hostile_receive_buffers(void **state)
{
	start(F_MRG);
	post(11); /* smaller than a header */
	assert_int_equal(deliver(100, &none), 0);
	assert_int_equal(dev_status(&dev) & 64, 64);
	dev_open(&dev, 1, F_MRG, 3, 0);
	queue_add(&dev.queues[RX], (struct buf[]){{ram_alloc(64), 64, false}}, 1);
	assert_int_equal(deliver(100, &none), 0);
	assert_int_equal(dev_status(&dev) & 64, 64);
	dev_open(&dev, 1, F_MRG, 3, 0);
	for (unsigned i = 0; i < 100; i++)
		post(16);
	assert_int_equal(deliver(60000, &none), 1);
	assert_int_equal(counter("nic0.drop.rx_buffers_too_small"), 1);
	assert_int_equal(deliver(20, &none), 1); /* they are still good for a small one */
	assert_true(queue_used(&dev.queues[RX], NULL, NULL));
}

/* ---- control ---- */

static uint8_t command(const uint8_t *bytes, uint32_t len)
{
	struct queue *ctrl = &dev.queues[ctrl_queue];
	uint64_t out = ram_alloc(len), ack = ram_alloc(1);
	memcpy(ram(out, len), bytes, len);
	*(uint8_t *)ram(ack, 1) = 0xee;
	queue_add(ctrl, (struct buf[]){{out, len, false}, {ack, 1, true}}, 2);
	queue_kick(ctrl, 1);
	guest_run();
	assert_true(queue_used(ctrl, NULL, NULL));
	return *(uint8_t *)ram(ack, 1);
}

static void control_commands(void **state)
{
	start(F_CTRL | F_STATUS);
	assert_int_equal(command((uint8_t[]){0, 0, 1}, 3), 0);
	assert_true(sw.promisc);
	assert_int_equal(command((uint8_t[]){0, 1, 1}, 3), 0);
	assert_true(sw.allmulti);
	assert_int_equal(command((uint8_t[]){1, 1, 2, 0, 0, 0, 0, 9}, 8), 0);
	assert_int_equal(sw.mac[5], 9);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1005, 1), 9);
	assert_int_equal(command((uint8_t[]){1, 1, 1, 0, 0, 0, 0, 9}, 8), 1); /* a group address */
	assert_int_equal(command((uint8_t[]){1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0}, 16), 0);
	assert_int_equal(command((uint8_t[]){1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 10), 1);
	assert_int_equal(command((uint8_t[]){1, 0, 0, 0}, 4), 1);
	assert_int_equal(command((uint8_t[]){9, 9, 9}, 3), 1);
	assert_int_equal(command((uint8_t[]){0}, 1), 1);
	dev_set_status(&dev, 0);
	guest_run();
	assert_false(sw.promisc);
	assert_int_equal(sw.mac[5], 3); /* the port's own again */
}

static void link_changes_are_told(void **state)
{
	start(F_STATUS);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1006, 2), 1);
	sw.port.link_up = false;
	sw.client->changed(sw.client->arg);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1006, 2), 0);
	assert_int_equal(guest.msi[15], 1);
	sw.client->changed(sw.client->arg); /* nothing new */
	assert_int_equal(guest.msi[15], 1);
}

/* ---- several queues (5.1.2, 5.1.6.5.5) ---- */

enum { PAIRS = 2, RX1 = 2, TX1 = 3, CTRL_MQ = 4 };

static const uint8_t two_pairs[] = {4, 0, 2, 0};

/* A UDP frame of a flow; `back`: in the other direction. */
static uint32_t flow_frame(uint8_t *f, uint8_t host, uint16_t port, bool back)
{
	const uint8_t head[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0};
	uint8_t a[6] = {10, 0, 0, host, (uint8_t)(port >> 8), (uint8_t)port}, b[6] = {10, 0, 0, 200, 0, 53};
	memset(f, 0, 64);
	memcpy(f, head, sizeof(head));
	memcpy(f + 26, back ? b : a, 4);
	memcpy(f + 30, back ? a : b, 4);
	memcpy(f + 34, (back ? b : a) + 4, 2);
	memcpy(f + 36, (back ? a : b) + 4, 2);
	return 64;
}

static void send_flow(unsigned q, uint8_t host, uint16_t port)
{
	uint64_t at = ram_alloc(12 + 64);
	ram_fill(at, 0, 12);
	flow_frame(ram(at + 12, 64), host, port, false);
	queue_add(&dev.queues[q], (struct buf[]){{at, 12 + 64, false}}, 1);
	queue_kick(&dev.queues[q], 1);
	guest_run();
	assert_true(queue_used(&dev.queues[q], NULL, NULL));
}

static unsigned receive_flow(uint8_t host, uint16_t port)
{
	uint8_t f[64];
	struct hv_seg seg = {f, flow_frame(f, host, port, true)};
	unsigned taken = sw.client->rx_burst(sw.client->arg, &(netport_rx_frame){.segs = &seg, .nsegs = 1, .len = seg.len}, 1);
	sw.client->rx_flush(sw.client->arg);
	return taken;
}

static void post_to(unsigned q, unsigned n)
{
	while (n--)
		queue_add(&dev.queues[q], (struct buf[]){{ram_alloc(2048), 2048, true}}, 1);
}

static void start_two(void)
{
	start_pairs(F_CTRL | F_MQ, PAIRS, 5);
	ctrl_queue = CTRL_MQ;
	assert_true(dev_offered(&dev) & F_MQ);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1008, 2), PAIRS);
}

static void a_flow_is_received_where_it_is_sent(void **state)
{
	start_two();
	assert_int_equal(command(two_pairs, 4), 0);
	post_to(RX, 100);
	post_to(RX1, 100);
	for (uint16_t i = 0; i < 40; i++) { /* the last one to be sent decides */
		unsigned pair = i % 3 == 0;
		send_flow(pair ? TX1 : TX, (uint8_t)(i % 7), (uint16_t)(1000 + i));
		assert_int_equal(receive_flow((uint8_t)(i % 7), (uint16_t)(1000 + i)), 1);
		assert_true(queue_used(&dev.queues[pair ? RX1 : RX], NULL, NULL));
		assert_false(queue_used(&dev.queues[pair ? RX : RX1], NULL, NULL));
	}
	assert_int_equal(sw.count, 40);
	assert_int_equal(guest.msi[RX1], 14);
}

static void unknown_flows_use_all_queues(void **state)
{
	unsigned got[PAIRS] = {0};
	start_two();
	assert_int_equal(command(two_pairs, 4), 0);
	post_to(RX, 120);
	post_to(RX1, 120);
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(receive_flow(1, (uint16_t)(3000 + i * 17)), 1);
	while (queue_used(&dev.queues[RX], NULL, NULL))
		got[0]++;
	while (queue_used(&dev.queues[RX1], NULL, NULL))
		got[1]++;
	assert_int_equal(got[0] + got[1], 100);
	assert_in_range(got[0], 20, 80);
}

/* Until the guest says more there is one pair; a driver without the feature finds control at 2. */
static void one_pair_until_the_guest_says(void **state)
{
	start_two();
	post_to(RX, 4);
	post_to(RX1, 4);
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(receive_flow(1, (uint16_t)(3000 + i)), 1);
	assert_false(queue_used(&dev.queues[RX1], NULL, NULL));
	assert_int_equal(command((uint8_t[]){4, 0, 0, 0}, 4), 1);
	assert_int_equal(command((uint8_t[]){4, 0, 3, 0}, 4), 1);
	assert_int_equal(command((uint8_t[]){4, 0, 0, 1}, 4), 1);
	assert_int_equal(command((uint8_t[]){4, 1, 1, 0}, 4), 1);
	assert_int_equal(command((uint8_t[]){4, 0, 2}, 3), 1);
	assert_int_equal(command(two_pairs, 4), 0);
	dev_set_status(&dev, 0);
	guest_run();
	dev_open(&dev, 1, F_CTRL, 3, 0);
	ctrl_queue = CTRL;
	assert_int_equal(command(two_pairs, 4), 1);
	assert_int_equal(command((uint8_t[]){0, 0, 1}, 3), 0);
	assert_true(sw.promisc);
}

static void a_full_queue_does_not_hold_up_others(void **state)
{
	start_two();
	assert_int_equal(command(two_pairs, 4), 0);
	post_to(RX1, 4);
	send_flow(TX, 1, 1000);
	send_flow(TX1, 1, 1001);
	assert_int_equal(receive_flow(1, 1000), 1); /* dealt with: dropped and counted here */
	assert_int_equal(receive_flow(1, 1001), 1);
	assert_true(queue_used(&dev.queues[RX1], NULL, NULL));
	assert_int_equal(counter("nic0.drop.rx_queue_full"), 1);
	assert_int_equal(command((uint8_t[]){4, 0, 1, 0}, 4), 0); /* fewer: the flow moves */
	post_to(RX, 1);
	assert_int_equal(receive_flow(1, 1001), 1);
	assert_true(queue_used(&dev.queues[RX], NULL, NULL));
	assert_int_equal(receive_flow(1, 1001), 0); /* the switch counts */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(frames_go_out), T(a_full_switch_delays_only), T(offload_notes_are_passed_on),
		T(hostile_headers_are_dropped_by_reason), T(a_chain_that_is_no_frame_breaks_the_device), T(a_frame_arrives),
		T(a_long_frame_in_merged_buffers), T(no_offload_that_was_not_accepted), T(hostile_receive_buffers), T(control_commands),
		T(link_changes_are_told), T(a_flow_is_received_where_it_is_sent), T(unknown_flows_use_all_queues),
		T(one_pair_until_the_guest_says), T(a_full_queue_does_not_hold_up_others)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
