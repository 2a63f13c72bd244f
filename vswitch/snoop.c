/*
 * IGMP and MLD snooping (RFC 4541): a multicast frame goes to those ports of its VLAN that joined its group.
 *
 * Listened to: IGMPv1 (RFC 1112), v2 (RFC 2236), v3 (RFC 3376), MLDv1 (RFC 2710), v2 (RFC 3810), hello of PIM (RFC 7761). What is no valid
 * message of these says nothing and is forwarded like any other frame of its group.
 *
 * A VLAN, for each of IPv4 and IPv6:
 *
 *   no querier: all frames to all --query--> learning: the hosts are answering --response time--> filtering: members only
 *        ^                                                                                              |
 *        +---------------------------- no query for the time that other queriers wait -----------------+
 *
 * Without a querier nobody repeats what it joined, and filtering would cut off who was silent. While there is one:
 *
 *   frame                                                  goes to
 *   of a group of link scope (224.0.0.x, ff02::)           all
 *   of another group                                       its members, routers, promiscuous ports; from a local port: also outside
 *   report, leave                                          routers, outside: a host that hears another's report withholds its own
 *   query                                                  all
 *
 * A membership ends by time, or soon after a leave or a query for its group unless it is reported again (more than one host may be behind
 * a port). IGMPv3's and MLDv2's source lists are not kept: whoever wants some source of a group gets the group. A port whose memberships
 * have no room, or that a live change put into other VLANs, takes all groups for as long as a membership lasts: too much, never too little.
 * (A new port's guest has joined nothing that it will not report.) The VLANs of a private VLAN are one here.
 *
 * Outside always gets what local ports send, as the physical switch knows who wants it there.
 *
 * While a frame is traced, messages are understood and nothing is kept of them.
 *
 * Owner: the switch's core. Time: seconds, counted by the switch's tick.
 */
#include "snoop.h"

#include "packet.h"

#include <hv/rand.h>
#include <string.h>
#include <vswitch/groups.h>

#define QUERIER_S 255u    /* RFC 3376 8.5, RFC 3810 9.5: other querier present interval */
#define MEMBERSHIP_S 260u /* RFC 3376 8.4 */
#define LAST_MEMBER_S 3u  /* RFC 3376 8.8, 8.9: two queries a second apart, and our second's grain */
#define RESPONSE_S 10u    /* RFC 3376 8.3 */
#define PROTO_PIM 103

enum { RECORD_INCLUDE = 1, RECORD_EXCLUDE, RECORD_TO_INCLUDE, RECORD_TO_EXCLUDE, RECORD_ALLOW, RECORD_BLOCK }; /* RFC 3376 4.2.12 */

/* ---- addresses of groups ---- */

static bool same(struct vsw_group_address a, struct vsw_group_address b)
{
	return a.high == b.high && a.low == b.low;
}

/* IPv4 groups as ::ffff:a.b.c.d. */
static struct vsw_group_address ipv4(const uint8_t *bytes)
{
	return (struct vsw_group_address){0, 0xffff00000000ull | vsw_get32(bytes)};
}

static struct vsw_group_address ipv6(const uint8_t *bytes)
{
	return (struct vsw_group_address){
		(uint64_t)vsw_get32(bytes) << 32 | vsw_get32(bytes + 4), (uint64_t)vsw_get32(bytes + 8) << 32 | vsw_get32(bytes + 12)};
}

/* Routers are members of this one. */
static const struct vsw_group_address routers;

/* A group whose frames may be kept from a port: no other address, and not of link scope. */
static bool is_filtered4(const uint8_t *bytes)
{
	return bytes[0] >> 4 == 0xe && vsw_get32(bytes) >> 8 != 0xe00000;
}

static bool is_filtered6(const uint8_t *bytes)
{
	return bytes[0] == 0xff && (bytes[1] & 15) > 2;
}

/* ---- the table ---- */

static uint32_t hash(const struct vsw_snoop *s, struct vsw_group_address a, uint16_t domain)
{
	uint64_t x = (a.low ^ s->secret) * 0x9e3779b97f4a7c15ull ^ (a.high + domain) * 0xd6e8feb86659fd93ull;

	return (uint32_t)((x ^ x >> 32) * 0x9e3779b97f4a7c15ull >> 40) % SNOOP_GROUPS;
}

static struct snoop_group *group_find(struct vsw_snoop *s, struct vsw_group_address a, uint16_t domain)
{
	for (uint16_t i = s->buckets[hash(s, a, domain)]; i != SNOOP_NONE; i = s->groups[i].next) {
		if (same(s->groups[i].address, a) && s->groups[i].domain == domain)
			return &s->groups[i];
	}
	return NULL;
}

static struct snoop_group *group_new(struct vsw_snoop *s, struct vsw_group_address a, uint16_t domain)
{
	uint16_t *bucket = &s->buckets[hash(s, a, domain)], i = s->free_group;

	if (i == SNOOP_NONE)
		return NULL;
	s->free_group = s->groups[i].next;
	s->groups[i] = (struct snoop_group){.address = a, .domain = domain, .first = SNOOP_NONE, .next = *bucket};
	*bucket = i;
	return &s->groups[i];
}

static void group_free(struct vsw_snoop *s, struct snoop_group *g)
{
	uint16_t *at = &s->buckets[hash(s, g->address, g->domain)], i = (uint16_t)(g - s->groups);

	while (*at != i)
		at = &s->groups[*at].next;
	*at = g->next;
	g->next = s->free_group;
	s->free_group = i;
}

static struct snoop_member *member_find(struct vsw_snoop *s, const struct snoop_group *g, const struct vsw_port *p)
{
	for (uint16_t i = g->first; i != SNOOP_NONE; i = s->members[i].next) {
		if (s->members[i].port == p->index)
			return &s->members[i];
	}
	return NULL;
}

/* Takes out the member that *at leads to; the group goes with its last one. */
static void member_remove(struct vsw *v, struct snoop_group *g, uint16_t *at)
{
	struct vsw_snoop *s = &v->snoop;
	struct snoop_member *m = &s->members[*at];
	uint16_t i = *at;

	g->ports[m->port / 64] &= ~(1ull << m->port % 64);
	v->ports[m->port]->groups_joined--;
	*at = m->next;
	m->next = s->free_member;
	s->free_member = i;
}

static bool member_add(struct vsw_snoop *s, struct snoop_group *g, struct vsw_port *p, uint32_t until)
{
	uint16_t i = s->free_member;

	if (i == SNOOP_NONE || p->groups_joined >= SNOOP_OF_PORT)
		return false;
	s->free_member = s->members[i].next;
	s->members[i] = (struct snoop_member){.until = until, .port = p->index, .next = g->first};
	g->first = i;
	g->ports[p->index / 64] |= 1ull << p->index % 64;
	p->groups_joined++;
	return true;
}

static void join(struct vsw_port *p, uint16_t domain, struct vsw_group_address a, uint32_t for_s)
{
	struct vsw_snoop *s = &p->sw->v->snoop;
	struct snoop_group *g = group_find(s, a, domain);
	struct snoop_member *m = g ? member_find(s, g, p) : NULL;
	uint32_t until = s->now_s + for_s;

	if (p->sw->v->trace)
		return;
	if (m) {
		m->until = until;
		return;
	}
	if (!g)
		g = p->groups_joined < SNOOP_OF_PORT ? group_new(s, a, domain) : NULL;
	if (g && member_add(s, g, p, until))
		return;
	if (g && g->first == SNOOP_NONE)
		group_free(s, g);
	s->no_room++;
	p->all_groups_until = until;
}

/* The membership of one port, or of all (NULL), ends soon unless it is reported again. */
static void soon_over(struct vsw *v, const struct vsw_port *p, uint16_t domain, struct vsw_group_address a)
{
	struct vsw_snoop *s = &v->snoop;
	struct snoop_group *g = group_find(s, a, domain);

	if (v->trace)
		return;
	for (uint16_t i = g ? g->first : SNOOP_NONE; i != SNOOP_NONE; i = s->members[i].next) {
		struct snoop_member *m = &s->members[i];

		if (!p || m->port == p->index)
			m->until = HV_MIN(m->until, s->now_s + LAST_MEMBER_S);
	}
}

/* Removes the members that have ended, or those of a port. */
static void sweep(struct vsw *v, const struct vsw_port *p)
{
	struct vsw_snoop *s = &v->snoop;

	for (unsigned b = 0; b < SNOOP_GROUPS; b++) {
		for (uint16_t i = s->buckets[b]; i != SNOOP_NONE;) {
			struct snoop_group *g = &s->groups[i];
			uint16_t next = g->next;

			for (uint16_t *at = &g->first; *at != SNOOP_NONE;) {
				const struct snoop_member *m = &s->members[*at];

				if (p ? m->port == p->index : m->until <= s->now_s)
					member_remove(v, g, at);
				else
					at = &s->members[*at].next;
			}
			if (g->first == SNOOP_NONE)
				group_free(s, g);
			i = next;
		}
	}
}

/* ---- messages ---- */

/* What a message is about. */
struct message {
	struct vsw_port *in;
	struct vsw_domain *d; /* of the memberships */
	bool v6;
};

enum heard { HEARD_NOTHING, HEARD_QUERY, HEARD_REPORT };

/* Group: of a query for one, to that group and not to be suppressed; else NULL. */
static void heard_query(const struct message *m, bool has_source, uint32_t response_s, const struct vsw_group_address *group)
{
	struct vsw_querier *q = &m->d->querier[m->v6];
	uint32_t now = m->in->sw->v->snoop.now_s;

	if (m->in->sw->v->trace)
		return;
	if (m->in->kind != VSW_PORT_UPLINK && m->in->domain != m->d->id && !(m->in->flags & VSW_PF_TRUNK))
		return; /* from a secondary VLAN: not all members hear it */
	if (q->until <= now)
		q->filter_from = now + HV_MAX(response_s, RESPONSE_S) + 1;
	q->until = now + QUERIER_S;
	if (has_source && m->in->kind != VSW_PORT_UPLINK)
		join(m->in, m->d->id, routers, QUERIER_S);
	if (group)
		soon_over(m->in->sw->v, NULL, m->d->id, *group);
}

static void heard_join(const struct message *m, struct vsw_group_address a)
{
	if (m->in->kind != VSW_PORT_UPLINK)
		join(m->in, m->d->id, a, MEMBERSHIP_S);
}

static void heard_leave(const struct message *m, struct vsw_group_address a)
{
	if (m->in->kind != VSW_PORT_UPLINK)
		soon_over(m->in->sw->v, m->in, m->d->id, a);
}

/* Records of IGMPv3 (groups of 4 bytes, RFC 3376 4.2) and MLDv2 (16 bytes, RFC 3810 5.2) reports. False: they do not fit the message. */
static bool heard_records(const struct message *m, const uint8_t *records, uint32_t len, unsigned count, unsigned group_bytes)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < count; i++, at += 4 + group_bytes + vsw_get16(records + at + 2) * group_bytes + records[at + 1] * 4u) {
		const uint8_t *r = records + at, *group = r + 4;
		bool sources;

		if (at + 4 + group_bytes > len)
			return false;
		sources = vsw_get16(r + 2);
		if (group_bytes == 4 ? !is_filtered4(group) : !is_filtered6(group))
			continue;
		if (r[0] == RECORD_EXCLUDE || r[0] == RECORD_TO_EXCLUDE ||
			(sources && (r[0] == RECORD_INCLUDE || r[0] == RECORD_TO_INCLUDE || r[0] == RECORD_ALLOW)))
			heard_join(m, group_bytes == 4 ? ipv4(group) : ipv6(group));
		else if (!sources && (r[0] == RECORD_INCLUDE || r[0] == RECORD_TO_INCLUDE))
			heard_leave(m, group_bytes == 4 ? ipv4(group) : ipv6(group));
	}
	return true;
}

static enum heard heard_igmp(const struct message *m, const struct vsw_packet *p)
{
	const uint8_t *igmp = p->l4, *group = igmp + 4;
	uint32_t tenths = igmp[1] < 128 ? igmp[1] : ((igmp[1] & 15u) | 16u) << ((igmp[1] >> 4 & 7) + 3); /* RFC 3376 4.1.1 */
	struct vsw_group_address asked;
	bool specific;

	if (p->l4_len < 8 || p->hops != 1 || vsw_sum_fold(vsw_sum16(igmp, p->l4_len, 0)) != 0xffff)
		return HEARD_NOTHING;
	switch (igmp[0]) {
	case 0x11:
		asked = ipv4(group);
		specific =
			is_filtered4(group) && !memcmp(group, p->l3 + 16, 4) && !(p->l4_len >= 12 && (igmp[8] & 8 || vsw_get16(igmp + 10)));
		heard_query(m, vsw_get32(p->l3 + 12), tenths / 10, specific ? &asked : NULL);
		return HEARD_QUERY;
	case 0x12:
	case 0x16:
		if (is_filtered4(group))
			heard_join(m, ipv4(group));
		return HEARD_REPORT;
	case 0x17:
		if (is_filtered4(group))
			heard_leave(m, ipv4(group));
		return HEARD_REPORT;
	case 0x22:
		return heard_records(m, igmp + 8, p->l4_len - 8, vsw_get16(igmp + 6), 4) ? HEARD_REPORT : HEARD_NOTHING;
	default:
		return HEARD_NOTHING;
	}
}

static bool is_mld(const struct vsw_packet *p)
{
	static const uint8_t unspecified[16];
	const uint8_t *source = p->l3 + 8;
	uint32_t sum;

	if (p->l4_len < 8 || p->hops != 1 || !p->router_alert)
		return false;
	if ((source[0] != 0xfe || source[1] >> 6 != 2) && (p->l4[0] == 130 || memcmp(source, unspecified, 16)))
		return false;
	sum = vsw_sum16(p->l3 + 8, 32, p->l4_len + PROTO_ICMPV6);
	return vsw_sum_fold(vsw_sum16(p->l4, p->l4_len, sum)) == 0xffff;
}

static enum heard heard_mld(const struct message *m, const struct vsw_packet *p)
{
	const uint8_t *mld = p->l4, *group = mld + 8;
	struct vsw_group_address asked;
	bool specific;

	if (!is_mld(p) || (mld[0] != 143 && p->l4_len < 24))
		return HEARD_NOTHING;
	switch (mld[0]) {
	case 130:
		asked = ipv6(group);
		specific =
			is_filtered6(group) && !memcmp(group, p->l3 + 24, 16) && !(p->l4_len >= 28 && (mld[24] & 8 || vsw_get16(mld + 26)));
		heard_query(m, true, vsw_get16(mld + 4) / 1000, specific ? &asked : NULL);
		return HEARD_QUERY;
	case 131:
		if (is_filtered6(group))
			heard_join(m, ipv6(group));
		return HEARD_REPORT;
	case 132:
		if (is_filtered6(group))
			heard_leave(m, ipv6(group));
		return HEARD_REPORT;
	case 143:
		return heard_records(m, mld + 8, p->l4_len - 8, vsw_get16(mld + 6), 16) ? HEARD_REPORT : HEARD_NOTHING;
	default:
		return HEARD_NOTHING;
	}
}

/* RFC 7761 4.9: version 2, type 0. */
static void heard_pim(const struct message *m, const struct vsw_packet *p)
{
	if (p->l4_len >= 4 && p->l4[0] == 0x20 && m->in->kind != VSW_PORT_UPLINK)
		join(m->in, m->d->id, routers, QUERIER_S);
}

/* Is the frame addressed as its packet is? Else others would not hear what it seems to tell them. */
static bool is_mapped(const uint8_t *eth, bool v6)
{
	static const uint8_t prefix4[3] = {1, 0, 0x5e}, prefix6[2] = {0x33, 0x33};
	const uint8_t *group = eth + (v6 ? 38 : 30);

	if (v6)
		return !memcmp(eth, prefix6, 2) && !memcmp(eth + 2, group + 12, 4);
	return !memcmp(eth, prefix4, 3) && eth[3] == (group[1] & 0x7f) && !memcmp(eth + 4, group + 2, 2);
}

/* A whole packet in one segment, or nothing. */
static enum heard listen(const struct message *m, const struct rte_mbuf *frame)
{
	struct vsw_packet p;
	uint8_t *header;

	if (!is_mapped(rte_pktmbuf_mtod(frame, const uint8_t *), m->v6))
		return HEARD_NOTHING;
	vsw_packet_of(frame, &p);
	if (p.malformed || p.hidden || p.fragment || !p.l4 || p.l4 + p.l4_len != p.l3 + p.l3_len)
		return HEARD_NOTHING;
	header = (uint8_t *)p.l3;
	if (p.type == PACKET_IPV4 && vsw_sum_fold(vsw_sum16(header, (header[0] & 15u) * 4, 0)) != 0xffff)
		return HEARD_NOTHING;
	if (p.proto == PROTO_PIM)
		heard_pim(m, &p);
	else if (p.proto == PROTO_IGMP && p.type == PACKET_IPV4)
		return heard_igmp(m, &p);
	else if (p.proto == PROTO_ICMPV6 && p.type == PACKET_IPV6)
		return heard_mld(m, &p);
	return HEARD_NOTHING;
}

/* ---- the path of a group frame ---- */

/* The VLANs of a private VLAN are one: the primary's. */
static struct vsw_domain *family(const struct vsw_switch *sw, uint16_t domain)
{
	struct vsw_domain *d = sw->v->domains[domain];
	const struct vsw_private_vlan_config *p = sw->config->private_vlan_count ? vsw_private_find(sw->config, d->vlan) : NULL;

	return p && sw->domain_of[p->primary] != VSW_DOMAIN_NONE ? sw->v->domains[sw->domain_of[p->primary]] : d;
}

static void add_members(struct vsw_snoop *s, uint16_t domain, struct vsw_group_address a)
{
	const struct snoop_group *g = group_find(s, a, domain);

	for (unsigned i = 0; g && i < HV_ARRAY_LEN(s->only); i++)
		s->only[i] |= g->ports[i];
}

/* May the first bytes be of a message? Cheap, as every frame of every stream is asked. */
static bool may_tell(const uint8_t *eth, bool v6)
{
	uint8_t proto = v6 ? eth[20] : eth[23];

	return proto == PROTO_PIM || (v6 ? proto == 0 || proto == PROTO_ICMPV6 : proto == PROTO_IGMP);
}

const uint64_t *vsw_snoop(struct vsw_port *in, const struct vsw_domain *d, const struct rte_mbuf *frame)
{
	const uint8_t *eth = rte_pktmbuf_mtod(frame, const uint8_t *), *group;
	struct vsw_snoop *s = &in->sw->v->snoop;
	struct message m = {.in = in, .v6 = vsw_get16(eth + 12) == PACKET_IPV6};
	enum heard heard = HEARD_NOTHING;
	const struct vsw_querier *q;

	if (frame->data_len < (m.v6 ? 54 : 34) || (!m.v6 && vsw_get16(eth + 12) != PACKET_IPV4))
		return NULL;
	group = eth + (m.v6 ? 38 : 30);
	m.d = family(in->sw, d->id);
	if (may_tell(eth, m.v6))
		heard = listen(&m, frame);
	q = &m.d->querier[m.v6];
	if (heard == HEARD_QUERY || q->until <= s->now_s)
		return NULL;
	if (heard != HEARD_REPORT && (q->filter_from > s->now_s || (m.v6 ? !is_filtered6(group) : !is_filtered4(group))))
		return NULL;
	memset(s->only, 0, sizeof(s->only));
	add_members(s, m.d->id, routers);
	if (heard != HEARD_REPORT)
		add_members(s, m.d->id, m.v6 ? ipv6(group) : ipv4(group));
	s->report = heard == HEARD_REPORT;
	return s->only;
}

/* ---- control ---- */

void vsw_snoop_arrives(struct vsw_port *p)
{
	p->all_groups_until = p->sw->v->snoop.now_s + MEMBERSHIP_S;
}

void vsw_snoop_leaves(struct vsw_port *p)
{
	if (p->groups_joined)
		sweep(p->sw->v, p);
}

void vsw_snoop_tick(struct vsw *v)
{
	v->snoop.now_s++;
	sweep(v, NULL);
}

void vsw_snoop_init(struct vsw *v)
{
	struct vsw_snoop *s = &v->snoop;

	s->now_s = 1;
	hv_random(&s->secret, sizeof(s->secret));
	for (unsigned i = 0; i < SNOOP_GROUPS; i++) {
		s->buckets[i] = SNOOP_NONE;
		s->groups[i].next = i + 1 < SNOOP_GROUPS ? (uint16_t)(i + 1) : SNOOP_NONE;
	}
	for (unsigned i = 0; i < SNOOP_MEMBERS; i++)
		s->members[i].next = i + 1 < SNOOP_MEMBERS ? (uint16_t)(i + 1) : SNOOP_NONE;
}

/* ---- shown ---- */

static void show_group(const struct vsw *v, const struct snoop_group *g, vsw_group_fn fn, void *arg)
{
	const struct vsw_snoop *s = &v->snoop;
	const struct vsw_domain *d = v->domains[g->domain];

	for (uint16_t i = d ? g->first : SNOOP_NONE; i != SNOOP_NONE; i = s->members[i].next) {
		struct vsw_group_info info = {.vswitch = d->sw->config->name,
			.vlan = d->vlan,
			.router = same(g->address, routers),
			.v6 = g->address.high,
			.port = v->ports[s->members[i].port]->name,
			.expires_s = s->members[i].until - s->now_s};

		for (unsigned byte = 0; byte < 16; byte++)
			info.address[byte] = (uint8_t)((byte < 8 ? g->address.high : g->address.low) >> (56 - byte % 8 * 8));
		fn(arg, &info);
	}
}

void vsw_group_foreach(const struct vsw *v, vsw_group_fn fn, void *arg)
{
	for (unsigned b = 0; b < SNOOP_GROUPS; b++) {
		for (uint16_t i = v->snoop.buckets[b]; i != SNOOP_NONE; i = v->snoop.groups[i].next)
			show_group(v, &v->snoop.groups[i], fn, arg);
	}
}

void vsw_querier_foreach(const struct vsw *v, vsw_querier_fn fn, void *arg)
{
	uint32_t now = v->snoop.now_s;

	for (unsigned i = 1; i <= v->domain_count; i++) {
		const struct vsw_domain *d = v->domains[i];

		for (unsigned v6 = 0; d && d->sw->config->snooping && v6 < 2; v6++) {
			const struct vsw_querier *q = &d->querier[v6];
			struct vsw_querier_info info = {.vswitch = d->sw->config->name,
				.vlan = d->vlan,
				.v6 = v6,
				.querier_s = q->until > now ? q->until - now : 0,
				.filtering = q->until > now && q->filter_from <= now};

			fn(arg, &info);
		}
	}
}
