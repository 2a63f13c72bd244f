/* 802.1Q at the edges of the switch: which domain a frame belongs to, and the tag itself. */
#ifndef VSWITCH_VLAN_H
#define VSWITCH_VLAN_H

#include "switch.h"

#define VLAN_TAG_LEN 4
#define VLAN_TPID_C 0x0081u        /* 0x8100, customer tag (IEEE 802.1Q-2018 table 9-1), as it lies in memory */
#define VLAN_TPID_S 0xa888u        /* 0x88a8, service tag */
#define VLAN_PRIORITY_MASK 0x00f0u /* PCP and DEI of a TCI as it lies in memory */
#define ETH_HEADER_LEN 14

static inline uint16_t vsw_ethertype_raw(const uint8_t *eth)
{
	uint16_t type;

	__builtin_memcpy(&type, eth + 12, sizeof(type));
	return type;
}

/* Any VLAN tag, which an access port must not send. */
static inline bool vsw_is_tagged(const uint8_t *eth)
{
	uint16_t type = vsw_ethertype_raw(eth);

	return type == VLAN_TPID_C || type == VLAN_TPID_S;
}

/* Sixteen bytes that are moved as one. */
struct vsw_16 {
	uint64_t low, high;
};

/* Moves the addresses of a frame over its tag. What lay in front of them comes along and is out of the frame. @pre data of a direct mbuf */
static HV_ALWAYS_INLINE void vsw_addresses_up(uint8_t *eth)
{
	struct vsw_16 x;

	__builtin_memcpy(&x, eth - VLAN_TAG_LEN, sizeof(x));
	__builtin_memcpy(eth, &x, sizeof(x));
}

/* A tag as it lies in memory; priority: PCP and DEI in VLAN_PRIORITY_MASK. */
static HV_ALWAYS_INLINE uint32_t vsw_tag(uint16_t vlan, uint16_t priority)
{
	return VLAN_TPID_C | (uint32_t)(__builtin_bswap16(vlan) | (priority & VLAN_PRIORITY_MASK)) << 16;
}

/* Makes room for a tag behind the addresses and fills it. */
static HV_ALWAYS_INLINE void vsw_addresses_down(uint8_t *eth, uint32_t tag)
{
	struct vsw_16 x;

	__builtin_memcpy(&x, eth, sizeof(x));
	__builtin_memcpy(eth - VLAN_TAG_LEN, &x, sizeof(x));
	__builtin_memcpy(eth + 8, &tag, sizeof(tag));
}

/* The first byte of a tag's type, and of few others (IPv6), has its top bit set: worth a closer look? */
static HV_ALWAYS_INLINE bool vsw_may_be_tag(const uint8_t *eth, unsigned type_offset)
{
	return eth[type_offset] & 0x80;
}

/* Takes the tag out; keeps its priority in vlan_tci_outer for vsw_vlan_push. @pre VLAN_TPID_C, 18 contiguous bytes, frame not shared.
 * Returns the VLAN id, 0..4095. */
static inline uint16_t vsw_vlan_pop(struct rte_mbuf *m)
{
	uint8_t *eth = rte_pktmbuf_mtod(m, uint8_t *);
	uint64_t mac_low;
	uint32_t mac_high;
	uint16_t tci;

	__builtin_memcpy(&tci, eth + 14, sizeof(tci));
	__builtin_memcpy(&mac_low, eth, sizeof(mac_low));
	__builtin_memcpy(&mac_high, eth + 8, sizeof(mac_high));
	__builtin_memcpy(eth + 4, &mac_low, sizeof(mac_low));
	__builtin_memcpy(eth + 12, &mac_high, sizeof(mac_high));
	m->data_off += VLAN_TAG_LEN;
	m->data_len -= VLAN_TAG_LEN;
	m->pkt_len -= VLAN_TAG_LEN;
	m->vlan_tci_outer = tci & VLAN_PRIORITY_MASK;
	return __builtin_bswap16(tci) & 0xfff;
}

/* The tag that vsw_vlan_push puts in, in host order. */
static inline uint16_t vsw_vlan_tci(const struct rte_mbuf *m, uint16_t vlan)
{
	return (uint16_t)(vlan | __builtin_bswap16(m->vlan_tci_outer & VLAN_PRIORITY_MASK));
}

/* Puts a tag in, its priority bits (PCP, DEI) from vlan_tci_outer. False: no headroom. @pre frame not shared, 16 contiguous bytes */
static inline bool vsw_vlan_push(struct rte_mbuf *m, uint16_t vlan)
{
	if (HV_UNLIKELY(m->data_off < VLAN_TAG_LEN))
		return false;
	vsw_addresses_down(rte_pktmbuf_mtod(m, uint8_t *), vsw_tag(vlan, m->vlan_tci_outer));
	m->data_off -= VLAN_TAG_LEN;
	m->data_len += VLAN_TAG_LEN;
	m->pkt_len += VLAN_TAG_LEN;
	if (m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM))
		m->l2_len += VLAN_TAG_LEN;
	return true;
}

#endif
