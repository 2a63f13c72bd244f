/*
 * Filters: the optional work on the frames of a port (shaping, storm limit, guards, snooping, mirroring), off by default. A port carries a
 * bit for each that is on; filter.c lists them in the order in which they run. A port without any costs one test per burst.
 */
#ifndef VSWITCH_FILTER_H
#define VSWITCH_FILTER_H

#include "guard.h"
#include "shape.h"
#include "storm.h"
#include "switch.h"

/* What a port's filters keep, allocated with the port. */
struct vsw_filters {
	struct vsw_storm storm;
	struct vsw_guard guard;
	struct vsw_shaper shape_in, shape_out;
};

/*
 * A filter looks at a burst and returns how many frames go on, which it has moved to the front in their order. The others it has dropped
 * (vsw_drop) or keeps. It never enters the switch.
 *
 * In the place of each another one works while a frame is traced (trace.h): it decides the same, says so by vsw_trace_note, and changes
 * nothing that outlives the trace: no token is taken, nothing is queued, copied or learned.
 */
typedef unsigned (*vsw_filter_fn)(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);

/* Frames that come from p, before they are looked up; their domains are in vlan_tci. */
unsigned vsw_filters_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
/* Frames that go to p, before its driver gets them. */
unsigned vsw_filters_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);

/* The rest of them: those behind the filter of bit `after`. */
unsigned vsw_filters_in_after(struct vsw_port *p, uint16_t after, struct rte_mbuf **frames, unsigned n);
unsigned vsw_filters_out_after(struct vsw_port *p, uint16_t after, struct rte_mbuf **frames, unsigned n);

/* Makes the filters of a guest's or vmk's port what its NIC and its port group say. */
void vsw_filters_apply(struct vsw_port *p);
/* Once a second. */
void vsw_filters_tick(struct vsw_port *p);

#endif
