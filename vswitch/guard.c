/*
 * Guards against a guest that claims to be what it is not.
 *
 *   server guard  a port that is not trusted sends nothing as a DHCP server (UDP from port 67, DHCPv6 from 547) or router (ICMPv6 router
 *                 advertisement and redirect: RFC 6105)
 *   ARP guard     the sender in an ARP packet of the port is its own MAC address and an IPv4 address that is configured for the NIC or was
 *                 leased to it by DHCP (RFC 2131): seen in what is delivered to the port. A probe (RFC 5227: sender 0.0.0.0) passes.
 *
 * Nothing of it can be hidden: a packet that begins in this frame but not with all of its payload's header, or whose headers do not fit,
 * is dropped (hidden-header). Later fragments pass: they cannot replace ports, which lie in the first 8 bytes, and without their
 * first one they are never put together. IP in SNAP frames is looked at like any other; frames with a second VLAN tag do not come here.
 *
 * Owner: the switch's core.
 */
#include "filter.h"

#include "packet.h"
#include "trace.h"

#define PORT_DHCP_SERVER 67
#define PORT_DHCP_CLIENT 68
#define PORT_DHCPV6_SERVER 547
#define ICMPV6_ROUTER_ADVERT 134
#define ICMPV6_REDIRECT 137
#define DHCP_COOKIE 0x63825363u
#define DHCP_OPTIONS 240u /* bytes in front of the options */
#define DHCP_ACK 5
#define DHCP_NAK 6
#define LEASE_NS_PER_S 1000000000ull

/* ---- what the port sends ---- */

static enum vsw_drop check_server(const struct vsw_packet *p)
{
	if (p->type != PACKET_IPV4 && p->type != PACKET_IPV6)
		return VSW_DROP_COUNT;
	if (p->malformed || p->hidden)
		return VSW_DROP_HIDDEN_HEADER;
	if (!p->l4)
		return VSW_DROP_COUNT;
	if (p->proto == PROTO_UDP && p->l4_len >= 4) {
		uint16_t from = vsw_get16(p->l4);

		if (from == (p->type == PACKET_IPV4 ? PORT_DHCP_SERVER : PORT_DHCPV6_SERVER))
			return VSW_DROP_DHCP_SERVER;
	}
	if (p->proto == PROTO_ICMPV6 && p->type == PACKET_IPV6 && p->l4_len &&
		(p->l4[0] == ICMPV6_ROUTER_ADVERT || p->l4[0] == ICMPV6_REDIRECT))
		return VSW_DROP_ROUTER_ADVERT;
	return VSW_DROP_COUNT;
}

static bool owns(const struct vsw_guard *g, uint32_t address, uint64_t now_ns)
{
	for (unsigned i = 0; i < g->address_count; i++) {
		if (g->addresses[i] == address)
			return true;
	}
	for (unsigned i = 0; i < GUARD_BINDINGS; i++) {
		if (g->bindings[i].address == address && g->bindings[i].until_ns > now_ns)
			return true;
	}
	return false;
}

/* RFC 826: Ethernet, IPv4, 6, 4; sender MAC at 8, sender IP at 14. */
static enum vsw_drop check_arp(const struct vsw_port *port, const struct vsw_packet *p, uint64_t source, uint64_t now_ns)
{
	static const uint8_t fixed[6] = {0, 1, 8, 0, 6, 4};
	uint32_t sender;

	if (p->type != PACKET_ARP)
		return VSW_DROP_COUNT;
	if (p->l3_len < 28 || memcmp(p->l3, fixed, sizeof(fixed)) != 0 || vsw_load_mac(p->l3 + 8) != source)
		return VSW_DROP_ARP_SPOOF;
	sender = vsw_get32(p->l3 + 14);
	return !sender || owns(&port->filter->guard, sender, now_ns) ? VSW_DROP_COUNT : VSW_DROP_ARP_SPOOF;
}

unsigned vsw_guard_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	const struct vsw_guard *g = &p->filter->guard;
	uint64_t now = hv_now_ns();
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		enum vsw_drop reason = VSW_DROP_COUNT;
		struct vsw_packet packet;

		vsw_packet_of(frames[i], &packet);
		if (packet.type == PACKET_ARP && frames[i]->nb_segs > 1)
			reason = VSW_DROP_HIDDEN_HEADER;
		else if (g->arp)
			reason = check_arp(p, &packet, vsw_load_mac(rte_pktmbuf_mtod(frames[i], const uint8_t *) + 6), now);
		if (reason == VSW_DROP_COUNT && g->servers)
			reason = check_server(&packet);
		if (reason == VSW_DROP_COUNT)
			frames[kept++] = frames[i];
		else
			vsw_drop(p, reason, frames[i]);
	}
	return kept;
}

/* ---- what it gets ---- */

/* RFC 2132: message type (53) and lease time (51). False: no DHCP message. */
static bool dhcp_options(const uint8_t *options, uint32_t len, uint8_t *type, uint32_t *lease_s)
{
	*type = 0;
	*lease_s = 0;
	for (uint32_t at = 0; at < len && options[at] != 255;) {
		if (!options[at]) {
			at++;
			continue;
		}
		if (at + 2 > len || at + 2 + options[at + 1] > len)
			return false;
		if (options[at] == 53 && options[at + 1] == 1)
			*type = options[at + 2];
		if (options[at] == 51 && options[at + 1] == 4)
			*lease_s = vsw_get32(options + at + 2);
		at += 2u + options[at + 1];
	}
	return *type;
}

static void bind_address(struct vsw_guard *g, uint32_t address, uint32_t lease_s, uint64_t now_ns)
{
	unsigned at = 0;

	for (unsigned i = 0; i < GUARD_BINDINGS; i++) {
		if (g->bindings[i].address == address) {
			at = i;
			break;
		}
		if (g->bindings[i].until_ns < g->bindings[at].until_ns)
			at = i;
	}
	g->bindings[at].address = address;
	g->bindings[at].until_ns = now_ns + (lease_s ? lease_s : UINT32_MAX) * LEASE_NS_PER_S; /* an address for good has no lease time */
}

static void unbind_all(struct vsw_guard *g)
{
	memset(g->bindings, 0, sizeof(g->bindings));
}

static void learn_lease(struct vsw_port *port, const struct vsw_packet *p)
{
	const uint8_t *bootp = p->l4 + 8;
	uint32_t lease_s, address;
	uint8_t type;

	if (p->l4_len < 8 + DHCP_OPTIONS || vsw_get16(p->l4) != PORT_DHCP_SERVER || vsw_get16(p->l4 + 2) != PORT_DHCP_CLIENT)
		return;
	/* A reply to this port's Ethernet address. */
	if (bootp[0] != 2 || bootp[1] != 1 || bootp[2] != 6 || vsw_load_mac(bootp + 28) != port->mac ||
		vsw_get32(bootp + 236) != DHCP_COOKIE)
		return;
	if (!dhcp_options(bootp + DHCP_OPTIONS, p->l4_len - 8 - DHCP_OPTIONS, &type, &lease_s))
		return;
	address = vsw_get32(bootp + 16);
	if (type == DHCP_ACK && address)
		bind_address(&port->filter->guard, address, lease_s, hv_now_ns());
	else if (type == DHCP_NAK)
		unbind_all(&port->filter->guard);
}

unsigned vsw_guard_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vsw_packet packet;

		vsw_packet_of(frames[i], &packet);
		if (packet.type == PACKET_IPV4 && packet.proto == PROTO_UDP && packet.l4 && !packet.fragment)
			learn_lease(p, &packet);
	}
	return n;
}

/* ---- trace ---- */

unsigned vsw_guard_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	const struct vsw_guard *g = &p->filter->guard;

	vsw_trace_note(p->sw->v, "filter", vsw_trace_port(p, "guard"), "%s: guarded against %s%s%s", p->name, g->servers ? "servers" : "",
		g->servers && g->arp ? " and " : "", g->arp ? "foreign addresses in ARP" : "");
	return vsw_guard_in(p, frames, n);
}

/* Leases are learned from frames that arrive, and a traced one does not. */
unsigned vsw_guard_out_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return n;
}

/* ---- control ---- */

void vsw_guard_apply(struct vsw_port *p)
{
	const struct vsw_guard_config *group = &p->portgroup->config->guard;
	struct vsw_guard *g = &p->filter->guard;

	bool trusted = p->own.trusted || p->kind != VSW_PORT_GUEST;

	g->servers = group->servers && !trusted;
	g->arp = group->arp && !trusted;
	g->address_count = p->own.address_count;
	memcpy(g->addresses, p->own.addresses, sizeof(g->addresses));
	p->filters_in = (uint16_t)(g->servers || g->arp ? p->filters_in | VSW_FILTER_GUARD : p->filters_in & ~VSW_FILTER_GUARD);
	p->filters_out = (uint16_t)(g->arp ? p->filters_out | VSW_FILTER_GUARD : p->filters_out & ~VSW_FILTER_GUARD);
	if (!g->arp)
		unbind_all(g);
}
