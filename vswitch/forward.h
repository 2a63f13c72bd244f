/*
 * The short path: a frame about which nothing is unusual goes from its port to the one port that its address has, in a few dozen
 * instructions, all of them here and in the loops that use it (forward.c, uplink_rx.c). Whatever is not so is left to the careful path
 * (vsw_forward), which knows all cases; a frame that may take the short path would fare there in the same way.
 *
 * A frame is plain (vsw_is_plain) when it lies in one direct mbuf, behind the usual headroom, that nobody shares, and asks for no offload.
 * A port that gets only frames that were plain when they came (a tag may have been taken out since), none too long for it, need not look at
 * each. Frames for an uplink carry no priority then: only trunks' guests give them one, and those take the careful path.
 */
#ifndef VSWITCH_FORWARD_H
#define VSWITCH_FORWARD_H

#include "vlan.h"

/* What a frame on the short path has none of. */
#define VSW_NOT_PLAIN (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)
/* The fields of vsw_is_plain: data where mbufs begin, one owner, one segment; `port` is left out. */
#define VSW_PLAIN_SHAPE (RTE_PKTMBUF_HEADROOM | 1ull << 16 | 1ull << 32)

/* The careful path of one frame; its domain is in vlan_tci. */
void vsw_forward(struct vsw_port *in, struct rte_mbuf *m);
/* The first frame of a round for this port, or its stage is full: makes room. Returns the frames staged: none. */
uint32_t vsw_stage_turn(struct vsw_port *out);

static HV_ALWAYS_INLINE bool vsw_is_plain(const struct rte_mbuf *m)
{
	uint64_t shape; /* data_off, refcnt, nb_segs, port */
	uint32_t flags; /* all of VSW_NOT_PLAIN are in this half */

	__builtin_memcpy(&shape, &m->rearm_data, sizeof(shape));
	__builtin_memcpy(&flags, (const uint8_t *)&m->ol_flags + sizeof(flags), sizeof(flags));
	return shape << 16 == VSW_PLAIN_SHAPE << 16 && !(flags & VSW_NOT_PLAIN >> 32);
}
_Static_assert(offsetof(struct rte_mbuf, data_off) == offsetof(struct rte_mbuf, rearm_data) &&
		       offsetof(struct rte_mbuf, refcnt) == offsetof(struct rte_mbuf, data_off) + 2 &&
		       offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2 &&
		       offsetof(struct rte_mbuf, port) == offsetof(struct rte_mbuf, nb_segs) + 2 && !(uint32_t)VSW_NOT_PLAIN,
	"vsw_is_plain reads them at once");

/* The first byte of a plain frame. */
static HV_ALWAYS_INLINE uint8_t *vsw_plain_data(const struct rte_mbuf *m)
{
	return (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM;
}

/* The keys of a frame's addresses in the MAC table. @pre 16 readable bytes */
static HV_ALWAYS_INLINE uint64_t vsw_key_destination(const uint8_t *eth, uint64_t domain)
{
	uint64_t bytes;

	__builtin_memcpy(&bytes, eth, sizeof(bytes));
	return bytes << 16 | domain;
}

static HV_ALWAYS_INLINE uint64_t vsw_key_source(const uint8_t *eth, uint64_t domain)
{
	uint64_t bytes;

	__builtin_memcpy(&bytes, eth + 4, sizeof(bytes));
	return (bytes & ~0xffffull) | domain;
}

/* Where plain frames for a known unicast address go; `nowhere` for all that the short path does not know. */
static HV_ALWAYS_INLINE struct vsw_port *vsw_plain_port(struct vsw *v, const struct fdb_view *fdb, uint64_t key)
{
	return v->out[fdb_entry_port(fdb_view_find(fdb, key))];
}
_Static_assert(FDB_NO_PORT == VSW_PORT_UNKNOWN, "v->out has it");

static HV_ALWAYS_INLINE void vsw_stage(struct vsw_port *out, struct rte_mbuf *m, uint32_t len)
{
	uint32_t n = out->staged;

	if (HV_UNLIKELY(n % VSW_BURST == 0))
		n = vsw_stage_turn(out);
	out->stage[n] = m;
	out->staged = n + 1;
	out->stage_bytes += len;
}

/* Copies n pointers; both arrays have room for an even number. */
static HV_ALWAYS_INLINE void vsw_copy_frames(struct rte_mbuf **to, struct rte_mbuf *const *from, unsigned n)
{
	for (unsigned i = 0; i < n; i += 2)
		__builtin_memcpy(to + i, from + i, sizeof(struct vsw_16));
}

#endif
