/*
 * From guest to guest without an mbuf: a plain frame of a guest, from its own address to another guest that the MAC table knows, is copied
 * once, from the sender's memory into the receiver's.
 *
 * The trust boundary stays: what the switch judges, the first bytes up to the Ethernet type, it reads once into a register, checks, and
 * hands to the receiver as it read them; the rest, which no one here looks at, is copied by the receiver's virtual NIC, and what the sender
 * does to it meanwhile is as if it had sent that. Frames that somebody else wants to see, filters of either port or promiscuous ports, do
 * not come this way. Frames of one address to one other all come this way or none does, so that their order stays.
 *
 * A burst: each frame is added to vsw_port.direct of its receiver, which is armed for the first one; then the receivers get theirs.
 *
 * Owner: the switch's core.
 */
#include "guest_port.h"

/* A burst's view of the sender. */
struct sender {
	struct vsw_port *port;
	const struct vsw_reach *reach;
	struct fdb_view fdb;
	__m128i own;     /* what a frame's first 16 bytes must be, where its mask has bits */
	uint64_t domain; /* an access port's; a trunk's: of the frame */
	/* A trunk's: type and TCI of the tag seen last, as they lie in memory, 0: none; and its domain. */
	uint32_t tag;
	uint64_t tag_domain;
};

/* The receivers of a burst. */
struct receivers {
	unsigned count;
	struct vsw_port *port[VSW_BURST];
};

/* Bytes 6 to 11 of a frame: the sender's own address; and of byte 12, the type's first, the bit that tags have set (vsw_may_be_tag). */
#define OWN_LOW 0xffff000000000000ull
#define OWN_HIGH 0x00000000ffffffffull
#define MAY_BE_TAG 0x0000008000000000ull

static __m128i two_words(uint64_t low, uint64_t high)
{
	return _mm_set_epi64x((long long)high, (long long)low);
}

/* Reads what is judged of a frame, once: the compiler cannot read it again behind the barrier. */
static HV_ALWAYS_INLINE __m128i read_header(const void *frame)
{
	__m128i header = _mm_loadu_si128(frame);

	__asm__ volatile("" : "+x"(header));
	return header;
}

static HV_ALWAYS_INLINE bool is_like(__m128i header, __m128i wanted, __m128i mask)
{
	return _mm_testz_si128(_mm_xor_si128(header, wanted), mask);
}

/* The same with another look at the type: IPv6 and others look like tags at first. */
static HV_COLD bool is_own_untagged(__m128i header, __m128i own)
{
	uint16_t type = (uint16_t)_mm_extract_epi16(header, 6);

	return is_like(header, own, two_words(OWN_LOW, OWN_HIGH)) && type != VLAN_TPID_C && type != VLAN_TPID_S;
}

static HV_ALWAYS_INLINE struct vsw_port *receiver_of(const struct sender *s, __m128i header)
{
	uint64_t key = (uint64_t)_mm_cvtsi128_si64(header) << 16;

	__asm__("movw %w1, %w0" : "+r"(key) : "r"(s->domain)); /* as vsw_plain_key */
	return vsw_plain_port(s->reach, &s->fdb, key);
}

/* Is `out` a guest that takes frames as they lie, and nobody else wants to see them? (GRO is for frames from wires.) */
static bool takes_direct(const struct vsw *v, const struct vsw_port *out)
{
	const struct guest_port *g = hv_container_of(out, struct guest_port, port);

	if (out == &v->nowhere || out->kind != VSW_PORT_GUEST)
		return false;
	return g->connected && g->client.rx_direct && !(out->filters_out & ~VSW_FILTER_GRO);
}

/* The first frame of a burst for `out`: what is staged there goes first. NULL: it is no guest that can take it straight. */
static __attribute__((noinline)) struct vsw_direct *arm(const struct vsw_port *in, struct vsw_port *out, struct receivers *all)
{
	struct guest_port *g = hv_container_of(out, struct guest_port, port);

	if (!takes_direct(in->sw->v, out))
		return NULL;
	if (out->staged)
		vsw_port_deliver(out);
	vsw_port_dirty(out);
	g->direct.next = g->direct.frames;
	g->direct.limit = HV_MIN(HV_MIN(in->payload_limit, out->payload_limit) - 1 + ETH_HEADER_LEN, (uint32_t)NETPORT_PLAIN_MAX);
	g->direct.trunk_limit = 0;
	if (out->flags & VSW_PF_TRUNK) {
		g->direct.trunk_limit = g->direct.limit;
		g->direct.limit = 0;
	}
	g->direct.native = out->domain;
	g->direct.bytes = 0;
	out->direct = &g->direct;
	all->port[all->count++] = out;
	return out->direct;
}

/* Bytes of the tags in a receiver's frames. */
static uint64_t tag_bytes(const struct vsw_direct *d, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; d->trunk_limit && i < n; i++)
		bytes += d->frames[i].head_bytes - 16;
	return bytes;
}

/* The receiver gets its frames. Returns their bytes, without tags. */
static uint64_t deliver(struct vsw_port *out)
{
	struct guest_port *g = hv_container_of(out, struct guest_port, port);
	struct vsw_direct *d = &g->direct;
	unsigned n = (unsigned)(d->next - d->frames), taken;
	uint64_t lost = 0;

	out->direct = NULL;
	taken = g->client.rx_direct(g->client.arg, d->frames, n);
	hv_assert(taken <= n);
	if (HV_UNLIKELY(taken < n)) {
		for (unsigned i = taken; i < n; i++)
			lost += d->frames[i].bytes;
		vsw_count_drop(out, VSW_DROP_RX_FULL, n - taken);
	}
	out->count.out_frames += taken;
	out->count.out_bytes += d->bytes - lost;
	out->count.out_bursts++;
	return d->bytes - tag_bytes(d, n);
}

/* The list of the frame's receiver; NULL: it has none. */
static HV_ALWAYS_INLINE struct vsw_direct *list_for(const struct sender *s, __m128i header, struct receivers *all)
{
	struct vsw_port *out = receiver_of(s, header);

	return HV_LIKELY(out->direct) ? out->direct : arm(s->port, out, all);
}

/* The 4 bytes behind the addresses: a tag, or the Ethernet type and what follows it. */
static HV_ALWAYS_INLINE void put_word(uint8_t *to, uint32_t word)
{
	__builtin_memcpy(to, &word, sizeof(word));
}

/* Adds a frame without a tag to a trunk's list: it gets one, but in the trunk's native VLAN. False: `d` is none, or the frame too long. */
static __attribute__((noinline)) bool add_to_trunk(
	struct vsw_direct *d, const struct vsw *v, uint64_t domain, const struct hv_seg *frame, __m128i header)
{
	bool tagged = d && domain != d->native;
	uint32_t tag_bytes = tagged ? VLAN_TAG_LEN : 0, len = frame->len + tag_bytes;
	struct netport_direct *f;

	if (!d || frame->len > d->trunk_limit)
		return false;
	f = d->next++;
	_mm_storeu_si128((__m128i *)(void *)f->head, header);
	if (tagged) {
		put_word(f->head + 12, v->tag_of[domain]);
		put_word(f->head + 16, (uint32_t)_mm_extract_epi32(header, 3));
	}
	f->head_bytes = 16 + tag_bytes;
	f->rest = (const uint8_t *)frame->base + 16;
	f->bytes = len;
	d->bytes += len;
	return true;
}

/* Adds a frame without a tag to those of its receiver; false: it is not for this way. */
static HV_ALWAYS_INLINE bool add_untagged(const struct sender *s, const struct hv_seg *frame, __m128i header, struct receivers *all)
{
	const uint8_t *base = frame->base;
	uint32_t len = frame->len;
	struct netport_direct *f;
	struct vsw_direct *d;

	if (HV_UNLIKELY(!is_like(header, s->own, two_words(OWN_LOW, OWN_HIGH | MAY_BE_TAG))) && !is_own_untagged(header, s->own))
		return false;
	d = list_for(s, header, all);
	if (HV_UNLIKELY(!d || len > d->limit))
		return add_to_trunk(d, s->port->sw->v, s->domain, frame, header);
	f = d->next++;
	_mm_storeu_si128((__m128i *)(void *)f->head, header);
	f->head_bytes = 16;
	f->rest = base + 16;
	f->bytes = len;
	d->bytes += len;
	return true;
}

/* The same for a frame with the tag seen last. */
static HV_ALWAYS_INLINE bool add_tagged(struct sender *s, const struct hv_seg *frame, __m128i header, struct receivers *all)
{
	const uint8_t *base = frame->base;
	uint32_t type, len = frame->len - VLAN_TAG_LEN;
	struct netport_direct *f;
	struct vsw_direct *d;

	__builtin_memcpy(&type, base + 16, sizeof(type));
	__asm__ volatile("" : "+r"(type)); /* read once, too */
	if (HV_UNLIKELY(!is_like(header, s->own, two_words(OWN_LOW, OWN_HIGH))))
		return false;
	if (HV_UNLIKELY(type & 0x80) && ((uint16_t)type == VLAN_TPID_C || (uint16_t)type == VLAN_TPID_S))
		return false;
	s->domain = s->tag_domain;
	d = list_for(s, header, all);
	if (HV_UNLIKELY(!d) || (len > d->limit && HV_UNLIKELY(len > d->trunk_limit)))
		return false;
	f = d->next++;
	_mm_storeu_si128((__m128i *)(void *)f->head, header);
	f->rest = base + 20;
	if (!d->limit && s->domain != d->native) {
		put_word(f->head + 16, type);
		f->head_bytes = 20;
		len += VLAN_TAG_LEN;
	} else {
		put_word(f->head + 12, type);
		f->head_bytes = 16;
	}
	f->bytes = len;
	d->bytes += len;
	return true;
}

static HV_ALWAYS_INLINE bool add_of_trunk(struct sender *s, const struct hv_seg *frame, struct receivers *all)
{
	__m128i header = read_header(frame->base);
	uint32_t tag = (uint32_t)_mm_extract_epi32(header, 3);

	if (HV_UNLIKELY(tag != s->tag)) {
		uint16_t domain = vsw_guest_domain_of_tag(s->port, tag);

		if (domain == VSW_DOMAIN_NONE) {
			s->domain = s->port->domain; /* the native VLAN's */
			if (s->domain == VSW_DOMAIN_NONE)
				return false;
			vsw_vlan_add(&s->port->used, s->port->portgroup->config->native_vlan);
			return add_untagged(s, frame, header, all);
		}
		s->tag = tag;
		s->tag_domain = domain;
	}
	return add_tagged(s, frame, header, all);
}

/*
 * Returns how many are left. When the first frame is not for this way, none of the burst is looked at: most likely it all goes to the
 * outside.
 */
static HV_ALWAYS_INLINE unsigned add_all(
	struct vsw_port *in, const struct hv_seg *frames, unsigned n, struct receivers *all, struct hv_seg *left, bool trunk)
{
	struct sender s = {
		.port = in,
		.reach = &in->sw->v->local,
		.fdb = fdb_view(&in->sw->fdb),
		.own = two_words(in->mac << 48, in->mac >> 16),
		.domain = in->domain,
	};
	unsigned left_count = 0;

	__asm__("" : "+r"(s.reach)); /* a pointer, not a sum that is computed for each frame */
#pragma GCC unroll 2
	for (unsigned i = 0; i < n; i++) {
		if (HV_LIKELY(trunk ? add_of_trunk(&s, &frames[i], all) : add_untagged(&s, &frames[i], read_header(frames[i].base), all)))
			continue;
		if (i == 0)
			return n;
		left[left_count++] = frames[i];
	}
	return left_count;
}

static __attribute__((noinline)) unsigned add_trunk(
	struct vsw_port *in, const struct hv_seg *frames, unsigned n, struct receivers *all, struct hv_seg *left)
{
	return add_all(in, frames, n, all, left, true);
}

unsigned vsw_guest_direct(struct guest_port *g, const struct hv_seg *frames, unsigned n, struct hv_seg *left)
{
	struct vsw_port *in = &g->port;
	struct receivers all;
	unsigned left_count;
	uint64_t bytes = 0;

	all.count = 0;
	vsw_reach_from(in);
	left_count = in->flags & VSW_PF_TRUNK ? add_trunk(in, frames, n, &all, left) : add_all(in, frames, n, &all, left, false);
	vsw_reach_end(in);
	for (unsigned i = 0; i < all.count; i++)
		bytes += deliver(all.port[i]);
	in->count.in_frames += n - left_count;
	in->count.in_bytes += bytes;
	in->count.in_bursts += n != left_count;
	return left_count;
}
