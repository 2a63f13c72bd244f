/*
 * Which protocol reads a control frame that an uplink received. What nobody reads, and everything from guests, is dropped: a virtual
 * switch is no bridge between neighbours.
 *
 * Owner: the switch's core.
 */
#include "control.h"

#include "beacon.h"
#include "discovery.h"
#include "lacp_switch.h"
#include "vlan.h"

struct protocol {
	uint64_t dst;  /* as vsw_load_mac has it; 0 ends the list */
	uint16_t type; /* Ethernet type as it lies in memory; 0: an IEEE 802.3 length (LLC) */
	/* Reads the frame; it stays the caller's. The whole frame is in the first segment. False: nobody listens, or another protocol's. */
	bool (*input)(struct vsw_port *uplink, const uint8_t *frame, uint32_t len);
	bool (*reads)(const struct vsw_port *uplink); /* does it listen there? */
};

static bool lacp_listens(const struct vsw_port *uplink)
{
	return uplink->sw->lacp.on;
}

/* Those of this host; a trace does not look at whose it is. */
static bool beacon_listens(const struct vsw_port *uplink)
{
	return uplink->sw->beacon.on;
}

static const struct protocol protocols[] = {
	{VSW_LLDP_MAC, VSW_LLDP_TYPE_RAW, vsw_lldp_input, vsw_discovery_listens},
	{VSW_LLDP_MAC_NON_TPMR, VSW_LLDP_TYPE_RAW, vsw_lldp_input, vsw_discovery_listens},
	{VSW_LLDP_MAC_CUSTOMER, VSW_LLDP_TYPE_RAW, vsw_lldp_input, vsw_discovery_listens},
	{VSW_CDP_MAC, 0, vsw_cdp_input, vsw_discovery_listens},
	{VSW_SLOW_PROTOCOLS_MAC, VSW_SLOW_PROTOCOLS_TYPE_RAW, vsw_lacp_input, lacp_listens},
	{VSW_BEACON_MAC, VSW_BEACON_TYPE_RAW, vsw_beacon_input, beacon_listens},
	{0, 0, NULL, NULL},
};

static bool type_fits(const struct protocol *p, const uint8_t *frame)
{
	uint16_t raw = vsw_ethertype_raw(frame);

	return p->type ? raw == p->type : __builtin_bswap16(raw) < 0x600;
}

bool vsw_control_despite(enum vsw_drop reason, const struct rte_mbuf *m)
{
	return (reason == VSW_DROP_VLAN_UNKNOWN || reason == VSW_DROP_VLAN_NOT_ALLOWED || reason == VSW_DROP_NOT_COLLECTING) &&
	       vsw_is_link_control(vsw_load_mac(rte_pktmbuf_mtod(m, const uint8_t *)));
}

bool vsw_control_reads(struct vsw_port *in, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t dst = vsw_load_mac(frame);

	for (const struct protocol *p = protocols; p->dst && in->kind == VSW_PORT_UPLINK && m->nb_segs == 1; p++) {
		if (p->dst == dst && type_fits(p, frame) && p->reads(in))
			return true;
	}
	return false;
}

void vsw_control_input(struct vsw_port *in, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t dst = vsw_load_mac(frame);

	if (in->sw->v->trace && vsw_control_reads(in, m)) {
		in->count.in_control++; /* and is not read: nothing changes */
		rte_pktmbuf_free(m);
		return;
	}
	if (in->kind == VSW_PORT_UPLINK && m->nb_segs == 1 && !in->sw->v->trace) {
		for (const struct protocol *p = protocols; p->dst; p++) {
			if (p->dst != dst || !type_fits(p, frame) || !p->input(in, frame, m->data_len))
				continue;
			in->count.in_control++;
			rte_pktmbuf_free(m);
			return;
		}
	}
	vsw_drop(in, VSW_DROP_LINK_CONTROL, m);
}
