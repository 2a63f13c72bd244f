/* Traffic shaping of a port, in each direction (shape.c). */
#ifndef VSWITCH_SHAPE_H
#define VSWITCH_SHAPE_H

#include "bucket.h"
#include "switch.h"

#define SHAPE_QUEUE 256u /* frames that wait at most, power of two */

struct vsw_shaper {
	struct vsw_port *port;
	bool on, out; /* out: from the switch to the port */
	bool has_peak;
	struct vsw_bucket average, peak; /* bits */
	uint32_t queue_bytes, queue_bytes_max;
	uint32_t queue_mbufs;
	uint32_t head, tail; /* head - tail frames wait */
	struct hv_timer timer;
	struct rte_mbuf *queue[SHAPE_QUEUE];
};

/* Filters (filter.h). */
unsigned vsw_shape_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_shape_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_shape_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_shape_out_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
/* Makes the port's shaping what its configuration says. What waits goes on at the new rate, or at once when there is none. */
void vsw_shape_apply(struct vsw_port *p);
/* Drops what waits. The port goes, or its frames belong to a VLAN it leaves. */
void vsw_shape_clear(struct vsw_port *p);
/* Bytes of a frame as it is on a wire, after segmentation. */
uint32_t vsw_wire_bytes(const struct rte_mbuf *m);

#endif
