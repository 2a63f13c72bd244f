/* Live change: what is not touched loses nothing, what is refused changes nothing, and any sequence of changes leaves a consistent switch.
 */
#include "kit.h"

#include <errno.h>
#include <stdlib.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];
static struct vsw_config wanted;
static struct vsw_refusal why;

static void begin(void)
{
	wanted = kit_vsw->config;
}

static void apply(void)
{
	if (vsw_apply(kit_vsw, &wanted, &why))
		fail_msg("refused: %s: %s", why.path, why.text);
}

/* One unicast frame; how many copies the receiver got. */
static unsigned passes(struct guest *from, struct guest *to)
{
	unsigned before = to->count;
	uint32_t len = kit_eth(frame, to->np->mac, from->np->mac, 0x0800, 100);

	kit_send(from, frame, len, len, NULL);
	native_core_step();
	while (kit_wire_out(0, out) || kit_wire_out(1, out))
		;
	before = to->count - before;
	if (to->count > INBOX / 2)
		kit_guest_forget(to);
	return before;
}

/* ---- the state as text, to compare ---- */

static char *text_at;
static size_t text_left;

static void put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text_at, text_left, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < text_left);
	text_at += n;
	text_left -= (size_t)n;
}

static void describe_port(const struct vsw_port *p)
{
	const struct vsw_counters *c = &p->count;

	put("port %u %s %s sw %p group %s domain %u mtu %u flags %x mac %lx uplink %p %lu/%lu/%lu\n", p->index, p->name,
		p->sw->config->name, (const void *)p->sw, p->portgroup ? p->portgroup->config->name : "", p->domain, p->mtu, p->flags,
		p->mac, (const void *)p->uplink, c->in_frames, c->out_frames, c->drops);
}

static void describe_mac(void *arg, const struct vsw_fdb_info *f)
{
	put("mac %02x%02x%02x %u %s %s %d\n", f->mac[3], f->mac[4], f->mac[5], f->vlan, f->vswitch, f->port, f->is_static);
}

/* Everything that a frame's way depends on. */
static void describe(char *text, size_t size)
{
	const struct vsw *v = kit_vsw;

	text_at = text;
	text_left = size;
	for (unsigned i = 0; i < v->port_count; i++) {
		if (v->ports[i])
			describe_port(v->ports[i]);
	}
	for (unsigned i = 1; i <= v->domain_count; i++) {
		if (!v->domains[i])
			continue;
		put("domain %u vlan %u of %s:", i, v->domains[i]->vlan, v->domains[i]->sw->config->name);
		for (unsigned k = 0; k < v->domains[i]->member_count; k++)
			put(" %u", v->domains[i]->members[k]);
		for (unsigned k = 0; k < v->domains[i]->promisc_count; k++)
			put(" promisc %u", v->domains[i]->promisc[k]);
		put("\n");
	}
	vsw_fdb_foreach(v, describe_mac, NULL);
	for (unsigned i = 0; i < v->config.switch_count; i++)
		put("switch %s mtu %u active %p trunks %u\n", v->config.switches[i].name, v->switches[i]->mtu, (const void *)v->switches[i],
			v->switches[i]->trunk_ports);
}

/* ---- invariants ---- */

static bool is_member(const struct vsw_domain *d, uint16_t port)
{
	unsigned found = 0;

	for (unsigned i = 0; i < d->member_count; i++)
		found += d->members[i] == port;
	assert_true(found <= 1);
	return found;
}

static void check_entry(void *arg, const struct vsw_fdb_info *f)
{
	unsigned *statics = arg;

	*statics += f->is_static;
}

static void consistent(void)
{
	const struct vsw *v = kit_vsw;
	unsigned ports = 0, statics = 0;

	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		assert_ptr_equal(v->portgroups[i]->config, &v->config.portgroups[i]);
		assert_ptr_equal(v->portgroups[i]->sw, v->switches[v->config.portgroups[i].vswitch]);
	}
	for (unsigned i = 0; i < v->port_count; i++) {
		const struct vsw_port *p = v->ports[i];

		if (!p || p->kind == VSW_PORT_UPLINK)
			continue;
		ports++;
		assert_ptr_equal(p->sw, p->portgroup->sw);
		assert_true(!p->uplink || p->portgroup->team->in_use & p->uplink->bit);
		assert_int_equal(p->mtu, p->portgroup->mtu);
		assert_int_equal(!!(p->flags & VSW_PF_TRUNK), p->portgroup->trunk);
		assert_int_equal(p->domain, p->portgroup->domain ? p->portgroup->domain->id : 0);
		for (unsigned id = 1; id <= v->domain_count; id++) {
			const struct vsw_domain *d = v->domains[id];

			if (d)
				assert_int_equal(is_member(d, p->index), d->sw == p->sw && vsw_vlan_in(&p->portgroup->vlans, d->vlan));
		}
	}
	for (unsigned id = 1; id <= v->domain_count; id++) {
		if (v->domains[id])
			assert_int_equal(v->domains[id]->sw->domain_of[v->domains[id]->vlan], id);
	}
	vsw_fdb_foreach(v, check_entry, &statics);
	assert_int_equal(statics, ports);
}

/* ---- what is not touched ---- */

static void other_flows_lose_nothing(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *c = kit_guest(PG_DB, mac_c, 0),
		     *d = kit_guest(PG_DB, mac_x, 0);
	uint64_t drops;

	kit_uplink(0);
	drops = kit_port(a)->count.drops + kit_port(b)->count.drops;
	for (unsigned vlan = 31; vlan < 60; vlan++) {
		uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 100);
		struct hv_seg seg = {frame, len};
		struct netport_frame f = {.segs = &seg, .nsegs = 1, .len = len};
		unsigned before = b->count;

		/* A frame is under way, staged at its destination, when the change comes. */
		assert_int_equal(a->np->ops->tx_burst(a->np, &f, 1), 1);
		begin();
		wanted.portgroups[PG_DB].vlan = (uint16_t)vlan;
		wanted.portgroups[PG_DB].mtu = (uint16_t)(1280 + vlan);
		apply();
		assert_int_equal(b->count, before + 1);
		assert_int_equal(passes(a, b), 1);
		assert_int_equal(passes(b, a), 1);
		assert_int_equal(passes(c, d), 1); /* both moved, together */
		assert_int_equal(passes(a, c), 0);
		assert_int_equal(d->np->mtu, 1280 + vlan);
		consistent();
	}
	assert_int_equal(kit_port(a)->count.drops + kit_port(b)->count.drops, drops);
	assert_int_equal(kit_vsw->switches[0]->domain_of[30] != VSW_DOMAIN_NONE, true); /* the trunks have it still */
	assert_int_equal(kit_vsw->switches[0]->domain_of[58], VSW_DOMAIN_NONE);
}

/* A guest behind a trunk port (a router, a nested host) stays known in the VLANs that stay. */
static void a_trunk_that_grows_keeps_what_it_learned(void **state)
{
	struct guest *t, *a = kit_guest(PG_WEB, mac_a, 0);
	uint32_t len;

	begin();
	wanted.portgroups[PG_TRUNK].policy.forged_transmits = true;
	apply();
	t = kit_guest(PG_TRUNK, mac_b, 0);
	len = kit_tag(frame, kit_eth(frame, mac_broadcast, mac_x, 0x0800, 100), 20);
	kit_send(t, frame, len, len, NULL);
	len = kit_tag(frame, kit_eth(frame, mac_broadcast, mac_y, 0x0800, 100), 40);
	kit_send(t, frame, len, len, NULL);
	begin();
	wanted.portgroups[PG_TRUNK].trunk[0].last = 35;
	wanted.portgroups[PG_TRUNK].trunk_count = 1; /* 40 goes */
	wanted.portgroups[PG_TRUNK].native_vlan = 0;
	apply();
	consistent();
	kit_guest_forget(t);
	len = kit_eth(frame, mac_x, mac_a, 0x0800, 100);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(t->count, 1);
	begin();
	wanted.portgroups[PG_TRUNK].policy.forged_transmits = false;
	apply();
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(t->count, 1);
}

/* ---- what is touched ---- */

static unsigned place_index;

static unsigned place(void *arg, enum vsw_port_kind kind, const char *port)
{
	return !strcmp(port, arg) ? place_index : VSW_PLACE_STAY;
}

static void a_nic_moves_to_another_port_group(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_DB, mac_b, 0), *c = kit_guest(PG_WEB, mac_c, 0);
	struct vsw_placement placement = {place, (void *)"mover"};
	struct vsw_change *change;

	snprintf(kit_port(b)->name, sizeof(kit_port(b)->name), "mover");
	begin();
	/* A new port group in front of all: every index is another afterwards. */
	memmove(&wanted.portgroups[1], &wanted.portgroups[0], sizeof(wanted.portgroups[0]) * wanted.portgroup_count++);
	wanted.portgroups[0] = (struct vsw_portgroup_config){.name = "new", .vlan = 77};
	place_index = PG_WEB + 1;
	assert_int_equal(passes(a, b), 0);
	assert_int_equal(vsw_change_prepare(kit_vsw, &wanted, &placement, &why, &change), 0);
	vsw_change_commit(change);
	consistent();
	assert_string_equal(kit_port(b)->portgroup->config->name, "web");
	assert_int_equal(passes(a, b), 1);
	assert_int_equal(passes(a, c), 1);
	place_index = 0;
	assert_int_equal(vsw_change_prepare(kit_vsw, &wanted, &placement, &why, &change), 0);
	vsw_change_commit(change);
	consistent();
	assert_int_equal(passes(a, b), 0);
	assert_int_equal(passes(a, c), 1);
}

/* What waits in its shaper belongs to the VLAN that it leaves. */
static void a_nic_that_moves_loses_what_waits(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	struct vsw_port_config own = {.has_egress = true, .egress = {.average_kbps = 8, .burst_bytes = 1514}};
	struct vsw_placement placement = {place, (void *)"mover"};
	struct vsw_change *change;

	snprintf(kit_port(b)->name, sizeof(kit_port(b)->name), "mover");
	vsw_guest_port_apply(b->np, &own);
	for (unsigned i = 0; i < 5; i++)
		kit_send(a, frame, kit_eth(frame, mac_b, mac_a, 0x0800, 1500), 1514, NULL);
	assert_int_equal(b->count, 1);
	begin();
	place_index = PG_WEB;
	assert_int_equal(vsw_change_prepare(kit_vsw, &wanted, &placement, &why, &change), 0);
	vsw_change_commit(change); /* it stays, and so do they */
	assert_int_equal(kit_port(b)->count.drops, 0);
	place_index = PG_DB;
	assert_int_equal(vsw_change_prepare(kit_vsw, &wanted, &placement, &why, &change), 0);
	vsw_change_commit(change);
	assert_int_equal(kit_drops(b, VSW_DROP_PORT_GONE), 4);
	assert_int_equal(kit_port(b)->count.drops, 4);
	assert_int_equal(b->count, 1);
}

static void policies_change_for_running_guests(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *c = kit_guest(PG_WEB, mac_c, 0);

	c->np->ops->set_filter(c->np, true, false); /* asked for and refused */
	assert_int_equal(passes(a, b), 1);
	assert_int_equal(c->count, 0);
	begin();
	wanted.portgroups[PG_WEB].policy = (struct vsw_policy_config){.promiscuous = true, .mac_changes = true};
	apply();
	assert_int_equal(passes(a, b), 1);
	assert_int_equal(c->count, 1);
	b->np->ops->set_mac(b->np, mac_y);
	assert_memory_equal(b->np->mac, mac_y, 6);
	assert_int_equal(passes(a, b), 1);
	begin();
	wanted.portgroups[PG_WEB].policy = (struct vsw_policy_config){0};
	apply();
	consistent();
	kit_guest_forget(c);
	assert_memory_equal(b->np->mac, mac_b, 6); /* its own again */
	assert_int_equal(passes(a, b), 1);
	assert_int_equal(c->count, 0);
}

static void uplinks_change_places(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 100);

	kit_uplink(0);
	kit_uplink(1);
	kit_send(a, frame, len, len, NULL);
	assert_true(kit_wire_out(0, out) && !kit_wire_out(1, out));
	begin();
	wanted.switches[0].uplinks[0] = 1;
	wanted.switches[0].uplinks[1] = 0;
	apply();
	kit_send(a, frame, len, len, NULL);
	assert_true(!kit_wire_out(0, out) && kit_wire_out(1, out));
	/* Another list order with other indexes: up1 is now uplinks[0]. */
	begin();
	wanted.uplinks[0] = kit_vsw->config.uplinks[1];
	wanted.uplinks[1] = kit_vsw->config.uplinks[0];
	wanted.switches[0].uplinks[0] = 0;
	wanted.switches[0].uplinks[1] = 1;
	wanted.uplinks[0].vlans[0] = (struct vsw_vlan_range){30, 30};
	wanted.uplinks[0].vlan_count = 1;
	apply();
	consistent();
	kit_send(a, frame, len, len, NULL);
	assert_true(!kit_wire_out(0, out) && !kit_wire_out(1, out)); /* VLAN 20 is not on the list of up1 */
	/* up1 goes; the device of up0 takes over. */
	begin();
	wanted.uplinks[0] = wanted.uplinks[1];
	wanted.uplink_count = 1;
	wanted.switches[0].uplink_count = 1;
	apply();
	consistent();
	assert_false(vsw_uplink_attached(kit_vsw, 1));
	kit_send(a, frame, len, len, NULL);
	assert_true(kit_wire_out(0, out));
}

static void an_uplink_and_a_port_group_go_to_a_new_vswitch(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_DB, mac_b, 0), *c = kit_guest(PG_WEB, mac_c, 0);
	uint32_t len;

	kit_uplink(0);
	kit_uplink(1);
	begin();
	wanted.switch_count = 2;
	wanted.switches[1] = (struct vsw_switch_config){.name = "vSwitch1", .uplink_count = 1, .uplinks = {0}};
	wanted.switches[0].uplink_count = 1;
	wanted.switches[0].uplinks[0] = 1;
	wanted.portgroups[PG_WEB].vswitch = 1;
	apply();
	consistent();
	assert_int_equal(passes(a, c), 1);
	len = kit_eth(frame, mac_x, mac_a, 0x0800, 100);
	kit_send(a, frame, len, len, NULL);
	assert_true(kit_wire_out(0, out) && !kit_wire_out(1, out));
	len = kit_eth(frame, mac_x, mac_b, 0x0800, 100);
	kit_send(b, frame, len, len, NULL);
	assert_true(!kit_wire_out(0, out) && kit_wire_out(1, out));
	/* And back: the second vSwitch goes with all that was learned there. */
	len = kit_tag(frame, kit_eth(frame, mac_a, mac_y, 0x0800, 100), 20);
	kit_wire_in(0, frame, len, 0);
	begin();
	wanted.switch_count = 1;
	wanted.switches[0].uplink_count = 2;
	wanted.switches[0].uplinks[0] = 0;
	wanted.switches[0].uplinks[1] = 1;
	wanted.portgroups[PG_WEB].vswitch = 0;
	apply();
	consistent();
	assert_int_equal(passes(a, c), 1);
}

/* ---- what is refused ---- */

static void refused(int err, const char *path, const char *text)
{
	static char before[65536], after[65536];

	describe(before, sizeof(before));
	assert_int_equal(vsw_apply(kit_vsw, &wanted, &why), err);
	assert_string_equal(why.path, path);
	assert_string_equal(why.text, text);
	describe(after, sizeof(after));
	assert_string_equal(before, after);
	consistent();
}

static void what_cannot_be_is_refused_and_changes_nothing(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_OPEN, mac_b, 0), *c = kit_guest(PG_DB, mac_c, 0);

	kit_uplink(0);
	assert_int_equal(passes(a, b), 1);
	begin();
	snprintf(wanted.portgroups[PG_WEB].name, sizeof(wanted.portgroups[0].name), "renamed");
	wanted.portgroups[PG_DB].vlan = 20;
	refused(-EBUSY, "", "port group \"web\" is in use by port guest0");
	begin();
	wanted.portgroups[0].vswitch = 1;
	refused(-EINVAL, "", "a reference is out of range");
	/* b takes c's address, which it may in its own VLAN; then the VLANs would become one. */
	b->np->ops->set_mac(b->np, mac_c);
	assert_memory_equal(b->np->mac, mac_c, 6);
	begin();
	wanted.portgroups[PG_DB].vlan = 20;
	refused(-EEXIST, "portgroups[1]", "ports guest1 and guest2 would both have the MAC address 52:54:00:00:00:0c in one VLAN");
	/* The ring device of the bench takes no larger MTU while it runs. */
	begin();
	wanted.uplinks[0].mtu = 9000;
	refused(-ENOTSUP, "uplinks[0]", "the NIC of uplink \"up0\" does not take MTU 9000 while it runs (error 95)");
	assert_int_equal(passes(a, b), 1);
	assert_int_equal(kit_drops(c, VSW_DROP_FORGED_SOURCE), 0);
}

static void no_memory_is_refused_and_changes_nothing(void **state)
{
	static char before[65536], after[65536];
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	int err = -ENOMEM;
	unsigned n;

	kit_uplink(0);
	begin();
	wanted.switches[wanted.switch_count++] = (struct vsw_switch_config){.name = "vSwitch1"};
	wanted.portgroups[wanted.portgroup_count++] =
		(struct vsw_portgroup_config){.name = "more", .vswitch = 1, .trunk = {{1, 9}}, .trunk_count = 1};
	wanted.portgroups[PG_WEB].vlan = 50;
	describe(before, sizeof(before));
	for (n = 1; err && n < 100; n++) {
		native_fail_alloc(n);
		err = vsw_apply(kit_vsw, &wanted, &why);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		describe(after, sizeof(after));
		assert_string_equal(before, after);
		assert_int_equal(passes(a, b), 1);
		describe(before, sizeof(before));
	}
	native_fail_alloc(0);
	assert_in_range(n, 14, 20); /* the change itself, a vSwitch and its MAC table, a port group, ten domains */
	consistent();
	assert_int_equal(passes(a, b), 1);
}

/* ---- any sequence ---- */

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x % n);
}

static void change_something(void)
{
	struct vsw_portgroup_config *pg = &wanted.portgroups[rnd(wanted.portgroup_count)];
	struct vsw_portgroup_config swap;
	unsigned i = rnd(wanted.portgroup_count);

	switch (rnd(8)) {
	case 0:
		pg->trunk_count = 0;
		pg->has_native = false;
		pg->vlan = (uint16_t)(20 + rnd(3));
		break;
	case 1:
		pg->trunk_count = 1;
		pg->trunk[0] = (struct vsw_vlan_range){(uint16_t)(18 + rnd(3)), (uint16_t)(20 + rnd(4))};
		pg->has_native = rnd(2);
		pg->native_vlan = (uint16_t)(30 + rnd(2));
		break;
	case 2:
		pg->vswitch = (uint8_t)rnd(wanted.switch_count);
		break;
	case 3:
		pg->policy = (struct vsw_policy_config){rnd(2), rnd(2), rnd(2)};
		break;
	case 4:
		swap = *pg;
		*pg = wanted.portgroups[i];
		wanted.portgroups[i] = swap;
		break;
	case 5:
		if (wanted.switch_count == 1)
			wanted.switches[wanted.switch_count++] = (struct vsw_switch_config){.name = "vSwitch1"};
		break;
	case 6: /* the second vSwitch goes, its port groups are the first's */
		for (i = 0; i < wanted.portgroup_count; i++)
			wanted.portgroups[i].vswitch = 0;
		wanted.switch_count = 1;
		wanted.switches[0].uplink_count = 2;
		break;
	default:
		i = wanted.switches[0].uplinks[0];
		wanted.switches[0].uplinks[0] = wanted.switches[0].uplinks[1];
		wanted.switches[0].uplinks[1] = (uint8_t)i;
	}
}

/* What the configuration says of two guests: untagged frames of one reach the other. */
static bool should_pass(const struct guest *from, const struct guest *to)
{
	const struct vsw_portgroup *a = kit_port(from)->portgroup, *b = kit_port(to)->portgroup;

	return a->sw == b->sw && a->domain && vsw_vlan_in(&b->vlans, a->domain->vlan);
}

/* Prepared and given up: as if nothing had been asked, for ports, MAC table and frames. */
static void a_prepared_change_is_given_up(struct guest *from, struct guest *to)
{
	static char before[65536], after[65536];
	struct vsw_change *change;

	describe(before, sizeof(before));
	if (!vsw_change_prepare(kit_vsw, &wanted, NULL, &why, &change))
		vsw_change_abort(change);
	describe(after, sizeof(after));
	assert_string_equal(before, after);
	consistent();
	if (from != to)
		assert_int_equal(passes(from, to), should_pass(from, to));
}

static void random_changes_keep_the_switch_consistent(void **state)
{
	const uint8_t *macs[] = {mac_a, mac_b, mac_c, mac_x, mac_y};
	struct guest *guests[5];
	unsigned applied = 0;

	kit_uplink(0);
	kit_uplink(1);
	for (unsigned i = 0; i < 5; i++)
		guests[i] = kit_guest(i, macs[i], 0);
	for (unsigned round = 0; round < 600; round++) {
		struct guest *from = guests[rnd(5)], *to = guests[rnd(5)];

		begin();
		for (unsigned n = 1 + rnd(4); n; n--)
			change_something();
		a_prepared_change_is_given_up(from, to);
		applied += !vsw_apply(kit_vsw, &wanted, &why);
		consistent();
		if (from != to)
			assert_int_equal(passes(from, to), should_pass(from, to));
	}
	assert_true(applied > 500);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(other_flows_lose_nothing),
		TEST(a_trunk_that_grows_keeps_what_it_learned),
		TEST(a_nic_moves_to_another_port_group),
		TEST(a_nic_that_moves_loses_what_waits),
		TEST(policies_change_for_running_guests),
		TEST(uplinks_change_places),
		TEST(an_uplink_and_a_port_group_go_to_a_new_vswitch),
		TEST(what_cannot_be_is_refused_and_changes_nothing),
		TEST(no_memory_is_refused_and_changes_nothing),
		TEST(random_changes_keep_the_switch_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
