/* Trace: what it says is what happens, for thousands of frames of any kind; and it changes nothing. */
#include "kit.h"

#include "discovery.h"
#include "filter.h"
#include "packet.h"

#include <string.h>
#include <vswitch/frame_trace.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];
static struct vsw_trace trace;

static uint32_t rnd(uint32_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16) % n;
}

static const struct vsw_trace_step *step(const char *stage)
{
	for (unsigned i = 0; i < trace.step_count; i++) {
		if (!strcmp(trace.steps[i].stage, stage))
			return &trace.steps[i];
	}
	fail_msg("no step %s", stage);
	return NULL;
}

static void run(const char *port, uint32_t len)
{
	assert_int_equal(vsw_trace(kit_vsw, port, frame, len, &trace), 0);
}

/* ---- what it says ---- */

static void it_says_what_decided(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 100);

	kit_uplink(0);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_COUNT);
	assert_int_equal(trace.delivery_count, 1);
	assert_string_equal(trace.deliveries[0].port, b->np->name);
	assert_string_equal(step("ingress")->path, "portgroups[0]");
	assert_string_equal(step("vlan")->path, "portgroups[0].vlan");
	assert_string_equal(step("vlan")->text, "VLAN 20: the port group's");
	assert_string_equal(step("egress")->text, "to guest1: 114 bytes, untagged");
	assert_string_equal(step("result")->text, "handed to 1 port");
	assert_int_equal(b->count, 0);

	len = kit_eth(frame, mac_b, mac_x, 0x0800, 100);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_FORGED_SOURCE);
	assert_string_equal(step("result")->path, "portgroups[0].policy.forged_transmits");

	len = kit_eth(frame, mac_x, mac_a, 0x0800, 100);
	run(a->np->name, len);
	assert_string_equal(step("team")->path, "vswitches[0].teaming");
	assert_string_equal(step("egress")->text, "to up0: 118 bytes, with the tag of VLAN 20");
	assert_int_equal(kit_wire_out(0, out), 0);

	len = kit_tag(frame, kit_eth(frame, mac_a, mac_x, 0x0800, 100), 77);
	run("up0", len);
	assert_int_equal(trace.dropped, VSW_DROP_VLAN_UNKNOWN);
	assert_int_equal(vsw_trace(kit_vsw, "nobody", frame, len, &trace), -ENOENT);
	assert_int_equal(vsw_trace(kit_vsw, "up0", frame, 9217, &trace), -EINVAL);
}

static void a_control_frame_is_not_read(void **state)
{
	static const uint8_t pdu[] = {
		0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc, 0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0, 0};

	kit_uplink(0);
	memset(frame, 0, 60);
	memcpy(frame, pdu, sizeof(pdu));
	run("up0", 60);
	assert_true(trace.control);
	assert_int_equal(vsw_uplink_port(kit_vsw->uplinks[0])->count.in_control, 0);
	kit_vsw->config.uplinks[0].discovery = 1 + VSW_DISCOVERY_OFF;
	vsw_discovery_apply(vsw_uplink_port(kit_vsw->uplinks[0]), 0);
	run("up0", 60);
	assert_false(trace.control);
	assert_int_equal(trace.dropped, VSW_DROP_LINK_CONTROL);
}

/* ---- filters ---- */

static void send_many(struct guest *g, uint32_t len, unsigned n)
{
	while (n--)
		kit_send(g, frame, len, len, NULL);
}

/* A hundred traces take no token; a real frame does. */
static void a_storm_limit_says_what_is_left(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_broadcast, mac_a, 0x0800, 46);

	vsw_guest_port_apply(a->np, &(struct vsw_port_config){.has_storm = true, .storm = {.broadcast_pps = 10}});
	for (unsigned i = 0; i < 100; i++)
		run(a->np->name, len);
	assert_int_equal(trace.delivery_count, 1);
	assert_string_equal(step("filter")->text, "guest0: at most 10 broadcast frames a second: 32 may come now");
	assert_string_equal(step("filter")->path, "storm");
	assert_string_equal(step("filter")->nic, a->np->name);
	send_many(a, len, 32);
	assert_int_equal(b->count, 32);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_STORM_BROADCAST);
	assert_string_equal(step("result")->nic, a->np->name);
	assert_false(kit_port(a)->filter->storm.of[VSW_STORM_BROADCAST].raging);
	kit_vsw->config.portgroups[PG_WEB].storm.broadcast_pps = 10;
	vsw_guest_port_apply(a->np, &(struct vsw_port_config){0});
	run(a->np->name, len);
	assert_string_equal(step("result")->path, "portgroups[0].storm");
	assert_string_equal(step("result")->nic, "");
}

static void a_shaper_says_whether_a_frame_waits(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 986);
	struct vsw_shaping_config rate = {.average_kbps = 8000, .burst_bytes = 2000};

	kit_vsw->config.portgroups[PG_WEB].ingress = rate;
	vsw_guest_port_apply(a->np, &(struct vsw_port_config){0});
	run(a->np->name, len);
	run(a->np->name, len);
	run(a->np->name, len);
	assert_string_equal(step("filter")->text, "guest0: what it sends is shaped to 8000 kbit/s: goes on at once, 0 frames before it");
	assert_string_equal(step("filter")->path, "portgroups[0].shaping.ingress");
	send_many(a, len, 3);
	assert_int_equal(b->count, 2);
	run(a->np->name, len);
	assert_string_equal(step("filter")->text, "guest0: what it sends is shaped to 8000 kbit/s: waits for its turn, 1 frames before it");
	assert_int_equal(trace.delivery_count, 1);
	send_many(a, len, 200);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_SHAPED);
	assert_string_equal(step("result")->path, "portgroups[0].shaping.ingress");

	vsw_guest_port_apply(a->np, &(struct vsw_port_config){.has_ingress = true});
	native_core_step();
	kit_guest_forget(b);
	vsw_guest_port_apply(b->np, &(struct vsw_port_config){.has_egress = true, .egress = rate});
	send_many(a, len, 200);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_COUNT);
	assert_int_equal(trace.delivery_count, 1);
	assert_int_equal(trace.deliveries[0].refused, VSW_DROP_SHAPED);
	assert_string_equal(step("egress")->path, "shaping.egress");
	assert_string_equal(step("egress")->nic, b->np->name);
}

static void guards_and_private_vlans_say_who_forbids_it(void **state)
{
	struct guest *a, *isolated, *blue;
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0806, 46);

	kit_vsw->config.portgroups[PG_WEB].guard = (struct vsw_guard_config){.servers = true, .arp = true};
	a = kit_guest(PG_WEB, mac_a, 0);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_ARP_SPOOF);
	assert_string_equal(step("filter")->text, "guest0: guarded against servers and foreign addresses in ARP");
	assert_string_equal(step("result")->path, "portgroups[0].guard.arp");
	vsw_guest_port_apply(a->np, &(struct vsw_port_config){.address_count = 1, .addresses = {0x0a000001}});
	run(a->np->name, len);
	assert_string_equal(step("result")->path, "addresses");
	assert_string_equal(step("result")->nic, a->np->name);

	isolated = kit_guest(PG_ISOLATED, mac_x, 0);
	blue = kit_guest(PG_BLUE, mac_y, 0);
	len = kit_eth(frame, mac_y, mac_x, 0x0800, 46);
	run(isolated->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_PRIVATE_VLAN);
	assert_string_equal(step("vlan")->text, "VLAN 101: the port group's, isolated in private VLAN 100");
	assert_string_equal(step("result")->path, "portgroups[8].private_vlan");
	run(blue->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_FORGED_SOURCE);
}

/* ---- the differential test ---- */

enum { GUESTS = 13, WIRES = 2, ROUNDS = 4000, SHAPED = 1 };

static const unsigned group_of[GUESTS] = {PG_WEB, PG_WEB, PG_DB, PG_PLAIN, PG_OPEN, PG_TRUNK, PG_TRUNK_STRICT, PG_SMALL, PG_PROMISCUOUS,
	PG_ISOLATED, PG_BLUE, PG_GREEN, PG_NESTED};
static struct guest *guests[GUESTS];

static void address(uint8_t *to)
{
	static const uint8_t control[6] = {0x01, 0x80, 0xc2, 0, 0, 2};

	memcpy(to, (uint8_t[]){0x52, 0x54, 0, 0, 7, (uint8_t)rnd(GUESTS + 6)}, 6);
	switch (rnd(7)) {
	case 0:
		memset(to, 0xff, 6);
		break;
	case 1:
		memcpy(to, (uint8_t[]){1, 0, 0x5e, 0, 0, 9}, 6);
		break;
	case 2:
		memcpy(to, control, 6);
		break;
	case 3:
		memset(to, 0, 6);
	}
}

/* The guards look at it. */
static void maybe_dhcp(uint8_t *ip)
{
	if (rnd(2))
		return;
	memset(ip, 0, 28);
	ip[0] = 0x45;
	ip[3] = 46;
	ip[9] = 17;
	ip[21] = (uint8_t)(66 + rnd(3));
	ip[25] = 26;
}

/* A query, report, leave, or a frame of a group. */
static uint32_t multicast(void)
{
	static const uint8_t types[] = {0x11, 0x16, 0x16, 0x17, 0, 0, 0};
	uint8_t type = types[rnd(HV_ARRAY_LEN(types))], to = type == 0x11 ? 1 : type == 0x17 ? 2 : (uint8_t)(9 + rnd(2));
	uint8_t group[4] = {type && type != 0x16 ? 224 : 239, 0, 0, to}, mac[6] = {1, 0, 0x5e, 0, 0, to}, *ip = frame + 14;
	uint16_t sum;

	kit_eth(frame, mac, mac_a, 0x0800, 46);
	memset(ip, 0, 46);
	ip[0] = 0x45;
	ip[3] = 28;
	ip[8] = 1;
	ip[9] = type ? 2 : 17;
	ip[12] = 10;
	memcpy(ip + 16, group, 4);
	ip[20] = type;
	if (type == 0x11)
		ip[21] = 100;
	else
		memcpy(ip + 24, (uint8_t[]){239, 0, 0, type == 0x17 ? 9 : to}, 4);
	sum = (uint16_t)~vsw_sum_fold(vsw_sum16(ip, 20, 0));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	sum = (uint16_t)~vsw_sum_fold(vsw_sum16(ip + 20, 8, 0));
	ip[22] = (uint8_t)(sum >> 8);
	ip[23] = (uint8_t)sum;
	return 60;
}

static uint32_t any_frame(unsigned from)
{
	static const uint16_t vlans[] = {0, 20, 25, 30, 40, 77, 100, 101, 110, 120, 4095},
			      types[] = {0x0800, 0x0800, 0x0806, 0x86dd, 0x1234};
	uint32_t len = kit_eth(frame, mac_broadcast, mac_a, types[rnd(HV_ARRAY_LEN(types))], rnd(8) ? 46 + rnd(1460) : rnd(1700));

	if (len >= 60 && frame[13] == 0)
		maybe_dhcp(frame + 14);
	address(frame);
	if (!rnd(5))
		len = multicast();
	if (rnd(4))
		memcpy(frame + 6, (uint8_t[]){0x52, 0x54, 0, 0, 7, (uint8_t)from}, 6);
	else
		address(frame + 6);
	if (rnd(2))
		len = kit_tag(frame, len, (uint16_t)(vlans[rnd(HV_ARRAY_LEN(vlans))] | rnd(8) << 13));
	if (!rnd(16))
		len = kit_tag(frame, len, 20);
	return rnd(30) ? len : rnd(20);
}

struct outcome {
	unsigned guests[GUESTS], wires[WIRES];
	uint64_t drops[VSW_MAX_PORTS][VSW_DROP_COUNT];
};
static struct outcome said, happened;
static unsigned seen[VSW_DROP_COUNT]; /* drops that the traces told of */

static void take_said(void)
{
	memset(&said, 0, sizeof(said));
	assert_true(trace.delivery_count <= VSW_TRACE_DELIVERIES);
	for (unsigned i = 0; i < trace.delivery_count; i++) {
		const struct vsw_trace_delivery *d = &trace.deliveries[i];

		for (unsigned p = 0; p < kit_vsw->port_count; p++) {
			if (kit_vsw->ports[p] && !strcmp(kit_vsw->ports[p]->name, d->port) && d->refused != VSW_DROP_COUNT)
				said.drops[p][d->refused]++;
		}
		for (unsigned g = 0; g < GUESTS && d->refused == VSW_DROP_COUNT; g++)
			said.guests[g] += !strcmp(guests[g]->np->name, d->port);
		for (unsigned w = 0; w < WIRES && d->refused == VSW_DROP_COUNT; w++)
			said.wires[w] += d->port[2] == (char)('0' + w) && !strncmp(d->port, "up", 2);
	}
}

static void count_drops(int sign)
{
	for (unsigned p = 0; p < kit_vsw->port_count; p++) {
		for (unsigned r = 0; kit_vsw->ports[p] && r < VSW_DROP_COUNT; r++)
			happened.drops[p][r] += (uint64_t)sign * kit_vsw->ports[p]->count.drop[r];
	}
}

static void take_happened(void)
{
	for (unsigned g = 0; g < GUESTS; g++) {
		happened.guests[g] = guests[g]->count;
		kit_guest_forget(guests[g]);
	}
	for (unsigned w = 0; w < WIRES; w++) {
		happened.wires[w] = 0;
		while (kit_wire_out(w, out))
			happened.wires[w]++;
	}
}

static struct vsw_counters before[VSW_MAX_PORTS];
static struct vsw_snoop memberships;
static struct vsw_querier queriers[VSW_MAX_DOMAINS][2];

/* What must be as it was after a trace; of snooping's two scratch fields the next frame makes its own. */
static void remember(void)
{
	for (unsigned i = 0; i < kit_vsw->port_count; i++)
		before[i] = kit_vsw->ports[i]->count;
	memberships = kit_vsw->snoop;
	for (unsigned i = 1; i <= kit_vsw->domain_count; i++)
		memcpy(queriers[i], kit_vsw->domains[i]->querier, sizeof(queriers[i]));
}

static void nothing_changed(const struct vsw_port *p, const uint8_t *table)
{
	const struct fdb *f = &p->sw->fdb;

	assert_memory_equal(table, f, sizeof(*f));
	assert_memory_equal(table + sizeof(*f), f->key, fdb_saved_bytes - sizeof(*f));
	for (unsigned i = 0; i < kit_vsw->port_count; i++)
		assert_memory_equal(&before[i], &kit_vsw->ports[i]->count, sizeof(before[i]));
	for (unsigned i = 1; i <= kit_vsw->domain_count; i++)
		assert_memory_equal(queriers[i], kit_vsw->domains[i]->querier, sizeof(queriers[i]));
	memcpy(memberships.only, kit_vsw->snoop.only, sizeof(memberships.only));
	memberships.report = kit_vsw->snoop.report;
	assert_memory_equal(&memberships, &kit_vsw->snoop, sizeof(memberships));
}

/* What the shapers hold comes out, and each port's drops are the sum of its reasons'. */
static void settle(void)
{
	const struct vsw_filters *f = kit_port(guests[SHAPED])->filter;

	while (f->shape_in.head != f->shape_in.tail || f->shape_out.head != f->shape_out.tail) {
		native_time_advance(1000000);
		native_core_step();
	}
	for (unsigned i = 0; i < kit_vsw->port_count; i++) {
		const struct vsw_counters *c = &kit_vsw->ports[i]->count;
		uint64_t sum = 0;

		for (unsigned r = 0; r < VSW_DROP_COUNT; r++)
			sum += c->drop[r];
		assert_int_equal(sum, c->drops);
	}
}

static void one_round(void)
{
	unsigned from = rnd(5) ? rnd(GUESTS + WIRES) : 0; /* the first has limits of storms */
	struct vsw_port *p = from < GUESTS ? kit_port(guests[from]) : vsw_uplink_port(kit_vsw->uplinks[from - GUESTS]);
	void *table = fdb_save(&p->sw->fdb);
	uint32_t len = any_frame(from);
	struct vsw_vlan_set used = p->used;

	remember();
	run(p->name, len);
	nothing_changed(p, table);
	assert_memory_equal(&used, &p->used, sizeof(used));
	fdb_saved_free(table);
	take_said();
	if (trace.dropped != VSW_DROP_COUNT)
		said.drops[p->index][trace.dropped]++;
	memset(&happened, 0, sizeof(happened));
	count_drops(-1);
	if (from < GUESTS)
		kit_send(guests[from], frame, len, len ? len : 1, NULL);
	else if (len)
		kit_wire_in(from - GUESTS, frame, len, 0);
	else
		return; /* no wire brings nothing */
	settle();
	count_drops(1);
	for (unsigned i = 0; i < VSW_DROP_COUNT; i++)
		seen[i] += said.drops[p->index][i] != 0;
	take_happened();
	if (memcmp(&said, &happened, sizeof(said)) != 0)
		fail_msg("a frame of %u bytes from %s: the trace's %s is not what happened", len, p->name, step("result")->text);
}

/* So that the rounds are not all of one kind. */
static void all_kinds_were_met(void)
{
	static const enum vsw_drop kinds[] = {VSW_DROP_RUNT, VSW_DROP_OVERSIZE, VSW_DROP_VLAN_TAG, VSW_DROP_DOUBLE_TAG, VSW_DROP_UNTAGGED,
		VSW_DROP_VLAN_NOT_ALLOWED, VSW_DROP_VLAN_UNKNOWN, VSW_DROP_FORGED_SOURCE, VSW_DROP_BAD_SOURCE, VSW_DROP_OWN_SOURCE,
		VSW_DROP_LINK_CONTROL, VSW_DROP_NO_DESTINATION, VSW_DROP_HAIRPIN, VSW_DROP_STANDBY_UPLINK, VSW_DROP_PRIVATE_VLAN,
		VSW_DROP_NO_MEMBER, VSW_DROP_STORM_MULTICAST, VSW_DROP_STORM_UNKNOWN, VSW_DROP_DHCP_SERVER, VSW_DROP_ARP_SPOOF,
		VSW_DROP_HIDDEN_HEADER};

	for (unsigned i = 0; i < HV_ARRAY_LEN(kinds); i++) {
		if (!seen[kinds[i]])
			fail_msg("no frame met %s", vsw_drop_name(kinds[i]));
	}
}

/* One port of each kind, with what may be set for it; two wires, one of which carries some VLANs only. */
static void plug_all(void)
{
	kit_vsw->config.uplinks[1].vlan_count = 3;
	memcpy(kit_vsw->config.uplinks[1].vlans, (struct vsw_vlan_range[]){{0, 0}, {20, 29}, {40, 40}}, 3 * sizeof(struct vsw_vlan_range));
	kit_vsw->config.portgroups[PG_DB].guard = (struct vsw_guard_config){.servers = true, .arp = true};
	for (unsigned g = 0; g < GUESTS; g++)
		guests[g] = kit_guest(group_of[g], (uint8_t[]){0x52, 0x54, 0, 0, 7, (uint8_t)g}, 0);
	vsw_guest_port_apply(guests[0]->np, &(struct vsw_port_config){.has_storm = true, .storm = {1, 1, 1}});
	vsw_guest_port_apply(guests[SHAPED]->np, &(struct vsw_port_config){.has_ingress = true,
							 .has_egress = true,
							 .ingress = {.average_kbps = 8000, .burst_bytes = 1600},
							 .egress = {.average_kbps = 8000, .burst_bytes = 1600}});
	kit_uplink(0);
	kit_uplink(1);
	kit_vsw->config.switches[0].snooping = true;
	for (unsigned i = 0; i < 270; i++) { /* a new port takes all groups for a time */
		native_time_advance(1000000000);
		native_core_step();
	}
}

static void what_it_says_is_what_happens(void **state)
{
	plug_all();
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!rnd(200))
			kit_link(rnd(2), rnd(2));
		if (!rnd(100))
			guests[4]->np->ops->set_filter(guests[4]->np, rnd(2), false);
		if (!rnd(300)) {
			native_time_advance(1000000000);
			native_core_step();
		}
		take_happened(); /* announcements of a failover */
		one_round();
	}
	all_kinds_were_met();
	kit_link(0, true);
	kit_link(1, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_what_decided),
		TEST(a_control_frame_is_not_read),
		TEST(a_storm_limit_says_what_is_left),
		TEST(a_shaper_says_whether_a_frame_waits),
		TEST(guards_and_private_vlans_say_who_forbids_it),
		TEST(what_it_says_is_what_happens),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
