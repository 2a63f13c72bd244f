/* Beacon probing of uplinks (beacon.c). */
#ifndef VSWITCH_BEACON_H
#define VSWITCH_BEACON_H

#include "switch.h"

#define VSW_BEACON_TYPE 0x88b5u     /* IEEE Std 802 Local Experimental Ethertype 1 */
#define VSW_BEACON_TYPE_RAW 0xb588u /* as it lies in memory */

/* Makes what the configuration of a vSwitch and its teams asks for; starts over when its uplinks changed. @pre teams are made */
void vsw_beacon_apply(struct vsw_switch *sw);
/* Every VSW_WATCH_NS: sends, judges. True: an uplink was lost or is good again. */
bool vsw_beacon_step(struct vsw_switch *sw);
/* A frame for VSW_BEACON_MAC, from the wire (control.c). False: not one of ours. */
bool vsw_beacon_input(struct vsw_port *uplink, const uint8_t *frame, uint32_t len);

#endif
