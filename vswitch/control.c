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
};

static const struct protocol protocols[] = {
	{VSW_LLDP_MAC, VSW_LLDP_TYPE_RAW, vsw_lldp_input},
	{VSW_LLDP_MAC_NON_TPMR, VSW_LLDP_TYPE_RAW, vsw_lldp_input},
	{VSW_LLDP_MAC_CUSTOMER, VSW_LLDP_TYPE_RAW, vsw_lldp_input},
	{VSW_CDP_MAC, 0, vsw_cdp_input},
	{VSW_SLOW_PROTOCOLS_MAC, VSW_SLOW_PROTOCOLS_TYPE_RAW, vsw_lacp_input},
	{VSW_BEACON_MAC, VSW_BEACON_TYPE_RAW, vsw_beacon_input},
	{0, 0, NULL},
};

static bool type_fits(const struct protocol *p, const uint8_t *frame)
{
	uint16_t raw = vsw_ethertype_raw(frame);

	return p->type ? raw == p->type : __builtin_bswap16(raw) < 0x600;
}

void vsw_control_input(struct vsw_port *in, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t dst = vsw_load_mac(frame);

	if (in->kind == VSW_PORT_UPLINK && m->nb_segs == 1) {
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
