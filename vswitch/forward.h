/*
 * The short path: a frame about which nothing is unusual goes from its port to the one port that its address has, in a few dozen
 * instructions, all of them here and in the loops that use it (forward.c, uplink_rx.c). Whatever is not so is left to the careful path
 * (vsw_forward), which knows all cases; a frame that may take the short path would fare there in the same way.
 *
 * A frame is plain (vsw_is_plain) when it lies in one direct mbuf, behind the usual headroom, that nobody shares, and asks for no offload.
 * A port that gets only frames that were plain when they came (a tag may have been taken out since), none too long for it, need not look at
 * each. Frames for an uplink carry no priority then: only trunks' guests give them one, and those take the careful path to it.
 */
#ifndef VSWITCH_FORWARD_H
#define VSWITCH_FORWARD_H

#include "vlan.h"

#include <smmintrin.h>

/* What a frame on the short path has none of. */
#define VSW_NOT_PLAIN (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)
/* The fields of vsw_is_plain: data where mbufs begin, one owner, one segment; `port` is left out. */
#define VSW_PLAIN_SHAPE (RTE_PKTMBUF_HEADROOM | 1ull << 16 | 1ull << 32)

/* The careful path of one frame; its domain is in vlan_tci. */
void vsw_forward(struct vsw_port *in, struct rte_mbuf *m);
/* Hands over what is staged, through the port's filters. */
void vsw_port_deliver(struct vsw_port *p);

/* Something is staged, or else waits: the port is flushed at the end of the round, or polled. */
static HV_ALWAYS_INLINE void vsw_port_dirty(struct vsw_port *p)
{
	struct vsw_port_list *list = p->dirty;

	if (p->flags & VSW_PF_DIRTY)
		return;
	p->flags |= VSW_PF_DIRTY;
	list->ports[list->count++] = p->index;
}

/* Is the frame plain, and are none of these flags set? `flags`: VSW_NOT_PLAIN and what else the caller cannot have. */
static HV_ALWAYS_INLINE bool vsw_is_plain(const struct rte_mbuf *m, uint64_t flags)
{
	/* data_off, refcnt, nb_segs, port; ol_flags: all in one test */
	__m128i is = _mm_loadu_si128((const __m128i *)&m->rearm_data);
	__m128i differs = _mm_xor_si128(is, _mm_set_epi64x(0, (long long)VSW_PLAIN_SHAPE));

	return _mm_testz_si128(differs, _mm_set_epi64x((long long)flags, 0x0000ffffffffffff));
}
_Static_assert(offsetof(struct rte_mbuf, data_off) == offsetof(struct rte_mbuf, rearm_data) &&
		       offsetof(struct rte_mbuf, refcnt) == offsetof(struct rte_mbuf, data_off) + 2 &&
		       offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2 &&
		       offsetof(struct rte_mbuf, port) == offsetof(struct rte_mbuf, nb_segs) + 2 &&
		       offsetof(struct rte_mbuf, ol_flags) == offsetof(struct rte_mbuf, rearm_data) + 8,
	"vsw_is_plain reads them at once");

/* The first byte of a plain frame. */
static HV_ALWAYS_INLINE uint8_t *vsw_plain_data(const struct rte_mbuf *m)
{
	return (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM;
}

/* The frame begins one tag later. @pre it is longer than that */
static HV_ALWAYS_INLINE void vsw_plain_untagged(struct rte_mbuf *m)
{
	uint32_t begin = (RTE_PKTMBUF_HEADROOM + VLAN_TAG_LEN) | 1u << 16; /* data_off; refcnt stays what it is: one instruction less */

	__builtin_memcpy(&m->data_off, &begin, sizeof(begin));
	m->pkt_len -= VLAN_TAG_LEN;
	m->data_len -= VLAN_TAG_LEN;
}

/* Puts a tag in. */
static HV_ALWAYS_INLINE void vsw_plain_tag(struct rte_mbuf *m, uint32_t tag)
{
	uint32_t begin = (RTE_PKTMBUF_HEADROOM - VLAN_TAG_LEN) | 1u << 16; /* as above */

	vsw_addresses_down(vsw_plain_data(m), tag);
	__builtin_memcpy(&m->data_off, &begin, sizeof(begin));
	m->pkt_len += VLAN_TAG_LEN;
	m->data_len += VLAN_TAG_LEN;
}

/*
 * The keys of a plain frame's addresses in the MAC table: the address with the two bytes in front of it, which the domain replaces.
 * @pre domain < 65536
 */
static HV_ALWAYS_INLINE uint64_t vsw_plain_key(const uint8_t *address, uint64_t domain)
{
	uint64_t key;

	__builtin_memcpy(&key, address - 2, sizeof(key));
	__asm__("movw %w1, %w0" : "+r"(key) : "r"(domain)); /* gcc would take two more to mask and to combine */
	return key;
}

/* Where plain frames for a known unicast address go; `nowhere` for all that the short path does not know. */
static HV_ALWAYS_INLINE struct vsw_port *vsw_plain_port(const struct vsw_reach *reach, const struct fdb_view *fdb, uint64_t key)
{
	return reach->out[fdb_view_port(fdb, fdb_view_find(fdb, key))];
}
_Static_assert(FDB_NO_PORT == VSW_PORT_UNKNOWN, "vsw_reach has it");

/*
 * In the reach of local ports, while frames of `in` are looked up: the outside is beyond its uplink, and its own address is nowhere for it
 * (the careful path drops such frames).
 */
static inline void vsw_reach_from(struct vsw_port *in)
{
	struct vsw *v = in->sw->v;

	v->local.out[VSW_PORT_OUTSIDE] = in->uplink && !(in->flags & VSW_PF_HASHED) ? in->uplink : &v->nowhere;
	v->local.out[in->index] = &v->nowhere;
}

static inline void vsw_reach_end(struct vsw_port *in)
{
	struct vsw *v = in->sw->v;

	v->local.out[VSW_PORT_OUTSIDE] = &v->nowhere;
	v->local.out[in->index] = in;
}

/* In stage_payload: some staged frame is not plain. The sum never grows so far. */
#define VSW_STAGE_MIXED 0x80000000u
_Static_assert(VSW_BURST *UINT64_C(65536) < VSW_STAGE_MIXED, "plain frames are one mbuf, whose lengths have 16 bits");

static HV_ALWAYS_INLINE void vsw_stage(struct vsw_port *out, struct rte_mbuf *m, uint32_t payload)
{
	uint64_t n = out->staged;

	if (HV_UNLIKELY(n % VSW_BURST == 0)) {
		if (out->staged)
			vsw_port_deliver(out); /* the stage is full */
		else
			vsw_port_dirty(out);
		n = 0;
	}
	out->stage[n] = m;
	__asm__("" : "+m"(out->staged)); /* gcc would compute it from n, in two instructions more */
	out->staged++;
	out->stage_payload += payload;
}

/* What was staged, in vsw_port.stage until the next frame is staged. */
struct vsw_staged {
	unsigned frames;
	uint32_t plain_bytes; /* as deliver() wants it */
};

static HV_ALWAYS_INLINE struct vsw_staged vsw_stage_take(struct vsw_port *p)
{
	uint64_t staged, none = 0;
	uint32_t n, payload;

	__builtin_memcpy(&staged, &p->staged, sizeof(staged));
	__builtin_memcpy(&p->staged, &none, sizeof(none));
	n = (uint32_t)staged;
	payload = (uint32_t)(staged >> 32);
	return (struct vsw_staged){n, HV_UNLIKELY(payload & VSW_STAGE_MIXED) ? 0 : payload + n * ETH_HEADER_LEN};
}
_Static_assert(offsetof(struct vsw_port, stage_payload) == offsetof(struct vsw_port, staged) + 4, "read at once");

/* Copies n pointers; both arrays have room for a multiple of VSW_COPY. */
#define VSW_COPY 8
static HV_ALWAYS_INLINE void vsw_copy_frames(struct rte_mbuf **to, struct rte_mbuf *const *from, unsigned n)
{
	for (struct rte_mbuf *const *end = from + n; from < end; from += VSW_COPY, to += VSW_COPY) {
#pragma GCC unroll 4
		for (unsigned k = 0; k < VSW_COPY; k += 2)
			_mm_storeu_si128((__m128i *)(to + k), _mm_loadu_si128((const __m128i *)(from + k)));
	}
}

#endif
