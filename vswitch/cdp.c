/*
 * CDP, versions 1 and 2, read only. Pure: no state, no allocation.
 *
 * A frame: Ethernet header with a length (IEEE 802.3), LLC AA-AA-03, SNAP 00-00-0C type 20-00; then version, time to live in seconds, a
 * checksum over all from the version on, and TLVs of 2 bytes type and 2 bytes length that counts the TLV's header. Other protocols use the
 * same destination with another SNAP type.
 */
#include "discovery.h"

#include "vlan.h"

#include <string.h>

#define LLC_SNAP_LEN 8
#define CDP_HEADER_LEN 4

enum {
	CDP_DEVICE = 0x01,
	CDP_ADDRESSES = 0x02,
	CDP_PORT = 0x03,
	CDP_CAPABILITIES = 0x04,
	CDP_PLATFORM = 0x06,
	CDP_NATIVE_VLAN = 0x0a,
	CDP_MTU = 0x11,
	CDP_SYSTEM_NAME = 0x14,
	CDP_MANAGEMENT = 0x16,
};

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/*
 * The checksum is the Internet's (RFC 1071), but that its writers add an odd last byte as a signed number of its own and not as the high
 * byte of a word; others do as the RFC says. Either is taken.
 */
static bool checksum_good(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0, odd[2] = {0, 0};

	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += get16(p + i);
	if (len & 1) {
		uint32_t last = p[len - 1];

		odd[0] = last << 8;
		odd[1] = last & 0x80 ? 0xff00 + last - 1 : last;
	}
	for (unsigned i = 0; i < 2; i++) {
		uint32_t s = sum + odd[i];

		s = (s & 0xffff) + (s >> 16);
		s = (s & 0xffff) + (s >> 16);
		if (s == 0xffff)
			return true;
	}
	return false;
}

/* A list of addresses: count, then for each protocol type and length, protocol, address length, address. The first of IP is kept. */
static bool read_addresses(const uint8_t *p, uint32_t len, struct vsw_neighbor *n)
{
	static const uint8_t ipv6[8] = {0xaa, 0xaa, 0x03, 0, 0, 0, 0x86, 0xdd};
	uint32_t count = len >= 4 ? get32(p) : 0, at = 4;

	if (len < 4)
		return false;
	for (; count && !n->address[0]; count--) {
		uint32_t protocol_len, address_len;
		const uint8_t *protocol, *address;

		if (len - at < 2)
			return false;
		protocol = p + at + 2;
		protocol_len = p[at + 1];
		if (len - at < 2 + protocol_len + 2)
			return false;
		address = protocol + protocol_len + 2;
		address_len = get16(address - 2);
		at += 2 + protocol_len + 2;
		if (len - at < address_len)
			return false;
		at += address_len;
		if (protocol_len == 1 && protocol[0] == 0xcc && address_len == 4)
			vsw_wire_ipv4(n->address, sizeof(n->address), address);
		else if (protocol_len == 8 && !memcmp(protocol, ipv6, 8) && address_len == 16)
			vsw_wire_ipv6(n->address, sizeof(n->address), address);
	}
	return true;
}

/* CDP's bits in the form of VSW_CAPABILITIES. */
static uint16_t capabilities(uint32_t bits)
{
	static const struct {
		uint32_t cdp;
		unsigned bit;
	} map[] = {{0x01, 4}, {0x02, 2}, {0x04, 2}, {0x08, 2}, {0x10, 7}, {0x40, 1}, {0x80, 5}};
	uint32_t out = 0;

	for (unsigned i = 0; i < HV_ARRAY_LEN(map); i++) {
		if (bits & map[i].cdp)
			out |= 1u << map[i].bit;
	}
	return (uint16_t)out;
}

static bool read_tlv(uint32_t type, const uint8_t *p, uint32_t len, struct vsw_neighbor *n)
{
	switch (type) {
	case CDP_DEVICE:
		vsw_wire_text(n->chassis, sizeof(n->chassis), p, len);
		return len;
	case CDP_PORT:
		vsw_wire_text(n->port, sizeof(n->port), p, len);
		return len;
	case CDP_SYSTEM_NAME:
		vsw_wire_text(n->system_name, sizeof(n->system_name), p, len);
		return true;
	case CDP_PLATFORM:
		vsw_wire_text(n->platform, sizeof(n->platform), p, len);
		return true;
	case CDP_ADDRESSES:
	case CDP_MANAGEMENT:
		return read_addresses(p, len, n);
	case CDP_CAPABILITIES:
		n->capabilities = len >= 4 ? capabilities(get32(p)) : 0;
		return len >= 4;
	case CDP_NATIVE_VLAN:
		n->vlan = len >= 2 ? (uint16_t)get16(p) : 0;
		n->has_vlan = n->vlan && n->vlan <= VSW_VLAN_MAX;
		return len >= 2;
	case CDP_MTU:
		n->mtu_bytes = len >= 4 ? get32(p) : 0;
		return len >= 4;
	default:
		return true;
	}
}

bool vsw_cdp_read(const uint8_t *frame, uint32_t len, struct vsw_neighbor *n, bool *other)
{
	static const uint8_t llc[LLC_SNAP_LEN] = {0xaa, 0xaa, 0x03, 0x00, 0x00, 0x0c, 0x20, 0x00};
	const uint8_t *p = frame + ETH_HEADER_LEN + LLC_SNAP_LEN;
	uint32_t payload, at = CDP_HEADER_LEN;

	memset(n, 0, sizeof(*n));
	n->protocol = VSW_DISCOVERY_CDP;
	*other = len < ETH_HEADER_LEN + LLC_SNAP_LEN || memcmp(frame + ETH_HEADER_LEN, llc, LLC_SNAP_LEN) != 0;
	if (*other)
		return false;
	payload = get16(frame + 12); /* what is behind it is padding */
	if (payload > len - ETH_HEADER_LEN || payload < LLC_SNAP_LEN + CDP_HEADER_LEN)
		return false;
	payload -= LLC_SNAP_LEN;
	if (p[0] < 1 || p[0] > 2 || !checksum_good(p, payload))
		return false;
	n->ttl_s = p[1];
	while (at < payload) {
		uint32_t tlv_len;

		if (payload - at < 4)
			return false;
		tlv_len = get16(p + at + 2);
		if (tlv_len < 4 || tlv_len > payload - at || !read_tlv(get16(p + at), p + at + 4, tlv_len - 4, n))
			return false;
		at += tlv_len;
	}
	return n->chassis[0] && n->port[0];
}
