/*
 * The LLDPDU (IEEE 802.1AB-2016 clauses 8 and 9.2.7.7), read and written. Pure: no state, no allocation.
 *
 * A frame: Ethernet header (type 88-CC), then TLVs of 7 bits type and 9 bits length: chassis ID, port ID, time to live, in this order, then
 * others, then the end or the frame's end. Reading: whatever does not fit makes the whole LLDPDU malformed; TLVs that we do not know, and
 * organizations' that we do not know, are passed over.
 */
#include "discovery.h"

#include "vlan.h"

#include <string.h>

enum {
	TLV_END,
	TLV_CHASSIS,
	TLV_PORT,
	TLV_TTL,
	TLV_PORT_DESCRIPTION,
	TLV_SYSTEM_NAME,
	TLV_SYSTEM_DESCRIPTION,
	TLV_CAPABILITIES,
	TLV_ADDRESS,
	TLV_ORGANIZATION = 127,
};

enum { CHASSIS_MAC = 4, CHASSIS_ADDRESS = 5, CHASSIS_LOCAL = 7 };      /* table 8-2 */
enum { PORT_MAC = 3, PORT_ADDRESS = 4, PORT_IF_NAME = 5 };             /* table 8-3 */
enum { AFN_IPV4 = 1, AFN_IPV6 = 2 };                                   /* IANA address family numbers */
enum { DOT1_PORT_VLAN = 1, DOT1_VLAN_NAME = 3, DOT1_AGGREGATION = 7 }; /* IEEE 802.1Q-2018 annex D */
enum { DOT3_AGGREGATION = 3, DOT3_MAX_FRAME = 4 };                     /* IEEE 802.3-2018 79.3 */
#define AGGREGATION_ENABLED 2
#define BRIDGE (1u << 2)

static const uint8_t dot1[3] = {0x00, 0x80, 0xc2}, dot3[3] = {0x00, 0x12, 0x0f};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* ---- texts ---- */

void vsw_wire_text(char *out, size_t size, const uint8_t *bytes, size_t len)
{
	size_t n;

	while (len && !bytes[len - 1])
		len--; /* padding */
	n = HV_MIN(len, size - 1);
	for (size_t i = 0; i < n; i++)
		out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
	out[n] = '\0';
}

void vsw_wire_hex(char *out, size_t size, const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < len && at + 3 < size; i++)
		at += (size_t)hv_snprintf(out + at, size - at, "%s%02x", i ? ":" : "", bytes[i]);
}

void vsw_wire_ipv4(char *out, size_t size, const uint8_t bytes[4])
{
	hv_snprintf(out, size, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

void vsw_wire_ipv6(char *out, size_t size, const uint8_t bytes[16])
{
	size_t at = 0;

	for (unsigned i = 0; i < 8 && at + 6 < size; i++)
		at += (size_t)hv_snprintf(out + at, size - at, "%s%x", i ? ":" : "", get16(bytes + 2 * i));
}

/* ---- reading ---- */

struct tlv {
	unsigned type, len;
	const uint8_t *value;
};

struct reader {
	const uint8_t *at, *end;
	bool broken;
};

static bool next(struct reader *r, struct tlv *t)
{
	if (r->end - r->at < 2)
		return false;
	t->type = r->at[0] >> 1;
	t->len = (r->at[0] & 1u) << 8 | r->at[1];
	t->value = r->at + 2;
	if (t->len > (size_t)(r->end - t->value)) {
		r->broken = true;
		return false;
	}
	r->at = t->value + t->len;
	return t->type != TLV_END;
}

static void read_address(char *out, size_t size, uint8_t family, const uint8_t *bytes, unsigned len)
{
	if (family == AFN_IPV4 && len == 4)
		vsw_wire_ipv4(out, size, bytes);
	else if (family == AFN_IPV6 && len == 16)
		vsw_wire_ipv6(out, size, bytes);
	else
		vsw_wire_hex(out, size, bytes, len);
}

/* A chassis or port ID: subtype, then what the subtype says. */
static bool read_id(const struct tlv *t, uint8_t mac_subtype, uint8_t address_subtype, uint8_t *subtype, char *out, size_t size)
{
	if (t->len < 2 || t->len > 256)
		return false;
	*subtype = t->value[0];
	if (*subtype == mac_subtype && t->len == 7)
		vsw_wire_hex(out, size, t->value + 1, 6);
	else if (*subtype == address_subtype && t->len > 2)
		read_address(out, size, t->value[1], t->value + 2, t->len - 2);
	else
		vsw_wire_text(out, size, t->value + 1, t->len - 1);
	return true;
}

/* 8.5.9.1: length of the address with its family, family, address, interface number, OID. The first address is kept. */
static bool read_management(const struct tlv *t, struct vsw_neighbor *n)
{
	unsigned len = t->len ? t->value[0] : 0;

	if (t->len < 9 || len < 2 || len > 32 || 1 + len + 5 + 1 > t->len)
		return false;
	if (!n->address[0])
		read_address(n->address, sizeof(n->address), t->value[1], t->value + 2, len - 1);
	return true;
}

static bool read_dot1(uint8_t subtype, const uint8_t *p, unsigned len, struct vsw_neighbor *n)
{
	switch (subtype) {
	case DOT1_PORT_VLAN:
		if (len < 2)
			return false;
		n->vlan = get16(p);
		n->has_vlan = n->vlan && n->vlan <= VSW_VLAN_MAX; /* 0: it does not know */
		return true;
	case DOT1_VLAN_NAME:
		if (len < 3 || p[2] > 32 || p[2] > len - 3)
			return false;
		if (n->vlan_count < VSW_NEIGHBOR_VLANS && get16(p) && get16(p) <= VSW_VLAN_MAX)
			n->vlans[n->vlan_count++] = get16(p);
		return true;
	case DOT1_AGGREGATION:
		if (len < 5)
			return false;
		n->aggregated = p[0] & AGGREGATION_ENABLED;
		n->aggregation_port = (uint32_t)get16(p + 1) << 16 | get16(p + 3);
		return true;
	default:
		return true;
	}
}

static bool read_dot3(uint8_t subtype, const uint8_t *p, unsigned len, struct vsw_neighbor *n)
{
	switch (subtype) {
	case DOT3_AGGREGATION:
		return read_dot1(DOT1_AGGREGATION, p, len, n);
	case DOT3_MAX_FRAME:
		if (len < 2)
			return false;
		n->max_frame_bytes = get16(p);
		return true;
	default:
		return true;
	}
}

static bool read_organization(const struct tlv *t, struct vsw_neighbor *n)
{
	if (t->len < 4)
		return false;
	if (!memcmp(t->value, dot1, 3))
		return read_dot1(t->value[3], t->value + 4, t->len - 4, n);
	if (!memcmp(t->value, dot3, 3))
		return read_dot3(t->value[3], t->value + 4, t->len - 4, n);
	return true;
}

static bool read_optional(const struct tlv *t, struct vsw_neighbor *n)
{
	switch (t->type) {
	case TLV_CHASSIS:
	case TLV_PORT:
	case TLV_TTL:
		return false; /* once, and in front */
	case TLV_PORT_DESCRIPTION:
		vsw_wire_text(n->port_description, sizeof(n->port_description), t->value, t->len);
		return true;
	case TLV_SYSTEM_NAME:
		vsw_wire_text(n->system_name, sizeof(n->system_name), t->value, t->len);
		return true;
	case TLV_SYSTEM_DESCRIPTION:
		vsw_wire_text(n->platform, sizeof(n->platform), t->value, t->len);
		return true;
	case TLV_CAPABILITIES:
		if (t->len < 4)
			return false;
		n->capabilities = get16(t->value) & get16(t->value + 2);
		return true;
	case TLV_ADDRESS:
		return read_management(t, n);
	case TLV_ORGANIZATION:
		return read_organization(t, n);
	default:
		return true;
	}
}

bool vsw_lldp_read(const uint8_t *frame, uint32_t len, struct vsw_neighbor *n)
{
	struct reader r = {.at = frame + ETH_HEADER_LEN, .end = frame + len};
	struct tlv t;

	memset(n, 0, sizeof(*n));
	n->protocol = VSW_DISCOVERY_LLDP;
	if (len < ETH_HEADER_LEN)
		return false;
	if (!next(&r, &t) || t.type != TLV_CHASSIS ||
		!read_id(&t, CHASSIS_MAC, CHASSIS_ADDRESS, &n->chassis_subtype, n->chassis, sizeof(n->chassis)))
		return false;
	if (!next(&r, &t) || t.type != TLV_PORT || !read_id(&t, PORT_MAC, PORT_ADDRESS, &n->port_subtype, n->port, sizeof(n->port)))
		return false;
	if (!next(&r, &t) || t.type != TLV_TTL || t.len < 2)
		return false;
	n->ttl_s = get16(t.value);
	while (n->ttl_s && next(&r, &t)) {
		if (!read_optional(&t, n))
			return false;
	}
	return !r.broken;
}

/* ---- writing ---- */

struct writer {
	uint8_t *at, *end; /* end: leaves room for the end TLV */
};

/* Room for a TLV, its header written; NULL: it does not fit. */
static uint8_t *put_tlv(struct writer *w, unsigned type, unsigned len)
{
	uint8_t *value = w->at + 2;

	if ((size_t)(w->end - w->at) < 2 + len)
		return NULL;
	w->at[0] = (uint8_t)(type << 1 | len >> 8);
	w->at[1] = (uint8_t)len;
	w->at = value + len;
	return value;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_text(struct writer *w, unsigned type, const char *text)
{
	unsigned len = (unsigned)HV_MIN(strlen(text), 255);
	uint8_t *p = len ? put_tlv(w, type, len) : NULL;

	if (p)
		memcpy(p, text, len);
}

static void put_id(struct writer *w, unsigned type, uint8_t subtype, const char *text)
{
	unsigned len = (unsigned)HV_MIN(strlen(text), 255);
	uint8_t *p = put_tlv(w, type, 1 + len);

	if (p) {
		p[0] = subtype;
		memcpy(p + 1, text, len);
	}
}

static uint8_t *put_organization(struct writer *w, const uint8_t oui[3], uint8_t subtype, unsigned len)
{
	uint8_t *p = put_tlv(w, TLV_ORGANIZATION, 4 + len);

	if (!p)
		return NULL;
	memcpy(p, oui, 3);
	p[3] = subtype;
	return p + 4;
}

static void put_management(struct writer *w, uint32_t ipv4)
{
	uint8_t *p = ipv4 ? put_tlv(w, TLV_ADDRESS, 12) : NULL;

	if (!p)
		return;
	memset(p, 0, 12);
	p[0] = 5;
	p[1] = AFN_IPV4;
	put16(p + 2, ipv4 >> 16);
	put16(p + 4, ipv4 & 0xffff);
	p[6] = 1; /* interface numbering: unknown */
}

static void put_dot1(struct writer *w, const struct vsw_lldp_local *local)
{
	uint8_t *p = put_organization(w, dot1, DOT1_PORT_VLAN, 2);

	if (p)
		put16(p, 0); /* untagged frames keep no VLAN of ours */
	p = put_organization(w, dot1, DOT1_AGGREGATION, 5);
	if (p) {
		memset(p, 0, 5);
		p[0] = local->aggregated ? AGGREGATION_ENABLED | 1 : 1; /* 1: capable of it */
	}
	for (unsigned i = 0; i < local->vlan_count; i++) {
		unsigned len = (unsigned)HV_MIN(strlen(local->vlans[i].name), 32);

		p = put_organization(w, dot1, DOT1_VLAN_NAME, 3 + len);
		if (!p)
			return;
		put16(p, local->vlans[i].vlan);
		p[2] = (uint8_t)len;
		memcpy(p + 3, local->vlans[i].name, len);
	}
}

static void put_optional(struct writer *w, const struct vsw_lldp_local *local)
{
	uint8_t *p;

	put_text(w, TLV_PORT_DESCRIPTION, local->port_description);
	put_text(w, TLV_SYSTEM_NAME, local->system_name);
	put_text(w, TLV_SYSTEM_DESCRIPTION, local->system_description);
	p = put_tlv(w, TLV_CAPABILITIES, 4);
	if (p) {
		put16(p, BRIDGE);
		put16(p + 2, BRIDGE);
	}
	put_management(w, local->ipv4);
	p = local->max_frame_bytes ? put_organization(w, dot3, DOT3_MAX_FRAME, 2) : NULL;
	if (p)
		put16(p, local->max_frame_bytes);
	put_dot1(w, local);
}

uint32_t vsw_lldp_write(uint8_t *frame, const struct vsw_lldp_local *local, uint16_t ttl_s)
{
	struct writer w = {.at = frame + ETH_HEADER_LEN, .end = frame + VSW_LLDP_FRAME_MAX - 2};
	const uint16_t type = VSW_LLDP_TYPE_RAW;
	uint8_t *p;

	vsw_store_mac(frame, VSW_LLDP_MAC);
	memcpy(frame + 6, local->mac, 6);
	memcpy(frame + 12, &type, 2);
	put_id(&w, TLV_CHASSIS, CHASSIS_LOCAL, local->chassis);
	put_id(&w, TLV_PORT, PORT_IF_NAME, local->port);
	p = put_tlv(&w, TLV_TTL, 2);
	if (p)
		put16(p, ttl_s);
	if (ttl_s)
		put_optional(&w, local);
	put16(w.at, 0); /* end of LLDPDU */
	return (uint32_t)(w.at + 2 - frame);
}
