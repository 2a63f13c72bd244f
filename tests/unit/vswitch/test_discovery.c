/* Neighbours: LLDP and CDP as bytes, and what an uplink does with them in time. */
#include "kit.h"

#include "discovery.h"

#include <string.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

static const uint8_t cisco[] = {0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc};
static const uint8_t nearest[] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e};

/* ---- frames of a neighbour ---- */

/* A switch "sw1", port "Gi1/0/7", that says what we want to see. */
static const uint8_t lldp_body[] = {
	0x02,
	0x07,
	0x04,
	0x00,
	0x11,
	0x22,
	0x33,
	0x44,
	0x55, /* chassis: MAC */
	0x04,
	0x08,
	0x05,
	'G',
	'i',
	'1',
	'/',
	'0',
	'/',
	'7', /* port: interface name */
	0x06,
	0x02,
	0x00,
	0x78, /* time to live 120 s */
	0x08,
	0x04,
	'd',
	'o',
	'w',
	'n', /* port description */
	0x0a,
	0x03,
	's',
	'w',
	'1', /* system name */
	0x0c,
	0x05,
	'I',
	'O',
	'S',
	0x1b,
	'7', /* system description */
	0x0e,
	0x04,
	0x00,
	0x14,
	0x00,
	0x04, /* bridge, router; bridge is enabled */
	0x10,
	0x0c,
	0x05,
	0x01,
	10,
	0,
	0,
	1,
	0x02,
	0,
	0,
	0,
	1,
	0, /* management address */
	0xfe,
	0x06,
	0x00,
	0x80,
	0xc2,
	0x01,
	0x00,
	0x0a, /* 802.1: port VLAN 10 */
	0xfe,
	0x0b,
	0x00,
	0x80,
	0xc2,
	0x03,
	0x00,
	0x14,
	0x04,
	'w',
	'e',
	'b',
	'0', /* 802.1: VLAN 20 */
	0xfe,
	0x09,
	0x00,
	0x80,
	0xc2,
	0x07,
	0x03,
	0x00,
	0x00,
	0x00,
	0x05, /* 802.1: aggregated, port 5 */
	0xfe,
	0x06,
	0x00,
	0x12,
	0x0f,
	0x04,
	0x05,
	0xee, /* 802.3: frames of 1518 bytes */
	0xfe,
	0x05,
	0xaa,
	0xbb,
	0xcc,
	0x01,
	0x00, /* somebody's own */
	0x00,
	0x00,
};

static uint32_t lldp(const uint8_t *body, size_t len)
{
	memcpy(frame, nearest, 6);
	memcpy(frame + 6, mac_x, 6);
	memcpy(frame + 12, (uint8_t[]){0x88, 0xcc}, 2);
	memcpy(frame + 14, body, len);
	return 14 + (uint32_t)len;
}

static uint32_t cdp_put(uint32_t at, uint16_t type, const void *value, uint16_t len)
{
	memcpy(frame + at, (uint8_t[]){(uint8_t)(type >> 8), (uint8_t)type, 0, (uint8_t)(4 + len)}, 4);
	memcpy(frame + at + 4, value, len);
	return at + 4 + len;
}

/* The checksum as Cisco's devices write it. */
static void cdp_seal(uint32_t len)
{
	uint32_t sum = 0, n = len - 22;
	const uint8_t *p = frame + 22;

	frame[12] = (uint8_t)((len - 14) >> 8);
	frame[13] = (uint8_t)(len - 14);
	frame[24] = frame[25] = 0;
	for (uint32_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n & 1)
		sum += p[n - 1] & 0x80 ? 0xff00u + p[n - 1] - 1 : p[n - 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	frame[24] = (uint8_t)(~sum >> 8);
	frame[25] = (uint8_t)~sum;
}

static uint32_t cdp(uint8_t version, const char *device)
{
	static const uint8_t addresses[] = {0, 0, 0, 1, 1, 1, 0xcc, 0, 4, 192, 0, 2, 1};
	uint32_t at = 26;

	memcpy(frame, cisco, 6);
	memcpy(frame + 6, mac_x, 6);
	memcpy(frame + 14, (uint8_t[]){0xaa, 0xaa, 0x03, 0, 0, 0x0c, 0x20, 0, version, 180, 0, 0}, 12);
	at = cdp_put(at, 1, device, (uint16_t)strlen(device));
	at = cdp_put(at, 2, addresses, sizeof(addresses));
	at = cdp_put(at, 3, "Ethernet1/1", 11);
	at = cdp_put(at, 4, (uint8_t[]){0, 0, 0, 0x29}, 4);
	at = cdp_put(at, 6, "N9K-C9300", 9);
	if (version == 2) {
		at = cdp_put(at, 0x0a, (uint8_t[]){0, 99}, 2);
		at = cdp_put(at, 0x11, (uint8_t[]){0, 0, 0x05, 0xdc}, 4);
	}
	cdp_seal(at);
	return at;
}

/* ---- reading ---- */

static void lldp_tells_who_and_what(void **state)
{
	struct vsw_neighbor n;

	assert_true(vsw_lldp_read(frame, lldp(lldp_body, sizeof(lldp_body)), &n));
	assert_string_equal(n.chassis, "00:11:22:33:44:55");
	assert_string_equal(n.port, "Gi1/0/7");
	assert_string_equal(n.port_description, "down");
	assert_string_equal(n.system_name, "sw1");
	assert_string_equal(n.platform, "IOS?7"); /* no control characters */
	assert_string_equal(n.address, "10.0.0.1");
	assert_int_equal(n.capabilities, 1 << 2);
	assert_true(n.has_vlan);
	assert_int_equal(n.vlan, 10);
	assert_int_equal(n.vlan_count, 1);
	assert_int_equal(n.vlans[0], 20);
	assert_true(n.aggregated);
	assert_int_equal(n.aggregation_port, 5);
	assert_int_equal(n.max_frame_bytes, 1518);
	assert_int_equal(n.ttl_s, 120);
}

/* A frame that ends in the middle of a TLV is refused whole; one that ends between two is taken without the end TLV. */
static void lldp_cut_anywhere_is_refused_or_whole(void **state)
{
	uint32_t len = lldp(lldp_body, sizeof(lldp_body)), good = 0;
	struct vsw_neighbor n;

	for (uint32_t cut = 14; cut <= len; cut++) {
		uint8_t *copy = malloc(cut); /* so that a read behind its end is found */

		memcpy(copy, frame, cut);
		good += vsw_lldp_read(copy, cut, &n);
		free(copy);
	}
	assert_int_equal(good, 2 * 11 + 1); /* behind each of 11 TLVs from the time to live on, a byte later (no header yet), and whole */
}

static void lldp_order_and_lengths_are_checked(void **state)
{
	static const struct {
		uint8_t body[40];
		unsigned len;
	} bad[] = {
		{{0x04, 2, 5, 'p', 0x02, 2, 7, 'c', 0x06, 2, 0, 9}, 12},                  /* port before chassis */
		{{0x02, 1, 7, 0x04, 2, 5, 'p', 0x06, 2, 0, 9}, 11},                       /* empty chassis */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 1, 9}, 11},                     /* short TTL */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0x06, 2, 0, 9}, 16},   /* two TTLs */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0x02, 2, 7, 'c'}, 16}, /* two chassis */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0x0e, 2, 0, 4}, 16},   /* short capabilities */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0x10, 9, 200, 1, 1, 1, 1, 1, 0, 0, 0},
			23},                                                                     /* address longer than its TLV */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0xfe, 3, 0, 0x80, 0xc2}, 17}, /* no organization's subtype */
		{{0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0xfe, 8, 0, 0x80, 0xc2, 3, 0, 1, 9, 'x'},
			22}, /* name longer than its TLV */
	};
	struct vsw_neighbor n;

	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++) {
		if (vsw_lldp_read(frame, lldp(bad[i].body, bad[i].len), &n))
			fail_msg("malformed LLDPDU %u was taken", i);
	}
}

static void cdp_tells_who_and_what(void **state)
{
	struct vsw_neighbor n;
	bool other;

	for (uint8_t version = 1; version <= 2; version++) {
		uint32_t len = cdp(version, version == 1 ? "n9k" : "n9k.example"); /* odd and even lengths */

		assert_true(vsw_cdp_read(frame, len, &n, &other));
		assert_string_equal(n.chassis, version == 1 ? "n9k" : "n9k.example");
		assert_string_equal(n.port, "Ethernet1/1");
		assert_string_equal(n.platform, "N9K-C9300");
		assert_string_equal(n.address, "192.0.2.1");
		assert_int_equal(n.capabilities, 1 << 4 | 1 << 2);
		assert_int_equal(n.has_vlan, version == 2);
		assert_int_equal(n.mtu_bytes, version == 2 ? 1500 : 0);
		assert_int_equal(n.ttl_s, 180);
		if (version == 2)
			assert_int_equal(n.vlan, 99);
	}
}

static void cdp_damage_is_refused(void **state)
{
	uint32_t len = cdp(2, "n9k");
	struct vsw_neighbor n;
	bool other;

	for (uint32_t at = 22; at < len; at++) {
		frame[at] ^= 0x55;
		assert_false(vsw_cdp_read(frame, len, &n, &other));
		assert_false(other);
		frame[at] ^= 0x55;
	}
	frame[20] = 0x20;
	frame[21] = 0x04; /* DTP */
	assert_false(vsw_cdp_read(frame, len, &n, &other));
	assert_true(other);
	for (unsigned i = 0; i < 2; i++) { /* lengths that lie, with a checksum that is right */
		len = cdp(2, "n9k");
		frame[26 + 3] = i ? 3 : 200;
		cdp_seal(len);
		assert_false(vsw_cdp_read(frame, len, &n, &other));
	}
}

/* ---- in time ---- */

struct seen {
	unsigned count;
	struct vsw_neighbor last;
	bool mtu_too_small;
};

static void see(void *arg, const struct vsw_neighbor_info *info)
{
	struct seen *s = arg;

	s->count++;
	s->last = *info->neighbor;
	s->mtu_too_small = info->mtu_too_small;
}

static struct seen neighbors(void)
{
	struct seen s = {0};

	vsw_neighbor_foreach(kit_vsw, see, &s);
	return s;
}

static void seconds(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		native_time_advance(1000000000);
		native_core_step();
	}
}

static const struct vsw_counters *up0(void)
{
	return &vsw_uplink_port(kit_vsw->uplinks[0])->count;
}

static void neighbors_come_and_go(void **state)
{
	uint8_t bye[sizeof(lldp_body)];

	kit_uplink(0);
	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0);
	assert_int_equal(neighbors().count, 1);
	assert_string_equal(neighbors().last.system_name, "sw1");
	assert_true(neighbors().mtu_too_small == false); /* 1518 = 1500 + header + FCS */
	assert_int_equal(up0()->in_control, 1);
	assert_int_equal(up0()->drops, 0);
	seconds(100);
	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0); /* refreshed */
	seconds(119);
	assert_int_equal(neighbors().count, 1);
	seconds(2);
	assert_int_equal(neighbors().count, 0);

	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0);
	memcpy(bye, lldp_body, sizeof(bye));
	bye[22] = 0; /* time to live 0 */
	kit_wire_in(0, frame, lldp(bye, sizeof(bye)), 0);
	assert_int_equal(neighbors().count, 0);

	kit_wire_in(0, frame, cdp(2, "n9k"), 0);
	assert_int_equal(neighbors().count, 1);
	kit_link(0, false);
	assert_int_equal(neighbors().count, 0);
	kit_link(0, true);
	assert_int_equal(kit_wire_out(0, out), 0); /* who only listens says nothing */
}

static void too_many_neighbors_are_counted(void **state)
{
	uint8_t body[sizeof(lldp_body)];

	kit_uplink(0);
	memcpy(body, lldp_body, sizeof(body));
	for (unsigned i = 0; i < 9; i++) {
		body[8] = (uint8_t)i;
		kit_wire_in(0, frame, lldp(body, sizeof(body)), 0);
	}
	assert_int_equal(neighbors().count, 4);
	assert_int_equal(up0()->in_control, 9);
}

static void a_smaller_frame_size_is_noticed(void **state)
{
	uint8_t body[sizeof(lldp_body)];
	uint8_t *size;

	memcpy(body, lldp_body, sizeof(body));
	size = memmem(body, sizeof(body), (uint8_t[]){0x05, 0xee}, 2);
	size[1] = 0xdb; /* 1499: not even the packet */
	kit_uplink(0);
	kit_wire_in(0, frame, lldp(body, sizeof(body)), 0);
	assert_true(neighbors().mtu_too_small);
}

static void without_listening_they_are_dropped(void **state)
{
	kit_vsw->config.switches[0].discovery = VSW_DISCOVERY_BOTH;
	kit_vsw->config.uplinks[0].discovery = 1 + VSW_DISCOVERY_OFF;
	kit_uplink(0);
	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0);
	kit_wire_in(0, frame, cdp(1, "n9k"), 0);
	assert_int_equal(neighbors().count, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_LINK_CONTROL), 2);
	seconds(40);
	assert_int_equal(kit_wire_out(0, out), 0);
}

/* A guest is nobody's neighbour: what it says is not believed, and neighbours are not told to it. */
static void guests_take_no_part(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len = lldp(lldp_body, sizeof(lldp_body));

	kit_uplink(0);
	memcpy(frame + 6, mac_a, 6);
	kit_send(g, frame, len, len, NULL);
	assert_int_equal(neighbors().count, 0);
	assert_int_equal(kit_drops(g, VSW_DROP_LINK_CONTROL), 1);
	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0);
	assert_int_equal(g->count, 0);
}

/* Reads what left by the wire: the number of LLDPDUs, the last one in n. */
static unsigned said(struct vsw_neighbor *n)
{
	unsigned count = 0;

	for (uint32_t len; (len = kit_wire_out(0, out)); count++) {
		assert_memory_equal(out, nearest, 6);
		assert_true(len >= 60);
		assert_true(vsw_lldp_read(out, len, n));
	}
	return count;
}

static void we_say_who_we_are(void **state)
{
	struct vsw_neighbor n;

	kit_vsw->config.switches[0].discovery = VSW_DISCOVERY_BOTH;
	strcpy(kit_vsw->config.system_name, "hv1");
	kit_vsw->config.management_ipv4 = 0x0a00020f;
	kit_uplink(0);
	assert_int_equal(said(&n), 1); /* at once */
	assert_string_equal(n.chassis, "hv1");
	assert_string_equal(n.port, "up0");
	assert_string_equal(n.system_name, "hv1");
	assert_string_equal(n.port_description, "up0 of vSwitch0");
	assert_string_equal(n.address, "10.0.2.15");
	assert_int_equal(n.capabilities, 1 << 2);
	assert_int_equal(n.max_frame_bytes, 1522);
	assert_int_equal(n.vlan_count, 2); /* web, open and small share 20; db has 30 */
	assert_int_equal(n.vlans[0], 20);
	assert_int_equal(n.vlans[1], 30);
	assert_int_equal(n.ttl_s, 121);
	assert_false(n.has_vlan);

	seconds(29);
	assert_int_equal(said(&n), 0);
	seconds(1);
	assert_int_equal(said(&n), 1);
	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0); /* somebody new: four quick ones */
	for (unsigned i = 0; i < 4; i++) {
		seconds(1);
		assert_int_equal(said(&n), 1);
	}
	seconds(29);
	assert_int_equal(said(&n), 0);
	seconds(1);
	assert_int_equal(said(&n), 1);
	kit_wire_in(0, frame, lldp(lldp_body, sizeof(lldp_body)), 0); /* heard again: nothing new */
	seconds(5);
	assert_int_equal(said(&n), 0);
}

static void we_say_good_bye(void **state)
{
	struct vsw_port *p;
	struct vsw_neighbor n;

	kit_vsw->config.switches[0].discovery = VSW_DISCOVERY_ADVERTISE;
	kit_uplink(0);
	p = vsw_uplink_port(kit_vsw->uplinks[0]);
	assert_int_equal(said(&n), 1);
	kit_vsw->config.switches[0].discovery = VSW_DISCOVERY_OFF;
	vsw_discovery_apply(p, 0);
	assert_int_equal(said(&n), 1);
	assert_int_equal(n.ttl_s, 0);
	assert_string_equal(n.port, "up0");
	kit_vsw->config.switches[0].discovery = VSW_DISCOVERY_ADVERTISE;
	vsw_discovery_apply(p, 0);
	seconds(2);
	assert_int_equal(said(&n), 0); /* not so soon */
	seconds(1);
	assert_int_equal(said(&n), 1);
	vsw_uplink_detach(kit_vsw->uplinks[0]);
	assert_int_equal(said(&n), 1);
	assert_int_equal(n.ttl_s, 0);
	kit_uplink(0);
	assert_int_equal(said(&n), 1);
	vsw_discovery_leave(kit_vsw);
	assert_int_equal(said(&n), 1);
	assert_int_equal(n.ttl_s, 0);
	seconds(60);
	assert_int_equal(said(&n), 0);
}

/* A live change takes effect at once; an uplink that it takes away says good-bye. */
static void a_live_change_is_followed(void **state)
{
	struct vsw_config other = kit_vsw->config;
	struct vsw_neighbor n;

	kit_uplink(0);
	kit_uplink(1);
	other.switches[0].discovery = VSW_DISCOVERY_BOTH;
	other.uplinks[0].discovery = 1 + VSW_DISCOVERY_LISTEN;
	assert_int_equal(vsw_apply(kit_vsw, &other, NULL), 0);
	seconds(1);
	assert_int_equal(said(&n), 0);
	assert_true(vsw_lldp_read(out, kit_wire_out(1, out), &n));
	other.switches[0].uplink_count = 1;
	other.uplink_count = 1;
	assert_int_equal(vsw_apply(kit_vsw, &other, NULL), 0);
	seconds(2);
	assert_true(vsw_lldp_read(out, kit_wire_out(1, out), &n));
	assert_int_equal(n.ttl_s, 0);
	assert_string_equal(n.port, "up1");
}

static void changes_in_a_row_are_limited(void **state)
{
	struct vsw_port *p;
	struct vsw_neighbor n;

	kit_vsw->config.switches[0].discovery = VSW_DISCOVERY_ADVERTISE;
	kit_uplink(0);
	p = vsw_uplink_port(kit_vsw->uplinks[0]);
	for (unsigned i = 0; i < 50; i++) /* a link that flaps faster than it is watched */
		vsw_discovery_link(p, true);
	assert_int_equal(said(&n), 5);
	seconds(3);
	assert_int_equal(said(&n), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lldp_tells_who_and_what),
		cmocka_unit_test(lldp_cut_anywhere_is_refused_or_whole),
		cmocka_unit_test(lldp_order_and_lengths_are_checked),
		cmocka_unit_test(cdp_tells_who_and_what),
		cmocka_unit_test(cdp_damage_is_refused),
		TEST(neighbors_come_and_go),
		TEST(too_many_neighbors_are_counted),
		TEST(a_smaller_frame_size_is_noticed),
		TEST(without_listening_they_are_dropped),
		TEST(guests_take_no_part),
		TEST(we_say_who_we_are),
		TEST(we_say_good_bye),
		TEST(a_live_change_is_followed),
		TEST(changes_in_a_row_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
