/*
 * Inside of the switch: its objects and the path of a frame (docs/internals/walks.md).
 *
 *   port's driver (guest_port.c, vmk_port.c, uplink_rx.c): bytes become an mbuf, format checked
 *     -> the short path (forward.h) for a frame without anything unusual: source, look-up, stage at the port
 *     -> or vsw_input: for each frame  VLAN (vlan.h) -> source policy (policy.h) -> learn (fdb.h) -> forward (forward.c) -> stage
 *     -> vsw_flush: each port's staged frames go to its deliver(), in bursts
 *
 * Inside, a frame is untagged; mbuf->vlan_tci holds the id of its broadcast domain. Offload work that is still to do is in
 * ol_flags/l2_len/l3_len/l4_len (offload.h); the delivering port does what its receiver cannot.
 */
#ifndef VSWITCH_SWITCH_H
#define VSWITCH_SWITCH_H

#include "fdb.h"
#include "lacp.h"

#include <hv/core.h>
#include <hv/log.h>
#include <rte_mbuf.h>
#include <vswitch/vswitch.h>

#define VSW_BURST 32
#define VSW_DOMAIN_NONE 0
#define VSW_MAX_DOMAINS 8193        /* 0 is none; config/check_vlan.c keeps trunks below */
#define VSW_DOMAIN_TRUNK UINT16_MAX /* in keys of the MAC table: every VLAN of the port's trunk */
#define VSW_PORT_NONE UINT16_MAX
/* In the MAC table, beside the ports' indexes: */
#define VSW_PORT_SPECIAL VSW_MAX_PORTS       /* from here on it is no port's index */
#define VSW_PORT_OUTSIDE VSW_MAX_PORTS       /* beyond the uplinks; teaming picks which */
#define VSW_PORT_UNKNOWN (VSW_MAX_PORTS + 1) /* no port: not in the table */
#define VSW_PORT_PRIVATE (VSW_MAX_PORTS + 2) /* a port of the private VLAN that frames of this domain do not reach */
#define VSW_AGEING_DEFAULT_S 300             /* IEEE 802.1Q-2018 table 8-6 */
#define VSW_MTU_DEFAULT 1500

#define VSW_MBUF_CACHE 512u /* of a pool, for its core: as many mbufs as a poll takes (uplink_rx.c), used again last in, first out */

#define VSW_BIT_LOCAL 0x8000u /* vsw_port.bit of every port that is no uplink */
#define VSW_TEAM_BUCKETS 64u
#define VSW_MAX_TEAMS (2 * VSW_MAX_PORTGROUPS) /* before a change and after it */

#define VSW_WATCH_NS 100000000ull /* failure detection by link status */

struct vsw_switch;
struct vsw_filters;
struct vsw_direct;

/* A broadcast domain: one VLAN of one vSwitch. */
/* Whether somebody asks for memberships in a VLAN (snoop.c), in seconds of vsw_snoop.now_s; 0: never. */
struct vsw_querier {
	uint32_t until, filter_from;
};

struct vsw_domain {
	struct vsw_switch *sw;
	uint16_t id;                   /* index in vsw.domains, >= 1 */
	uint16_t vlan;                 /* 0 = untagged on the wire */
	struct vsw_querier querier[2]; /* IPv4, IPv6 */
	uint16_t member_count, promisc_count;
	uint16_t members[VSW_MAX_PORTS]; /* port indexes; uplinks are not members, they carry all domains */
	uint16_t promisc[VSW_MAX_PORTS]; /* those members that see every frame */
};

/* VLANs 0..4095; 0 is untagged. */
struct vsw_vlan_set {
	uint64_t bits[64];
};

/* The uplinks of port groups whose teaming is the same (team.c). */
struct vsw_team {
	struct vsw_port *bucket[VSW_TEAM_BUCKETS]; /* by hash of a port's index, MAC or frame; NULL: no uplink is usable */
	struct vsw_switch *sw;
	unsigned users;  /* port groups */
	bool hashes;     /* the uplink is chosen anew for each frame */
	bool aggregate;  /* its uplinks are one link to the other side: floods arrive on any one of them */
	uint16_t in_use; /* bits of the uplinks in buckets */
	uint16_t listed; /* bits of active and standby ones */
	unsigned slots;
	struct vsw_port *holder[VSW_MAX_UPLINKS]; /* of each slot: an uplink, or NULL */
	struct vsw_teaming_config config;         /* as teaming.h resolves it */
	char name[2 * VSW_NAME_MAX + 2];          /* for the log: the vSwitch, or vSwitch/port group where that overrides */
};

struct vsw_portgroup {
	const struct vsw_portgroup_config *config;
	struct vsw_switch *sw;
	struct vsw_team *team;
	struct vsw_domain *domain; /* trunk: of the native VLAN, or NULL */
	bool trunk;
	uint16_t mtu;
	struct vsw_vlan_set vlans; /* all whose frames its ports receive */
	bool private;
	uint16_t primary;           /* private: the VLAN that all its ports are known in */
	struct vsw_vlan_set family; /* private: the primary and all secondary VLANs */
	struct vsw_counters past;   /* of ports that have left (stats.c) */
};

enum vsw_port_flag {
	VSW_PF_FORGED = 1u << 0,  /* other source MACs are let in (and learned) */
	VSW_PF_PRIVATE = 1u << 1, /* deliver() changes or keeps frames: it gets no shared ones */
	VSW_PF_PROMISC = 1u << 2, /* sees every frame of its domain */
	VSW_PF_DIRTY = 1u << 3,   /* in the list vsw_port.dirty */
	VSW_PF_VMK = 1u << 4,
	VSW_PF_TRUNK = 1u << 5,  /* its frames carry tags */
	VSW_PF_HASHED = 1u << 6, /* its uplink is chosen for each frame: vsw_team_pick */
	VSW_PF_PULLS = 1u << 7,  /* it takes what is staged when vmks are polled (vmk_port.c), not at the end of the round */
};

/* Filters, by what they do: bits of vsw_port.filters_in and filters_out (filter.c has their order). */
enum vsw_filter_bit {
	VSW_FILTER_GRO = 1u << 0,
	VSW_FILTER_STORM = 1u << 1,
	VSW_FILTER_GUARD = 1u << 2,
	VSW_FILTER_SHAPE = 1u << 3,
	VSW_FILTER_MIRROR = 1u << 7,
};

/* Ports by index, each once; room for as many that come while they are gone through. */
struct vsw_port_list {
	unsigned count;
	uint16_t ports[2 * VSW_MAX_PORTS];
};

struct vsw_port {
	/* Per frame. */
	uint32_t staged;           /* frames in stage; this and the next are read and cleared as one (vsw_stage_take) */
	uint32_t stage_payload;    /* of the plain ones there: their bytes behind the Ethernet headers; VSW_STAGE_MIXED */
	uint32_t payload_limit;    /* plain frames with so many bytes behind the Ethernet header, or more, need a closer look: MTU + 1 */
	struct vsw_direct *direct; /* a guest's, to which a burst is delivered just now (guest_direct.c); else NULL */
	uint16_t index, flags;
	uint16_t domain; /* id; an uplink's or trunk's frames tell by their tag */
	uint16_t mtu;
	uint16_t filters_in, filters_out; /* filter.h */
	uint16_t bit;                     /* an uplink's own; VSW_BIT_LOCAL */
	uint16_t floods;                  /* bits of the ports whose floods it gets: local ones, its uplink */
	uint16_t accepts;                 /* bits of the ports whose unicast it gets: local ones, its team's uplinks */
	uint64_t mac;                     /* effective MAC, as fdb_key wants it */
	struct vsw_port_list *dirty;      /* vsw.dirty, or vsw.pulled: where it is while something is staged (vsw_port_dirty) */
	struct vsw_switch *sw;
	struct vsw_port *uplink; /* by which its frames leave the host (team.c); NULL: none is usable, or this is an uplink */
	/*
	 * Takes over n frames (n <= VSW_BURST) for good: what it cannot deliver it drops with vsw_drop. Never calls vsw_input.
	 * plain_bytes: the sum of their lengths when all are plain and none is too long for the port; 0: each is to be looked at.
	 */
	void (*deliver)(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes);
	/* The end of a round. May be NULL. */
	void (*flush)(struct vsw_port *p);
	struct rte_mbuf *stage[VSW_BURST];
	struct vsw_counters count;
	/* Control path. */
	struct vsw_portgroup *portgroup; /* NULL for an uplink */
	struct vsw_counters before;      /* `count` when it came into its port group */
	enum vsw_port_kind kind;
	bool link_up;
	bool link_lost;      /* an uplink whose link was up and went down: failback applies to it */
	uint64_t link_up_ns; /* an uplink: since when it is up */
	bool blocked;        /* an uplink: LACP does not collect and distribute there */
	struct {
		bool lost, was_lost;
		uint64_t connected_ns;                     /* lost: since when beacons pass again, 0: they do not */
		uint64_t good_ns;                          /* when it was good again */
		uint64_t frames;                           /* other than control frames, as last looked at */
		uint64_t received_ns;                      /* when there were more */
	} beacon;                                          /* an uplink */
	uint64_t own_mac;                                  /* what it was created with; `mac` may be the guest's choice */
	bool wants_promisc;                                /* the guest asked for it, whatever the policy says */
	struct vsw_vlan_set used;                          /* a trunk: VLANs its guest has sent on */
	bool moved;                                        /* its uplink changed: its addresses are to be announced (notify.c) */
	bool team_up;                                      /* some uplink of its team is usable, as link_changed was told */
	void (*link_changed)(struct vsw_port *p, bool up); /* some uplink of its team is usable; may be NULL */
	/* What its driver does to a frame before vsw_input: VSW_DROP_COUNT, and the domain is in vlan_tci, or why it is dropped. */
	enum vsw_drop (*check)(struct vsw_port *p, struct rte_mbuf *m);
	/* Why deliver() drops a frame at once; VSW_DROP_COUNT: it does not. Both are for trace.c: the drivers themselves do it in line. */
	enum vsw_drop (*refuses)(const struct vsw_port *p, const struct rte_mbuf *m);
	uint16_t mirror_in, mirror_out;  /* sessions that it is a source of (mirror.c) */
	uint32_t all_groups_until;       /* it takes all multicast until this second (snoop.c) */
	uint16_t groups_joined;          /* memberships in the table */
	struct vsw_discovery *discovery; /* an uplink: its neighbours (discovery.c) */
	/* Its port group, MTU or MAC is another now; moved: it is in other VLANs. May be NULL. */
	void (*reconfigured)(struct vsw_port *p, bool moved);
	struct vsw_port_config own; /* of its NIC, over the port group's */
	struct vsw_filters *filter; /* what its filters keep (filter.h) */
	uint8_t uplink_mac[6];      /* an uplink's own address; its `mac` above matches nothing */
	char name[VSW_PORT_NAME_MAX + 1];
};

struct vsw_uplink;

/* beacon.c. Uplinks by their bit's number. */
struct vsw_beacon {
	bool on;
	uint16_t vlan;
	uint16_t up; /* bits of those whose link was up when last looked at */
	uint32_t sequence;
	uint64_t id, next_ns;
	uint64_t heard[VSW_MAX_UPLINKS][VSW_MAX_UPLINKS]; /* by receiver and sender: when; 0: never */
	uint8_t uplinks[VSW_MAX_UPLINKS];                 /* of the configuration that it began with */
	unsigned uplink_count;
};

/* lacp_switch.c */
struct vsw_lacp {
	bool on, started;
	struct vsw_lacp_config config;
	struct lacp machine;
	struct vsw_port *uplinks[LACP_PORTS]; /* by LACP port */
	uint64_t churns[LACP_PORTS];          /* as told in the log */
};

/* snoop.c: multicast groups and their members. */
#define SNOOP_GROUPS 1024u
#define SNOOP_MEMBERS 4096u
#define SNOOP_OF_PORT 256u /* memberships of one port: guests share the table */
#define SNOOP_NONE UINT16_MAX

struct vsw_group_address {
	uint64_t high, low;
};

struct snoop_group {
	struct vsw_group_address address;
	uint16_t domain, first, next; /* first member; next of its bucket, or free one */
	uint64_t ports[VSW_MAX_PORTS / 64];
};

struct snoop_member {
	uint32_t until;
	uint16_t port, next;
};

struct vsw_snoop {
	uint32_t now_s; /* ticks */
	uint64_t secret, no_room;
	bool report;                       /* the frame asked for last was one */
	uint64_t only[VSW_MAX_PORTS / 64]; /* the answer */
	uint16_t buckets[SNOOP_GROUPS], free_group, free_member;
	struct snoop_group groups[SNOOP_GROUPS];
	struct snoop_member members[SNOOP_MEMBERS];
};

struct vsw_switch {
	struct vsw *v;
	const struct vsw_switch_config *config;
	struct fdb fdb;
	uint16_t mtu;
	bool notifying; /* RARPs are being sent, guests asked: next slot of the MAC table, then port, next VLAN of a trunk port */
	uint32_t notify_slot, notify_port, notify_vlan;
	unsigned watchers;    /* memberships of promiscuous ports: while there are any, no frame takes the short path */
	unsigned trunk_ports; /* ports whose MAC is in the MAC table under VSW_DOMAIN_TRUNK */
	bool learns_local;    /* some port has or had VSW_PF_FORGED: addresses may have been learned at it */
	struct vsw_beacon beacon;
	struct vsw_lacp lacp;
	uint16_t mirror_vlans, mirrors_out;   /* sessions with VLANs as sources; with sources that frames go out by */
	uint16_t domain_of[VSW_VLAN_MAX + 1]; /* VLAN -> domain id */
};

/*
 * Whom plain unicast of one origin reaches: by the MAC table's port, which may be one of the special ones. `nowhere` in holes, and where
 * the port does not take frames of this origin.
 */
struct vsw_reach {
	struct vsw_port *out[VSW_MAX_PORTS + 3];
};

struct vsw {
	struct vsw_port *ports[VSW_MAX_PORTS];
	struct vsw_reach local, from_uplink[VSW_MAX_UPLINKS]; /* for plain frames: from local ports, from each uplink by its bit's number */
	struct vsw_port nowhere;                              /* takes no plain frame */
	uint32_t tag_of[VSW_MAX_DOMAINS];                     /* domain -> tag as it lies in memory, priority 0; 0: untagged */
	struct vsw_domain *domains[VSW_MAX_DOMAINS];
	struct vsw_port_list dirty;  /* to be flushed */
	struct vsw_port_list pulled; /* VSW_PF_PULLS: to be polled */
	struct hv_poller puller;     /* vmk_port.c */
	bool wire;                   /* some frame that is staged may come from an uplink */
	unsigned port_count;         /* slots used, holes included */
	unsigned domain_count;       /* the highest id, holes included */
	unsigned domain_hint;        /* no id below it is free */
	unsigned core;
	struct rte_mempool *gso_headers, *gso_payloads; /* of segments that refer to their frame's payload (segment.c) */
	struct rte_mempool *guest_pool, *vmk_pool;      /* guests' frames and copies; vmks' */
	struct rte_mempool *rx_pools[VSW_MAX_UPLINKS];  /* what uplinks receive into; NULL: not needed so far (uplink.c) */
	uint32_t rx_pools_used;                         /* bits: in use by an uplink */
	/* By their index in config. The objects stay where they are when a live change gives them another index (change.c). */
	struct vsw_switch *switches[VSW_MAX_SWITCHES];
	struct vsw_portgroup *portgroups[VSW_MAX_PORTGROUPS];
	struct vsw_team teams[VSW_MAX_TEAMS];
	struct vsw_uplink *uplinks[VSW_MAX_UPLINKS];
	struct vsw_mirror *mirrors[VSW_MAX_MIRRORS];
	uint32_t shaped_mbufs; /* that wait in shapers */
	struct vsw_snoop snoop;
	struct vsw_counters past;    /* of ports that are gone */
	struct vsw_trace_run *trace; /* NULL but while a frame is traced (trace.c) */
	struct vsw_config config;
	void *gro; /* rte_gro's table (gro.c) */
	struct hv_timer tick, watch, notify;
	struct hv_poller poller;
};

/* ---- switch.c ---- */
bool vsw_config_in_range(const struct vsw_config *config);
/* An empty vSwitch in no table. NULL: no memory. */
struct vsw_switch *vsw_switch_new(struct vsw *v);
void vsw_switch_free(struct vsw_switch *sw);
/* The largest IP packet that every uplink of a vSwitch of v's configuration carries. */
uint16_t vsw_switch_mtu(const struct vsw *v, const struct vsw_switch_config *c);

/* ---- forward.c ---- */
/* Frames from port `in` enter the switch, their domains in vlan_tci, each at least an Ethernet header in its first segment. Takes all. */
void vsw_input(struct vsw_port *in, struct rte_mbuf **frames, unsigned n);
/* The same for an access port, whose frames are all of its own domain. */
void vsw_input_access(struct vsw_port *in, struct rte_mbuf **frames, unsigned n);
/* The same for a trunk's port, whose frames have different ones. */
void vsw_input_trunk(struct vsw_port *in, struct rte_mbuf **frames, unsigned n);
/* The end of a round: hands every port what was gathered for it, but for those that are polled for it (VSW_PF_PULLS). */
void vsw_flush(struct vsw *v);
/* Hands over to those too: nothing is staged any more. */
void vsw_flush_all(struct vsw *v);

/* Frames of `in` that its filter `after` kept go on behind it. Call vsw_flush then. */
void vsw_input_resume(struct vsw_port *in, uint16_t after, struct rte_mbuf **frames, unsigned n);
/* Frames to `out` that its filter `after` kept go on behind it. */
void vsw_deliver_resume(struct vsw_port *out, uint16_t after, struct rte_mbuf **frames, unsigned n);

/* ---- portgroup.c ---- */
/* Puts p into the port table and, when it has a port group, its domain. -ENOSPC. */
int vsw_port_add(struct vsw *v, struct vsw_port *p) HV_MUST_CHECK;
void vsw_port_set_mtu(struct vsw_port *p, uint16_t mtu);
void vsw_port_remove(struct vsw_port *p);
/* What p->accepts says, in the tables of the short path. `there`: it is in the port table. */
void vsw_port_set_reach(struct vsw_port *p, bool there);
/* Fills name, port group, domain, policy flags, and claims the MAC. -EINVAL, -EEXIST, -ENOSPC. */
int vsw_access_port_init(struct vsw *v, struct vsw_port *p, unsigned portgroup, const char *name, const uint8_t mac[6]) HV_MUST_CHECK;

/* What follows from pg->config, pg->sw and what that is configured to be: VLANs, domains (made where there is none), MTU. -ENOMEM,
 * -ENOSPC (domains). */
int vsw_portgroup_derive(struct vsw_portgroup *pg, const struct vsw_switch_config *sw) HV_MUST_CHECK;
/* The port takes over what its port group says: VLANs (it joins no domain), MTU, flags. */
void vsw_port_apply(struct vsw_port *p, struct vsw_portgroup *pg);
/* Makes policy and filters of a guest's or vmk's port what its NIC and its port group say. Frames in flight go on. */
void vsw_features_apply(struct vsw_port *p);

/* An own address of a port in the MAC table: one entry, or one for each VLAN of a private VLAN. */
struct vsw_static_entry {
	uint64_t key;
	uint16_t port; /* VSW_PORT_PRIVATE where the port is not reached */
};
/* The n-th entry of a port with this port group and index. False: there are no more. */
bool vsw_static_entry(const struct vsw_portgroup *pg, uint64_t mac, uint16_t index, unsigned n, struct vsw_static_entry *out);

/* Claims `mac` for the port in its VLAN or in all of its trunk. -EEXIST: another port has it there; -ENOSPC. */
int vsw_mac_claim(struct vsw_port *p, uint64_t mac) HV_MUST_CHECK;
void vsw_mac_release(struct vsw_port *p, uint64_t mac);
/* The trunk port that has this MAC and is in the domain, or NULL. */
struct vsw_port *vsw_trunk_owner(const struct vsw_switch *sw, uint64_t mac, uint16_t domain);
/* The same for the short paths: struct fdb's `elsewhere`. */
uint32_t vsw_trunk_elsewhere(const struct fdb *f, uint64_t key);

/* ---- vlan.c ---- */
void vsw_vlan_set_ranges(struct vsw_vlan_set *set, const struct vsw_vlan_range *ranges, unsigned count);
/* A port becomes a member, or a promiscuous one, of all domains of its port group. */
void vsw_domains_join(struct vsw_port *p);
void vsw_domains_leave(struct vsw_port *p);
void vsw_domains_set_promisc(struct vsw_port *p, bool on);
/* The domain of `vlan` in the switch, made when there is none. -ENOMEM. */
int vsw_domain_get(struct vsw_switch *sw, uint16_t vlan, struct vsw_domain **out) HV_MUST_CHECK;
/* Frees the domains that no port group has, and forgets what was learned there. @pre no frame under way, no member */
void vsw_domains_collect(struct vsw *v);

/* ---- private.c ---- */
/* The private VLAN that has this VLAN as its primary or a secondary one, or NULL. */
const struct vsw_private_vlan_config *vsw_private_find(const struct vsw_switch_config *sw, uint16_t vlan);
/* Are numbers and sizes within their limits? */
bool vsw_private_in_range(const struct vsw_private_vlan_config *p);
/* Whether frames of VLAN `from` reach ports of VLAN `to`, both of the private VLAN. */
bool vsw_private_reaches(const struct vsw_private_vlan_config *p, uint16_t from, uint16_t to);
/* Fills a port group in a private VLAN of `sw`: VLANs, domains. -EINVAL: its VLAN is in none; -ENOMEM; -ENOSPC. */
int vsw_private_portgroup(struct vsw_portgroup *pg, const struct vsw_switch_config *sw) HV_MUST_CHECK;
/* The n-th VLAN of the private VLAN, the primary first. False: it has no more. */
bool vsw_private_vlan(const struct vsw_portgroup *pg, unsigned n, uint16_t *vlan);
/* Learns `mac` behind port `in` (an uplink: outside) in the whole private VLAN. True: it is another port's own. */
bool vsw_private_learn(struct vsw_port *in, uint64_t mac, uint16_t domain);

/* ---- policy.c ---- */
/* What a NIC, else its port group, lets a port do. */
struct vsw_policy_config vsw_policy_of(const struct vsw_port_config *own, const struct vsw_portgroup_config *group);
/* Makes the port's flags what its policy says; a guest that sees all frames and may no longer does not. */
void vsw_policy_apply(struct vsw_port *p);
/* The guest wants another MAC / to see all frames. The policy decides; a refusal is logged and counted. */
bool vsw_policy_set_mac(struct vsw_port *p, const uint8_t mac[6]);
void vsw_policy_set_promisc(struct vsw_port *p, bool on);

/* ---- team.c ---- */
/* Makes the teams that v->config asks for; those that it still asks for keep their uplinks. Call it after each change of the configuration.
 */
void vsw_teams_apply(struct vsw *v);
/* What an uplink can be used for changed: chooses each team's uplinks anew, gives every port its uplink and tells it. */
void vsw_team_update(struct vsw *v);
/* Sets a new port's uplink, or that of one that came to another port group. */
void vsw_team_assign(struct vsw_port *p);
static inline bool vsw_team_up(const struct vsw_team *t)
{
	return t->in_use != 0;
}

/* ---- balance.c ---- */
/* The uplink of a frame of a hashed port; NULL: none is usable. */
struct vsw_port *vsw_team_pick(const struct vsw_port *p, const struct rte_mbuf *m);
/* The uplink by which a source address of port p leaves. */
struct vsw_port *vsw_team_of_mac(const struct vsw_port *p, uint64_t mac);

/* By which uplink does a frame of p leave the host? */
static inline struct vsw_port *vsw_uplink_for(const struct vsw_port *p, const struct rte_mbuf *m)
{
	if (__builtin_expect(!(p->flags & VSW_PF_HASHED), 1))
		return p->uplink;
	return vsw_team_pick(p, m);
}

/* ---- notify.c ---- */
/* Begins to announce where the addresses of the ports that have `moved` are now. */
void vsw_notify_begin(struct vsw_switch *sw);
void vsw_notify_init(struct vsw *v);

/* ---- uplink.c (its inside: uplink.h) ---- */
struct vsw_port *vsw_uplink_port(struct vsw_uplink *u);
void vsw_uplink_watch(struct vsw_uplink *u); /* reads its link, VSW_WATCH_NS apart */
void vsw_uplink_detach(struct vsw_uplink *u);
/* Live change: makes the device take a larger MTU (-errno of the driver; undone by abort); takes over the configuration of index `uplink`.
 */
int vsw_uplink_mtu_prepare(struct vsw_uplink *u, uint16_t mtu) HV_MUST_CHECK;
void vsw_uplink_mtu_abort(struct vsw_uplink *u);
void vsw_uplink_apply(struct vsw_uplink *u, unsigned uplink);
/* Sends a frame of the switch's own, untagged and whole (a control protocol's), padded. False: no buffer. @pre len <= 1518 */
bool vsw_uplink_send(struct vsw_port *p, const uint8_t *frame, uint32_t len);
/* The switch has another domain for `vlan`, or the uplink carries it from now on or no longer. */
void vsw_uplink_domain_changed(struct vsw_uplink *u, uint16_t vlan);

/* ---- stats.c ---- */
/* What the port has counted since it came is its port group's for good: it leaves. */
void vsw_stats_leave(struct vsw_port *p);
/* The port is gone. */
void vsw_stats_gone(const struct vsw_port *p);

static inline void vsw_drop(struct vsw_port *p, enum vsw_drop reason, struct rte_mbuf *m)
{
	p->count.drops++;
	p->count.drop[reason]++;
	rte_pktmbuf_free(m);
}

static inline void vsw_count_drop(struct vsw_port *p, enum vsw_drop reason, unsigned n)
{
	p->count.drops += n;
	p->count.drop[reason] += n;
}

static inline bool vsw_vlan_in(const struct vsw_vlan_set *set, uint16_t vlan)
{
	return set->bits[vlan / 64 & 63] >> vlan % 64 & 1;
}

static inline void vsw_vlan_add(struct vsw_vlan_set *set, uint16_t vlan)
{
	set->bits[vlan / 64 & 63] |= 1ull << vlan % 64;
}

/* Is a frame, or each segment it would be cut into, too long for this port? */
static inline bool vsw_too_long(const struct vsw_port *p, const struct rte_mbuf *m)
{
	if (__builtin_expect(m->pkt_len <= p->mtu + 14u, 1))
		return false;
	return !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || (uint32_t)m->l3_len + m->l4_len + m->tso_segsz > p->mtu;
}

static inline uint64_t vsw_load_mac(const uint8_t *bytes)
{
	uint32_t low;
	uint16_t high;

	__builtin_memcpy(&low, bytes, sizeof(low));
	__builtin_memcpy(&high, bytes + 4, sizeof(high));
	return low | (uint64_t)high << 32;
}

static inline void vsw_store_mac(uint8_t *bytes, uint64_t mac)
{
	__builtin_memcpy(bytes, &mac, 6);
}

static inline bool vsw_mac_is_group(uint64_t mac)
{
	return mac & 1;
}

#endif
