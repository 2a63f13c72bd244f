/*
 * From guest to guest without an mbuf (guest_direct.c): which frames go that way, that they fare there as on the way of all others, and
 * that what was checked is what arrives.
 */
#include "kit.h"

#include "filter.h"

enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd };

static struct guest *a, *b, *c;
static uint8_t frame[FRAME_MAX];

static int setup(void **state)
{
	kit_setup(state);
	a = kit_guest(PG_WEB, mac_a, 0);
	b = kit_guest(PG_WEB, mac_b, 0);
	c = kit_guest(PG_WEB, mac_c, 0);
	return 0;
}

/* Sends one frame from a; how many arrived at b, and whether all of them directly. */
static unsigned arrives(const uint8_t dst[6], const uint8_t src[6], uint16_t type, uint32_t payload, bool *direct)
{
	uint32_t len = kit_eth(frame, dst, src, type, payload);
	unsigned count = b->count, before = b->direct;

	kit_send(a, frame, len, len, NULL);
	*direct = b->direct - before == b->count - count;
	if (b->count > count)
		assert_memory_equal(b->in[count].bytes, frame, len);
	return b->count - count;
}

static void plain_frames_go_directly(void **state)
{
	bool direct;

	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 1500, &direct), 1);
	assert_true(direct);
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV6, 100, &direct), 1);
	assert_true(direct);
	assert_int_equal(arrives(mac_b, mac_a, 0x8847, 10, &direct), 1);
	assert_true(direct);
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 9, &direct), 1); /* too short for it */
	assert_false(direct);
	assert_int_equal(b->flushes, 4);
	assert_int_equal(kit_port(a)->count.in_frames, 4);
	assert_int_equal(kit_port(a)->count.in_bytes, 1500 + 100 + 10 + 9 + 4 * 14);
	assert_int_equal(kit_port(b)->count.out_frames, 4);
	assert_int_equal(kit_port(b)->count.out_bytes, 1500 + 100 + 10 + 9 + 4 * 14);
	assert_int_equal(kit_port(a)->count.drops, 0);
}

/* What is dropped is so on the careful path, with its reason. */
static void bad_frames_do_not(void **state)
{
	bool direct;

	assert_int_equal(arrives(mac_b, mac_x, TYPE_IPV4, 100, &direct), 0);
	assert_int_equal(kit_drops(a, VSW_DROP_FORGED_SOURCE), 1);
	assert_int_equal(arrives(mac_b, mac_a, 0x8100, 100, &direct), 0);
	assert_int_equal(arrives(mac_b, mac_a, 0x88a8, 100, &direct), 0);
	assert_int_equal(kit_drops(a, VSW_DROP_VLAN_TAG), 2);
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 1501, &direct), 0);
	assert_int_equal(kit_drops(a, VSW_DROP_OVERSIZE), 1);
	assert_int_equal(arrives(mac_a, mac_a, TYPE_IPV4, 100, &direct), 0);
	assert_int_equal(kit_drops(a, VSW_DROP_HAIRPIN), 1);
	assert_int_equal(arrives(mac_y, mac_a, TYPE_IPV4, 100, &direct), 0);
	assert_int_equal(kit_drops(a, VSW_DROP_NO_UPLINK), 1);
	assert_int_equal(kit_port(a)->count.drops, 6);
	assert_int_equal(kit_port(a)->count.in_frames, 6);
	assert_int_equal(b->count, 0);
}

static void each_source_byte_counts(void **state)
{
	uint8_t src[6];
	bool direct;

	for (unsigned bit = 0; bit < 48; bit++) {
		memcpy(src, mac_a, 6);
		src[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(arrives(mac_b, src, TYPE_IPV4, 100, &direct), 0);
	}
	assert_int_equal(kit_port(a)->count.drops, 48);
}

static void not_to_receivers_that_need_more(void **state)
{
	struct guest *small = kit_guest(PG_SMALL, mac_x, 0), *other = kit_guest(PG_DB, mac_y, 0);
	uint32_t len = kit_eth(frame, mac_x, mac_a, TYPE_IPV4, 1401);
	bool direct;

	kit_send(a, frame, len, len, NULL);
	assert_int_equal(small->count, 0);
	assert_int_equal(kit_drops(small, VSW_DROP_OVERSIZE), 1);
	len = kit_eth(frame, mac_x, mac_a, TYPE_IPV4, 1400);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(small->direct, 1);
	len = kit_eth(frame, mac_y, mac_a, TYPE_IPV4, 100); /* of another VLAN */
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(other->count, 0);
	b->client.rx_direct = NULL;
	b->np->ops->set_client(b->np, &b->client);
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 100, &direct), 1);
	assert_false(direct);
	b->np->ops->set_client(b->np, NULL);
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 100, &direct), 0);
	assert_int_equal(kit_drops(b, VSW_DROP_NOT_CONNECTED), 1);
}

/* A filter of either port, or somebody who sees all frames: then nobody gets them directly. */
static void not_past_filters_and_watchers(void **state)
{
	static const struct vsw_shaping_config shaping = {.average_kbps = 1000000, .burst_bytes = 1000000};
	struct guest *nosy = kit_guest(PG_OPEN, mac_x, 0);
	bool direct;

	vsw_guest_port_apply(a->np, &(struct vsw_port_config){.has_ingress = true, .ingress = shaping});
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 100, &direct), 1);
	assert_false(direct);
	vsw_guest_port_apply(a->np, &(struct vsw_port_config){0});
	vsw_guest_port_apply(b->np, &(struct vsw_port_config){.has_egress = true, .egress = shaping});
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 100, &direct), 1);
	assert_false(direct);
	vsw_guest_port_apply(b->np, &(struct vsw_port_config){0});
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 100, &direct), 1);
	assert_true(direct);
	nosy->np->ops->set_filter(nosy->np, true, false);
	assert_int_equal(arrives(mac_b, mac_a, TYPE_IPV4, 100, &direct), 1);
	assert_false(direct);
	assert_int_equal(nosy->count, 1);
}

/* ---- bursts ---- */

static uint8_t bytes[2 * VSW_BURST][200];
static struct hv_seg segs[2 * VSW_BURST];

/* The i-th frame of a burst. */
static void put(unsigned i, const uint8_t dst[6], const uint8_t src[6])
{
	segs[i] = (struct hv_seg){bytes[i], kit_eth(bytes[i], dst, src, TYPE_IPV4, 40 + i)};
}

static void send_burst(unsigned n)
{
	assert_int_equal(a->np->ops->tx_plain(a->np, segs, n), n);
	a->np->ops->tx_flush(a->np);
}

/* Receivers in turn, the outside and nobody among them: each gets its own, in their order. */
static void a_burst_for_many(void **state)
{
	unsigned to_b = 0, to_c = 0, out = 0;

	kit_uplink(0);
	native_core_step();
	for (unsigned i = 0; i < 2 * VSW_BURST; i++)
		put(i, i % 5 == 1 ? mac_b : i % 5 == 3 ? mac_x : i % 5 == 4 ? mac_broadcast : mac_c, i == 7 ? mac_y : mac_a);
	send_burst(2 * VSW_BURST);
	native_core_step();
	for (unsigned i = 0; i < 2 * VSW_BURST; i++) {
		if (i == 7)
			continue;
		to_b += i % 5 == 1 || i % 5 == 4;
		to_c += i % 5 == 0 || i % 5 == 2 || i % 5 == 4;
		out += i % 5 == 3 || i % 5 == 4;
	}
	assert_int_equal(b->count, to_b);
	assert_int_equal(c->count, to_c);
	for (struct guest *g = b; g; g = g == b ? c : NULL) {
		uint32_t last[2] = {0};

		for (unsigned i = 0; i < g->count; i++) {
			bool group = g->in[i].bytes[0] & 1;

			assert_true(g->in[i].len > last[group]);
			last[group] = g->in[i].len;
		}
	}
	for (unsigned i = 0; i < out; i++)
		assert_true(kit_wire_out(0, frame));
	assert_false(kit_wire_out(0, frame));
	assert_int_equal(kit_port(a)->count.in_frames, 2 * VSW_BURST);
	assert_int_equal(kit_port(a)->count.drops, 1);
}

/* The frames of one sender to one receiver that took the other way before are not overtaken. */
static void what_is_staged_goes_first(void **state)
{
	put(0, mac_b, mac_a);
	put(1, mac_b, mac_a);
	assert_int_equal(a->np->ops->tx_burst(a->np, &(struct netport_frame){.segs = &segs[0], .nsegs = 1, .len = segs[0].len}, 1), 1);
	assert_int_equal(b->count, 0);
	assert_int_equal(a->np->ops->tx_plain(a->np, &segs[1], 1), 1);
	a->np->ops->tx_flush(a->np);
	assert_int_equal(b->count, 2);
	assert_int_equal(b->direct, 1);
	assert_int_equal(b->in[0].len, segs[0].len);
	assert_int_equal(b->in[1].len, segs[1].len);
}

static void a_full_receiver_loses_the_rest(void **state)
{
	for (unsigned i = 0; i < VSW_BURST; i++)
		put(i, mac_b, mac_a);
	b->room = 5;
	send_burst(VSW_BURST);
	assert_int_equal(b->count, 5);
	assert_int_equal(kit_drops(b, VSW_DROP_RX_FULL), VSW_BURST - 5);
	assert_int_equal(kit_port(b)->count.drops, VSW_BURST - 5);
	assert_int_equal(kit_port(b)->count.out_frames, 5);
	assert_int_equal(kit_port(b)->count.out_bytes, 5 * 54 + 0 + 1 + 2 + 3 + 4);
	assert_int_equal(b->flushes, 1);
}

/* The sender changes its memory when all is checked: the receiver gets the addresses and the type that were checked. */
static unsigned rx_after_a_change(void *arg, const struct netport_direct *frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		memset(bytes[i], 0xff, 16);
		assert_true(frames[i].head_bytes >= 14);
		assert_memory_equal(frames[i].head, mac_b, 6);
		assert_memory_equal(frames[i].head + 6, mac_a, 6);
		assert_int_equal(frames[i].head[12] << 8 | frames[i].head[13], TYPE_IPV4);
	}
	b->count++;
	b->in[0].bytes = malloc(1);
	return n;
}

static void what_was_checked_arrives(void **state)
{
	b->client.rx_direct = rx_after_a_change;
	b->np->ops->set_client(b->np, &b->client);
	for (unsigned i = 0; i < 3; i++)
		put(i, mac_b, mac_a);
	send_burst(3);
	assert_int_equal(b->count, 1);
	assert_int_equal(kit_port(b)->count.out_frames, 3);
}

/* ---- trunks ---- */

/* What came of one frame: at the guests, on the wire, in the counters. */
struct outcome {
	unsigned at[6], wire;
	uint32_t sum; /* of all bytes that arrived */
	struct vsw_counters count[6];
};

static struct guest *all[6];

static uint32_t checksum(const uint8_t *at, uint32_t len)
{
	uint32_t sum = len;

	for (uint32_t i = 0; i < len; i++)
		sum = sum * 31 + at[i];
	return sum;
}

static struct vsw_counters difference(const struct vsw_counters *now, const struct vsw_counters *then)
{
	struct vsw_counters d = {
		.in_frames = now->in_frames - then->in_frames,
		.in_bytes = now->in_bytes - then->in_bytes,
		.out_frames = now->out_frames - then->out_frames,
		.out_bytes = now->out_bytes - then->out_bytes,
		.drops = now->drops - then->drops,
	};

	for (unsigned i = 0; i < VSW_DROP_COUNT; i++)
		d.drop[i] = now->drop[i] - then->drop[i];
	return d;
}

/* Sends tagged[0..len) from a guest, as plain frame or in pieces. */
static struct outcome sends(struct guest *from, const uint8_t *bytes_to_send, uint32_t len, bool plain)
{
	static struct vsw_counters before[6];
	struct outcome o = {0};
	uint32_t n;

	for (unsigned i = 0; i < 6; i++)
		before[i] = kit_port(all[i])->count;
	kit_send(from, bytes_to_send, len, plain ? len : 13, NULL);
	native_core_step();
	for (unsigned i = 0; i < 6; i++) {
		o.at[i] = all[i]->count;
		for (unsigned k = 0; k < all[i]->count; k++)
			o.sum += (i + 1) * checksum(all[i]->in[k].bytes, all[i]->in[k].len);
		kit_guest_forget(all[i]);
		o.count[i] = difference(&kit_port(all[i])->count, &before[i]);
	}
	while ((n = kit_wire_out(0, frame))) {
		o.wire++;
		o.sum += 7 * checksum(frame, n);
	}
	return o;
}

/*
 * Each kind of port sends each kind of tag to each other, twice as one piece and twice in many: on the ways without anything unusual it
 * fares as on the careful one.
 */
static void all_ways_are_the_same(void **state)
{
	static const unsigned groups[] = {PG_WEB, PG_DB, PG_TRUNK, PG_TRUNK_STRICT, PG_SMALL, PG_TRUNK};
	static const uint16_t tags[] = {0, 20, 25, 30, 31, 40, 0x6014, 0x101e, 0x1000, 4095};
	static const uint16_t types[] = {TYPE_IPV4, TYPE_IPV6, 0x8100, 0x88a8, 0x8847};
	static const uint32_t payloads[] = {10, 100, 1396, 1400, 1401, 1496, 1500, 1501};
	static uint8_t sent[FRAME_MAX];
	uint8_t mac[6][6];
	unsigned direct = 0, sum = 0;

	kit_uplink(0);
	for (unsigned i = 0; i < 6; i++) {
		memcpy(mac[i], (uint8_t[]){0x52, 0x54, 0, 7, 7, (uint8_t)i}, 6);
		all[i] = kit_guest(groups[i], mac[i], 0);
	}
	for (unsigned i = 0; i < 4; i++) { /* mac_x is outside in these VLANs */
		static const uint16_t vlans[] = {20, 25, 30, 40};

		kit_wire_in(0, sent, kit_tag(sent, kit_eth(sent, mac_broadcast, mac_x, TYPE_IPV4, 100), vlans[i]), 0);
	}
	for (unsigned i = 0; i < 6; i++)
		kit_guest_forget(all[i]);
	for (unsigned i = 0; i < 6 * 8 * 11 * 5 * 8; i++) {
		unsigned from = i % 6, to = i / 6 % 8, tag = i / 48 % 11, type = i / 528 % 5, payload = i / 2640;
		uint32_t len = kit_eth(sent, to < 6 ? mac[to] : to == 6 ? mac_x : mac_broadcast, mac[from], types[type], payloads[payload]);
		struct outcome in_pieces, whole, again;

		if (type > 1 && payload > 1)
			continue;
		if (tag < 10)
			len = kit_tag(sent, len, tags[tag]);
		in_pieces = sends(all[from], sent, len, false);
		whole = sends(all[from], sent, len, true);
		again = sends(all[from], sent, len, true);
		if (memcmp(&in_pieces, &whole, sizeof(whole)) || memcmp(&whole, &again, sizeof(whole)))
			fail_msg("from %u to %u, tag %x, type %x, payload %u", from, to, tag < 10 ? tags[tag] : 0xffff, types[type],
				payloads[payload]);
		sum++;
	}
	for (unsigned i = 0; i < 6; i++)
		direct += all[i]->direct;
	assert_true(sum > 5000 && direct > 300); /* it did happen */
}

/* From a wire, on the careful path at first, then on the short one: a trunk's guest gets the tag as it came. */
static void tags_of_the_wire_arrive_with_their_priority(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_x, 0);
	static const uint16_t tags[] = {20, 0x6014, 0xf019, 30, 0x601e};

	kit_uplink(0);
	for (unsigned i = 0; i < 3 * HV_ARRAY_LEN(tags); i++) {
		uint16_t tag = tags[i % HV_ARRAY_LEN(tags)];
		uint32_t len = kit_tag(frame, kit_eth(frame, mac_x, mac_y, TYPE_IPV4, 100), tag);

		kit_wire_in(0, frame, len, 0);
		assert_int_equal(t->count, i + 1);
		if ((tag & 0xfff) == 30) { /* native */
			assert_int_equal(t->in[i].len, len - 4);
			assert_memory_equal(t->in[i].bytes + 12, frame + 16, len - 16);
		} else {
			assert_int_equal(t->in[i].len, len);
			assert_memory_equal(t->in[i].bytes, frame, len);
		}
	}
	assert_int_equal(kit_port(t)->count.out_bytes, 9 * 118 + 6 * 114);
}

/* A trunk's VLANs become fewer: what the short paths remember of it is forgotten. */
static void a_trunk_loses_a_vlan(void **state)
{
	static struct vsw_config wanted;
	struct guest *t = kit_guest(PG_TRUNK, mac_x, 0);
	uint32_t len = kit_eth(frame, mac_x, mac_a, TYPE_IPV4, 100);
	struct vsw_refusal why;

	for (unsigned i = 0; i < 3; i++)
		kit_send(a, frame, len, len, NULL);
	assert_int_equal(t->direct, 3);
	assert_int_equal(t->in[2].len, len + 4);
	wanted = kit_vsw->config;
	wanted.portgroups[PG_TRUNK].trunk[0] = (struct vsw_vlan_range){21, 29};
	assert_int_equal(vsw_apply(kit_vsw, &wanted, &why), 0);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(t->count, 3);
	wanted.portgroups[PG_TRUNK].trunk[0] = (struct vsw_vlan_range){20, 29};
	assert_int_equal(vsw_apply(kit_vsw, &wanted, &why), 0);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(t->count, 4);
}

/* A burst of several VLANs, to a trunk and to access ports, from a trunk: tags come and go by frame. */
static void a_trunk_burst_of_several_vlans(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_x, 0), *u = kit_guest(PG_TRUNK, mac_y, 0);
	static const uint16_t vlans[] = {20, 30, 25, 0xffff};
	unsigned n = 0, to_b = 0;

	for (unsigned i = 0; i < VSW_BURST; i++) {
		uint16_t vlan = vlans[i % 4];
		uint32_t len = kit_eth(bytes[i], i % 3 ? mac_y : mac_b, mac_x, TYPE_IPV4, 40 + i);

		segs[i] = (struct hv_seg){bytes[i], vlan == 0xffff ? len : kit_tag(bytes[i], len, vlan)};
	}
	assert_int_equal(t->np->ops->tx_plain(t->np, segs, VSW_BURST), VSW_BURST);
	t->np->ops->tx_flush(t->np);
	for (unsigned i = 0; i < VSW_BURST; i++) {
		bool native = vlans[i % 4] == 30 || vlans[i % 4] == 0xffff;

		if (i % 3 == 0) {
			to_b += vlans[i % 4] == 20;
			continue;
		}
		assert_int_equal(u->in[n].len, 14 + 40 + i + (native ? 0 : 4));
		if (!native)
			assert_memory_equal(u->in[n].bytes, segs[i].base, segs[i].len);
		else
			assert_int_equal(u->in[n].bytes[12] << 8 | u->in[n].bytes[13], TYPE_IPV4);
		n++;
	}
	assert_int_equal(u->count, n);
	assert_int_equal(u->direct, n);
	assert_int_equal(b->count, to_b);
	assert_int_equal(b->direct, to_b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_frames_go_directly),
		TEST(bad_frames_do_not),
		TEST(each_source_byte_counts),
		TEST(not_to_receivers_that_need_more),
		TEST(not_past_filters_and_watchers),
		TEST(a_burst_for_many),
		TEST(what_is_staged_goes_first),
		TEST(a_full_receiver_loses_the_rest),
		TEST(what_was_checked_arrives),
		TEST(all_ways_are_the_same),
		TEST(tags_of_the_wire_arrive_with_their_priority),
		TEST(a_trunk_loses_a_vlan),
		TEST(a_trunk_burst_of_several_vlans),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
