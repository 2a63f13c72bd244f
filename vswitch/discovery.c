/*
 * Discovery of neighbours at an uplink: what the other end says by LLDP or CDP is kept until its time to live ends; what we are is said by
 * LLDP. Which of the two an uplink does is its vSwitch's `discovery`, or its own.
 *
 * Sending (IEEE 802.1AB-2016 9.2.8, in steps of a second):
 *
 *            link up, advertise
 *   silent ----------------------> telling: an LLDPDU now, then every TX_INTERVAL_S
 *     ^  ^                          |  ^ |      a new neighbour is heard: FAST_COUNT of them a second apart
 *     |  |        link down         |  | |      our own data changed: one at the next second
 *     |  +--------------------------+  | |      never more than TX_CREDIT in a row
 *     |                                | |
 *     +---- REINIT_S ---- leaving <------+  advertise goes off, uplink detached: a last LLDPDU with time to live 0
 *
 * Receiving (9.2.9): a well-formed frame makes or refreshes a neighbour, known by protocol, chassis and port; time to live 0, its end, or a
 * link that goes down removes it. An uplink keeps NEIGHBORS of them; more are counted and not kept.
 *
 * Owner: the switch's core.
 */
#include "discovery.h"

#include "control.h"
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>
#include <string.h>

#define TX_INTERVAL_S 30u /* msgTxInterval */
#define TX_HOLD 4u        /* msgTxHold: time to live is this many intervals and a second */
#define FAST_INTERVAL_S 1u
#define FAST_COUNT 4u /* txFastInit */
#define TX_CREDIT 5u  /* txCreditMax */
#define REINIT_S 2u   /* reinitDelay */
#define NEIGHBORS 4u
#define VLANS_SAID 64u
#define SECOND_NS 1000000000ull
#define FRAME_OVERHEAD 22u /* Ethernet header, VLAN tag, FCS */

static const char system_description[] = "Berth hypervisor";

struct neighbor_entry {
	struct vsw_neighbor n;
	uint64_t heard_ns, expires_ns;
};

struct vsw_discovery {
	unsigned uplink; /* index in the configuration */
	bool listens, advertises;
	bool told; /* the neighbour believes an LLDPDU of ours */
	unsigned wait_s, fast, credit, reinit_s;
	unsigned count;
	struct neighbor_entry neighbors[NEIGHBORS];
	struct vsw_discovery_counters counters;
};

/* ---- sending ---- */

static const struct vsw_config *config_of(const struct vsw_port *p)
{
	return &p->sw->v->config;
}

static bool carries(const struct vsw_uplink_config *u, uint16_t vlan)
{
	for (unsigned i = 0; i < u->vlan_count; i++) {
		if (vlan >= u->vlans[i].first && vlan <= u->vlans[i].last)
			return true;
	}
	return !u->vlan_count;
}

/* The VLANs of the vSwitch's port groups that leave by this uplink, each once. */
static unsigned vlans_said(const struct vsw_port *p, struct vsw_lldp_vlan *out)
{
	const struct vsw_config *c = config_of(p);
	unsigned n = 0;

	for (unsigned i = 0; i < c->portgroup_count && n < VLANS_SAID; i++) {
		const struct vsw_portgroup_config *pg = &c->portgroups[i];
		unsigned k = 0;

		if (p->sw->v->portgroups[i]->sw != p->sw || pg->trunk_count || !pg->vlan ||
			!carries(&c->uplinks[p->discovery->uplink], pg->vlan))
			continue;
		while (k < n && out[k].vlan != pg->vlan)
			k++;
		if (k == n)
			out[n++] = (struct vsw_lldp_vlan){pg->vlan, pg->name};
	}
	return n;
}

static void say(struct vsw_port *p, uint16_t ttl_s)
{
	const struct vsw_config *c = config_of(p);
	struct vsw_lldp_vlan vlans[VLANS_SAID];
	char description[2 * VSW_NAME_MAX + 8];
	uint8_t frame[VSW_LLDP_FRAME_MAX];
	struct vsw_lldp_local local = {
		.chassis = c->system_name[0] ? c->system_name : "berth",
		.port = p->name,
		.port_description = description,
		.system_name = c->system_name,
		.system_description = system_description,
		.ipv4 = c->management_ipv4,
		.max_frame_bytes = (uint16_t)(p->sw->mtu + FRAME_OVERHEAD),
		.vlans = vlans,
		.vlan_count = ttl_s ? vlans_said(p, vlans) : 0, /* at good-bye the configuration may not have this uplink any more */
	};

	memcpy(local.mac, p->uplink_mac, sizeof(local.mac));
	hv_snprintf(description, sizeof(description), "%s of %s", p->name, p->sw->config->name);
	if (vsw_uplink_send(p, frame, vsw_lldp_write(frame, &local, ttl_s)))
		p->discovery->counters.sent++;
	p->discovery->told = ttl_s != 0;
}

static void tell(struct vsw_port *p)
{
	struct vsw_discovery *d = p->discovery;

	if (!d->credit)
		return;
	d->credit--;
	say(p, TX_INTERVAL_S * TX_HOLD + 1);
	if (d->fast)
		d->fast--;
	d->wait_s = d->fast ? FAST_INTERVAL_S : TX_INTERVAL_S;
}

static void leave(struct vsw_port *p)
{
	if (!p->discovery->told)
		return;
	if (p->link_up)
		say(p, 0);
	p->discovery->told = false;
	p->discovery->reinit_s = REINIT_S;
}

static void transmit_tick(struct vsw_port *p)
{
	struct vsw_discovery *d = p->discovery;

	d->credit = HV_MIN(d->credit + 1, TX_CREDIT);
	if (d->reinit_s && d->reinit_s--)
		return;
	if (!d->advertises || !p->link_up)
		return;
	if (d->wait_s)
		d->wait_s--;
	if (!d->wait_s)
		tell(p);
}

/* ---- neighbours ---- */

static void forget(struct vsw_port *p, unsigned i, const char *why)
{
	struct vsw_discovery *d = p->discovery;
	const struct vsw_neighbor *n = &d->neighbors[i].n;

	log_info("vswitch.neighbor.gone", "uplink %s: neighbour %s port %s is gone (%s)", p->name,
		n->system_name[0] ? n->system_name : n->chassis, n->port, why);
	d->neighbors[i] = d->neighbors[--d->count];
}

static void forget_all(struct vsw_port *p, const char *why)
{
	while (p->discovery->count)
		forget(p, p->discovery->count - 1, why);
}

static void expire(struct vsw_port *p)
{
	struct vsw_discovery *d = p->discovery;

	for (unsigned i = 0; i < d->count;) {
		if (d->neighbors[i].expires_ns > hv_now_ns()) {
			i++;
			continue;
		}
		d->counters.expired++;
		forget(p, i, "it has been silent for its time to live");
	}
}

static bool same(const struct vsw_neighbor *a, const struct vsw_neighbor *b)
{
	return a->protocol == b->protocol && a->chassis_subtype == b->chassis_subtype && a->port_subtype == b->port_subtype &&
	       !strcmp(a->chassis, b->chassis) && !strcmp(a->port, b->port);
}

/* Does the other end take only shorter frames than we may send? Devices differ in whether they count headers and tag: they are not. */
static bool too_small(const struct vsw_port *p, const struct vsw_neighbor *n)
{
	return (n->max_frame_bytes && n->max_frame_bytes < p->sw->mtu) || (n->mtu_bytes && n->mtu_bytes < p->sw->mtu);
}

static void welcome(struct vsw_port *p, const struct vsw_neighbor *n)
{
	struct vsw_discovery *d = p->discovery;

	log_info("vswitch.neighbor", "uplink %s: neighbour %s port %s by %s", p->name, n->system_name[0] ? n->system_name : n->chassis,
		n->port, vsw_discovery_protocol_name(n->protocol));
	if (too_small(p, n))
		log_warn("vswitch.neighbor.mtu", "uplink %s: its MTU is %u, but the neighbour takes frames of %u bytes at most", p->name,
			p->sw->mtu, n->max_frame_bytes ? n->max_frame_bytes : n->mtu_bytes);
	if (n->protocol == VSW_DISCOVERY_LLDP && !d->fast) {
		d->fast = FAST_COUNT;
		d->wait_s = FAST_INTERVAL_S;
	}
}

static void heard(struct vsw_port *p, const struct vsw_neighbor *n)
{
	struct vsw_discovery *d = p->discovery;
	unsigned i = 0;

	while (i < d->count && !same(&d->neighbors[i].n, n))
		i++;
	if (!n->ttl_s) {
		if (i < d->count)
			forget(p, i, "it said good-bye");
		return;
	}
	if (i == d->count) {
		if (d->count == NEIGHBORS) {
			d->counters.refused++;
			return;
		}
		d->count++;
		welcome(p, n);
	}
	d->neighbors[i] = (struct neighbor_entry){.n = *n, .heard_ns = hv_now_ns(), .expires_ns = hv_now_ns() + n->ttl_s * SECOND_NS};
}

bool vsw_lldp_input(struct vsw_port *p, const uint8_t *frame, uint32_t len)
{
	struct vsw_neighbor n;

	if (!p->discovery || !p->discovery->listens)
		return false;
	p->discovery->counters.received_lldp++;
	if (vsw_lldp_read(frame, len, &n))
		heard(p, &n);
	else
		p->discovery->counters.malformed++;
	return true;
}

bool vsw_cdp_input(struct vsw_port *p, const uint8_t *frame, uint32_t len)
{
	struct vsw_neighbor n;
	bool other, good;

	if (!p->discovery || !p->discovery->listens)
		return false;
	good = vsw_cdp_read(frame, len, &n, &other);
	if (other)
		return false;
	p->discovery->counters.received_cdp++;
	if (good)
		heard(p, &n);
	else
		p->discovery->counters.malformed++;
	return true;
}

/* ---- control ---- */

static enum vsw_discovery_mode mode_of(const struct vsw_port *p)
{
	uint8_t own = config_of(p)->uplinks[p->discovery->uplink].discovery;

	return own ? (enum vsw_discovery_mode)(own - 1) : (enum vsw_discovery_mode)p->sw->config->discovery;
}

void vsw_discovery_apply(struct vsw_port *p, unsigned uplink)
{
	struct vsw_discovery *d = p->discovery;
	enum vsw_discovery_mode mode;

	d->uplink = uplink;
	mode = mode_of(p);
	d->listens = mode == VSW_DISCOVERY_LISTEN || mode == VSW_DISCOVERY_BOTH;
	d->advertises = mode == VSW_DISCOVERY_ADVERTISE || mode == VSW_DISCOVERY_BOTH;
	if (!d->listens)
		forget_all(p, "discovery does not listen any more");
	if (!d->advertises)
		leave(p);
	d->wait_s = 0; /* what we say may have changed: say it at the next second */
}

int vsw_discovery_start(struct vsw_port *p, unsigned uplink)
{
	p->discovery = hv_contig_alloc(sizeof(*p->discovery), HV_PAGE_SIZE);
	if (!p->discovery)
		return trace_error(-ENOMEM);
	p->discovery->credit = TX_CREDIT;
	vsw_discovery_apply(p, uplink);
	return 0;
}

void vsw_discovery_stop(struct vsw_port *p)
{
	if (!p->discovery)
		return;
	leave(p);
	hv_contig_free(p->discovery, sizeof(*p->discovery));
	p->discovery = NULL;
}

bool vsw_discovery_listens(const struct vsw_port *p)
{
	return p->discovery && p->discovery->listens;
}

void vsw_discovery_link(struct vsw_port *p, bool up)
{
	struct vsw_discovery *d = p->discovery;

	if (!d)
		return;
	d->fast = 0;
	d->wait_s = 0;
	if (!up) {
		forget_all(p, "the link is down");
		d->told = false; /* nobody can hear a good-bye */
	} else if (d->advertises && !d->reinit_s) {
		tell(p);
	}
}

void vsw_discovery_leave(struct vsw *v)
{
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		struct vsw_port *p = v->uplinks[i] ? vsw_uplink_port(v->uplinks[i]) : NULL;

		if (!p || !p->discovery)
			continue;
		p->discovery->advertises = false;
		leave(p);
	}
}

void vsw_discovery_tick(struct vsw *v)
{
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		struct vsw_port *p = v->uplinks[i] ? vsw_uplink_port(v->uplinks[i]) : NULL;

		if (!p || !p->discovery)
			continue;
		expire(p);
		transmit_tick(p);
	}
}

/* ---- listing ---- */

const char *vsw_discovery_protocol_name(enum vsw_discovery_protocol protocol)
{
	return protocol == VSW_DISCOVERY_LLDP ? "lldp" : "cdp";
}

const char *vsw_capability_name(unsigned bit)
{
	static const char *const names[VSW_CAPABILITY_COUNT] = {
#define X(n, name) [n] = name,
		VSW_CAPABILITIES(X)
#undef X
	};

	return bit < VSW_CAPABILITY_COUNT ? names[bit] : "?";
}

void vsw_neighbor_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_neighbor_info *info), void *arg)
{
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		struct vsw_port *p = v->uplinks[i] ? vsw_uplink_port(v->uplinks[i]) : NULL;

		for (unsigned k = 0; p && p->discovery && k < p->discovery->count; k++) {
			const struct neighbor_entry *e = &p->discovery->neighbors[k];
			struct vsw_neighbor_info info = {
				.uplink = p->name,
				.vswitch = p->sw->config->name,
				.neighbor = &e->n,
				.age_s = (hv_now_ns() - e->heard_ns) / SECOND_NS,
				.expires_s = e->expires_ns > hv_now_ns() ? (e->expires_ns - hv_now_ns()) / SECOND_NS : 0,
				.mtu_too_small = too_small(p, &e->n),
			};

			fn(arg, &info);
		}
	}
}

void vsw_discovery_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_discovery_info *info), void *arg)
{
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		struct vsw_port *p = v->uplinks[i] ? vsw_uplink_port(v->uplinks[i]) : NULL;
		struct vsw_discovery_info info;

		if (!p || !p->discovery)
			continue;
		info = (struct vsw_discovery_info){.uplink = p->name,
			.vswitch = p->sw->config->name,
			.listens = p->discovery->listens,
			.advertises = p->discovery->advertises,
			.counters = &p->discovery->counters};
		fn(arg, &info);
	}
}
