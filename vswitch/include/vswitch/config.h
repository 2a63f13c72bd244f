/* Configuration of the virtual switch: plain data, filled by config/, checked by config/check.c, applied by vswitch/. */
#ifndef VSWITCH_CONFIG_H
#define VSWITCH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define VSW_NAME_MAX 31
#define VSW_MAX_UPLINKS 8
#define VSW_MAX_SWITCHES 8
#define VSW_MAX_PORTGROUPS 128
#define VSW_MAX_PORTS 512 /* NICs of VMs, VMkernel NICs and uplinks together */
#define VSW_VLAN_MAX 4094

#define VSW_MAX_VLAN_RANGES 16

struct vsw_vlan_range {
	uint16_t first, last;
};

/* Discovery of neighbours by LLDP and CDP at an uplink; an uplink's own setting is 1 + one of these, 0: as its vSwitch. */
enum vsw_discovery_mode { VSW_DISCOVERY_LISTEN, VSW_DISCOVERY_ADVERTISE, VSW_DISCOVERY_BOTH, VSW_DISCOVERY_OFF };
/* Traffic shaping in one direction; average 0: none. */
struct vsw_shaping_config {
	uint64_t average_kbps; /* kbit/s */
	uint64_t peak_kbps;    /* while the burst lasts; 0: no limit */
	uint64_t burst_bytes;
};

/* Frames per second that a port may bring into the switch; 0: no limit. */
struct vsw_storm_config {
	uint32_t broadcast_pps, multicast_pps, unknown_unicast_pps;
};

/* What guests may not claim to be, unless their NIC is trusted. */
struct vsw_guard_config {
	bool servers; /* DHCP and DHCPv6 servers, IPv6 routers */
	bool arp;     /* owners of addresses that are not theirs */
};

#define VSW_UPLINK_QUEUES 8u

struct vsw_uplink_config {
	char name[VSW_NAME_MAX + 1];
	bool has_mac; /* match by MAC address ... */
	uint8_t mac[6];
	bool has_pci; /* ... or by PCI address */
	uint16_t pci_segment;
	uint8_t pci_bus, pci_dev, pci_fn;
	uint16_t mtu; /* bytes of IP packet, 1280..9000 */
	/* VLANs that the physical network carries there (0: untagged frames); none listed = all. */
	struct vsw_vlan_range vlans[VSW_MAX_VLAN_RANGES];
	unsigned vlan_count;
	uint8_t discovery;
	uint8_t queues; /* to receive by, 1..VSW_UPLINK_QUEUES; 0: one */
	struct vsw_storm_config storm;
};

#define VSW_MAX_PRIVATE_VLANS 16 /* of a vSwitch */
#define VSW_MAX_COMMUNITIES 32   /* of a private VLAN */

/*
 * A private VLAN (RFC 5517; as on vSphere's distributed switch): one primary VLAN, in which promiscuous ports send and everybody receives,
 * and secondary VLANs, in which the others send.
 */
struct vsw_private_vlan_config {
	uint16_t primary;
	bool has_isolated;
	uint16_t isolated;                                      /* its ports reach promiscuous ports only */
	struct vsw_vlan_range communities[VSW_MAX_VLAN_RANGES]; /* ports of one reach each other and promiscuous ports */
	unsigned community_count;
};

enum vsw_balance { VSW_BALANCE_PORT, VSW_BALANCE_MAC, VSW_BALANCE_IP_HASH, VSW_BALANCE_EXPLICIT };
enum vsw_detection { VSW_DETECT_LINK, VSW_DETECT_BEACON };

/*
 * How frames leave by several uplinks. A vSwitch has one; a port group's overrides it key by key, the three lists as one. teaming.h says
 * what holds for a port group in the end.
 */
struct vsw_teaming_config {
	uint8_t active[VSW_MAX_UPLINKS], standby[VSW_MAX_UPLINKS], unused[VSW_MAX_UPLINKS]; /* indexes into the uplink list */
	unsigned active_count, standby_count, unused_count;
	bool has_load_balancing, has_failure_detection, has_failback, has_failback_delay, has_notify_switches;
	uint8_t load_balancing;    /* enum vsw_balance */
	uint8_t failure_detection; /* enum vsw_detection */
	bool failback;             /* an uplink that comes back is preferred again ... */
	bool notify_switches;      /* after a failover the physical switches are told where MAC addresses are now */
	uint32_t failback_delay_s; /* ... after it was usable this long */
};

/* Beacon probing, for the port groups whose failure detection it is. 0: the default. */
struct vsw_beacon_config {
	uint32_t interval_ms; /* 1000 */
	uint8_t loss;         /* 3: intervals without a beacon after which two uplinks are not connected */
	bool has_vlan;        /* else that of the first port group that uses beacons */
	uint16_t vlan;
};

enum vsw_lacp_mode { VSW_LACP_ACTIVE, VSW_LACP_PASSIVE };
enum vsw_lacp_rate { VSW_LACP_SLOW, VSW_LACP_FAST };

struct vsw_lacp_config {
	uint8_t mode, rate; /* enum vsw_lacp_mode, vsw_lacp_rate */
	uint16_t system_priority, port_priority, key;
};

struct vsw_switch_config {
	char name[VSW_NAME_MAX + 1];
	unsigned uplink_count;
	uint8_t uplinks[VSW_MAX_UPLINKS]; /* indexes into the uplink list */
	uint32_t mac_ageing_s;
	uint8_t discovery; /* enum vsw_discovery_mode */
	bool snooping;     /* IGMP and MLD */
	struct vsw_teaming_config teaming;
	struct vsw_beacon_config beacon;
	bool has_beacon, has_lacp; /* has_lacp: its uplinks are one aggregate, by LACP */
	struct vsw_lacp_config lacp;
	struct vsw_private_vlan_config private_vlans[VSW_MAX_PRIVATE_VLANS];
	unsigned private_vlan_count;
};

/* Security policy of a port group: what a guest may do; default all false. */
struct vsw_policy_config {
	bool promiscuous, mac_changes, forged_transmits;
	bool has_promiscuous, has_mac_changes, has_forged_transmits; /* of a NIC: whether it overrides the port group's */
};

#define VSW_MAX_ADDRESSES 8

/* What a NIC has of its own, over what its port group says; all zero: nothing. */
struct vsw_port_config {
	struct vsw_policy_config policy;
	bool has_ingress, has_egress, has_storm;
	struct vsw_shaping_config ingress, egress;
	struct vsw_storm_config storm;
	bool trusted;                          /* the guards do not apply */
	uint32_t addresses[VSW_MAX_ADDRESSES]; /* its IPv4 addresses, for the ARP guard; host order */
	unsigned address_count;
};

struct vsw_portgroup_config {
	char name[VSW_NAME_MAX + 1];
	uint8_t vswitch; /* index into the vswitch list */
	bool has_vlan;
	uint16_t vlan; /* 0 = untagged (EST), 1..4094 = VST; not when trunk_count */
	/* VGT: VLANs that guests send and receive tagged; none listed = not a trunk. */
	struct vsw_vlan_range trunk[VSW_MAX_VLAN_RANGES];
	unsigned trunk_count;
	bool has_native; /* trunk: untagged frames of the guest belong to this VLAN; without it they are dropped */
	uint16_t native_vlan;
	/* Instead of vlan: primary (promiscuous ports), isolated or community VLAN of one of the vSwitch's private VLANs. */
	bool has_private_vlan;
	uint16_t private_vlan;
	uint16_t mtu; /* bytes of IP packet; 0 = the switch's */
	struct vsw_policy_config policy;
	struct vsw_teaming_config teaming;
	/* Each port of the group has limits of its own. Ingress: from a NIC into the switch; egress: from the switch to it. */
	struct vsw_shaping_config ingress, egress;
	struct vsw_storm_config storm;
	struct vsw_guard_config guard;
};

/* ---- port mirroring ---- */
#define VSW_MAX_MIRRORS 8
#define VSW_MAX_MIRROR_SOURCES 16
#define VSW_PORT_NAME_MAX 71 /* "<vm>.nic7", or a VMkernel NIC's or an uplink's name */
#define VSW_CAPTURE_MIN_BYTES (128u << 10)

/* An IPv4 or IPv6 network; bits behind the prefix are 0. */
struct vsw_prefix {
	uint8_t bytes[16];
	uint8_t family; /* 4, 6 */
	uint8_t length;
};

enum vsw_match_protocol { VSW_MATCH_ANY, VSW_MATCH_TCP, VSW_MATCH_UDP, VSW_MATCH_ICMP, VSW_MATCH_ARP };

/* Frames that have all that is given. */
struct vsw_match_config {
	uint16_t vlan;
	bool has_vlan, has_mac, has_address;
	uint8_t mac[6];            /* as source or destination */
	struct vsw_prefix address; /* the same, also in ARP */
	uint8_t protocol;          /* enum vsw_match_protocol */
	uint16_t port;             /* TCP, UDP or SCTP, as source or destination; 0: any */
};

enum vsw_mirror_source_kind { VSW_MIRROR_PORT, VSW_MIRROR_PORTGROUP, VSW_MIRROR_UPLINK, VSW_MIRROR_VLAN };
enum vsw_mirror_direction { VSW_MIRROR_BOTH, VSW_MIRROR_IN, VSW_MIRROR_OUT }; /* in: from the port into the switch */

struct vsw_mirror_source {
	char port[VSW_PORT_NAME_MAX + 1];
	enum vsw_mirror_source_kind kind;
	uint8_t portgroup, uplink; /* indexes */
	uint16_t vlan;
	uint8_t direction; /* enum vsw_mirror_direction; of a VLAN: both */
};

/* A session: copies of frames of its sources, all in one vSwitch, go to a port or into memory. */
struct vsw_mirror_config {
	char name[VSW_NAME_MAX + 1];
	uint8_t vswitch; /* index */
	struct vsw_mirror_source sources[VSW_MAX_MIRROR_SOURCES];
	unsigned source_count;
	char destination[VSW_PORT_NAME_MAX + 1]; /* a guest's port */
	bool captures;                           /* instead: into memory */
	uint64_t capture_bytes;
	struct vsw_match_config filter;
	uint16_t snap_length; /* the first bytes of each frame; 0: all */
	uint32_t sample;      /* one of so many; 0, 1: every frame */
};

#define VSW_SYSTEM_NAME_MAX 63

struct vsw_config {
	/* Who we are to neighbours. */
	char system_name[VSW_SYSTEM_NAME_MAX + 1];
	uint32_t management_ipv4; /* 0: none */
	struct vsw_uplink_config uplinks[VSW_MAX_UPLINKS];
	unsigned uplink_count;
	struct vsw_switch_config switches[VSW_MAX_SWITCHES];
	unsigned switch_count;
	struct vsw_portgroup_config portgroups[VSW_MAX_PORTGROUPS];
	unsigned portgroup_count;
	struct vsw_mirror_config mirrors[VSW_MAX_MIRRORS];
	unsigned mirror_count;
};

#endif
