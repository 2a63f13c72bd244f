/* Storm limit of a port: frames per second by kind (storm.c). */
#ifndef VSWITCH_STORM_H
#define VSWITCH_STORM_H

#include "bucket.h"
#include "switch.h"

enum vsw_storm_kind { VSW_STORM_BROADCAST, VSW_STORM_MULTICAST, VSW_STORM_UNKNOWN, VSW_STORM_KINDS };

struct vsw_storm {
	struct {
		struct vsw_bucket bucket; /* frames; rate 0: no limit */
		bool raging;
		uint64_t dropped, dropped_last_tick; /* since it began */
	} of[VSW_STORM_KINDS];
};

/* Filter (filter.h). */
unsigned vsw_storm_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_storm_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
/* Once a second: has a storm ended? */
void vsw_storm_tick(struct vsw_port *p);
/* Makes the port's limits those of `c`. */
void vsw_storm_apply(struct vsw_port *p, const struct vsw_storm_config *c);

#endif
