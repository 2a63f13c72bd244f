/* Port mirroring: what sessions copy and what not, to a port and into memory; that nobody else notices. */
#include "kit.h"

#include "capture.h"
#include "match.h"
#include "mirror.h"

#include <string.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

static const uint8_t mac_m[6] = {0x52, 0x54, 0, 0, 0, 0x4d};

/* ---- sessions ---- */

static struct vsw_config changed;

static struct vsw_mirror_config *session(unsigned i, const struct vsw_mirror_source *source, const char *destination)
{
	struct vsw_mirror_config *m = &changed.mirrors[i];

	if (!i)
		changed = kit_vsw->config;
	*m = (struct vsw_mirror_config){.sample = 1, .source_count = 1, .sources = {*source}};
	snprintf(m->name, sizeof(m->name), "span%u", i);
	snprintf(m->destination, sizeof(m->destination), "%s", destination);
	m->captures = !destination[0];
	m->capture_bytes = m->captures ? VSW_CAPTURE_MIN_BYTES : 0;
	changed.mirror_count = i + 1;
	return m;
}

static void apply(void)
{
	struct vsw_refusal why;

	assert_int_equal(vsw_apply(kit_vsw, &changed, &why), 0);
}

static struct vsw_mirror_counters counters[VSW_MAX_MIRRORS];
static struct vsw_capture_state states[VSW_MAX_MIRRORS];
static unsigned sessions;

static void take(void *arg, const struct vsw_mirror_info *info)
{
	counters[sessions] = *info->counters;
	states[sessions++] = info->capture;
}

static const struct vsw_mirror_counters *count(unsigned i)
{
	sessions = 0;
	vsw_mirror_foreach(kit_vsw, take, NULL);
	assert_true(i < sessions);
	assert_int_equal(counters[i].dropped, counters[i].no_mbuf + counters[i].unplugged + counters[i].too_large + counters[i].refused);
	return &counters[i];
}

static const struct vsw_mirror_source web = {.kind = VSW_MIRROR_PORTGROUP, .portgroup = PG_WEB};

static void send(struct guest *g, const uint8_t to[6], const uint8_t from[6], uint32_t payload)
{
	uint32_t len = kit_eth(frame, to, from, 0x0800, payload);

	kit_send(g, frame, len, len, NULL);
}

/* Is the monitor's frame the one sent last, with its tag? */
static void assert_mirrored(const struct guest *monitor, unsigned i, uint16_t vlan, uint32_t payload)
{
	const struct received *r = &monitor->in[i];

	assert_true(i < monitor->count);
	assert_int_equal(r->len, 18 + payload);
	assert_memory_equal(r->bytes, frame, 12);
	assert_memory_equal(r->bytes + 12, ((uint8_t[]){0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan}), 4);
	assert_memory_equal(r->bytes + 16, frame + 12, payload + 2);
}

/* ---- tests ---- */

static void a_frame_is_mirrored_once_with_its_tag(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *m = kit_guest(PG_DB, mac_m, 0);

	session(0, &web, m->np->name);
	apply();
	send(a, mac_b, mac_a, 1500); /* sources in and out, and of the greatest length */
	assert_int_equal(b->count, 1);
	assert_int_equal(b->in[0].len, 1514);
	assert_int_equal(m->count, 1);
	assert_mirrored(m, 0, 20, 1500);
	assert_true(m->flushes > 0);
	assert_int_equal(count(0)->frames, 1);
	assert_int_equal(count(0)->bytes, 1514);
	assert_int_equal(kit_port(m)->count.drops, 0);
	assert_int_equal(kit_wire_out(0, out), 0);
}

static void directions_are_the_ports(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *m = kit_guest(PG_DB, mac_m, 0);
	struct vsw_mirror_source source = {.kind = VSW_MIRROR_PORT, .direction = VSW_MIRROR_IN};

	snprintf(source.port, sizeof(source.port), "%s", a->np->name);
	session(0, &source, m->np->name);
	apply();
	send(a, mac_b, mac_a, 100);
	send(b, mac_a, mac_b, 100);
	assert_int_equal(m->count, 1);
	assert_memory_equal(m->in[0].bytes, mac_b, 6);
	changed.mirrors[0].sources[0].direction = VSW_MIRROR_OUT;
	apply();
	send(a, mac_b, mac_a, 100);
	assert_int_equal(m->count, 1);
	send(b, mac_a, mac_b, 100);
	assert_int_equal(m->count, 2);
	assert_mirrored(m, 1, 20, 100);
}

/* What comes in is seen even if the policy then drops it: that is what one looks for. */
static void dropped_frames_are_seen_where_they_come_in(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *m = kit_guest(PG_DB, mac_m, 0);

	session(0, &web, m->np->name);
	apply();
	send(a, mac_b, mac_x, 64);
	assert_int_equal(kit_drops(a, VSW_DROP_FORGED_SOURCE), 1);
	assert_int_equal(m->count, 1);
}

static void a_vlan_is_seen_once(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *d = kit_guest(PG_DB, mac_c, 0),
		     *m = kit_guest(PG_PLAIN, mac_m, 0);
	struct vsw_mirror_source vlan = {.kind = VSW_MIRROR_VLAN, .vlan = 20};
	uint32_t len;

	kit_uplink(0);
	session(0, &vlan, m->np->name);
	apply();
	send(a, mac_broadcast, mac_a, 64);
	assert_int_equal(b->count, 1);
	assert_int_equal(m->count, 1);
	send(d, mac_broadcast, mac_c, 64); /* another VLAN */
	assert_int_equal(m->count, 1);
	len = kit_tag(frame, kit_eth(frame, mac_a, mac_x, 0x0800, 64), 20);
	kit_wire_in(0, frame, len, 0);
	assert_int_equal(a->count, 1);
	assert_int_equal(m->count, 2);
	assert_int_equal(m->in[1].len, len);
	assert_memory_equal(m->in[1].bytes, frame, len);
}

static void an_uplink_is_seen_both_ways(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *m = kit_guest(PG_DB, mac_m, 0);
	struct vsw_mirror_source up = {.kind = VSW_MIRROR_UPLINK, .uplink = 0};

	kit_uplink(0);
	session(0, &up, m->np->name);
	apply();
	send(a, mac_x, mac_a, 64);
	assert_true(kit_wire_out(0, out) > 0);
	assert_mirrored(m, 0, 20, 64);
	kit_wire_in(0, frame, kit_tag(frame, kit_eth(frame, mac_a, mac_x, 0x0800, 64), 20), 0);
	assert_int_equal(m->count, 2);
	assert_int_equal(kit_wire_out(0, out), 0); /* copies never leave */
}

/* A flood is seen at each port that gets it when only they are sources. */
static void a_flood_is_seen_at_each_port(void **state)
{
	struct guest *a = kit_guest(PG_OPEN, mac_a, 0), *m = kit_guest(PG_DB, mac_m, 0);

	kit_guest(PG_WEB, mac_b, 0);
	kit_guest(PG_WEB, mac_c, 0);
	session(0, &web, m->np->name);
	apply();
	send(a, mac_broadcast, mac_a, 64);
	assert_int_equal(m->count, 2);
}

static void a_copy_is_not_mirrored_again(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *m = kit_guest(PG_DB, mac_m, 0),
		     *n = kit_guest(PG_PLAIN, mac_c, 0);
	struct vsw_mirror_source db = {.kind = VSW_MIRROR_PORTGROUP, .portgroup = PG_DB};

	session(0, &web, m->np->name); /* to m, which is a source of the other */
	session(1, &db, n->np->name);
	apply();
	send(a, mac_b, mac_a, 64);
	assert_int_equal(b->count, 1);
	assert_int_equal(m->count, 1);
	assert_int_equal(n->count, 0);
	session(0, &web, b->np->name); /* to a member of its own source: a's frames, b's own not */
	apply();
	send(a, mac_broadcast, mac_a, 64);
	assert_int_equal(b->count, 3);
	send(b, mac_a, mac_b, 64);
	assert_int_equal(b->count, 4); /* seen where it goes out to a */
}

static void a_slow_destination_delays_nobody(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *m = kit_guest(PG_DB, mac_m, 0);

	session(0, &web, m->np->name);
	apply();
	m->room = 3;
	for (unsigned i = 0; i < 10; i++)
		send(a, mac_b, mac_a, 64);
	assert_int_equal(b->count, 10);
	assert_int_equal(kit_port(a)->count.drops + kit_port(b)->count.drops, 0);
	assert_int_equal(m->count, 3);
	assert_int_equal(count(0)->frames, 10);
	assert_int_equal(count(0)->refused, 7);
	assert_int_equal(kit_drops(m, VSW_DROP_RX_FULL), 7);
}

static void the_destination_may_come_and_go(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *m;
	struct netport *np;

	session(0, &web, "later");
	apply();
	send(a, mac_b, mac_a, 64);
	assert_int_equal(count(0)->unplugged, 1);
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_DB, "later", mac_m, &np), 0);
	send(a, mac_b, mac_a, 64);
	assert_int_equal(count(0)->refused, 1); /* no driver yet */
	vsw_guest_port_destroy(np);
	send(a, mac_b, mac_a, 64);
	assert_int_equal(count(0)->unplugged, 2);
	m = kit_guest(PG_DB, mac_m, 0); /* another name */
	send(a, mac_b, mac_a, 64);
	assert_int_equal(m->count, 0);
}

static void filter_snap_and_sample(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_ECN),
		     *m = kit_guest(PG_DB, mac_m, 0);
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1000};
	struct vsw_mirror_config *s = session(0, &web, m->np->name);
	uint32_t len;

	s->filter.protocol = VSW_MATCH_TCP;
	s->snap_length = 64;
	s->sample = 3;
	apply();
	for (unsigned i = 0; i < 9; i++) {
		send(a, mac_b, mac_a, 64); /* no TCP */
		len = kit_tcp(frame, mac_b, mac_a, false, 10000, true);
		kit_send(a, frame, len, len, &off);
	}
	assert_int_equal(b->count, 18);
	assert_int_equal(count(0)->matched, 9);
	assert_int_equal(count(0)->frames, 3);
	assert_int_equal(m->count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(m->in[i].len, 68);    /* and its tag */
		assert_false(m->in[i].off.needs_csum); /* nobody computes over what is cut */
	}
}

/* A large frame goes to a destination that takes none in segments, all of them tagged and whole. */
static void large_frames_are_cut_for_the_destination(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, NETPORT_F_CSUM | NETPORT_F_TSO4), *m = kit_guest(PG_DB, mac_m, 0);
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1000};
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 5000, true);

	session(0, &web, m->np->name);
	apply();
	kit_send(a, frame, len, len, &off);
	assert_int_equal(m->count, 5);
	for (unsigned i = 0; i < 5; i++) {
		uint8_t *f = m->in[i].bytes;

		assert_int_equal(m->in[i].len, 18 + 40 + 1000);
		assert_int_equal(f[15], 20);
		memmove(f + 4, f, 12);
		assert_true(kit_checksums_good(f + 4, m->in[i].len - 4));
	}
}

/* ---- captures ---- */

static struct {
	unsigned count;
	uint64_t first, next;
	uint32_t len, frame_bytes;
	enum vsw_mirror_direction direction;
	char port[80];
	uint8_t bytes[FRAME_MAX];
} seen;

static bool see(void *arg, const struct vsw_captured *f)
{
	if (seen.count++)
		assert_int_equal(f->sequence, seen.next);
	else
		seen.first = f->sequence;
	seen.next = f->sequence + 1;
	seen.len = f->len;
	seen.frame_bytes = f->frame_bytes;
	seen.direction = f->direction;
	snprintf(seen.port, sizeof(seen.port), "%s", f->port);
	memcpy(seen.bytes, f->bytes, f->len);
	return !arg || seen.count < *(unsigned *)arg;
}

static void read_from(uint64_t from, unsigned limit)
{
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(vsw_mirror_read(kit_vsw, "span0", from, see, limit ? &limit : NULL), 0);
}

static void a_capture_has_the_bytes_of_the_wire(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16};
	uint32_t len;

	session(0, &web, "");
	apply();
	send(a, mac_b, mac_a, 200);
	read_from(0, 0);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.port, a->np->name);
	assert_int_equal(seen.direction, VSW_MIRROR_IN);
	len = kit_tag(frame, 214, 20);
	assert_int_equal(seen.len, len);
	assert_memory_equal(seen.bytes, frame, len);

	len = kit_tcp(frame, mac_b, mac_a, false, 700, true); /* its checksum was left to the NIC */
	kit_send(a, frame, len, len, &off);
	read_from(1, 0);
	assert_int_equal(seen.count, 1);
	memmove(seen.bytes + 4, seen.bytes, 12);
	assert_true(kit_checksums_good(seen.bytes + 4, len));
	assert_int_equal(vsw_mirror_read(kit_vsw, "other", 0, see, NULL), -ENOENT);
}

static void a_capture_keeps_the_newest(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	uint64_t next = 0;

	session(0, &web, "");
	apply();
	for (unsigned i = 0; i < 3000; i++) {
		send(a, mac_b, mac_a, 46 + i * 37 % 1400);
		if (i % 101 == 0) { /* a reader that follows */
			unsigned limit = 1 + i % 7;

			read_from(next, limit);
			if (seen.count)
				next = seen.next;
		}
	}
	count(0);
	assert_int_equal(states[0].next, 3000);
	assert_int_equal(states[0].overwritten, states[0].first);
	read_from(0, 0);
	assert_int_equal(seen.first, states[0].first);
	assert_int_equal(seen.next, 3000);
	assert_int_equal(seen.count, 3000 - states[0].first);
	assert_true(seen.count > VSW_CAPTURE_MIN_BYTES / 1600); /* it is used to the end */
	assert_int_equal(seen.frame_bytes, 14 + 4 + 46 + 2999 * 37 % 1400);
	assert_memory_equal(seen.bytes + 16, frame + 12, seen.len - 16);
	read_from(2999, 0);
	assert_int_equal(seen.count, 1);
	read_from(3000, 0);
	assert_int_equal(seen.count, 0);
}

static void a_live_change_keeps_the_capture(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);

	session(0, &web, "");
	apply();
	send(a, mac_b, mac_a, 64);
	changed.mirrors[1] = changed.mirrors[0]; /* another in front of it, and another filter */
	strcpy(changed.mirrors[0].name, "new");
	changed.mirrors[1].filter.protocol = VSW_MATCH_ARP;
	changed.mirror_count = 2;
	apply();
	send(a, mac_b, mac_a, 64);
	read_from(0, 0);
	assert_int_equal(seen.count, 1);
	changed.mirror_count = 0;
	apply();
	assert_int_equal(vsw_mirror_read(kit_vsw, "span0", 0, see, NULL), -ENOENT);
	assert_int_equal(kit_port(a)->filters_in | kit_port(a)->filters_out, 0);
	send(a, mac_b, mac_a, 64);
}

static void no_memory_for_a_session_refuses_the_change(void **state)
{
	struct vsw_refusal why = {{0}};
	unsigned nth = 1;

	session(0, &web, "");
	for (;; nth++) {
		native_fail_alloc(nth);
		if (!vsw_apply(kit_vsw, &changed, &why))
			break;
		assert_int_equal(kit_vsw->config.mirror_count, 0);
	}
	native_fail_alloc(0);
	assert_int_equal(nth, 4); /* the change, the session, its store */
	assert_string_equal(why.path, "mirrors[0]");
	assert_int_equal(kit_vsw->config.mirror_count, 1);
}

/* ---- the filter ---- */

static void filters_match_what_they_name(void **state)
{
	struct vsw_match_config any = {0}, mac = {.has_mac = true, .mac = {0x52, 0x54, 0, 0, 0, 0xa}},
				vlan = {.has_vlan = true, .vlan = 20}, net = {.has_address = true, .address = {{10, 0, 0, 0}, 4, 31}},
				other = {.has_address = true, .address = {{10, 0, 0, 4}, 4, 30}},
				net6 = {.has_address = true, .address = {{0}, 6, 127}}, tcp = {.protocol = VSW_MATCH_TCP},
				udp = {.protocol = VSW_MATCH_UDP}, port = {.port = 0x1000}, port2 = {.port = 0x2000}, port3 = {.port = 80},
				arp = {.protocol = VSW_MATCH_ARP};
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 100, false);

	assert_true(vsw_match(&any, frame, len, 7));
	assert_true(vsw_match(&mac, frame, len, 7));
	assert_true(vsw_match(&vlan, frame, len, 20));
	assert_false(vsw_match(&vlan, frame, len, 7));
	assert_true(vsw_match(&net, frame, len, 7)); /* 10.0.0.1 -> 10.0.0.2 */
	assert_false(vsw_match(&other, frame, len, 7));
	assert_false(vsw_match(&net6, frame, len, 7));
	assert_true(vsw_match(&tcp, frame, len, 7));
	assert_false(vsw_match(&udp, frame, len, 7));
	assert_true(vsw_match(&port, frame, len, 7));
	assert_true(vsw_match(&port2, frame, len, 7));
	assert_false(vsw_match(&port3, frame, len, 7));
	frame[20] = 0; /* a later fragment has no ports */
	frame[21] = 1;
	assert_false(vsw_match(&port, frame, len, 7));
	assert_true(vsw_match(&tcp, frame, len, 7));
	for (uint32_t cut = 14; cut < 38; cut++) { /* nor has a cut one, nor what lies behind it */
		uint8_t *copy = malloc(cut);

		memcpy(copy, frame, cut);
		assert_false(vsw_match(&port, copy, cut, 7));
		free(copy);
	}
	len = kit_tcp(frame, mac_b, mac_c, true, 100, false);
	assert_false(vsw_match(&mac, frame, len, 7));
	assert_true(vsw_match(&net6, frame, len, 7)); /* ::...01 -> ::...02, /127 of :: has 01 */
	assert_true(vsw_match(&port2, frame, len, 7));
	kit_eth(frame, mac_broadcast, mac_c, 0x0806, 46);
	memcpy(frame + 14, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
	memcpy(frame + 28, (uint8_t[]){10, 9, 9, 9}, 4);
	memcpy(frame + 38, (uint8_t[]){10, 0, 0, 1}, 4);
	assert_true(vsw_match(&arp, frame, 60, 7));
	assert_true(vsw_match(&net, frame, 60, 7));
	assert_false(vsw_match(&other, frame, 60, 7));
}

/* Random headers out of few values, so that filters fit often enough; the sieve may stop only what vsw_match does not want. */
static void the_sieve_stops_nothing_that_fits(void **state)
{
	static const uint8_t types[][2] = {{8, 0}, {8, 0}, {8, 6}, {0x86, 0xdd}}, protocols[] = {1, 6, 17, 58};
	uint32_t seed = 1, stopped = 0, fits = 0;

	for (unsigned i = 0; i < 200000; i++) {
		uint8_t f[64] = {0};
		struct vsw_match_config want = {.has_address = i & 1, .protocol = (uint8_t)(i / 2 % 5), .port = i & 16 ? 80 : 0};
		struct vsw_sieve sieve;
		bool match;

		seed = seed * 1664525 + 1013904223;
		memcpy(f + 12, types[seed >> 30], 2);
		f[14] = seed >> 29 & 1 ? 0x45 : (uint8_t)(seed >> 20);
		f[23] = protocols[seed >> 18 & 3];
		memcpy(f + 26,
			(uint8_t[]){
				10, 0, seed >> 17 & 1, seed >> 16 & 1, 10, 0, seed >> 15 & 1, seed >> 14 & 1, 0, 80, 0, seed >> 13 & 80},
			12);
		want.address = (struct vsw_prefix){.family = i & 32 ? 6 : 4, .length = (uint8_t)(i / 64 % 33), .bytes = {10, 0, 1, 1}};
		sieve = vsw_sieve(&want);
		match = vsw_match(&want, f, seed >> 12 & 1 ? sizeof(f) : VSW_SIEVE_BYTES, 0);
		fits += match;
		if (!sieve.on || !vsw_sieve_stops(&sieve, f))
			continue;
		stopped++;
		assert_false(match);
	}
	assert_true(stopped > 30000 && fits > 10000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sieve_stops_nothing_that_fits),
		TEST(a_frame_is_mirrored_once_with_its_tag),
		TEST(directions_are_the_ports),
		TEST(dropped_frames_are_seen_where_they_come_in),
		TEST(a_vlan_is_seen_once),
		TEST(an_uplink_is_seen_both_ways),
		TEST(a_flood_is_seen_at_each_port),
		TEST(a_copy_is_not_mirrored_again),
		TEST(a_slow_destination_delays_nobody),
		TEST(the_destination_may_come_and_go),
		TEST(filter_snap_and_sample),
		TEST(large_frames_are_cut_for_the_destination),
		TEST(a_capture_has_the_bytes_of_the_wire),
		TEST(a_capture_keeps_the_newest),
		TEST(a_live_change_keeps_the_capture),
		TEST(no_memory_for_a_session_refuses_the_change),
		cmocka_unit_test(filters_match_what_they_name),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
