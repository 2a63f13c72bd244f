/* The state of uplinks and their teams, for the administrator. Called on the switch's core. */
#ifndef VSWITCH_UPLINKS_H
#define VSWITCH_UPLINKS_H

#include <hv/types.h>
#include <vswitch/config.h>

struct vsw;

/* One side of an LACP link as it is told (IEEE 802.1AX-2014 6.4.2.3). */
struct vsw_lacp_side {
	uint16_t system_priority;
	uint8_t system[6];
	uint16_t key, port_priority, port;
	uint8_t state; /* bits in the order of the standard: activity, timeout, aggregation, synchronization, collecting, distributing, ...
			*/
};

struct vsw_uplink_lacp {
	const char *mux, *receive; /* states of these machines */
	bool chosen;               /* in the aggregator that the vSwitch uses */
	bool churn;                /* not agreed for a minute */
	struct vsw_lacp_side actor, partner;
	uint64_t pdus_in, pdus_out, pdus_bad, markers;
};

struct vsw_uplink_info {
	const char *name, *vswitch;
	bool present, link_up; /* present: the host has its NIC */
	uint64_t link_up_s;    /* for how long; 0 if down */
	bool probed;           /* beacons are sent */
	bool cut_off;          /* by beacons */
	unsigned queue_count;  /* it receives by */
	uint64_t queue_frames[VSW_UPLINK_QUEUES];
	bool has_lacp;
	struct vsw_uplink_lacp lacp;
};
void vsw_uplink_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_uplink_info *info), void *arg);

/* A port that is no uplink, and the uplink it sends by. */
struct vsw_uplink_user {
	const char *port, *portgroup, *vswitch;
	const char *uplink; /* ""; none is usable; "*": chosen for each frame */
};
void vsw_uplink_user_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_uplink_user *user), void *arg);

/* The team of a port group. */
struct vsw_team_info {
	const char *portgroup, *vswitch;
	const char *load_balancing, *failure_detection;
	const char *in_use[8]; /* names of uplinks; NULL ends the list early */
};
void vsw_team_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_team_info *info), void *arg);

#endif
