/* Discovery of neighbours: formats (lldp.c, cdp.c: pure, hostile input) and what an uplink does with them (discovery.c). */
#ifndef VSWITCH_DISCOVERY_H
#define VSWITCH_DISCOVERY_H

#include "switch.h"

#include <vswitch/neighbor.h>

#define VSW_LLDP_MAC 0x0e0000c28001ull          /* 01-80-C2-00-00-0E, nearest bridge: what we send to (802.1AB-2016 table 7-1) */
#define VSW_LLDP_MAC_NON_TPMR 0x030000c28001ull /* nearest bridge that is no two-port relay */
#define VSW_LLDP_MAC_CUSTOMER 0x000000c28001ull /* nearest customer bridge */
#define VSW_LLDP_TYPE_RAW 0xcc88u               /* 0x88cc as it lies in memory */

/* ---- formats ---- */
/*
 * Reads a frame: whole, untagged, at least an Ethernet header. False: malformed, *n is then not to be used. A time to live of 0 is the
 * neighbour's good-bye: only chassis and port are set.
 */
bool vsw_lldp_read(const uint8_t *frame, uint32_t len, struct vsw_neighbor *n) HV_MUST_CHECK;
/* The same; also false, with *other set, when the frame is another protocol of the same address (VTP, DTP, ...). */
bool vsw_cdp_read(const uint8_t *frame, uint32_t len, struct vsw_neighbor *n, bool *other) HV_MUST_CHECK;

/* What we say about ourselves. */
struct vsw_lldp_vlan {
	uint16_t vlan;
	const char *name;
};
struct vsw_lldp_local {
	uint8_t mac[6];             /* source */
	const char *chassis, *port; /* locally assigned ID, interface name */
	const char *port_description, *system_name, *system_description;
	uint32_t ipv4;            /* management address; 0: none */
	uint16_t max_frame_bytes; /* 0: not said */
	bool aggregated;
	const struct vsw_lldp_vlan *vlans;
	unsigned vlan_count; /* those that fit are sent */
};
#define VSW_LLDP_FRAME_MAX 1514
/* Writes a frame that says so for ttl_s seconds; ttl_s 0: only the good-bye. Returns its length, not padded. @pre room VSW_LLDP_FRAME_MAX
 */
uint32_t vsw_lldp_write(uint8_t *frame, const struct vsw_lldp_local *local, uint16_t ttl_s);

/* ---- texts from a wire (lldp.c) ---- */
/* Copies len bytes as printable ASCII, others as '?', cut to size. */
void vsw_wire_text(char *out, size_t size, const uint8_t *bytes, size_t len);
void vsw_wire_hex(char *out, size_t size, const uint8_t *bytes, size_t len);
void vsw_wire_ipv4(char *out, size_t size, const uint8_t bytes[4]);
void vsw_wire_ipv6(char *out, size_t size, const uint8_t bytes[16]);

/* ---- an uplink's discovery (discovery.c) ---- */
struct vsw_discovery;
/* For a new uplink port, `uplink` its index in the configuration. -ENOMEM. */
int vsw_discovery_start(struct vsw_port *p, unsigned uplink) HV_MUST_CHECK;
/* Says good-bye where that is due and forgets all. */
void vsw_discovery_stop(struct vsw_port *p);
/* The configuration of an uplink, or of what it says, may have changed; `uplink`: its index there. */
void vsw_discovery_apply(struct vsw_port *p, unsigned uplink);
bool vsw_discovery_listens(const struct vsw_port *p);
void vsw_discovery_link(struct vsw_port *p, bool up);
/* Once a second. */
void vsw_discovery_tick(struct vsw *v);
/* Frames from control.c. False: not ours. */
bool vsw_lldp_input(struct vsw_port *p, const uint8_t *frame, uint32_t len);
bool vsw_cdp_input(struct vsw_port *p, const uint8_t *frame, uint32_t len);

#endif
