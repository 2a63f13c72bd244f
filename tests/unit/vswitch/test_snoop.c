/* vswitch/snoop.c: who gets a multicast frame, from the first query on; joins, leaves, times, limits, hostile messages. */
#include "kit.h"

#include "packet.h"
#include "snoop.h"

#include <string.h>
#include <vswitch/groups.h>

enum { QUERY = 0x11, REPORT_V1 = 0x12, REPORT_V2 = 0x16, LEAVE = 0x17, REPORT_V3 = 0x22 };
enum { MLD_QUERY = 130, MLD_REPORT = 131, MLD_DONE = 132, MLD_REPORT_V2 = 143 };
#define GROUP 0xef010203u /* 239.1.2.3 */
#define OTHER 0xef010204u
#define ALIAS 0xe0810203u /* 224.129.2.3: the same MAC address as GROUP */

static struct guest *a, *b, *c;
static uint8_t frame[FRAME_MAX], seen[FRAME_MAX];

static void turn_on(bool on)
{
	for (unsigned i = 0; i < kit_vsw->config.switch_count; i++)
		kit_vsw->config.switches[i].snooping = on;
}

static void seconds(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		native_time_advance(1000000000);
		native_core_step();
	}
}

static int setup(void **state)
{
	kit_setup(state);
	kit_uplink(0);
	a = kit_guest(PG_WEB, mac_a, 0);
	b = kit_guest(PG_WEB, mac_b, 0);
	c = kit_guest(PG_WEB, mac_c, 0);
	turn_on(true);
	return 0;
}

static void forget(void)
{
	kit_guest_forget(a);
	kit_guest_forget(b);
	kit_guest_forget(c);
	while (kit_wire_out(0, seen))
		;
}

/* ---- messages ---- */

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* IPv4 with TTL 1, the router alert option and these bytes, to the MAC address of dst. */
static uint32_t ipv4(const uint8_t src_mac[6], uint32_t src, uint32_t dst, uint8_t proto, const uint8_t *payload, uint32_t len)
{
	uint8_t mac[6] = {1, 0, 0x5e, (uint8_t)(dst >> 16 & 0x7f), (uint8_t)(dst >> 8), (uint8_t)dst};
	uint8_t *ip = frame + 14;

	kit_eth(frame, mac, src_mac, 0x0800, 24 + len);
	memset(ip, 0, 24);
	ip[0] = 0x46;
	put16(ip + 2, 24 + len);
	ip[8] = 1;
	ip[9] = proto;
	put32(ip + 12, src);
	put32(ip + 16, dst);
	ip[20] = 148;
	ip[21] = 4;
	put16(ip + 10, (uint16_t)~vsw_sum_fold(vsw_sum16(ip, 24, 0)));
	memcpy(ip + 24, payload, len);
	return 38 + len;
}

static uint32_t igmp(const uint8_t src_mac[6], uint8_t type, uint32_t group, uint32_t dst, uint32_t src)
{
	uint8_t m[8] = {type, type == QUERY ? 100 : 0};

	put32(m + 4, group);
	put16(m + 2, (uint16_t)~vsw_sum_fold(vsw_sum16(m, 8, 0)));
	return ipv4(src_mac, src, dst, 2, m, sizeof(m));
}

/* A v3 report with one record of n sources. */
static uint32_t igmp3(const uint8_t src_mac[6], uint8_t record, uint32_t group, unsigned n)
{
	uint8_t m[64] = {REPORT_V3};

	put16(m + 6, 1);
	m[8] = record;
	put16(m + 10, n);
	put32(m + 12, group);
	put16(m + 2, (uint16_t)~vsw_sum_fold(vsw_sum16(m, 16 + 4 * n, 0)));
	return ipv4(src_mac, 0x0a000001, 0xe0000016, 2, m, 16 + 4 * n);
}

static uint32_t ipv6(const uint8_t src_mac[6], const uint8_t dst[16], const uint8_t *payload, uint32_t len, bool alert)
{
	uint8_t mac[6] = {0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}, *ip = frame + 14;
	static const uint8_t hop_by_hop[8] = {58, 0, 5, 2, 0, 0, 1, 0};
	uint32_t at = alert ? 48 : 40, sum;

	kit_eth(frame, mac, src_mac, 0x86dd, at + len);
	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, at - 40 + len);
	ip[6] = alert ? 0 : 58;
	ip[7] = 1;
	ip[8] = 0xfe;
	ip[9] = 0x80;
	ip[23] = 1;
	memcpy(ip + 24, dst, 16);
	if (alert)
		memcpy(ip + 40, hop_by_hop, 8);
	memcpy(ip + at, payload, len);
	put16(ip + at + 2, 0);
	sum = vsw_sum16(ip + 8, 32, len + 58);
	put16(ip + at + 2, (uint16_t)~vsw_sum_fold(vsw_sum16(ip + at, len, sum)));
	return 14 + at + len;
}

static const uint8_t group6[16] = {0xff, 0x0e, [15] = 0x33}, all_nodes[16] = {0xff, 2, [15] = 1}, all_mld[16] = {0xff, 2, [15] = 0x16};

static uint32_t mld(const uint8_t src_mac[6], uint8_t type, const uint8_t group[16], const uint8_t dst[16])
{
	uint8_t m[24] = {type};

	if (group)
		memcpy(m + 8, group, 16);
	return ipv6(src_mac, dst, m, sizeof(m), true);
}

static void query(void)
{
	kit_wire_in(0, frame, kit_tag(frame, igmp(mac_x, QUERY, 0, 0xe0000001, 0x0a0000fe), 20), 0);
}

/* A querier outside, and its hosts have had their time. */
static void filtering(void)
{
	query();
	seconds(12);
	forget();
}

static void send(struct guest *g, uint32_t len)
{
	kit_send(g, frame, len, len, NULL);
}

static void joins(struct guest *g, const uint8_t mac[6], uint32_t group)
{
	send(g, igmp(mac, REPORT_V2, group, group, 0x0a000001));
	forget();
}

static uint32_t data(const uint8_t src_mac[6], uint32_t group)
{
	return ipv4(src_mac, 0x0a000009, group, 17, (const uint8_t[]){0, 9, 0, 9, 0, 8, 0, 0}, 8);
}

/* Who of a, b, c gets a frame of the group from outside, as bits. */
static unsigned gets(uint32_t group)
{
	forget();
	kit_wire_in(0, frame, kit_tag(frame, data(mac_x, group), 20), 0);
	return (a->count ? 1u : 0) | (b->count ? 2u : 0) | (c->count ? 4u : 0);
}

static unsigned gets6(const uint8_t group[16])
{
	forget();
	kit_wire_in(0, frame, kit_tag(frame, ipv6(mac_x, group, (const uint8_t[8]){200}, 8, false), 20), 0);
	return (a->count ? 1u : 0) | (b->count ? 2u : 0) | (c->count ? 4u : 0);
}

/* ---- tests ---- */

static void no_querier_no_filter(void **state)
{
	joins(a, mac_a, GROUP);
	assert_int_equal(gets(GROUP), 7);
	assert_int_equal(gets(OTHER), 7);
}

static void after_a_query_hosts_have_time_to_answer(void **state)
{
	query();
	assert_int_equal(gets(GROUP), 7);
	seconds(9);
	assert_int_equal(gets(GROUP), 7);
	joins(b, mac_b, GROUP);
	seconds(3);
	assert_int_equal(gets(GROUP), 2);
	assert_int_equal(gets(OTHER), 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_NO_MEMBER), 1);
	seconds(256); /* the querier is gone */
	assert_int_equal(gets(OTHER), 7);
}

static void snooping_off_floods(void **state)
{
	filtering();
	turn_on(false);
	assert_int_equal(gets(GROUP), 7);
}

static void every_version_joins_and_leaves(void **state)
{
	filtering();
	send(a, igmp(mac_a, REPORT_V1, GROUP, GROUP, 0x0a000001));
	assert_int_equal(gets(GROUP), 1);
	joins(b, mac_b, GROUP);
	assert_int_equal(gets(GROUP), 3);
	send(c, igmp3(mac_c, 4, GROUP, 0)); /* to exclude nothing: joins */
	assert_int_equal(gets(GROUP), 7);
	send(c, igmp3(mac_c, 6, GROUP, 1)); /* blocks a source: still a member */
	seconds(4);
	assert_int_equal(gets(GROUP), 7);
	send(c, igmp3(mac_c, 3, GROUP, 0)); /* to include nothing: leaves */
	send(b, igmp(mac_b, LEAVE, GROUP, 0xe0000002, 0x0a000001));
	assert_int_equal(gets(GROUP), 7); /* others may be behind the port: not at once */
	seconds(4);
	assert_int_equal(gets(GROUP), 1);
	send(c, igmp3(mac_c, 1, GROUP, 2)); /* includes two sources */
	assert_int_equal(gets(GROUP), 5);
	send(b, igmp3(mac_b, 5, GROUP, 1)); /* allows one */
	assert_int_equal(gets(GROUP), 7);
}

static void a_report_after_a_leave_keeps_the_membership(void **state)
{
	filtering();
	joins(a, mac_a, GROUP);
	send(a, igmp(mac_a, LEAVE, GROUP, 0xe0000002, 0x0a000001));
	joins(a, mac_a, GROUP);
	seconds(5);
	assert_int_equal(gets(GROUP), 1);
}

static void a_membership_ends_by_time(void **state)
{
	filtering();
	joins(a, mac_a, GROUP);
	for (unsigned i = 0; i < 26; i++) {
		seconds(10);
		query();
	}
	assert_int_equal(gets(GROUP), 0);
}

static void a_query_for_a_group_asks_its_members(void **state)
{
	filtering();
	joins(a, mac_a, GROUP);
	joins(b, mac_b, GROUP);
	kit_wire_in(0, frame, kit_tag(frame, igmp(mac_x, QUERY, GROUP, GROUP, 0x0a0000fe), 20), 0);
	joins(b, mac_b, GROUP);
	seconds(4);
	assert_int_equal(gets(GROUP), 2);
}

/* A query that its members would not hear must not end their memberships: another group's MAC address, another IP address. */
static void a_query_to_others_ends_nothing(void **state)
{
	uint32_t len;

	filtering();
	joins(a, mac_a, GROUP);
	send(b, igmp(mac_b, QUERY, GROUP, OTHER, 0));
	len = igmp(mac_b, QUERY, GROUP, GROUP, 0);
	frame[5] ^= 1;
	send(b, len);
	seconds(5);
	assert_int_equal(gets(GROUP), 1);
}

static void groups_of_one_mac_address_are_apart(void **state)
{
	filtering();
	joins(a, mac_a, GROUP);
	joins(a, mac_a, ALIAS);
	joins(b, mac_b, ALIAS);
	send(a, igmp(mac_a, LEAVE, ALIAS, 0xe0000002, 0x0a000001));
	seconds(4);
	assert_int_equal(gets(GROUP), 1);
	assert_int_equal(gets(ALIAS), 2);
}

static void link_scope_goes_to_all(void **state)
{
	static const uint8_t solicited[16] = {0xff, 2, [11] = 1, [12] = 0xff, 1, 2, 3};

	filtering();
	assert_int_equal(gets(0xe00000fb), 7); /* mDNS */
	kit_wire_in(0, frame, kit_tag(frame, mld(mac_x, MLD_QUERY, NULL, all_nodes), 20), 0);
	seconds(12);
	assert_int_equal(gets6(solicited), 7);
	assert_int_equal(gets6(group6), 0);
}

static void from_a_local_port_outside_and_members(void **state)
{
	filtering();
	joins(b, mac_b, GROUP);
	send(a, data(mac_a, GROUP));
	assert_int_equal(b->count, 1);
	assert_int_equal(c->count, 0);
	assert_true(kit_wire_out(0, seen) > 0);
	assert_int_equal(kit_drops(a, VSW_DROP_NO_MEMBER), 0);
}

/* Hosts of v1 and v2 withhold their report when they hear another's. */
static void reports_go_to_routers_only(void **state)
{
	filtering();
	send(a, igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001));
	assert_int_equal(b->count + c->count, 0);
	assert_true(kit_wire_out(0, seen) > 0);
	send(c, igmp(mac_c, QUERY, 0, 0xe0000001, 0x0a000003)); /* c is a router */
	assert_int_equal(b->count, 1);
	forget();
	send(a, igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001));
	assert_int_equal(b->count, 0);
	assert_int_equal(c->count, 1);
	assert_int_equal(gets(OTHER), 4); /* and takes every group */
}

static void a_query_without_address_makes_no_router(void **state)
{
	filtering();
	send(c, igmp(mac_c, QUERY, 0, 0xe0000001, 0));
	assert_int_equal(gets(OTHER), 0);
}

static void pim_hello_makes_a_router(void **state)
{
	filtering();
	send(c, ipv4(mac_c, 0x0a000003, 0xe000000d, 103, (const uint8_t[]){0x20, 0, 0, 0, 0, 1, 0, 2}, 8));
	assert_int_equal(gets(GROUP), 4);
}

static void mld_as_igmp(void **state)
{
	uint8_t m[28] = {MLD_REPORT_V2, [7] = 1, 4};

	kit_wire_in(0, frame, kit_tag(frame, mld(mac_x, MLD_QUERY, NULL, all_nodes), 20), 0);
	seconds(12);
	assert_int_equal(gets6(group6), 0);
	assert_int_equal(gets(GROUP), 7); /* IPv4 has no querier */
	send(a, mld(mac_a, MLD_REPORT, group6, group6));
	assert_int_equal(gets6(group6), 1);
	memcpy(m + 12, group6, 16);
	send(b, ipv6(mac_b, all_mld, m, sizeof(m), true));
	assert_int_equal(gets6(group6), 3);
	send(a, mld(mac_a, MLD_DONE, group6, (const uint8_t[16]){0xff, 2, [15] = 2}));
	seconds(4);
	assert_int_equal(gets6(group6), 2);
}

/* Each is a join in all but one thing. */
static void what_is_no_message_joins_nothing(void **state)
{
	uint32_t len;

	filtering();
	kit_wire_in(0, frame, kit_tag(frame, mld(mac_x, MLD_QUERY, NULL, all_nodes), 20), 0);
	seconds(12);
	len = igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001);
	frame[38 + 2] ^= 1; /* checksum */
	send(a, len);
	len = igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001);
	frame[14 + 8] = 2; /* TTL, and with it the header's checksum */
	send(a, len);
	igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001);
	send(a, 44); /* cut */
	len = igmp3(mac_b, 4, GROUP, 0);
	put16(frame + 38 + 6, 2); /* records: one more than there are */
	put16(frame + 38 + 2, 0);
	put16(frame + 38 + 2, (uint16_t)~vsw_sum_fold(vsw_sum16(frame + 38, len - 38, 0)));
	send(b, len);                                                                                         /* the first counts */
	len = ipv6(mac_a, group6, (const uint8_t[24]){MLD_REPORT, [8] = 0xff, 0x0e, [23] = 0x33}, 24, false); /* no router alert */
	send(a, len);
	len = mld(mac_a, MLD_REPORT, group6, group6);
	frame[14 + 8] = 0x20; /* not from a link-local address, and with it the checksum */
	send(a, len);
	assert_int_equal(gets(GROUP), 2);
	assert_int_equal(gets6(group6), 0);
}

static void a_port_has_its_limit_and_then_takes_all(void **state)
{
	filtering();
	for (unsigned i = 0; i < SNOOP_OF_PORT; i++)
		joins(a, mac_a, GROUP + i);
	assert_int_equal(gets(0xef7f0001), 0);
	joins(a, mac_a, 0xef7f0002);
	assert_int_equal(gets(0xef7f0001), 1);
	assert_int_equal(kit_vsw->snoop.no_room, 1);
	joins(b, mac_b, GROUP);
	assert_int_equal(gets(GROUP), 3); /* others have theirs */
	for (unsigned i = 0; i < 5; i++) {
		seconds(60);
		query();
	}
	assert_int_equal(gets(0xef7f0001), 0);
	assert_int_equal(kit_port(a)->groups_joined, 0);
}

/* What its guest joined before is not known in the new VLAN. */
static void a_port_that_moved_takes_all(void **state)
{
	filtering();
	assert_int_equal(gets(GROUP), 0);
	vsw_snoop_arrives(kit_port(c));
	assert_int_equal(gets(GROUP), 4);
	send(a, igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001));
	forget();
	send(a, igmp(mac_a, REPORT_V2, GROUP, GROUP, 0x0a000001));
	assert_int_equal(c->count, 0); /* not reports */
	for (unsigned i = 0; i < 5; i++) {
		seconds(60);
		query();
	}
	assert_int_equal(gets(OTHER), 0);
}

static unsigned shown;
static struct vsw_group_info last;

static void show(void *arg, const struct vsw_group_info *info)
{
	shown++;
	last = *info;
}

static bool filters;

static void show_querier(void *arg, const struct vsw_querier_info *info)
{
	filters |= info->vlan == 20 && !info->v6 && info->filtering && info->querier_s > 200;
}

static void it_is_shown_and_goes_with_the_port(void **state)
{
	filtering();
	joins(a, mac_a, GROUP);
	vsw_group_foreach(kit_vsw, show, NULL);
	vsw_querier_foreach(kit_vsw, show_querier, NULL);
	assert_int_equal(shown, 1);
	assert_int_equal(last.vlan, 20);
	assert_false(last.v6 || last.router);
	assert_memory_equal(last.address + 12, ((uint8_t[]){239, 1, 2, 3}), 4);
	assert_string_equal(last.port, a->np->name);
	assert_true(filters);
	vsw_snoop_leaves(kit_port(a));
	vsw_group_foreach(kit_vsw, show, NULL);
	assert_int_equal(shown, 1);
	assert_int_equal(kit_port(a)->groups_joined, 0);
}

/* An isolated port's join counts for frames in the primary VLAN; its queries do not, as its neighbours do not hear them. */
static void private_vlans_are_one(void **state)
{
	static const uint8_t mac_p[6] = {0x52, 0x54, 0, 9, 0, 1}, mac_i[6] = {0x52, 0x54, 0, 9, 0, 2}, mac_j[6] = {0x52, 0x54, 0, 9, 0, 3};
	struct guest *p = kit_guest(PG_PROMISCUOUS, mac_p, 0), *i = kit_guest(PG_ISOLATED, mac_i, 0), *j = kit_guest(PG_ISOLATED, mac_j, 0);

	send(i, igmp(mac_i, QUERY, 0, 0xe0000001, 0x0a000001));
	seconds(12);
	send(p, data(mac_p, GROUP));
	assert_int_equal(j->count, 1);
	send(p, igmp(mac_p, QUERY, 0, 0xe0000001, 0x0a000001));
	seconds(12);
	kit_guest_forget(i);
	kit_guest_forget(j);
	send(i, igmp(mac_i, REPORT_V2, GROUP, GROUP, 0x0a000001));
	send(j, igmp(mac_j, QUERY, GROUP, GROUP, 0x0a000001));
	seconds(5);
	send(p, data(mac_p, GROUP));
	assert_int_equal(i->count, 1);
	assert_int_equal(j->count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_querier_no_filter),
		TEST(after_a_query_hosts_have_time_to_answer),
		TEST(snooping_off_floods),
		TEST(every_version_joins_and_leaves),
		TEST(a_report_after_a_leave_keeps_the_membership),
		TEST(a_membership_ends_by_time),
		TEST(a_query_for_a_group_asks_its_members),
		TEST(a_query_to_others_ends_nothing),
		TEST(groups_of_one_mac_address_are_apart),
		TEST(link_scope_goes_to_all),
		TEST(from_a_local_port_outside_and_members),
		TEST(reports_go_to_routers_only),
		TEST(a_query_without_address_makes_no_router),
		TEST(pim_hello_makes_a_router),
		TEST(mld_as_igmp),
		TEST(what_is_no_message_joins_nothing),
		TEST(a_port_has_its_limit_and_then_takes_all),
		TEST(a_port_that_moved_takes_all),
		TEST(it_is_shown_and_goes_with_the_port),
		TEST(private_vlans_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
