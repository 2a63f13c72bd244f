/*
 * Port mirroring (SPAN): a session copies frames of its sources to a port, or into memory for the control console.
 *
 *   source port --in--> [filter in, first] --> the switch --> [filter out, last] --out--> port
 *                             |                                    |
 *                             +--> match --> sample --> cut -------+--> destination port's driver, or capture ring
 *
 * Rules:
 *   - Sources are ports, all ports of a port group, uplinks (in, out or both), and VLANs (each frame once, where it comes in).
 *   - A session sees a frame at most once where it comes in; what it saw there it does not see again where it goes out. A frame that the
 *     switch multiplies is seen at each source port that gets it.
 *   - A copy goes to the destination and nowhere else: not through the look-up, not to an uplink, and it is never mirrored again. It has
 * the 802.1Q tag of its VLAN.
 *   - The destination takes what its driver has room for; the rest is dropped and counted here. The source does not wait.
 *
 * What a session saw where a frame came in is a mark in the mbuf (hash.fdir.hi, which nobody here uses and copies of a frame keep). It is
 * set, also to none, by the filter of every port of a vSwitch where some session has sources that frames go out by.
 *
 * Owner: the switch's core.
 */
#include "mirror.h"

#include "capture.h"
#include "filter.h"
#include "forward.h"
#include "match.h"
#include "offload.h"
#include "trace.h"
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>
#include <string.h>

struct vsw_mirror {
	const struct vsw_mirror_config *config;
	struct vsw_switch *sw;
	struct vsw_port *destination; /* NULL: a capture, or the port is not there */
	struct vsw_capture *capture;
	struct vsw_vlan_set vlans; /* that are sources */
	uint32_t passed;           /* frames since the last one that was sampled */
	struct vsw_mirror_counters count;
	uint64_t capture_bytes;
	struct vsw_sieve sieve;
};

/* ---- one frame ---- */

static uint16_t vlan_of(const struct vsw_port *p, const struct rte_mbuf *m)
{
	return p->sw->v->domains[m->vlan_tci]->vlan;
}

static uint32_t *marks_of(struct rte_mbuf *m)
{
	return &m->hash.fdir.hi;
}

static uint16_t tci_of(const struct vsw_port *p, const struct rte_mbuf *m)
{
	uint16_t vlan = vlan_of(p, m);

	return vlan ? vsw_vlan_tci(m, vlan) : 0;
}

static bool wanted(struct vsw_mirror *s, const struct vsw_port *p, const struct rte_mbuf *m)
{
	uint32_t len = HV_MIN(m->pkt_len, VSW_MATCH_BYTES);
	uint8_t room[VSW_MATCH_BYTES];
	const uint8_t *bytes = rte_pktmbuf_read(m, 0, len, room);

	if (!bytes || !vsw_match(&s->config->filter, bytes, len, vlan_of(p, m)))
		return false;
	s->count.matched++;
	if (++s->passed < s->config->sample)
		return false;
	s->passed = 0;
	s->count.frames++;
	s->count.bytes += m->pkt_len;
	return true;
}

/* A copy of its own, with its tag; what it cost is counted when there is none. */
static struct rte_mbuf *copy_of(struct vsw_mirror *s, const struct vsw_port *p, const struct rte_mbuf *m)
{
	uint32_t len = s->config->snap_length ? s->config->snap_length : UINT32_MAX;
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, p->sw->v->guest_pool, 0, len);
	uint16_t vlan = vlan_of(p, m);

	if (copy && vlan && !vsw_vlan_push(copy, vlan)) {
		rte_pktmbuf_free(copy);
		copy = NULL;
	}
	if (!copy) {
		s->count.no_mbuf++;
		return NULL;
	}
	if (m->pkt_len > len) { /* nothing can be computed over bytes that are gone */
		copy->ol_flags = 0;
		copy->l2_len = 0;
	}
	return copy;
}

/* A checksum that the sender left to its NIC is put in where the whole frame is stored. */
static void capture(struct vsw_mirror *s, const struct vsw_port *p, const struct rte_mbuf *m, enum vsw_mirror_direction dir)
{
	struct rte_mbuf *finished = NULL;

	if (m->ol_flags & VSW_OFFLOAD_MASK && !s->config->snap_length) {
		finished = rte_pktmbuf_copy(m, p->sw->v->guest_pool, 0, UINT32_MAX);
		if (!finished) {
			s->count.no_mbuf++;
			return;
		}
		vsw_checksum_finish(finished);
	}
	if (!vsw_capture_add(s->capture, p, dir, finished ? finished : m, tci_of(p, m), s->config->snap_length))
		s->count.too_large++;
	rte_pktmbuf_free(finished);
}

/* ---- a burst ---- */

static void hand_over(struct vsw_mirror *s, struct rte_mbuf **copies, unsigned n)
{
	struct vsw_port *to = s->destination;
	uint64_t before = to->count.drops;

	to->mtu += VLAN_TAG_LEN; /* the tag is not the frame's own length */
	to->deliver(to, copies, n, 0);
	to->mtu -= VLAN_TAG_LEN;
	s->count.refused += to->count.drops - before;
	vsw_port_dirty(to); /* its driver is told at the end of the round */
}

static void mirror_one(struct vsw_mirror *s, struct vsw_port *p, struct rte_mbuf *m, enum vsw_mirror_direction dir,
	struct rte_mbuf **copies, unsigned *count)
{
	if (!wanted(s, p, m))
		return;
	if (s->capture)
		capture(s, p, m, dir);
	else if (!s->destination)
		s->count.unplugged++;
	else if ((copies[*count] = copy_of(s, p, m)))
		++*count;
}

/* Frames that the session has not seen: those without its mark, where `seen` is it. */
static void mirror(
	struct vsw_mirror *s, struct vsw_port *p, struct rte_mbuf **frames, unsigned n, enum vsw_mirror_direction dir, uint32_t seen)
{
	struct rte_mbuf *copies[VSW_BURST];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];

		if (*marks_of(m) & seen)
			continue;
		if (HV_LIKELY(s->sieve.on && m->data_len >= VSW_SIEVE_BYTES) &&
			HV_LIKELY(vsw_sieve_stops(&s->sieve, rte_pktmbuf_mtod(m, const uint8_t *))))
			continue;
		mirror_one(s, p, m, dir, copies, &count);
	}
	if (count)
		hand_over(s, copies, count);
}

/* Frames of the VLANs that are the session's sources. */
static void mirror_vlans(struct vsw_mirror *s, struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t mark)
{
	struct rte_mbuf *some[VSW_BURST];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!vsw_vlan_in(&s->vlans, vlan_of(p, frames[i])))
			continue;
		*marks_of(frames[i]) |= mark;
		some[count++] = frames[i];
	}
	mirror(s, p, some, count, VSW_MIRROR_IN, 0);
}

unsigned vsw_mirror_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	struct vsw *v = p->sw->v;
	uint32_t every = p->mirror_in;

	for (unsigned i = 0; i < n; i++)
		*marks_of(frames[i]) = every;
	for (uint32_t left = every | p->sw->mirror_vlans; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctz(left);

		if (!v->mirrors[k])
			continue;
		if (every & 1u << k)
			mirror(v->mirrors[k], p, frames, n, VSW_MIRROR_IN, 0);
		else
			mirror_vlans(v->mirrors[k], p, frames, n, 1u << k);
	}
	return n;
}

unsigned vsw_mirror_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	struct vsw *v = p->sw->v;

	for (uint32_t left = p->mirror_out; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctz(left);

		if (v->mirrors[k])
			mirror(v->mirrors[k], p, frames, n, VSW_MIRROR_OUT, 1u << k);
	}
	return n;
}

bool vsw_mirror_only_marks(const struct vsw_port *p)
{
	return p->filters_in == VSW_FILTER_MIRROR && !p->mirror_in && !p->sw->mirror_vlans;
}

/* ---- trace ---- */

static void trace(const struct vsw_mirror *s, struct vsw_port *p, const struct rte_mbuf *m)
{
	struct vsw *v = p->sw->v;
	struct vsw_trace_place place = {.list = "mirrors", .index = (unsigned)(s->config - v->config.mirrors), .key = "filter"};
	uint32_t len = HV_MIN(m->pkt_len, VSW_MATCH_BYTES);
	uint8_t room[VSW_MATCH_BYTES];
	const uint8_t *bytes = rte_pktmbuf_read(m, 0, len, room);

	if (!bytes || !vsw_match(&s->config->filter, bytes, len, vlan_of(p, m))) {
		vsw_trace_note(v, "filter", place, "%s: not mirrored by session %s: its filter does not want it", p->name, s->config->name);
		return;
	}
	place.key = "";
	vsw_trace_note(v, "filter", place, "%s: mirrored by session %s%s", p->name, s->config->name,
		s->config->sample > 1 ? ", one frame of several" : "");
}

/* Marks frames as vsw_mirror_in does. */
unsigned vsw_mirror_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		*marks_of(frames[i]) = 0;
		for (unsigned k = 0; k < VSW_MAX_MIRRORS; k++) {
			struct vsw_mirror *s = p->sw->v->mirrors[k];
			uint16_t mark = (uint16_t)(1u << k);

			if (!s || !((p->mirror_in & mark) || (p->sw->mirror_vlans & mark && vsw_vlan_in(&s->vlans, vlan_of(p, frames[i])))))
				continue;
			*marks_of(frames[i]) |= mark;
			trace(s, p, frames[i]);
		}
	}
	return n;
}

unsigned vsw_mirror_out_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < VSW_MAX_MIRRORS; k++) {
			if (p->sw->v->mirrors[k] && p->mirror_out & ~*marks_of(frames[i]) & 1u << k)
				trace(p->sw->v->mirrors[k], p, frames[i]);
		}
	}
	return n;
}

/* ---- which port feeds which session ---- */

static bool is_source(const struct vsw_port *p, const struct vsw_mirror_source *source)
{
	const struct vsw *v = p->sw->v;

	switch (source->kind) {
	case VSW_MIRROR_PORT:
		return !strcmp(p->name, source->port);
	case VSW_MIRROR_PORTGROUP:
		return p->portgroup && p->portgroup == v->portgroups[source->portgroup];
	case VSW_MIRROR_UPLINK:
		return p->kind == VSW_PORT_UPLINK && v->uplinks[source->uplink] && p == vsw_uplink_port(v->uplinks[source->uplink]);
	case VSW_MIRROR_VLAN:
		return false; /* by frame */
	}
	return false;
}

static bool is_destination(const struct vsw_port *p, const struct vsw_mirror *s)
{
	return !s->config->captures && p->kind == VSW_PORT_GUEST && !(p->flags & VSW_PF_TRUNK) && !strcmp(p->name, s->config->destination);
}

static void join(struct vsw_port *p, struct vsw_mirror *s, uint16_t mark)
{
	if (p->sw != s->sw)
		return;
	if (is_destination(p, s)) {
		s->destination = p;
		return; /* what goes to and comes from it is no source of its own session */
	}
	for (unsigned i = 0; i < s->config->source_count; i++) {
		const struct vsw_mirror_source *source = &s->config->sources[i];

		if (!is_source(p, source))
			continue;
		if (source->direction != VSW_MIRROR_OUT)
			p->mirror_in |= mark;
		if (source->direction != VSW_MIRROR_IN)
			p->mirror_out |= mark;
		p->sw->mirrors_out |= p->mirror_out;
	}
}

static void collect_vlans(struct vsw_mirror *s, uint16_t mark)
{
	memset(&s->vlans, 0, sizeof(s->vlans));
	for (unsigned i = 0; i < s->config->source_count; i++) {
		if (s->config->sources[i].kind != VSW_MIRROR_VLAN)
			continue;
		vsw_vlan_add(&s->vlans, s->config->sources[i].vlan);
		s->sw->mirror_vlans |= mark;
	}
}

static void set_filters(struct vsw_port *p)
{
	bool in = p->mirror_in || p->sw->mirror_vlans || p->sw->mirrors_out;

	p->filters_in = (uint16_t)(in ? p->filters_in | VSW_FILTER_MIRROR : p->filters_in & ~VSW_FILTER_MIRROR);
	p->filters_out = (uint16_t)(p->mirror_out ? p->filters_out | VSW_FILTER_MIRROR : p->filters_out & ~VSW_FILTER_MIRROR);
}

void vsw_mirrors_update(struct vsw *v)
{
	for (unsigned i = 0; i < v->config.switch_count; i++)
		v->switches[i]->mirror_vlans = v->switches[i]->mirrors_out = 0;
	for (unsigned k = 0; k < VSW_MAX_MIRRORS; k++) {
		if (v->mirrors[k]) {
			v->mirrors[k]->destination = NULL;
			collect_vlans(v->mirrors[k], (uint16_t)(1u << k));
		}
	}
	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i];

		if (!p)
			continue;
		p->mirror_in = p->mirror_out = 0;
		for (unsigned k = 0; k < VSW_MAX_MIRRORS; k++) {
			if (v->mirrors[k])
				join(p, v->mirrors[k], (uint16_t)(1u << k));
		}
	}
	for (unsigned i = 0; i < v->port_count; i++) {
		if (v->ports[i])
			set_filters(v->ports[i]);
	}
}

/* ---- life ---- */

bool vsw_mirrors_in_range(const struct vsw_config *c)
{
	if (c->mirror_count > VSW_MAX_MIRRORS)
		return false;
	for (unsigned i = 0; i < c->mirror_count; i++) {
		const struct vsw_mirror_config *m = &c->mirrors[i];

		if (m->vswitch >= c->switch_count || m->source_count > VSW_MAX_MIRROR_SOURCES ||
			m->filter.address.length > (m->filter.address.family == 6 ? 128 : 32) ||
			(m->captures && m->capture_bytes < VSW_CAPTURE_MIN_BYTES))
			return false;
		for (unsigned k = 0; k < m->source_count; k++) {
			const struct vsw_mirror_source *s = &m->sources[k];

			if ((s->kind == VSW_MIRROR_PORTGROUP && s->portgroup >= c->portgroup_count) || s->vlan > VSW_VLAN_MAX ||
				(s->kind == VSW_MIRROR_UPLINK && s->uplink >= c->uplink_count))
				return false;
		}
	}
	return true;
}

static void mirror_free(struct vsw_mirror *s)
{
	vsw_capture_destroy(s->capture);
	hv_contig_free(s, sizeof(*s));
}

static struct vsw_mirror *mirror_new(const struct vsw_mirror_config *config)
{
	struct vsw_mirror *s = hv_contig_alloc(sizeof(*s), HV_PAGE_SIZE);

	if (!s)
		return NULL;
	s->capture_bytes = config->captures ? config->capture_bytes : 0;
	if (!s->capture_bytes)
		return s;
	s->capture = vsw_capture_create(s->capture_bytes);
	if (s->capture)
		return s;
	mirror_free(s);
	return NULL;
}

/* The session of that name goes on when it keeps its store. */
static struct vsw_mirror *kept(const struct vsw *v, const struct vsw_mirror_config *config)
{
	for (unsigned i = 0; i < v->config.mirror_count; i++) {
		if (v->mirrors[i] && !strcmp(v->mirrors[i]->config->name, config->name) &&
			v->mirrors[i]->capture_bytes == (config->captures ? config->capture_bytes : 0))
			return v->mirrors[i];
	}
	return NULL;
}

static bool in_table(struct vsw_mirror *const table[VSW_MAX_MIRRORS], const struct vsw_mirror *s)
{
	for (unsigned i = 0; i < VSW_MAX_MIRRORS; i++) {
		if (table[i] == s)
			return true;
	}
	return false;
}

int vsw_mirrors_prepare(struct vsw *v, const struct vsw_config *config, struct vsw_mirror *out[VSW_MAX_MIRRORS], unsigned *failed)
{
	memset(out, 0, VSW_MAX_MIRRORS * sizeof(*out));
	for (unsigned i = 0; i < config->mirror_count; i++) {
		out[i] = kept(v, &config->mirrors[i]);
		if (!out[i])
			out[i] = mirror_new(&config->mirrors[i]);
		*failed = i;
		if (!out[i])
			return trace_error(-ENOMEM);
	}
	return 0;
}

void vsw_mirrors_abort(struct vsw *v, struct vsw_mirror *prepared[VSW_MAX_MIRRORS])
{
	for (unsigned i = 0; i < VSW_MAX_MIRRORS; i++) {
		if (prepared[i] && !in_table(v->mirrors, prepared[i]))
			mirror_free(prepared[i]);
	}
}

void vsw_mirrors_commit(struct vsw *v, struct vsw_mirror *prepared[VSW_MAX_MIRRORS])
{
	for (unsigned i = 0; i < VSW_MAX_MIRRORS; i++) {
		if (v->mirrors[i] && !in_table(prepared, v->mirrors[i]))
			mirror_free(v->mirrors[i]);
	}
	memcpy(v->mirrors, prepared, sizeof(v->mirrors));
	for (unsigned i = 0; i < v->config.mirror_count; i++) {
		v->mirrors[i]->config = &v->config.mirrors[i];
		v->mirrors[i]->sieve = vsw_sieve(&v->config.mirrors[i].filter);
		v->mirrors[i]->sw = v->switches[v->config.mirrors[i].vswitch];
	}
	vsw_mirrors_update(v);
}

void vsw_mirrors_free(struct vsw *v)
{
	for (unsigned i = 0; i < VSW_MAX_MIRRORS; i++) {
		if (v->mirrors[i])
			mirror_free(v->mirrors[i]);
		v->mirrors[i] = NULL;
	}
}

/* ---- looking at them ---- */

void vsw_mirror_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_mirror_info *info), void *arg)
{
	for (unsigned i = 0; i < v->config.mirror_count; i++) {
		struct vsw_mirror *s = v->mirrors[i];
		struct vsw_mirror_info info = {.name = s->config->name,
			.vswitch = s->sw->config->name,
			.destination = s->config->captures ? "" : s->config->destination,
			.captures = s->capture,
			.counters = &s->count};

		s->count.dropped = s->count.no_mbuf + s->count.unplugged + s->count.too_large + s->count.refused;
		if (s->capture)
			info.capture = vsw_capture_state(s->capture);
		fn(arg, &info);
	}
}

int vsw_mirror_read(struct vsw *v, const char *name, uint64_t from, bool (*fn)(void *arg, const struct vsw_captured *frame), void *arg)
{
	for (unsigned i = 0; i < v->config.mirror_count; i++) {
		if (strcmp(v->mirrors[i]->config->name, name) != 0 || !v->mirrors[i]->capture)
			continue;
		vsw_capture_read(v->mirrors[i]->capture, from, fn, arg);
		return 0;
	}
	return -ENOENT;
}
