/*
 * The virtual switch as other layers see it: create it from configuration, attach uplinks, plug in guests and VMkernel NICs, read counters.
 *
 * One core owns a struct vsw (all vSwitches of the host) and every port of it: all functions here are called in loop context on that core
 * unless they say otherwise. Guest NIC, VMkernel NIC and uplink are all just ports; VLANs, policy and statistics work alike for them.
 */
#ifndef VSWITCH_VSWITCH_H
#define VSWITCH_VSWITCH_H

#include <hv/types.h>
#include <vswitch/config.h>

struct vsw;
struct vsw_vmk_port;
struct netport;
struct rte_mbuf;
struct rte_mempool;

enum vsw_port_kind { VSW_PORT_GUEST, VSW_PORT_VMK, VSW_PORT_UPLINK };
const char *vsw_port_kind_name(enum vsw_port_kind kind);

/*
 * Makes the switches and port groups of `config` (copied), with the mbuf pools they need, owned by `core`. Call on that core, after the EAL
 * is up. -EINVAL: a reference in config is out of range (config/check.c would have refused it); -ENOMEM.
 */
int vsw_create(const struct vsw_config *config, unsigned core, struct vsw **out) HV_MUST_CHECK;
/* Closes uplinks, drops what is queued, frees all. @pre all guest and vmk ports are destroyed */
void vsw_destroy(struct vsw *v);
unsigned vsw_core(const struct vsw *v);

/* ---- uplinks ---- */
struct vsw_uplink_dev {
	uint16_t ethdev_port; /* probed, not configured: the switch configures and starts it */
	/*
	 * Optional. on=true: enable the receive interrupt of a queue so that it wakes this core; on=false: disable it. The switch looks at
	 * the queue once more after enabling, so no frame waits. NULL: the port can only be polled.
	 */
	void (*arm)(void *arg, unsigned queue, bool on);
	void *arg;
	unsigned queues; /* receive queues that it may be given, as arm can serve them; 0: one */
};
/*
 * Joins the device to uplink `uplink` (index in vsw_config.uplinks) and starts polling it. A link that is down is no error: it is watched.
 * -EINVAL: index; -EBUSY: has a device already; other -errno from the device.
 */
int vsw_uplink_attach(struct vsw *v, unsigned uplink, const struct vsw_uplink_dev *dev) HV_MUST_CHECK;
bool vsw_uplink_attached(const struct vsw *v, unsigned uplink);
bool vsw_uplink_link_up(const struct vsw *v, unsigned uplink);

/* ---- guest ports ---- */
/*
 * A port for one virtual NIC (contract hv/netport.h) in port group `portgroup` (index in vsw_config.portgroups). `name` is copied.
 * -EINVAL: port group or MAC (zero, multicast); -EEXIST: the MAC is in use in the port group's VLAN; -ENOSPC: no port left; -ENOMEM.
 */
int vsw_guest_port_create(struct vsw *v, unsigned portgroup, const char *name, const uint8_t mac[6], struct netport **out) HV_MUST_CHECK;
/* Unplugs: frames under way to it are dropped and counted, its MAC is forgotten. */
/* What the NIC has of its own from now on (copied). Its frames in flight go on. */
void vsw_guest_port_apply(struct netport *np, const struct vsw_port_config *config);
void vsw_guest_port_destroy(struct netport *np);

/* ---- VMkernel ports: the hypervisor's own traffic, in mbufs ---- */
/* Bytes of private area in every mbuf that a vmk client gets or allocates: the client's, from the mbuf's arrival until it frees it. */
#define VSW_MBUF_PRIVATE 64

struct vsw_vmk_client {
	/*
	 * Frames for this port, untagged, each private to the client (it may change and keep them). Returns how many it took; the switch
	 * drops and counts the rest. Called from the switch's poller, never from inside vsw_vmk_tx. RTE_MBUF_F_RX_L4_CKSUM_GOOD: checksum
	 * is known good.
	 */
	unsigned (*rx)(void *arg, struct rte_mbuf **frames, unsigned n);
	/* Some uplink of the port's switch is up. May be NULL. */
	void (*link)(void *arg, bool up);
	void *arg;
};
/* As vsw_guest_port_create. */
int vsw_vmk_port_create(struct vsw *v, unsigned portgroup, const char *name, const uint8_t mac[6], const struct vsw_vmk_client *client,
	struct vsw_vmk_port **out) HV_MUST_CHECK;
void vsw_vmk_port_destroy(struct vsw_vmk_port *p);
/*
 * Sends n frames (untagged, Ethernet header first, headers in the first segment). All are taken: what cannot be sent is dropped and
 * counted. A frame may carry RTE_MBUF_F_TX_{IP_CKSUM,TCP_CKSUM,UDP_CKSUM,TCP_SEG} with l2_len/l3_len/l4_len and the pseudo-header sum in
 * place.
 */
void vsw_vmk_tx(struct vsw_vmk_port *p, struct rte_mbuf **frames, unsigned n);
/* Pushes what was gathered by vsw_vmk_tx. The switch also does so by itself each round of its core. */
void vsw_vmk_flush(struct vsw_vmk_port *p);
/* Where the client gets mbufs from: kept apart from guests' mbufs, so that guests cannot starve storage. */
struct rte_mempool *vsw_vmk_pool(struct vsw_vmk_port *p);
uint16_t vsw_vmk_mtu(const struct vsw_vmk_port *p);
bool vsw_vmk_link_up(const struct vsw_vmk_port *p);

/* ---- live change ---- */
/* Why a configuration cannot become the running one. */
struct vsw_refusal {
	char path[32]; /* "portgroups[2]": the object of the new configuration; "" = none in particular */
	char text[192];
};

/* Where ports of guests and vmks go. */
#define VSW_PLACE_STAY UINT32_MAX
struct vsw_placement {
	/* The index in the new configuration of the port group for the port of this name; VSW_PLACE_STAY: that of its present one's name.
	 */
	unsigned (*portgroup)(void *arg, enum vsw_port_kind kind, const char *port);
	void *arg;
	/* What the port's NIC has of its own; NULL, or without the function: as it is. */
	const struct vsw_port_config *(*own)(void *arg, enum vsw_port_kind kind, const char *port);
};

/*
 * Makes the switch run by another configuration, as a difference. Objects are matched by name. Ports whose VLANs stay the same lose no
 * frame and keep what was learned about them. Indexes in calls are those of the new configuration from commit on.
 *
 * prepare does all that can fail, and changes nothing that a frame could see: -EINVAL (a reference out of range; a vmk on a trunk), -EBUSY
 * (a port's port group is gone and it is placed nowhere else), -EEXIST (two ports would have one MAC address in a VLAN), -ENOSPC, -ENOMEM,
 * -errno of an uplink's device that refuses a larger MTU while it runs. *why, unless NULL, says it in words. placement may be NULL: all
 * stay. commit or abort must follow in the same turn of the loop, before any frame is sent or received. Neither fails. After commit,
 * uplinks that are new (or another NIC) have no device: vsw_uplink_attached tells, vsw_uplink_attach joins one. An uplink that is gone was
 * closed.
 */
struct vsw_change;
int vsw_change_prepare(struct vsw *v, const struct vsw_config *config, const struct vsw_placement *placement, struct vsw_refusal *why,
	struct vsw_change **out) HV_MUST_CHECK;
void vsw_change_commit(struct vsw_change *c);
void vsw_change_abort(struct vsw_change *c);
/* prepare with every port staying, then commit. */
int vsw_apply(struct vsw *v, const struct vsw_config *config, struct vsw_refusal *why) HV_MUST_CHECK;

/* ---- statistics ---- */
/* Why a frame was dropped: name (stable, for machines) and text. A row here is a counter at every port. */
#define VSW_DROPS(X)                                                                                                                       \
	X(RUNT, "runt", "shorter than an Ethernet header")                                                                                 \
	X(OVERSIZE, "oversize", "longer than the MTU of the switch allows")                                                                \
	X(BAD_OFFLOAD, "bad-offload", "checksum or segmentation request does not fit the frame's headers")                                 \
	X(VLAN_TAG, "vlan-tag", "tagged frame on an access port")                                                                          \
	X(DOUBLE_TAG, "double-tag", "a VLAN tag behind a VLAN tag, or a service tag: VLANs are not stacked")                               \
	X(UNTAGGED, "untagged", "untagged frame on a trunk without native VLAN")                                                           \
	X(VLAN_NOT_ALLOWED, "vlan-not-allowed", "VLAN is not on the list of the trunk or uplink")                                          \
	X(VLAN_UNKNOWN, "vlan-unknown", "VLAN is in no port group of the switch")                                                          \
	X(FORGED_SOURCE, "forged-source", "source MAC is not the port's (forged transmits are rejected)")                                  \
	X(BAD_SOURCE, "bad-source", "source MAC is multicast or zero")                                                                     \
	X(OWN_SOURCE, "own-source", "source MAC belongs to another port of this switch")                                                   \
	X(LINK_CONTROL, "link-control", "link-local control frame (802.1Q 01-80-C2-00-00-0x), never forwarded")                            \
	X(NO_DESTINATION, "no-destination", "no port wants it")                                                                            \
	X(NO_MEMBER, "no-member", "multicast whose group nobody of the VLAN has joined")                                                   \
	X(HAIRPIN, "hairpin", "destination is where it came from")                                                                         \
	X(STANDBY_UPLINK, "standby-uplink", "broadcast or multicast on an uplink from which no port of the VLAN takes them")               \
	X(UNUSED_UPLINK, "unused-uplink", "unicast on an uplink that the receiver's port group does not use")                              \
	X(NOT_COLLECTING, "not-collecting", "received on an uplink that LACP has not joined to the aggregate")                             \
	X(NO_UPLINK, "no-uplink", "destination is outside and no uplink is usable")                                                        \
	X(PRIVATE_VLAN, "private-vlan", "destination is in the same private VLAN, but an isolated port or in another community")           \
	X(NOT_CONNECTED, "not-connected", "no driver at the port")                                                                         \
	X(RX_FULL, "rx-full", "receiver's ring is full")                                                                                   \
	X(TX_FULL, "tx-full", "uplink's transmit queue is full")                                                                           \
	X(TX_REFUSED, "tx-refused", "uplink's driver refused the frame")                                                                   \
	X(SHAPED, "shaped", "over the port's rate, and its queue is full")                                                                 \
	X(PORT_GONE, "port-gone", "waited in the shaper of a port that was unplugged or went to another VLAN")                             \
	X(STORM_BROADCAST, "storm-broadcast", "more broadcast frames a second than the port may send")                                     \
	X(STORM_MULTICAST, "storm-multicast", "more multicast frames a second than the port may send")                                     \
	X(STORM_UNKNOWN, "storm-unknown-unicast", "more frames to unknown addresses a second than the port may send")                      \
	X(DHCP_SERVER, "dhcp-server", "DHCP server's message from a port that is not trusted")                                             \
	X(ROUTER_ADVERT, "router-advertisement", "IPv6 router's message from a port that is not trusted")                                  \
	X(ARP_SPOOF, "arp-spoof", "ARP with a sender address that is not the port's")                                                      \
	X(HIDDEN_HEADER, "hidden-header", "guarded port: the packet's headers are not all in the frame that begins it")                    \
	X(NO_MBUF, "no-mbuf", "no packet buffer left")

enum vsw_drop {
#define X(id, name, text) VSW_DROP_##id,
	VSW_DROPS(X)
#undef X
		VSW_DROP_COUNT
};
const char *vsw_drop_name(enum vsw_drop reason);
const char *vsw_drop_text(enum vsw_drop reason);

/* "in": from the port into the switch; "out": from the switch to the port. Bytes without FCS and without the VLAN tag. */
struct vsw_counters {
	uint64_t in_frames, in_bytes, out_frames, out_bytes;
	uint64_t in_bursts, out_bursts;
	uint64_t out_segmented;   /* frames made by software segmentation for this port */
	uint64_t out_checksummed; /* checksums completed in software for this port */
	uint64_t out_coalesced;   /* frames that became part of another one (GRO) and so are not in out_frames */
	uint64_t in_control;      /* frames from a neighbour that the switch itself read (LLDP, CDP, ...): neither forwarded nor dropped */
	uint64_t in_shaped, out_shaped; /* frames that waited in the port's shaper */
	uint64_t mac_change_rejected;
	uint64_t drops;                /* sum of drop[] */
	uint64_t drop[VSW_DROP_COUNT]; /* at the port that caused it: sender for policy and format, receiver for a full queue */
};

struct vsw_port_info {
	const char *name, *vswitch, *portgroup; /* portgroup: "" for an uplink */
	enum vsw_port_kind kind;
	uint16_t vlan; /* 0 = untagged; uplink: 0; trunk: the native VLAN or 0 */
	bool trunk;
	uint8_t mac[6];
	bool link_up;
	const struct vsw_counters *counters;
};
/* Calls fn for every port, in order of creation, uplinks first. */
void vsw_port_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_port_info *info), void *arg);

struct vsw_portgroup_info {
	const char *name, *vswitch;
	unsigned ports;
	/* Of all ports that are or were in the group, each for the time that it was. As those of ports they never go back. */
	struct vsw_counters counters;
};
/* Calls fn for every port group, in the configuration's order. */
void vsw_portgroup_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_portgroup_info *info), void *arg);
/* Of all ports that are or were, uplinks too. */
void vsw_total(const struct vsw *v, struct vsw_counters *out);

#define VSW_VLAN_TRUNK 4095 /* in vsw_fdb_info: all VLANs of the port's trunk */
struct vsw_fdb_info {
	uint8_t mac[6];
	uint16_t vlan;
	const char *vswitch, *port;
	bool is_static;
	uint32_t age_s;
};
/* Calls fn for every known MAC address. Walks the whole table: control path. */
void vsw_fdb_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_fdb_info *info), void *arg);
/* How often a MAC could not be learned: table or bucket full, or faster than the learning limit. */
uint64_t vsw_fdb_refused(const struct vsw *v);

#endif
