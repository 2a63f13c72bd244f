/*
 * The model of the switch: which frames may arrive where, from the configuration and the frame alone.
 *
 * Each frame sent has a record; a mark in its payload leads back to it, also from its segments, copies and frames that waited in a shaper.
 * A frame that arrives is judged by the configuration of that moment:
 *   - its VLAN is one that the port group of the NIC receives, in the same vSwitch, with the right tag or none, within the MTU;
 *   - a wire gets no frame of a wire, and none but of the sender's vSwitch, by a listed uplink that carries the VLAN, with its tag;
 *   - a unicast frame reaches one port at most, and no port gets a frame twice; ports that may see others' frames do not count;
 *   - what a policy forbids does not arrive at all: forged sources, own addresses from outside, a server's messages from a guarded port;
 *   - a shaped NIC gets no more than its rate and burst allow.
 * And a frame that arrives nowhere is counted as a drop.
 */
#include "vswitch_model.h"

#include <hv/core.h>
#include <string.h>
#include <vswitch/teaming.h>

enum { RECORDS = 2048, MARK_SEARCH = 160, SLACK_BYTES = 131072 + 65536 };

struct record {
	bool marked, unicast, once;
	bool never; /* must not arrive anywhere */
	unsigned from;
	int vlan; /* that it is in; NO_VLAN: none */
	uint8_t vswitch;
	uint64_t source;
	uint8_t nics[NICS], wires[WIRES]; /* arrivals */
};

struct model model;
static struct record records[RECORDS];
static unsigned record_count;
static uint64_t drops_before, others_before;
static bool waits; /* frames may wait in a shaper */

void model_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s, line %d: not so: %s\n", file, line, what);
	abort();
}

/* ---- what the configuration says ---- */

static const struct vsw_portgroup_config *group_of(unsigned nic)
{
	return &model.config.portgroups[model.nics[nic].group];
}

static bool in_ranges(const struct vsw_vlan_range *ranges, unsigned count, int vlan)
{
	for (unsigned i = 0; i < count; i++) {
		if (vlan >= ranges[i].first && vlan <= ranges[i].last)
			return true;
	}
	return false;
}

static bool is_community(const struct vsw_private_vlan_config *p, int vlan)
{
	return in_ranges(p->communities, p->community_count, vlan);
}

static const struct vsw_private_vlan_config *private_of(unsigned vswitch, int vlan)
{
	const struct vsw_switch_config *sw = &model.config.switches[vswitch];

	for (unsigned i = 0; i < sw->private_vlan_count; i++) {
		const struct vsw_private_vlan_config *p = &sw->private_vlans[i];

		if (vlan == p->primary || (p->has_isolated && vlan == p->isolated) || is_community(p, vlan))
			return p;
	}
	return NULL;
}

static bool is_trunk_vlan(const struct vsw_portgroup_config *g, int vlan)
{
	return in_ranges(g->trunk, g->trunk_count, vlan) || (g->has_native && vlan == g->native_vlan);
}

/* Frames of this VLAN reach ports of the group. */
static bool receives(const struct vsw_portgroup_config *g, int vlan)
{
	const struct vsw_private_vlan_config *p;

	if (g->trunk_count)
		return is_trunk_vlan(g, vlan);
	if (!g->has_private_vlan)
		return vlan == g->vlan;
	p = private_of(g->vswitch, g->private_vlan);
	if (!p || private_of(g->vswitch, vlan) != p)
		return false;
	return g->private_vlan == p->primary || vlan == p->primary || (vlan == g->private_vlan && is_community(p, vlan));
}

/* Addresses of the group's ports are theirs in this VLAN. */
static bool owns_in(const struct vsw_portgroup_config *g, int vlan)
{
	if (!g->has_private_vlan || g->trunk_count)
		return receives(g, vlan);
	return private_of(g->vswitch, vlan) && private_of(g->vswitch, vlan) == private_of(g->vswitch, g->private_vlan);
}

static bool tagged(const uint8_t *at)
{
	return (at[0] == 0x81 && at[1] == 0) || (at[0] == 0x88 && at[1] == 0xa8);
}

static bool vlan_tagged(const uint8_t *f)
{
	return f[12] == 0x81 && f[13] == 0;
}

static int tag_vlan(const uint8_t *f)
{
	return (f[14] & 15) << 8 | f[15];
}

static int vlan_from_nic(const struct vsw_portgroup_config *g, const uint8_t *f, uint32_t len)
{
	int vlan = 0;

	if (!g->trunk_count)
		return tagged(f + 12) ? NO_VLAN : g->has_private_vlan ? g->private_vlan : g->vlan;
	if (vlan_tagged(f)) {
		if (len < 18 || tagged(f + 16))
			return NO_VLAN;
		vlan = tag_vlan(f);
	} else if (tagged(f + 12)) {
		return NO_VLAN;
	}
	if (!vlan)
		return g->has_native ? g->native_vlan : NO_VLAN;
	return is_trunk_vlan(g, vlan) ? vlan : NO_VLAN;
}

static bool carries(unsigned uplink, int vlan)
{
	const struct vsw_uplink_config *u = &model.config.uplinks[uplink];

	return !u->vlan_count || in_ranges(u->vlans, u->vlan_count, vlan);
}

static int vlan_from_wire(unsigned wire, const uint8_t *f, uint32_t len)
{
	int vlan = 0;

	if (len < 18 || (tagged(f + 12) && (!vlan_tagged(f) || tagged(f + 16))))
		return NO_VLAN;
	if (vlan_tagged(f))
		vlan = tag_vlan(f);
	return vlan <= VSW_VLAN_MAX && carries(wire, vlan) ? vlan : NO_VLAN;
}

static unsigned vswitch_of_wire(unsigned wire)
{
	for (unsigned i = 0; i < model.config.switch_count; i++) {
		if (vsw_teaming_in(model.config.switches[i].uplinks, model.config.switches[i].uplink_count, wire))
			return i;
	}
	CHECK(!"an uplink of some vSwitch");
	return 0;
}

static uint16_t mtu_of_switch(unsigned vswitch)
{
	const struct vsw_switch_config *sw = &model.config.switches[vswitch];
	uint16_t mtu = 0;

	for (unsigned i = 0; i < sw->uplink_count; i++)
		mtu = mtu ? HV_MIN(mtu, model.config.uplinks[sw->uplinks[i]].mtu) : model.config.uplinks[sw->uplinks[i]].mtu;
	return mtu ? mtu : VSW_MTU_DEFAULT;
}

static uint16_t mtu_of(const struct vsw_portgroup_config *g)
{
	uint16_t mtu = mtu_of_switch(g->vswitch);

	if (!g->mtu)
		return mtu;
	return model.config.switches[g->vswitch].uplink_count ? HV_MIN(g->mtu, mtu) : g->mtu;
}

struct vsw_policy_config model_policy(unsigned nic)
{
	const struct vsw_policy_config *own = &model.nics[nic].own.policy, *group = &group_of(nic)->policy;

	return (struct vsw_policy_config){
		.promiscuous = own->has_promiscuous ? own->promiscuous : group->promiscuous,
		.mac_changes = own->has_mac_changes ? own->mac_changes : group->mac_changes,
		.forged_transmits = own->has_forged_transmits ? own->forged_transmits : group->forged_transmits,
	};
}

static const struct vsw_shaping_config *egress_of(unsigned nic)
{
	return model.nics[nic].own.has_egress ? &model.nics[nic].own.egress : &group_of(nic)->egress;
}

/* ---- ports ---- */

static bool is_mirror_destination(unsigned nic)
{
	char name[] = "nic0";

	name[3] = (char)('0' + nic);
	for (unsigned i = 0; i < model.config.mirror_count; i++) {
		if (!model.config.mirrors[i].captures && !strcmp(model.config.mirrors[i].destination, name))
			return true;
	}
	return false;
}

void model_refresh(void)
{
	static struct vsw_shaping_config shaping[NICS];

	for (unsigned i = 0; i < NICS; i++) {
		struct model_nic *n = &model.nics[i];
		struct vsw_policy_config policy;

		if (!n->plugged)
			continue;
		policy = model_policy(i);
		n->forges |= policy.forged_transmits;
		n->mirrored |= is_mirror_destination(i);
		n->sees_others |= n->mirrored || (policy.promiscuous && n->wants_promisc);
		if (!policy.mac_changes)
			n->mac = n->own_mac;
		if (!n->mac_count || n->macs[n->mac_count - 1] != n->mac) {
			CHECK(n->mac_count < MACS_MAX);
			n->macs[n->mac_count++] = n->mac;
		}
		if (!egress_of(i)->average_kbps) {
			n->shaped_since = 0;
		} else if (!n->shaped_since || memcmp(&shaping[i], egress_of(i), sizeof(shaping[i])) != 0) {
			n->shaped_since = hv_now_ns();
			n->shaped_bytes = 0;
		}
		shaping[i] = *egress_of(i);
	}
}

void model_reset(void)
{
	record_count = 0;
	memset(records, 0, sizeof(records));
	memset(model.nics, 0, sizeof(model.nics));
}

void model_plugged(unsigned nic, unsigned group, uint64_t mac)
{
	model.nics[nic] = (struct model_nic){.plugged = true, .group = group, .mac = mac, .own_mac = mac};
	model_refresh();
}

/* ---- frames that are sent ---- */

void model_mark(uint8_t *frame, uint32_t at, uint32_t len)
{
	uint8_t low = (uint8_t)record_count, high = (uint8_t)(record_count >> 8);
	const uint8_t mark[] = {0xa5, 0x5a, low, high, (uint8_t)~low, (uint8_t)~high, 0xc3, 0x3c};

	for (uint32_t i = at; i < len; i++)
		frame[i] = mark[(i - at) % MARK_LEN];
}

static const uint8_t *find_mark(const uint8_t *frame, uint32_t len)
{
	uint32_t least = len > MARK_SEARCH ? len - MARK_SEARCH : 12;

	for (uint32_t at = len; at >= least + MARK_LEN; at--) {
		const uint8_t *m = frame + at - MARK_LEN;

		if (m[0] == 0xa5 && m[1] == 0x5a && m[6] == 0xc3 && m[7] == 0x3c && (m[2] ^ m[4]) == 0xff && (m[3] ^ m[5]) == 0xff)
			return m;
	}
	return NULL;
}

static unsigned marks(const uint8_t *frame, uint32_t len)
{
	unsigned n = 0;

	for (const uint8_t *m; n < 3 && (m = find_mark(frame, len)); n++)
		len = (uint32_t)(m - frame);
	return n;
}

static bool is_own_of(unsigned nic, uint64_t mac)
{
	for (unsigned i = 0; i < model.nics[nic].mac_count; i++) {
		if (model.nics[nic].macs[i] == mac)
			return true;
	}
	return false;
}

/* Some NIC other than the sender has this address in the VLAN. */
static bool is_others(unsigned from, unsigned vswitch, int vlan, uint64_t mac)
{
	for (unsigned i = 0; i < NICS; i++) {
		if (i != from && model.nics[i].plugged && model.nics[i].mac == mac && group_of(i)->vswitch == vswitch &&
			owns_in(group_of(i), vlan))
			return true;
	}
	return false;
}

/* A DHCP server's or a router's message, written so plainly that a guard has no excuse. */
static bool is_plain_server(const uint8_t *f, uint32_t len)
{
	uint32_t at = vlan_tagged(f) ? 18 : 14;

	if (len < at + 64 || len > 1400)
		return false;
	if (f[at - 2] == 8 && f[at - 1] == 0)
		return f[at] == 0x45 && f[at + 9] == 17 && !((f[at + 6] & 0x3f) | f[at + 7]) && f[at + 2] << 8 == ((len - at) & 0xff00) &&
		       f[at + 3] == ((len - at) & 0xff) && f[at + 20] == 0 && f[at + 21] == 67 && f[at + 22] == 0 && f[at + 23] == 68;
	return f[at - 2] == 0x86 && f[at - 1] == 0xdd && f[at] >> 4 == 6 && f[at + 6] == 58 && f[at + 40] == 134 &&
	       (uint32_t)(f[at + 4] << 8 | f[at + 5]) == len - at - 40 && f[at + 7] == 255;
}

static bool is_forbidden(const struct record *r, const uint8_t *f, uint32_t len)
{
	const struct model_nic *n;

	if (r->source & 1 || !r->source || is_others(r->from, r->vswitch, r->vlan, r->source))
		return true;
	if (r->from >= FROM_WIRE)
		return false;
	n = &model.nics[r->from];
	if (!n->forges && !is_own_of(r->from, r->source))
		return true;
	return r->from != VMK && group_of(r->from)->guard.servers && !n->own.trusted && is_plain_server(f, len);
}

void model_sent(unsigned from, const uint8_t *f, uint32_t len, bool cut)
{
	struct record *r = &records[record_count];

	CHECK(record_count < RECORDS && len >= 14);
	record_count++;
	*r = (struct record){.from = from, .source = vsw_load_mac(f + 6), .unicast = !(f[0] & 1), .once = !cut};
	r->marked = marks(f, len) >= 3; /* a checksum that is filled in spoils one at most */
	r->vswitch = (uint8_t)(from < NICS ? group_of(from)->vswitch : vswitch_of_wire(from - FROM_WIRE));
	r->vlan = from < NICS ? vlan_from_nic(group_of(from), f, len) : vlan_from_wire(from - FROM_WIRE, f, len);
	r->never = r->vlan == NO_VLAN || (!waits && is_forbidden(r, f, len));
}

/* ---- frames that arrive ---- */

static bool may_receive(const struct record *r, unsigned nic)
{
	return !r->never && r->vlan != NO_VLAN && nic != r->from && group_of(nic)->vswitch == r->vswitch &&
	       receives(group_of(nic), r->vlan);
}

static bool tag_is_right(const struct record *r, const struct vsw_portgroup_config *g, const uint8_t *f)
{
	if (g->trunk_count && !(g->has_native && r->vlan == g->native_vlan))
		return vlan_tagged(f) && tag_vlan(f) == r->vlan;
	return !tagged(f + 12);
}

static bool may_leave(const struct record *r, unsigned wire)
{
	struct vsw_teaming_config t;

	if (r->never || r->vlan == NO_VLAN || r->from >= FROM_WIRE || vswitch_of_wire(wire) != r->vswitch || !carries(wire, r->vlan))
		return false;
	vsw_teaming_of(&model.config, model.nics[r->from].group, &t);
	return vsw_teaming_in(t.active, t.active_count, wire) || vsw_teaming_in(t.standby, t.standby_count, wire);
}

static bool wire_tag_is_right(const struct record *r, const uint8_t *f)
{
	return r->vlan ? vlan_tagged(f) && tag_vlan(f) == r->vlan : !tagged(f + 12);
}

/* How many arrivals there were at ports that are not allowed to see others' frames. */
static void check_copies(const struct record *r)
{
	unsigned ports = 0, wires = 0;

	for (unsigned i = 0; i < NICS; i++) {
		CHECK(!r->once || r->nics[i] <= 1);
		ports += r->nics[i] && !model.nics[i].sees_others;
	}
	for (unsigned i = 0; i < WIRES; i++) {
		CHECK(!r->once || r->wires[i] <= 1);
		wires += r->wires[i] != 0;
	}
	CHECK(wires <= 1 && (!r->unicast || ports + wires <= 1));
}

/* The record of a frame that arrived; NULL: some record without a mark for which `may` holds, of which there must be one. */
static struct record *record_of(const uint8_t *f, uint32_t len, bool (*may)(const struct record *r, unsigned where), unsigned where)
{
	const uint8_t *mark = find_mark(f, len);
	struct record *r = mark ? &records[(mark[2] | mark[3] << 8) % RECORDS] : NULL;

	if (mark && (mark[2] | mark[3] << 8) < (int)record_count && r->marked) {
		CHECK(may(r, where));
		return r;
	}
	for (unsigned i = 0; i < record_count; i++) {
		if ((!records[i].marked || !records[i].once) && may(&records[i], where))
			return NULL;
	}
	CHECK(!"a frame that somebody sent");
	return NULL;
}

static bool is_announcement(const uint8_t *f) /* RARP (notify.c) */
{
	const uint8_t *type = vlan_tagged(f) ? f + 16 : f + 12;

	return type[0] == 0x80 && type[1] == 0x35;
}

/* A membership query of the switch's own (query.c): IPv4 from 0.0.0.0, IPv6 from the highest link-local address. */
static bool is_query(const uint8_t *f, uint32_t len)
{
	static const uint8_t none[4], highest[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const uint8_t *ip = vlan_tagged(f) ? f + 18 : f + 14;

	if (len >= 60 && !memcmp(f, (uint8_t[]){1, 0, 0x5e, 0, 0, 1}, 6))
		return ip[0] == 0x46 && ip[9] == 2 && !memcmp(ip + 12, none, 4) && ip[24] == 0x11;
	return len >= 90 && !memcmp(f, (uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6) && !memcmp(ip + 16, highest, 8) && ip[48] == 130;
}

void model_received(unsigned nic, const uint8_t *f, uint32_t len, bool large)
{
	struct model_nic *n = &model.nics[nic];
	const struct vsw_portgroup_config *g = group_of(nic);
	struct record *r;

	model.got++;
	if (is_query(f, len)) {
		CHECK(n->plugged && (!vlan_tagged(f) || (g->trunk_count && receives(g, tag_vlan(f)))));
		return;
	}
	n->shaped_bytes += len;
	if (n->shaped_since) {
		const struct vsw_shaping_config *s = egress_of(nic);
		double seconds = (double)(hv_now_ns() - n->shaped_since) / 1e9;

		CHECK((double)n->shaped_bytes <= (double)s->average_kbps * 125 * seconds + (double)s->burst_bytes + SLACK_BYTES);
	}
	CHECK(n->plugged && len >= 14);
	if (n->mirrored)
		return;
	CHECK(large || len <= mtu_of(g) + 14u + (g->trunk_count && vlan_tagged(f) ? 4 : 0));
	r = record_of(f, len, may_receive, nic);
	if (!r)
		return;
	CHECK(tag_is_right(r, g, f));
	r->nics[nic] = (uint8_t)HV_MIN(r->nics[nic] + 1, 255);
	check_copies(r);
}

void model_left(unsigned wire, const uint8_t *f, uint32_t len)
{
	struct record *r;

	model.got++;
	CHECK(len >= 60 && len <= mtu_of_switch(vswitch_of_wire(wire)) + 18u);
	if (f[0] == 1 && f[1] == 0x80 && f[2] == 0xc2)
		return; /* LACP, LLDP */
	if (f[0] == 3 && f[2] == 0x42)
		return; /* a beacon */
	if (is_announcement(f)) {
		bool known = false;

		for (unsigned i = 0; i < NICS; i++)
			known |= model.nics[i].plugged && owns_in(group_of(i), vlan_tagged(f) ? tag_vlan(f) : 0);
		CHECK(known);
		return;
	}
	r = record_of(f, len, may_leave, wire);
	if (!r)
		return;
	CHECK(wire_tag_is_right(r, f));
	r->wires[wire] = (uint8_t)HV_MIN(r->wires[wire] + 1, 255);
	check_copies(r);
}

/* ---- counters and tables ---- */

static uint64_t drops_of_all(uint64_t *others)
{
	uint64_t drops = 0;

	*others = 0;
	for (unsigned i = 0; i < model.v->port_count; i++) {
		const struct vsw_port *p = model.v->ports[i];
		uint64_t sum = 0;

		if (!p)
			continue;
		for (unsigned reason = 0; reason < VSW_DROP_COUNT; reason++)
			sum += p->count.drop[reason];
		CHECK(sum == p->count.drops);
		drops += sum;
		*others += p->count.in_control + p->count.out_coalesced;
	}
	return drops;
}

void model_begin(void)
{
	model.got = 0;
	waits = model.v->shaped_mbufs != 0;
	for (unsigned i = 0; i < NICS; i++) {
		const struct model_nic *n = &model.nics[i];

		waits |= n->plugged && (n->own.has_ingress ? n->own.ingress.average_kbps : group_of(i)->ingress.average_kbps) != 0;
	}
	drops_before = drops_of_all(&others_before);
}

void model_end(unsigned n)
{
	uint64_t others, drops = drops_of_all(&others);

	CHECK(model.v->shaped_mbufs || waits || model.got + (drops - drops_before) + (others - others_before) >= n);
}

static void check_domain(const struct vsw_domain *d)
{
	for (unsigned i = 0; i < d->member_count; i++) {
		const struct vsw_port *p = model.v->ports[d->members[i]];

		CHECK(p && p->portgroup && p->sw == d->sw && receives(p->portgroup->config, d->vlan));
		for (unsigned k = 0; k < i; k++)
			CHECK(d->members[k] != d->members[i]);
	}
	for (unsigned i = 0; i < d->promisc_count; i++) {
		const struct vsw_port *p = model.v->ports[d->promisc[i]];

		CHECK(p && p->flags & VSW_PF_PROMISC && p->sw == d->sw && receives(p->portgroup->config, d->vlan));
	}
}

static void check_mac_table(struct vsw_switch *sw)
{
	unsigned trunks = 0, learned = 0;

	for (uint32_t slot = 0; slot < FDB_TABLE; slot++) {
		uint16_t domain = (uint16_t)sw->fdb.key[slot], port = fdb_slot_port(&sw->fdb, slot);
		const struct vsw_port *p = port < VSW_MAX_PORTS ? model.v->ports[port] : NULL;
		const struct vsw_domain *d;

		if (!sw->fdb.key[slot])
			continue;
		learned += !fdb_is_static(&sw->fdb, slot);
		CHECK(fdb_find(&sw->fdb, sw->fdb.key[slot]) == slot);
		if (domain == VSW_DOMAIN_TRUNK) {
			CHECK(p && p->sw == sw && p->portgroup && p->portgroup->config->trunk_count && p->mac == sw->fdb.key[slot] >> 16);
			trunks++;
			continue;
		}
		d = domain < VSW_MAX_DOMAINS ? model.v->domains[domain] : NULL;
		CHECK(d && d->sw == sw);
		if (port < VSW_PORT_SPECIAL)
			CHECK(p && p->sw == sw && p->portgroup && receives(p->portgroup->config, d->vlan));
		else
			CHECK(port == VSW_PORT_OUTSIDE || port == VSW_PORT_PRIVATE);
		CHECK(port != VSW_PORT_PRIVATE || private_of((unsigned)(sw->config - model.v->config.switches), d->vlan));
	}
	CHECK(trunks == sw->trunk_ports && learned == sw->fdb.learned);
}

void model_check(bool tables)
{
	unsigned watchers[VSW_MAX_SWITCHES] = {0}, waiting = 0;
	uint64_t others;

	drops_of_all(&others);
	for (unsigned i = 1; i <= model.v->domain_count; i++) {
		const struct vsw_domain *d = model.v->domains[i];

		if (!d)
			continue;
		check_domain(d);
		watchers[d->sw->config - model.v->config.switches] += d->promisc_count;
	}
	for (unsigned i = 0; i < model.config.switch_count; i++) {
		CHECK(model.v->switches[i]->watchers == watchers[i]);
		if (tables)
			check_mac_table(model.v->switches[i]);
	}
	for (unsigned i = 0; i < model.v->port_count; i++) {
		const struct vsw_port *p = model.v->ports[i];

		for (unsigned n = 0; p && n < NICS; n++) {
			char name[] = "nic0";

			name[3] = (char)('0' + n);
			CHECK(strcmp(p->name, name) != 0 || p->mac == model.nics[n].mac);
			CHECK(strcmp(p->name, name) != 0 || p->portgroup->config == &model.v->config.portgroups[model.nics[n].group]);
		}
		waiting += p ? p->staged : 0;
	}
	CHECK(!waiting);
}
