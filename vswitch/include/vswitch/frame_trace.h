/*
 * Trace: what would become of a frame. It goes through the live tables of the running switch, is given to nobody, and leaves no trace:
 * nothing is learned, counted, mirrored or taken from a shaper's tokens. Each step says what decided it.
 */
#ifndef VSWITCH_FRAME_TRACE_H
#define VSWITCH_FRAME_TRACE_H

#include <vswitch/vswitch.h>

#define VSW_TRACE_STEPS 64
#define VSW_TRACE_DELIVERIES 32

struct vsw_trace_step {
	const char *stage; /* "ingress", "vlan", "filter", "policy", "learning", "look-up", "team", "egress", "result" */
	char text[176];
	char path[48];                   /* the place of the running configuration that decided it, "portgroups[1].vlan"; "": none */
	char nic[VSW_PORT_NAME_MAX + 1]; /* not "": path is within the NIC that has the port of this name, "storm" */
};

/* A port that would get the frame, or refuse it. */
struct vsw_trace_delivery {
	char port[VSW_PORT_NAME_MAX + 1];
	enum vsw_drop refused; /* VSW_DROP_COUNT: it would be handed to its driver */
	bool tagged;           /* with a tag of `vlan` */
	uint16_t vlan;
};

struct vsw_trace {
	unsigned step_count; /* further steps are left out */
	struct vsw_trace_step steps[VSW_TRACE_STEPS];
	unsigned delivery_count; /* all of them; the first VSW_TRACE_DELIVERIES are below */
	struct vsw_trace_delivery deliveries[VSW_TRACE_DELIVERIES];
	enum vsw_drop dropped; /* at the port it came from; VSW_DROP_COUNT: not */
	bool control;          /* a neighbour's frame that the switch itself reads */
};

/*
 * The frame (whole, as the port's owner sends it or the wire brings it, at most 9216 bytes) comes from port `port`. Loop context on the
 * switch's core, which it keeps for about a millisecond. -ENOENT: no such port; -EINVAL: longer; -ENOMEM.
 */
int vsw_trace(struct vsw *v, const char *port, const uint8_t *frame, uint32_t len, struct vsw_trace *out) HV_MUST_CHECK;

#endif
