/*
 * Uplink teaming: which uplinks the ports of a port group send by. Port groups with the same teaming share a team.
 *
 * A team has slots: one for each active uplink, or one alone with explicit failover order. A slot has a holder:
 *
 *     its own uplink  --not usable-->  a standby, the first in the list that holds no slot  --none-->  nobody
 *           ^                                       |                                                     |
 *           +------- usable again, failback --------+---------------- usable again, failback -------------+
 *
 * Frames are spread over slots; those of a slot without holder over the others, so that a failure moves only the traffic of the uplink that
 * failed. Failback happens when the team says so, after the uplink was usable for the delay: that keeps a flapping link, or a physical
 * switch that boots (link first, forwarding later), from taking traffic. When a slot loses its holder, empty slots are filled at once with
 * what is usable, whatever its past.
 *
 * What a port receives: floods from one uplink only, its own, so it gets each once though the physical network sends it to all; from any
 * member where these are one aggregate to the other side. Unicast from every uplink that its team lists. Frames never go from uplink to
 * uplink, so nothing loops.
 *
 * Owner: the switch's core. Chosen again when an uplink comes, goes, or changes, and each second for failback delays.
 */
#include "beacon.h"
#include "lacp_switch.h"

#include <vswitch/teaming.h>

/* ---- what can be used ---- */

static struct vsw_port *uplink_port(const struct vsw_team *t, uint8_t uplink)
{
	struct vsw_uplink *u = t->sw->v->uplinks[uplink];

	return u ? vsw_uplink_port(u) : NULL;
}

static bool usable(const struct vsw_team *t, const struct vsw_port *p)
{
	return p->link_up && !p->blocked && !(t->config.failure_detection == VSW_DETECT_BEACON && p->beacon.lost);
}

/* May a usable uplink take a place from, or beside, others that work? */
static bool may_fail_back(const struct vsw_team *t, const struct vsw_port *p)
{
	bool probed = t->config.failure_detection == VSW_DETECT_BEACON;
	uint64_t since = probed ? HV_MAX(p->link_up_ns, p->beacon.good_ns) : p->link_up_ns;

	if (t->sw->config->has_lacp)
		return true; /* both sides have agreed */
	if (!p->link_lost && !(probed && p->beacon.was_lost))
		return true; /* its first link: the host starts */
	return t->config.failback && hv_now_ns() - since >= t->config.failback_delay_s * 1000000000ull;
}

/* ---- slots ---- */

/* How many uplinks may hold a slot, and the n-th of them, best first; NULL: it has no NIC. */
static unsigned candidates(const struct vsw_team *t)
{
	return t->config.standby_count + (t->config.load_balancing == VSW_BALANCE_EXPLICIT ? t->config.active_count : 1);
}

static struct vsw_port *candidate(const struct vsw_team *t, unsigned slot, unsigned n)
{
	const struct vsw_teaming_config *c = &t->config;
	unsigned own = c->load_balancing == VSW_BALANCE_EXPLICIT ? c->active_count : 1;

	return uplink_port(t, n < own ? c->active[slot + n] : c->standby[n - own]);
}

static bool is_candidate(const struct vsw_team *t, unsigned slot, const struct vsw_port *p)
{
	for (unsigned n = 0; n < candidates(t); n++) {
		if (candidate(t, slot, n) == p)
			return true;
	}
	return false;
}

static bool holds_other(const struct vsw_team *t, unsigned slot, const struct vsw_port *p)
{
	for (unsigned i = 0; i < t->slots; i++) {
		if (i != slot && t->holder[i] == p)
			return true;
	}
	return false;
}

/* Who holds the slot from now on. urgent: do not wait for anybody's failback. */
static struct vsw_port *choose(const struct vsw_team *t, unsigned slot, bool urgent)
{
	const struct vsw_port *now = t->holder[slot];

	for (unsigned n = 0; n < candidates(t); n++) {
		struct vsw_port *p = candidate(t, slot, n);

		if (!p || !usable(t, p) || holds_other(t, slot, p))
			continue;
		if (p == now || may_fail_back(t, p) || (urgent && !now))
			return p;
	}
	return NULL;
}

static void choose_all(struct vsw_team *t)
{
	bool urgent = false, working = false;

	for (unsigned i = 0; i < t->slots; i++) {
		if (t->holder[i] && !(is_candidate(t, i, t->holder[i]) && usable(t, t->holder[i]))) { /* also one that was detached */
			t->holder[i] = NULL;
			urgent = true;
		}
		working |= t->holder[i] != NULL;
	}
	for (unsigned i = 0; i < t->slots; i++)
		t->holder[i] = choose(t, i, urgent || !working);
}

/* Spreads the buckets over the slots, and those of empty slots over the others. Returns whether any changed. */
static bool fill_buckets(struct vsw_team *t)
{
	struct vsw_port *filled[VSW_MAX_UPLINKS];
	bool changed = false;
	unsigned n = 0;

	t->in_use = 0;
	for (unsigned i = 0; i < t->slots; i++) {
		if (!t->holder[i])
			continue;
		filled[n] = t->holder[i];
		t->in_use |= filled[n++]->bit;
	}
	for (unsigned b = 0; b < VSW_TEAM_BUCKETS; b++) {
		struct vsw_port *p = t->slots ? t->holder[b % t->slots] : NULL;

		if (!p && n)
			p = filled[b / t->slots % n];
		changed |= p != t->bucket[b];
		t->bucket[b] = p;
	}
	return changed;
}

/* ---- ports ---- */

static uint16_t bits(const uint8_t *list, unsigned count)
{
	uint16_t all = 0;

	for (unsigned i = 0; i < count; i++)
		all |= (uint16_t)(1u << list[i]);
	return all;
}

void vsw_team_assign(struct vsw_port *p)
{
	const struct vsw_team *t = p->portgroup ? p->portgroup->team : NULL;
	bool hashed = t && (t->hashes || (t->config.load_balancing == VSW_BALANCE_MAC && p->flags & VSW_PF_FORGED));

	if (!t)
		return;
	p->uplink = t->bucket[p->index % VSW_TEAM_BUCKETS];
	if (t->config.load_balancing == VSW_BALANCE_MAC)
		p->uplink = vsw_team_of_mac(p, p->mac);
	p->flags = (uint16_t)(hashed ? p->flags | VSW_PF_HASHED : p->flags & ~VSW_PF_HASHED);
	p->accepts = VSW_BIT_LOCAL | t->listed;
	vsw_port_set_reach(p, true);
	p->floods = (uint16_t)(VSW_BIT_LOCAL | (t->aggregate ? t->listed : p->uplink ? p->uplink->bit : 0));
	if (p->link_changed && p->team_up != vsw_team_up(t))
		p->link_changed(p, vsw_team_up(t));
	p->team_up = vsw_team_up(t);
}

/* Gives the team's ports their uplinks. Those that now leave by another one are to be announced there. */
static void assign_all(struct vsw_team *t, bool was_up)
{
	struct vsw *v = t->sw->v;
	bool announce = false;

	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i], *before;

		if (!p || !p->portgroup || p->portgroup->team != t)
			continue;
		before = p->uplink;
		vsw_team_assign(p);
		if (t->aggregate ? !was_up : p->uplink != before || p->flags & VSW_PF_HASHED)
			p->moved = p->uplink && t->config.notify_switches;
		announce |= p->moved;
	}
	if (announce)
		vsw_notify_begin(t->sw);
}

static void tell(const struct vsw_team *t)
{
	char names[VSW_MAX_UPLINKS * (VSW_NAME_MAX + 2) + 1] = "";
	int at = 0;

	for (unsigned i = 0; i < t->slots; i++) {
		if (t->holder[i])
			at += hv_snprintf(names + at, sizeof(names) - (size_t)at, "%s%s", at ? ", " : "", t->holder[i]->name);
	}
	if (at)
		log_info("vswitch.uplink.active", "%s sends by %s", t->name, names);
	else
		log_warn("vswitch.uplink.none", "%s has no uplink that is usable", t->name);
}

static void team_update(struct vsw_team *t)
{
	bool was_up = vsw_team_up(t);

	choose_all(t);
	if (!fill_buckets(t))
		return;
	tell(t);
	assign_all(t, was_up);
}

void vsw_team_update(struct vsw *v)
{
	for (unsigned i = 0; i < VSW_MAX_TEAMS; i++) {
		if (v->teams[i].users)
			team_update(&v->teams[i]);
	}
}

/* ---- making teams ---- */

static struct vsw_team *find(struct vsw *v, const struct vsw_switch *sw, const struct vsw_teaming_config *c)
{
	for (unsigned i = 0; i < VSW_MAX_TEAMS; i++) {
		struct vsw_team *t = &v->teams[i];

		if (t->sw == sw && !memcmp(&t->config, c, sizeof(*c)))
			return t;
	}
	return NULL;
}

/* A new team begins where the port group's old one was: an uplink that carried traffic and still may goes on. */
static void inherit(struct vsw_team *t, const struct vsw_team *old)
{
	for (unsigned i = 0; i < t->slots; i++) {
		for (unsigned k = 0; k < old->slots && !t->holder[i]; k++) {
			if (old->holder[k] && is_candidate(t, i, old->holder[k]) && !holds_other(t, i, old->holder[k]))
				t->holder[i] = old->holder[k];
		}
	}
	t->in_use = old->in_use;
}

static struct vsw_team *make(struct vsw *v, struct vsw_switch *sw, const struct vsw_teaming_config *c, const struct vsw_team *old)
{
	struct vsw_team *t = v->teams;

	while (t->sw)
		t++; /* ends: old teams and new ones are at most two for each port group */
	*t = (struct vsw_team){.sw = sw, .config = *c};
	t->slots = c->load_balancing == VSW_BALANCE_EXPLICIT ? HV_MIN(c->active_count, 1u) : c->active_count;
	t->hashes = c->load_balancing == VSW_BALANCE_IP_HASH;
	t->aggregate = t->hashes || sw->config->has_lacp;
	t->listed = bits(c->active, c->active_count) | bits(c->standby, c->standby_count);
	if (old)
		inherit(t, old);
	return t;
}

/* Does the port group say anything of its own? */
static bool overrides(const struct vsw_teaming_config *c)
{
	static const struct vsw_teaming_config none;

	return memcmp(c, &none, sizeof(none)) != 0;
}

static void join(struct vsw_portgroup *pg, struct vsw_team *t)
{
	bool own = overrides(&pg->config->teaming);

	if (!t->users++)
		hv_snprintf(t->name, sizeof(t->name), "%s%s%s", pg->sw->config->name, own ? "/" : "", own ? pg->config->name : "");
	pg->team = t;
}

void vsw_teams_apply(struct vsw *v)
{
	struct vsw_teaming_config c;

	for (unsigned i = 0; i < VSW_MAX_TEAMS; i++)
		v->teams[i].users = 0;
	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		struct vsw_portgroup *pg = v->portgroups[i];
		struct vsw_team *t;

		vsw_teaming_of(&v->config, i, &c);
		t = find(v, pg->sw, &c);
		join(pg, t ? t : make(v, pg->sw, &c, pg->team));
	}
	for (unsigned i = 0; i < VSW_MAX_TEAMS; i++) {
		if (!v->teams[i].users)
			v->teams[i].sw = NULL; /* free */
	}
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		vsw_lacp_apply(v->switches[i]);
		vsw_beacon_apply(v->switches[i]);
	}
	vsw_team_update(v);
	for (unsigned i = 0; i < v->port_count; i++) {
		if (v->ports[i])
			vsw_team_assign(v->ports[i]);
	}
}
