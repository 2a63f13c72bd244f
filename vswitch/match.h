/* Which frames a mirror session wants: a conjunction of what its configuration names. */
#ifndef VSWITCH_MATCH_H
#define VSWITCH_MATCH_H

#include "vlan.h"

/* Enough of a frame for its addresses and ports: Ethernet, the longest IPv4 header or an IPv6 header with some extensions, ports. */
#define VSW_MATCH_BYTES 128u

/*
 * Does a frame fit? `bytes` are its first `len` (at least an Ethernet header, untagged; VSW_MATCH_BYTES are enough), `vlan` its VLAN. Pure.
 * A key that a frame cannot have does not fit: a TCP port does not fit a later fragment, an address does not fit an unknown protocol.
 */
bool vsw_match(const struct vsw_match_config *want, const uint8_t *bytes, uint32_t len, uint16_t vlan);

/*
 * A sieve before vsw_match, for sessions that watch much and want little: it stops nearly all IPv4 frames that do not fit, by address and
 * protocol, in few instructions. Addresses and masks as they lie in memory; a mask of 0: any.
 */
struct vsw_sieve {
	bool on;
	uint8_t protocol, protocol_mask;
	uint32_t address, address_mask;
};

struct vsw_sieve vsw_sieve(const struct vsw_match_config *want);

#define VSW_SIEVE_BYTES (ETH_HEADER_LEN + 20u)

/* True: vsw_match would not fit. @pre the sieve is on; VSW_SIEVE_BYTES are readable from eth on, those of the frame */
static HV_ALWAYS_INLINE bool vsw_sieve_stops(const struct vsw_sieve *s, const uint8_t *eth)
{
	uint32_t source, target;

	if (HV_UNLIKELY(vsw_ethertype_raw(eth) != 0x0008))
		return false;
	__builtin_memcpy(&source, eth + ETH_HEADER_LEN + 12, sizeof(source));
	__builtin_memcpy(&target, eth + ETH_HEADER_LEN + 16, sizeof(target));
	if ((source ^ s->address) & s->address_mask && (target ^ s->address) & s->address_mask)
		return true;
	return (eth[ETH_HEADER_LEN + 9] ^ s->protocol) & s->protocol_mask;
}

#endif
