/* LACP on a vSwitch (lacp_switch.c). */
#ifndef VSWITCH_LACP_SWITCH_H
#define VSWITCH_LACP_SWITCH_H

#include "switch.h"

/* Begins, ends or starts LACP over when its configuration changed; uplinks that stay keep their aggregate when it did not. */
void vsw_lacp_apply(struct vsw_switch *sw);
/* Every VSW_WATCH_NS. True: an uplink was blocked or unblocked. */
bool vsw_lacp_step(struct vsw_switch *sw);
#define VSW_SLOW_PROTOCOLS_TYPE_RAW 0x0988u /* Ethernet type 8809 as it lies in memory */
/* A frame of Slow Protocols (control.c). False: no LACP there. */
bool vsw_lacp_input(struct vsw_port *uplink, const uint8_t *frame, uint32_t len);
/* The LACP port of an uplink, or LACP_NONE. */
unsigned vsw_lacp_port_of(const struct vsw_switch *sw, const struct vsw_port *uplink);

#endif
