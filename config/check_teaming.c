/*
 * Rules on uplink teaming: of each vSwitch, and of each port group that overrides it. What holds in the end is resolved as the switch does
 * (vswitch/teaming.h), so a rule judges what would run.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <vswitch/teaming.h>

/* One teaming to judge. */
struct team {
	const struct vsw_switch_config *sw;
	const struct vsw_teaming_config *own; /* as it is written */
	struct vsw_teaming_config is;         /* as it holds */
	char where[CONFIG_PATH_MAX + 1], whose[96];
	bool given; /* something is written there */
};

static const char *name_of(const struct checker *c, unsigned uplink)
{
	return c->config->vsw.uplinks[uplink].name;
}

static bool in_switch(const struct vsw_switch_config *sw, unsigned uplink)
{
	return vsw_teaming_in(sw->uplinks, sw->uplink_count, uplink);
}

static bool used(const struct vsw_teaming_config *t, unsigned uplink)
{
	return vsw_teaming_in(t->active, t->active_count, uplink) || vsw_teaming_in(t->standby, t->standby_count, uplink);
}

static void at(struct checker *c, const struct team *t, const char *key)
{
	report_at(&c->report, "%s.%s", t->where, key);
}

/* Each uplink of a list: of the vSwitch, and in one list only. */
static void check_list(struct checker *c, const struct team *t, unsigned which)
{
	static const char *const keys[3] = {"active", "standby", "unused"};
	const uint8_t *lists[3] = {t->own->active, t->own->standby, t->own->unused};
	const unsigned counts[3] = {t->own->active_count, t->own->standby_count, t->own->unused_count};
	for (unsigned i = 0; i < counts[which]; i++) {
		unsigned uplink = lists[which][i];
		report_at(&c->report, "%s.%s[%u]", t->where, keys[which], i);
		if (!in_switch(t->sw, uplink))
			report_error(&c->report, report_hint(&c->report, "add it to the uplinks of \"%s\", or take it out", t->sw->name),
				"uplink \"%s\" does not belong to vSwitch \"%s\"", name_of(c, uplink), t->sw->name);
		if (vsw_teaming_in(lists[which], i, uplink))
			report_error(&c->report, "name it once", "uplink \"%s\" is listed twice", name_of(c, uplink));
		for (unsigned other = 0; other < which; other++) {
			if (vsw_teaming_in(lists[other], counts[other], uplink))
				report_error(&c->report, "keep it in one of the lists", "uplink \"%s\" is both %s and %s",
					name_of(c, uplink), keys[other], keys[which]);
		}
	}
}

static void check_lists(struct checker *c, const struct team *t)
{
	if (!vsw_teaming_has_lists(t->own))
		return;
	for (unsigned which = 0; which < 3; which++)
		check_list(c, t, which);
	for (unsigned i = 0; i < t->sw->uplink_count; i++) {
		unsigned uplink = t->sw->uplinks[i];
		if (used(&t->is, uplink) || vsw_teaming_in(t->is.unused, t->is.unused_count, uplink))
			continue;
		report_at(&c->report, "%s", t->where);
		report_warning(&c->report, "say so: list it in unused", "uplink \"%s\" is in none of the lists, so %s does not use it",
			name_of(c, uplink), t->whose);
	}
	if (!t->is.active_count) {
		report_at(&c->report, "%s", t->where);
		report_error(&c->report, "list one in active", "%s has no active uplink", t->whose);
	}
}

/* Settings that need several uplinks. */
static void check_effect(struct checker *c, const struct team *t)
{
	unsigned count = t->is.active_count + t->is.standby_count;
	if (t->own->has_load_balancing && t->own->load_balancing != VSW_BALANCE_EXPLICIT && t->is.active_count < 2) {
		at(c, t, "load_balancing");
		report_warning(&c->report, "add an active uplink, or take load_balancing out",
			"there is nothing to balance: %s has %s active uplink", t->whose, t->is.active_count ? "one" : "no");
	}
	if (t->own->has_failback_delay && (!t->is.failback || count < 2)) {
		at(c, t, "failback_delay");
		report_warning(&c->report, "take it out", "the failback delay of %s has no effect: %s", t->whose,
			t->is.failback ? "there is no second uplink" : "failback is false");
	}
}

/* Both sides agree on the links by LACP: nothing is left to say about them. */
static void check_lacp(struct checker *c, const struct team *t)
{
	if (!t->sw->has_lacp)
		return;
	if (vsw_teaming_has_lists(t->own)) {
		report_at(&c->report, "%s", t->where);
		report_error(&c->report, "take the lists out: every uplink of the vSwitch is in the aggregate",
			"%s lists uplinks, but LACP decides which are used", t->whose);
	}
	if (t->own->has_load_balancing && t->own->load_balancing != VSW_BALANCE_IP_HASH) {
		at(c, t, "load_balancing");
		report_error(&c->report, "take it out", "the uplinks of %s are an aggregate (LACP): load_balancing is ip-hash", t->whose);
	}
	if (t->own->has_failback_delay || t->own->has_failback) {
		at(c, t, t->own->has_failback_delay ? "failback_delay" : "failback");
		report_warning(&c->report, "take it out", "it has no effect: LACP brings the uplinks of %s back", t->whose);
	}
}

static void check_beacon(struct checker *c, const struct team *t)
{
	bool two = t->sw->uplink_count == 2;
	if (!t->own->has_failure_detection || t->own->failure_detection != VSW_DETECT_BEACON || t->sw->uplink_count > 2)
		return;
	at(c, t, "failure_detection");
	report_warning(&c->report, two ? "add a third uplink" : "use failure_detection: link",
		two ? "with two uplinks, \"%s\" often cannot tell by beacons which one is cut off; both stay in use then"
		    : "\"%s\" has one uplink: it hears no beacons",
		t->sw->name);
}

/* The other side takes the uplinks for one link: it must be all of them, always. */
static void check_aggregate(struct checker *c, const struct team *t)
{
	if (t->is.load_balancing != VSW_BALANCE_IP_HASH)
		return;
	if (t->is.standby_count) {
		at(c, t, t->own->standby_count ? "standby" : "load_balancing");
		report_error(&c->report, "make it active or unused, or use another load_balancing",
			"%s has uplink \"%s\" on standby, but with ip-hash the physical switch sends on each port of its channel", t->whose,
			name_of(c, t->is.standby[0]));
	}
	if (t->is.failure_detection == VSW_DETECT_BEACON) {
		at(c, t, t->own->has_failure_detection ? "failure_detection" : "load_balancing");
		report_error(&c->report, "use failure_detection: link",
			"beacons cannot tell the uplinks of %s apart: with ip-hash the physical switch sends them on any port of its "
			"channel",
			t->whose);
	}
}

static void check_team(struct checker *c, const struct team *t)
{
	if (!t->given)
		return;
	if (!t->sw->uplink_count) {
		report_at(&c->report, "%s", t->where);
		report_warning(&c->report, "take it out", "teaming has no effect: vSwitch \"%s\" has no uplink", t->sw->name);
		return;
	}
	check_lists(c, t);
	check_lacp(c, t);
	check_aggregate(c, t);
	check_beacon(c, t);
	check_effect(c, t);
}

static bool is_given(const struct vsw_teaming_config *t)
{
	static const struct vsw_teaming_config none;
	return memcmp(t, &none, sizeof(none)) != 0;
}

static void team_of_switch(const struct checker *c, unsigned s, struct team *out)
{
	const struct vsw_switch_config *sw = &c->config->vsw.switches[s];
	memset(out, 0, sizeof(*out));
	out->sw = sw;
	out->own = &sw->teaming;
	out->given = is_given(out->own);
	vsw_teaming_resolve(sw, NULL, &out->is);
	snprintf(out->where, sizeof(out->where), "vswitches[%u].teaming", s);
	snprintf(out->whose, sizeof(out->whose), "vSwitch \"%s\"", sw->name);
}

static void team_of_group(const struct checker *c, unsigned p, struct team *out)
{
	const struct vsw_portgroup_config *pg = &c->config->vsw.portgroups[p];
	memset(out, 0, sizeof(*out));
	out->sw = &c->config->vsw.switches[pg->vswitch];
	out->own = &pg->teaming;
	out->given = is_given(out->own);
	vsw_teaming_resolve(out->sw, out->own, &out->is);
	snprintf(out->where, sizeof(out->where), "portgroups[%u].teaming", p);
	snprintf(out->whose, sizeof(out->whose), "port group \"%s\"", pg->name);
}

/* Two port groups that share an uplink must agree on whether it is part of a channel. */
static void check_shared(struct checker *c, unsigned p, const struct team *t)
{
	for (unsigned o = 0; o < p; o++) {
		struct team other;
		team_of_group(c, o, &other);
		if (other.sw != t->sw || (other.is.load_balancing == VSW_BALANCE_IP_HASH) == (t->is.load_balancing == VSW_BALANCE_IP_HASH))
			continue;
		for (unsigned i = 0; i < t->sw->uplink_count; i++) {
			unsigned uplink = t->sw->uplinks[i];
			if (!used(&t->is, uplink) || !used(&other.is, uplink))
				continue;
			report_at(&c->report, "portgroups[%u]%s", t->given ? p : o, ".teaming");
			report_error(&c->report, "use ip-hash for both, or give them different uplinks",
				"uplink \"%s\" is part of a channel (ip-hash) for one of %s and %s only", name_of(c, uplink), other.whose,
				t->whose);
			return;
		}
	}
}

/* The first VLAN of the port group that an uplink does not carry, or -1. */
static int missing_vlan(const struct vsw_config *vsw, const struct vsw_portgroup_config *pg, const struct vsw_uplink_config *uplink)
{
	if (!uplink->vlan_count)
		return -1;
	for (unsigned vlan = 0; vlan <= VSW_VLAN_MAX; vlan++) {
		if (check_group_has_vlan(vsw, pg, vlan) && !check_vlan_in(uplink->vlans, uplink->vlan_count, vlan))
			return (int)vlan;
	}
	return -1;
}

/* A port's frames leave by any of its uplinks: each must carry its VLANs. */
static void check_carried_by_all(struct checker *c, unsigned p, const struct team *t)
{
	const struct vsw_portgroup_config *pg = &c->config->vsw.portgroups[p];
	bool some = false;
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < t->sw->uplink_count; i++) {
			unsigned uplink = t->sw->uplinks[i];
			int vlan = used(&t->is, uplink) ? missing_vlan(&c->config->vsw, pg, &c->config->vsw.uplinks[uplink]) : -1;
			some |= used(&t->is, uplink) && vlan < 0;
			if (!pass || !some || vlan < 0) /* by none at all: check_vlan.c has told it */
				continue;
			report_at(&c->report, "portgroups[%u]%s", p, t->given ? ".teaming" : "");
			report_error(&c->report,
				report_hint(&c->report, "add %d to the vlans of \"%s\", or list it in unused in the port group's teaming",
					vlan, name_of(c, uplink)),
				"%s uses uplink \"%s\", which does not carry its VLAN %d", t->whose, name_of(c, uplink), vlan);
		}
	}
}

/* The settings of beacons, where they are used. */
static void check_beacon_settings(struct checker *c, unsigned s)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct vsw_switch_config *sw = &vsw->switches[s];
	bool probes = false;
	for (unsigned p = 0; p < vsw->portgroup_count; p++) {
		struct team t;
		team_of_group(c, p, &t);
		probes |= t.sw == sw && t.is.failure_detection == VSW_DETECT_BEACON;
	}
	report_at(&c->report, "vswitches[%u].beacon", s);
	if (sw->has_beacon && !probes)
		report_warning(
			&c->report, "write failure_detection: beacon in its teaming", "no port group of \"%s\" uses beacons", sw->name);
	for (unsigned i = 0; i < sw->uplink_count && sw->beacon.has_vlan; i++) {
		const struct vsw_uplink_config *uplink = &vsw->uplinks[sw->uplinks[i]];
		if (!uplink->vlan_count || check_vlan_in(uplink->vlans, uplink->vlan_count, sw->beacon.vlan))
			continue;
		report_at(&c->report, "vswitches[%u].beacon.vlan", s);
		report_error(&c->report, report_hint(&c->report, "add %u to its vlans, or take another VLAN", sw->beacon.vlan),
			"uplink \"%s\" does not carry the VLAN %u of the beacons", uplink->name, sw->beacon.vlan);
	}
}

static void check_lacp_alone(struct checker *c, unsigned s)
{
	const struct vsw_switch_config *sw = &c->config->vsw.switches[s];
	if (!sw->has_lacp || sw->uplink_count)
		return;
	report_at(&c->report, "vswitches[%u].lacp", s);
	report_warning(&c->report, "take it out", "LACP has no effect: vSwitch \"%s\" has no uplink", sw->name);
}

void check_teaming(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	struct team t;
	for (unsigned s = 0; s < vsw->switch_count; s++) {
		team_of_switch(c, s, &t);
		check_beacon_settings(c, s);
		check_team(c, &t);
		check_lacp_alone(c, s);
	}
	for (unsigned p = 0; p < vsw->portgroup_count; p++) {
		team_of_group(c, p, &t);
		check_team(c, &t);
		check_shared(c, p, &t);
		check_carried_by_all(c, p, &t);
	}
}
