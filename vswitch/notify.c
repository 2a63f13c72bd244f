/*
 * Tells physical switches, after ports got another uplink, behind which of their ports our MAC addresses are now: for each address of such
 * a guest or vmk, or learned at it, a RARP request (RFC 903) with that source, broadcast on the address's VLAN. Nobody answers it, it
 * carries no IP address, and switches learn from it at once instead of waiting for the guest to send. Then asks the guests of these ports
 * what multicast groups they have joined (query.c), as switches that snoop must hear that there, too.
 *
 * Owner: the switch's core. States of a vSwitch, a burst every NOTIFY_NS, so that neither the core nor the uplink's queue is flooded:
 *
 *   idle --a port moved--> announcing (a cursor walks the MAC table) --end--> asking (it walks the ports) --end--> idle
 *                              ^------------------------- another port moved -------------------'
 */
#include "query.h"

#include <string.h>

#define NOTIFY_NS 1000000ull
#define RARP_LEN 60u

static void write_rarp(uint8_t *frame, const uint8_t mac[6])
{
	static const uint8_t fixed[10] = {0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3}; /* type; Ethernet, IPv4, lengths, request reverse */

	memset(frame, 0, RARP_LEN);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, fixed, sizeof(fixed));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 32, mac, 6);
}

static bool announce(struct vsw_switch *sw, uint64_t mac, uint16_t domain, struct rte_mbuf **out)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(sw->v->guest_pool);
	uint8_t bytes[6];

	if (!m)
		return false;
	vsw_store_mac(bytes, mac);
	m->data_len = RARP_LEN;
	m->pkt_len = RARP_LEN;
	write_rarp(rte_pktmbuf_mtod(m, uint8_t *), bytes);
	m->vlan_tci = domain;
	*out = m;
	return true;
}

/* The domain to announce the cursor's address in next, moving the cursor; VSW_DOMAIN_NONE: none, look at the next slot. */
static uint16_t next_domain(struct vsw_switch *sw, uint64_t *mac, const struct vsw_port **owner)
{
	uint64_t key = sw->fdb.key[sw->notify_slot];
	uint16_t port = fdb_slot_port(&sw->fdb, sw->notify_slot);
	const struct vsw_port *p;

	if (!key || port >= VSW_PORT_SPECIAL)
		goto next_slot;
	p = sw->v->ports[port];
	if (!p->moved)
		goto next_slot;
	*owner = p;
	*mac = key >> 16;
	if (p->portgroup->private) {
		/* It is in all VLANs of the private VLAN, always with its port in the primary, and sends in one. */
		if ((uint16_t)key != sw->domain_of[p->portgroup->primary])
			goto next_slot;
		sw->notify_slot++;
		return p->domain;
	}
	if ((uint16_t)key != VSW_DOMAIN_TRUNK) {
		sw->notify_slot++;
		return (uint16_t)key;
	}
	while (sw->notify_vlan <= VSW_VLAN_MAX) {
		uint16_t vlan = (uint16_t)sw->notify_vlan++;

		if (vsw_vlan_in(&p->used, vlan))
			return sw->domain_of[vlan];
	}
next_slot:
	sw->notify_vlan = 0;
	sw->notify_slot++;
	return VSW_DOMAIN_NONE;
}

/* Returns how many frames were sent: VSW_BURST, or fewer when the MAC table is at its end. */
static unsigned announce_addresses(struct vsw_switch *sw)
{
	const struct vsw_port *p;
	unsigned n = 0;
	uint64_t mac;

	while (n < VSW_BURST && sw->notify_slot < FDB_TABLE) {
		uint16_t domain = next_domain(sw, &mac, &p);
		struct vsw_port *uplink = domain != VSW_DOMAIN_NONE ? vsw_team_of_mac(p, mac) : NULL;
		struct rte_mbuf *m;

		if (!uplink || !announce(sw, mac, domain, &m))
			continue;
		uplink->deliver(uplink, &m, 1, 0);
		n++;
	}
	return n;
}

/* The domain to ask the cursor's port in next, moving the cursor; VSW_DOMAIN_NONE: none, look at the next port. */
static uint16_t next_question(struct vsw_switch *sw, struct vsw_port **port)
{
	struct vsw_port *p = sw->v->ports[sw->notify_port];

	*port = p;
	if (!p || p->sw != sw || p->kind != VSW_PORT_GUEST || !p->moved)
		goto next_port;
	if (!(p->flags & VSW_PF_TRUNK)) {
		sw->notify_port++;
		return p->domain;
	}
	while (sw->notify_vlan <= VSW_VLAN_MAX) {
		uint16_t vlan = (uint16_t)sw->notify_vlan++;

		if (vsw_vlan_in(&p->used, vlan))
			return sw->domain_of[vlan];
	}
next_port:
	sw->notify_vlan = 0;
	sw->notify_port++;
	return VSW_DOMAIN_NONE;
}

static void ask_members(struct vsw_switch *sw, unsigned n)
{
	struct vsw_port *p;

	while (n < VSW_BURST && sw->notify_port < sw->v->port_count) {
		uint16_t domain = next_question(sw, &p);

		if (domain != VSW_DOMAIN_NONE)
			n += vsw_query_port(p, domain);
	}
}

static void notify_step(struct vsw_switch *sw)
{
	unsigned n = announce_addresses(sw);

	if (sw->notify_slot == FDB_TABLE)
		ask_members(sw, n);
	sw->notifying = sw->notify_slot < FDB_TABLE || sw->notify_port < sw->v->port_count;
	for (unsigned i = 0; !sw->notifying && i < sw->v->port_count; i++) {
		if (sw->v->ports[i] && sw->v->ports[i]->sw == sw)
			sw->v->ports[i]->moved = false;
	}
}

static void notify(struct hv_timer *t)
{
	struct vsw *v = hv_container_of(t, struct vsw, notify);
	bool more = false;

	for (unsigned i = 0; i < v->config.switch_count; i++) {
		struct vsw_switch *sw = v->switches[i];

		if (sw->notifying)
			notify_step(sw);
		more |= sw->notifying;
	}
	if (more)
		hv_timer_arm(t, hv_now_ns() + NOTIFY_NS);
}

void vsw_notify_begin(struct vsw_switch *sw)
{
	sw->notifying = true;
	sw->notify_slot = 0;
	sw->notify_vlan = 0;
	sw->notify_port = 0;
	hv_timer_arm(&sw->v->notify, hv_now_ns() + NOTIFY_NS);
}

void vsw_notify_init(struct vsw *v)
{
	v->notify.fn = notify;
}
