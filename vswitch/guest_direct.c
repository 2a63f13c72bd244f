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
	const struct vsw_reach *reach;
	struct fdb_view fdb;
	__m128i own, mask; /* what a frame's first 16 bytes must be, where the mask has bits */
	uint64_t domain;
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

/* Is `out` a guest that takes frames as they lie, and nobody else wants to see them? */
static bool takes_direct(const struct vsw *v, const struct vsw_port *out)
{
	const struct guest_port *g = hv_container_of(out, struct guest_port, port);

	if (out == &v->nowhere || out->kind != VSW_PORT_GUEST)
		return false;
	return g->connected && g->client.rx_direct && !out->filters_out && !(out->flags & VSW_PF_TRUNK);
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
	g->direct.bytes = 0;
	out->direct = &g->direct;
	all->port[all->count++] = out;
	return out->direct;
}

/* The receiver gets its frames. Returns their bytes. */
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
	return d->bytes;
}

/* Adds a frame of an access port to those of its receiver; false: it is not for this way. */
static HV_ALWAYS_INLINE bool add_untagged(
	const struct sender *s, const struct vsw_port *in, const struct hv_seg *frame, struct receivers *all)
{
	const uint8_t *base = frame->base;
	uint32_t len = frame->len;
	__m128i header = read_header(base);
	struct netport_direct *f;
	struct vsw_direct *d;
	struct vsw_port *out;

	if (HV_UNLIKELY(!is_like(header, s->own, s->mask)) && !is_own_untagged(header, s->own))
		return false;
	out = receiver_of(s, header);
	d = out->direct;
	if (HV_UNLIKELY(!d) && !(d = arm(in, out, all)))
		return false;
	if (HV_UNLIKELY(len > d->limit))
		return false;
	f = d->next++;
	_mm_storeu_si128((__m128i *)(void *)f->head, header);
	f->head_bytes = 16;
	f->rest = base + 16;
	f->bytes = len;
	d->bytes += len;
	return true;
}

unsigned vsw_guest_direct(struct guest_port *g, const struct hv_seg *frames, unsigned n, struct hv_seg *left)
{
	struct vsw_port *in = &g->port;
	struct sender s = {
		.reach = &in->sw->v->local,
		.fdb = fdb_view(&in->sw->fdb),
		.own = two_words(in->mac << 48, in->mac >> 16),
		.mask = two_words(OWN_LOW, OWN_HIGH | MAY_BE_TAG),
		.domain = in->domain,
	};
	struct receivers all;
	unsigned left_count = 0;
	uint64_t bytes = 0;

	all.count = 0;
	__asm__("" : "+r"(s.reach)); /* a pointer, not a sum that is computed for each frame */
	vsw_reach_from(in);
#pragma GCC unroll 2
	for (unsigned i = 0; i < n; i++) {
		if (HV_UNLIKELY(!add_untagged(&s, in, &frames[i], &all)))
			left[left_count++] = frames[i];
	}
	vsw_reach_end(in);
	for (unsigned i = 0; i < all.count; i++)
		bytes += deliver(all.port[i]);
	in->count.in_frames += n - left_count;
	in->count.in_bytes += bytes;
	in->count.in_bursts += n != left_count;
	return left_count;
}
