/*
 * Neighbours: what the devices at the other end of an uplink's wire say about themselves, by LLDP (IEEE 802.1AB-2016) or CDP versions 1
 * and 2. Everything in here came from a wire: texts are cut and made printable, numbers are as they were received.
 */
#ifndef VSWITCH_NEIGHBOR_H
#define VSWITCH_NEIGHBOR_H

#include <hv/types.h>

struct vsw;

enum vsw_discovery_protocol { VSW_DISCOVERY_LLDP, VSW_DISCOVERY_CDP };

#define VSW_NEIGHBOR_TEXT 64
#define VSW_NEIGHBOR_DESCRIPTION 128
#define VSW_NEIGHBOR_VLANS 32

/* IEEE 802.1AB-2016 table 8-4; CDP's are brought into this form. */
#define VSW_CAPABILITIES(X)                                                                                                                \
	X(0, "other")                                                                                                                      \
	X(1, "repeater")                                                                                                                   \
	X(2, "bridge")                                                                                                                     \
	X(3, "access-point")                                                                                                               \
	X(4, "router")                                                                                                                     \
	X(5, "telephone")                                                                                                                  \
	X(6, "docsis")                                                                                                                     \
	X(7, "station")
#define VSW_CAPABILITY_COUNT 8

struct vsw_neighbor {
	enum vsw_discovery_protocol protocol;
	uint8_t chassis_subtype, port_subtype; /* LLDP: 802.1AB tables 8-2, 8-3; CDP: 0 */
	char chassis[VSW_NEIGHBOR_TEXT];       /* LLDP chassis ID, CDP device ID */
	char port[VSW_NEIGHBOR_TEXT];
	char port_description[VSW_NEIGHBOR_TEXT];
	char system_name[VSW_NEIGHBOR_TEXT];
	char platform[VSW_NEIGHBOR_DESCRIPTION]; /* LLDP system description, CDP platform */
	char address[VSW_NEIGHBOR_TEXT];         /* for management; "" when there is none */
	uint16_t capabilities;                   /* enabled ones: 1 << a number of VSW_CAPABILITIES */
	bool has_vlan;
	uint16_t vlan; /* of its untagged frames: 802.1 Port VLAN ID, CDP native VLAN */
	uint16_t vlans[VSW_NEIGHBOR_VLANS];
	unsigned vlan_count;      /* VLANs that it names; at most VSW_NEIGHBOR_VLANS are kept */
	uint32_t max_frame_bytes; /* with header and FCS (IEEE 802.3-2018 79.3.4); 0: not said */
	uint32_t mtu_bytes;       /* CDP: largest packet; 0: not said */
	bool aggregated;          /* its port is in a link aggregation group */
	uint32_t aggregation_port;
	uint16_t ttl_s; /* how long this is to be believed */
};

struct vsw_neighbor_info {
	const char *uplink, *vswitch;
	const struct vsw_neighbor *neighbor;
	uint64_t age_s;     /* since it was heard last */
	uint64_t expires_s; /* from now, when nothing is heard */
	bool mtu_too_small; /* it takes only frames that are shorter than the uplink's MTU allows */
};
/* Calls fn for every neighbour. Loop context on the switch's core. */
void vsw_neighbor_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_neighbor_info *info), void *arg);
const char *vsw_discovery_protocol_name(enum vsw_discovery_protocol protocol);
const char *vsw_capability_name(unsigned bit); /* < VSW_CAPABILITY_COUNT */

/* The host ends: says good-bye to neighbours that were told of it, and tells no more. Loop context on the switch's core. */
void vsw_discovery_leave(struct vsw *v);

struct vsw_discovery_counters {
	uint64_t sent; /* LLDPDUs */
	uint64_t received_lldp, received_cdp;
	uint64_t malformed; /* of the received: not understood, nothing of it was used */
	uint64_t expired;   /* neighbours that were forgotten after their time to live */
	uint64_t refused;   /* not kept: the uplink's table was full */
};
struct vsw_discovery_info {
	const char *uplink, *vswitch;
	bool listens, advertises;
	const struct vsw_discovery_counters *counters;
};
/* Calls fn for every attached uplink. Loop context on the switch's core. */
void vsw_discovery_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_discovery_info *info), void *arg);

#endif
