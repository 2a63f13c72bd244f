/* Which frames a mirror session wants: a conjunction of what its configuration names. */
#ifndef VSWITCH_MATCH_H
#define VSWITCH_MATCH_H

#include "switch.h"

/* Enough of a frame for its addresses and ports: Ethernet, the longest IPv4 header or an IPv6 header with some extensions, ports. */
#define VSW_MATCH_BYTES 128u

/*
 * Does a frame fit? `bytes` are its first `len` (at least an Ethernet header, untagged; VSW_MATCH_BYTES are enough), `vlan` its VLAN. Pure.
 * A key that a frame cannot have does not fit: a TCP port does not fit a later fragment, an address does not fit an unknown protocol.
 */
bool vsw_match(const struct vsw_match_config *want, const uint8_t *bytes, uint32_t len, uint16_t vlan);

#endif
