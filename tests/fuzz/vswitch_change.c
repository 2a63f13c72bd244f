/*
 * Configurations for the fuzz target vswitch.c: a base, and random changes of it that config/check_*.c would let pass, made on the running
 * switch by the same calls as `berth apply`. What prepare refuses, and what is aborted, leaves all as it was.
 */
#include "vswitch_model.h"

#include <errno.h>
#include <string.h>

enum { GROUPS = 8 };

static const uint16_t access_vlans[] = {0, 20, 30, 40}, private_vlans[] = {100, 101, 110, 120};
static const struct vsw_private_vlan_config tables[] = {
	{.primary = 100, .has_isolated = true, .isolated = 101, .communities = {{110, 110}, {120, 120}}, .community_count = 2},
	{.primary = 100, .communities = {{110, 110}}, .community_count = 1},
	{.primary = 110, .has_isolated = true, .isolated = 120, .communities = {{100, 101}}, .community_count = 1},
};

void change_base(struct vsw_config *c)
{
	*c = (struct vsw_config){
		.uplink_count = 2,
		.uplinks = {{.name = "up0", .mtu = 1500}, {.name = "up1", .mtu = 1500}},
		.switch_count = 2,
		.switches = {{.name = "vSwitch0", .uplink_count = 2, .uplinks = {0, 1}, .mac_ageing_s = 8},
			{.name = "vSwitch1", .mac_ageing_s = 20}},
		.portgroup_count = GROUPS,
		.portgroups = {{.name = "web", .vlan = 20}, {.name = "plain"}, {.name = "open", .vlan = 20, .policy = {true, true, true}},
			{.name = "trunk", .trunk = {{20, 29}, {40, 40}}, .trunk_count = 2, .has_native = true, .native_vlan = 30},
			{.name = "promiscuous", .has_private_vlan = true, .private_vlan = 100},
			{.name = "isolated", .has_private_vlan = true, .private_vlan = 101, .policy = {.forged_transmits = true}},
			{.name = "community", .has_private_vlan = true, .private_vlan = 110}, {.name = "vmk", .vlan = 20}},
	};
	c->switches[0].private_vlans[0] = tables[0];
	c->switches[0].private_vlan_count = 1;
}

/* ---- port groups ---- */

static void change_vlan(struct vsw_portgroup_config *g)
{
	uint8_t how = input_byte();

	g->trunk_count = 0;
	g->has_native = g->has_private_vlan = false;
	g->vlan = 0;
	if (how & 1) {
		g->vlan = access_vlans[how >> 1 & 3];
	} else if (how & 2) {
		g->has_private_vlan = true;
		g->private_vlan = private_vlans[how >> 2 & 3];
	} else {
		g->trunk[0] = (struct vsw_vlan_range){20, 29};
		g->trunk[1] = (struct vsw_vlan_range){40, 40};
		g->trunk_count = 1 + (how >> 2 & 1);
		g->has_native = how & 8;
		g->native_vlan = g->has_native ? 30 : 0;
	}
}

static void change_policy(struct vsw_policy_config *p, bool own)
{
	uint8_t how = input_byte();

	*p = (struct vsw_policy_config){.promiscuous = how & 1, .mac_changes = how & 2, .forged_transmits = how & 4};
	if (own) {
		p->has_promiscuous = how & 8;
		p->has_mac_changes = how & 16;
		p->has_forged_transmits = how & 32;
	}
}

static void change_shaping(struct vsw_shaping_config *s)
{
	static const uint64_t rates[] = {0, 8, 1000, 1000000}, bursts[] = {1514, 9014, 100000, 10000000};
	uint8_t how = input_byte();

	*s = (struct vsw_shaping_config){.average_kbps = rates[how & 3]};
	if (!s->average_kbps)
		return;
	s->burst_bytes = bursts[how >> 2 & 3];
	s->peak_kbps = how & 16 ? s->average_kbps * (2 + (how >> 5)) : 0;
}

static void change_storm(struct vsw_storm_config *s)
{
	static const uint32_t limits[] = {0, 1, 10, 100000};
	uint8_t how = input_byte();

	*s = (struct vsw_storm_config){limits[how & 3], limits[how >> 2 & 3], limits[how >> 4 & 3]};
}

/* ---- teams ---- */

static void change_team(struct vsw_config *c)
{
	uint8_t how = input_byte(), lists = input_byte(), group = input_byte() % GROUPS;
	struct vsw_teaming_config t = {.has_load_balancing = how & 1,
		.load_balancing = how >> 1 & 3,
		.has_failure_detection = true,
		.failure_detection = how >> 3 & 1,
		.has_failback = true,
		.failback = how >> 4 & 1,
		.has_failback_delay = true,
		.failback_delay_s = how >> 5};

	if (c->switches[0].uplink_count < 2)
		return;
	t.active_count = lists & 1;
	t.active[0] = lists >> 1 & 1;
	t.standby_count = lists >> 2 & 1;
	t.standby[0] = lists >> 3 & 1;
	t.unused_count = lists >> 4 & 1;
	t.unused[0] = lists >> 5 & 1;
	if (lists & 0x40 && c->portgroups[group].vswitch == 0)
		c->portgroups[group].teaming = t;
	else
		c->switches[0].teaming = t;
	c->switches[0].has_lacp = (lists & 0x81) == 0x80;
}

/* up1 belongs to one vSwitch or the other: lists of uplinks go, which may name it. */
static void move_uplink(struct vsw_config *c)
{
	bool apart = c->switches[0].uplink_count == 2;

	c->switches[0].uplink_count = apart ? 1 : 2;
	c->switches[1].uplink_count = apart;
	c->switches[1].uplinks[0] = 1;
	c->switches[0].has_lacp = false;
	c->switches[0].teaming = (struct vsw_teaming_config){0};
	for (unsigned i = 0; i < c->portgroup_count; i++)
		c->portgroups[i].teaming = (struct vsw_teaming_config){0};
}

/* ---- the rest ---- */

static void change_uplink(struct vsw_uplink_config *u)
{
	static const uint16_t mtus[] = {1280, 1500, 1500, 9000};
	uint8_t how = input_byte();

	u->vlan_count = how & 3;
	u->vlans[0] = (struct vsw_vlan_range){20, 30};
	u->vlans[1] = (struct vsw_vlan_range){0, 0};
	u->vlans[2] = (struct vsw_vlan_range){100, 110};
	u->mtu = mtus[how >> 2 & 3];
	if (how & 64)
		change_storm(&u->storm);
}

static void change_private_vlans(struct vsw_config *c)
{
	uint8_t how = input_byte();
	struct vsw_switch_config *sw = &c->switches[how & 1];

	sw->snooping = how & 64;
	sw->private_vlan_count = (how >> 1 & 3) != 0;
	if (sw->private_vlan_count)
		sw->private_vlans[0] = tables[(how >> 1 & 3) - 1];
}

/* The last guest is a mirror's destination, or memory is. */
static void change_mirrors(struct vsw_config *c)
{
	uint8_t how = input_byte();
	struct vsw_mirror_config *m = &c->mirrors[0];

	c->mirror_count = how & 1;
	*m = (struct vsw_mirror_config){.name = "mirror", .source_count = 1, .captures = how & 2, .snap_length = how & 4 ? 60 : 0};
	if (m->captures)
		m->capture_bytes = VSW_CAPTURE_MIN_BYTES;
	else
		snprintf(m->destination, sizeof(m->destination), "nic%u", GUESTS - 1);
	m->sources[0].kind = how & 8 ? VSW_MIRROR_VLAN : VSW_MIRROR_PORTGROUP;
	m->sources[0].vlan = 20;
	m->sources[0].portgroup = how >> 4 & 1;
	m->vswitch = c->portgroups[m->sources[0].portgroup].vswitch;
	m->sources[0].direction = how & 8 ? 0 : how >> 5 & 1;
}

static void swap_groups(struct vsw_config *c, unsigned *group_of)
{
	unsigned a = input_byte() % GROUPS, b = input_byte() % GROUPS;
	struct vsw_portgroup_config g = c->portgroups[a];

	c->mirror_count = 0; /* their sources are indexes */
	c->portgroups[a] = c->portgroups[b];
	c->portgroups[b] = g;
	for (unsigned i = 0; i < NICS; i++)
		group_of[i] = group_of[i] == a ? b : group_of[i] == b ? a : group_of[i];
}

static void change_own(struct vsw_port_config *own)
{
	uint8_t how = input_byte();

	*own = (struct vsw_port_config){.has_ingress = how & 1, .has_egress = how & 2, .has_storm = how & 4, .trusted = how & 8};
	if (how & 16)
		change_policy(&own->policy, true);
	if (own->has_ingress)
		change_shaping(&own->ingress);
	if (own->has_egress)
		change_shaping(&own->egress);
	if (own->has_storm)
		change_storm(&own->storm);
}

/* ---- a change ---- */

static struct vsw_config next;
static unsigned next_group[NICS];
static struct vsw_port_config next_own[NICS];

static void change_one(void)
{
	uint8_t what = input_byte(), nic = input_byte() % NICS;
	struct vsw_portgroup_config *g = &next.portgroups[what / 16 % GROUPS];

	switch (what % 16) {
	case 0:
		change_vlan(g);
		break;
	case 1:
		g->mtu = (uint16_t[]){0, 1280, 1400, 9000}[input_byte() % 4];
		break;
	case 2:
		change_policy(&g->policy, false);
		break;
	case 3:
		change_shaping(nic & 1 ? &g->ingress : &g->egress);
		break;
	case 4:
		change_storm(&g->storm);
		break;
	case 5:
		g->guard = (struct vsw_guard_config){.servers = nic & 1, .arp = nic & 2};
		break;
	case 6:
	case 7:
		change_team(&next);
		break;
	case 8:
		change_uplink(&next.uplinks[nic % WIRES]);
		break;
	case 9:
		change_private_vlans(&next);
		break;
	case 10:
		move_uplink(&next);
		break;
	case 11:
		g->vswitch ^= 1;
		g->teaming = (struct vsw_teaming_config){0};
		next.mirror_count = 0;
		break;
	case 12:
		next_group[nic] = input_byte() % next.portgroup_count;
		break;
	case 13:
		change_own(&next_own[nic]);
		break;
	case 14:
		change_mirrors(&next);
		break;
	default:
		swap_groups(&next, next_group);
	}
}

static unsigned nic_of(const char *port)
{
	return (unsigned)(port[3] - '0');
}

static unsigned place(void *arg, enum vsw_port_kind kind, const char *port)
{
	return next_group[nic_of(port)];
}

static const struct vsw_port_config *own(void *arg, enum vsw_port_kind kind, const char *port)
{
	return &next_own[nic_of(port)];
}

void change_configuration(void)
{
	struct vsw_placement placement = {.portgroup = place, .own = own};
	struct vsw_change *change;
	struct vsw_refusal why;
	uint8_t how = input_byte();
	int err;

	next = model.config;
	for (unsigned i = 0; i < NICS; i++) {
		next_group[i] = model.nics[i].group;
		next_own[i] = model.nics[i].own;
	}
	for (unsigned n = how % 4; n < 4; n++)
		change_one();
	err = vsw_change_prepare(model.v, &next, &placement, &why, &change);
	CHECK(!err || err == -EINVAL || err == -EEXIST || err == -ENOTSUP);
	if (!err && how & 0x80)
		vsw_change_abort(change);
	if (err || how & 0x80)
		return;
	vsw_change_commit(change);
	model.config = next;
	for (unsigned i = 0; i < NICS; i++) {
		model.nics[i].group = next_group[i];
		model.nics[i].own = next_own[i];
	}
	model_refresh();
}
