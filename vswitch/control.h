/*
 * Frames between neighbours on a wire that are never forwarded: link-local control protocols (IEEE 802.1Q-2018 table 8-1: LACP, LLDP, ...)
 * and CDP.
 */
#ifndef VSWITCH_CONTROL_H
#define VSWITCH_CONTROL_H

#include "switch.h"

/* 01-80-C2-00-00-00 to -0F, as vsw_load_mac has them. */
#define VSW_LINK_CONTROL_MASK 0xf0ffffffffffull
#define VSW_LINK_CONTROL_MAC 0x000000c28001ull
#define VSW_CDP_MAC 0xcccccc0c0001ull /* 01-00-0C-CC-CC-CC: CDP, VTP, DTP */
#define VSW_SLOW_PROTOCOLS_MAC 0x020000c28001ull
#define VSW_BEACON_MAC 0x545245420003ull /* 03-00-42-45-52-54: ours, locally administered; no switch keeps it from passing */

static inline bool vsw_is_link_control(uint64_t dst)
{
	return (dst & VSW_LINK_CONTROL_MASK) == VSW_LINK_CONTROL_MAC || dst == VSW_CDP_MAC || dst == VSW_BEACON_MAC;
}

/* A frame for a control address from port `in`, tag taken out. Takes it: a protocol of ours reads it, or it is dropped and counted. */
void vsw_control_input(struct vsw_port *in, struct rte_mbuf *m);

/* May a frame that an uplink drops for this reason be a control frame all the same? @pre an Ethernet header, contiguous */
bool vsw_control_despite(enum vsw_drop reason, const struct rte_mbuf *m);
/* Would vsw_control_input have it read by a protocol? Changes nothing. */
bool vsw_control_reads(struct vsw_port *in, const struct rte_mbuf *m);

#endif
