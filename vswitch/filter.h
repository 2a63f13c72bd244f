/*
 * Filters: the optional work on the frames of a port (shaping, storm limit, guards, snooping, mirroring), off by default. A port carries a
 * bit for each that is on; filter.c lists them in the order in which they run. A port without any costs one test per burst.
 */
#ifndef VSWITCH_FILTER_H
#define VSWITCH_FILTER_H

#include "switch.h"

/*
 * A filter looks at a burst and returns how many frames go on, which it has moved to the front in their order. The others it has dropped
 * (vsw_drop) or keeps. It never enters the switch.
 */
typedef unsigned (*vsw_filter_fn)(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);

/* Frames that come from p, before they are looked up; their domains are in vlan_tci. */
unsigned vsw_filters_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
/* Frames that go to p, before its driver gets them. */
unsigned vsw_filters_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);

#endif
