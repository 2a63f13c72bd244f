/*
 * LACPDUs and Marker PDUs on the wire, IEEE 802.1AX-2014 6.4.2.3 and 6.5.3.3: an Ethernet frame of type 8809 whose first byte is the
 * subtype; then version, and TLVs at fixed places. What a neighbour sends is read here only; every field is in bounds by the length check
 * at the entry. Version, reserved fields and what follows are not validated, as 6.4.12 wants.
 */
#include "lacp.h"

#include <string.h>

#define SUBTYPE_LACP 1
#define SUBTYPE_MARKER 2
#define AT_SUBTYPE 14u
#define AT_ACTOR 16u /* type, length, 18 bytes of values */
#define AT_PARTNER 36u
#define AT_COLLECTOR 56u
#define INFO_LEN 20u
#define AT_MARKER 16u
#define MARKER_LEN 22u

static const uint8_t slow_protocols[6] = {0x01, 0x80, 0xc2, 0, 0, 2};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static bool header_fits(const uint8_t *frame, uint32_t len, uint8_t subtype)
{
	return len > AT_SUBTYPE + 1 && !memcmp(frame, slow_protocols, 6) && frame[12] == 0x88 && frame[13] == 0x09 &&
	       frame[AT_SUBTYPE] == subtype;
}

/* A TLV: type, length, then system priority, system, key, port priority, port, state, three reserved bytes. */
static bool info_parse(const uint8_t *tlv, uint8_t type, struct lacp_info *out)
{
	if (tlv[0] != type || tlv[1] != INFO_LEN)
		return false;
	out->system_priority = get16(tlv + 2);
	memcpy(out->system, tlv + 4, 6);
	out->key = get16(tlv + 10);
	out->port_priority = get16(tlv + 12);
	out->port = get16(tlv + 14);
	out->state = tlv[16];
	return true;
}

static void info_build(uint8_t *tlv, uint8_t type, const struct lacp_info *info)
{
	tlv[0] = type;
	tlv[1] = INFO_LEN;
	put16(tlv + 2, info->system_priority);
	memcpy(tlv + 4, info->system, 6);
	put16(tlv + 10, info->key);
	put16(tlv + 12, info->port_priority);
	put16(tlv + 14, info->port);
	tlv[16] = info->state;
}

bool lacp_pdu_parse(const uint8_t *frame, uint32_t len, struct lacp_pdu *out)
{
	return len >= AT_PARTNER + INFO_LEN && header_fits(frame, len, SUBTYPE_LACP) && info_parse(frame + AT_ACTOR, 1, &out->actor) &&
	       info_parse(frame + AT_PARTNER, 2, &out->partner);
}

void lacp_pdu_build(uint8_t frame[LACP_FRAME_LEN], const uint8_t source[6], const struct lacp_pdu *pdu)
{
	memset(frame, 0, LACP_FRAME_LEN);
	memcpy(frame, slow_protocols, 6);
	memcpy(frame + 6, source, 6);
	frame[12] = 0x88;
	frame[13] = 0x09;
	frame[AT_SUBTYPE] = SUBTYPE_LACP;
	frame[AT_SUBTYPE + 1] = 1; /* version */
	info_build(frame + AT_ACTOR, 1, &pdu->actor);
	info_build(frame + AT_PARTNER, 2, &pdu->partner);
	frame[AT_COLLECTOR] = 3;
	frame[AT_COLLECTOR + 1] = 16; /* collector max delay 0; then the terminator, type 0, length 0 */
}

bool lacp_marker_answer(const uint8_t *frame, uint32_t len, const uint8_t source[6], uint8_t answer[LACP_FRAME_LEN])
{
	if (len < AT_MARKER + MARKER_LEN || !header_fits(frame, len, SUBTYPE_MARKER) || frame[AT_MARKER] != 1 ||
		frame[AT_MARKER + 1] != MARKER_LEN)
		return false;
	memset(answer, 0, LACP_FRAME_LEN);
	memcpy(answer, frame, AT_MARKER + MARKER_LEN); /* the same port, system and transaction */
	memcpy(answer + 6, source, 6);
	answer[AT_MARKER] = 2;
	return true;
}
