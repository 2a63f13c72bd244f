/* 802.1Q at the edges of the switch: which domain a frame belongs to, and the tag itself. */
#ifndef VSWITCH_VLAN_H
#define VSWITCH_VLAN_H

#include "switch.h"

#define VLAN_TAG_LEN 4
#define VLAN_TPID_C 0x0081u        /* 0x8100, customer tag (IEEE 802.1Q-2018 table 9-1), as it lies in memory */
#define VLAN_TPID_S 0xa888u        /* 0x88a8, service tag */
#define VLAN_PRIORITY_MASK 0xf000u /* of the TCI: PCP and DEI */
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

/* Takes the tag out: moves the addresses over it; keeps its priority in vlan_tci_outer for vsw_vlan_push. @pre VLAN_TPID_C, 18 contiguous
 * bytes, frame not shared. Returns the VLAN id, 0..4095. */
static inline uint16_t vsw_vlan_pop(struct rte_mbuf *m)
{
	uint8_t *eth = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t tci = (uint16_t)(eth[14] << 8 | eth[15]);
	uint64_t mac_low;
	uint32_t mac_high;

	__builtin_memcpy(&mac_low, eth, 8);
	__builtin_memcpy(&mac_high, eth + 8, 4);
	__builtin_memcpy(eth + 4, &mac_low, 8);
	__builtin_memcpy(eth + 12, &mac_high, 4);
	m->data_off += VLAN_TAG_LEN;
	m->data_len -= VLAN_TAG_LEN;
	m->pkt_len -= VLAN_TAG_LEN;
	m->vlan_tci_outer = tci & VLAN_PRIORITY_MASK;
	return tci & 0xfff;
}

/* The tag that vsw_vlan_push puts in, in host order. */
static inline uint16_t vsw_vlan_tci(const struct rte_mbuf *m, uint16_t vlan)
{
	return (uint16_t)(vlan | (m->vlan_tci_outer & VLAN_PRIORITY_MASK));
}

/* Puts a tag in, its priority bits (PCP, DEI) from vlan_tci_outer. False: no headroom. @pre frame not shared, 12 contiguous bytes */
static inline bool vsw_vlan_push(struct rte_mbuf *m, uint16_t vlan)
{
	uint8_t *eth;
	uint64_t mac_low;
	uint32_t tci = vlan | (m->vlan_tci_outer & VLAN_PRIORITY_MASK);
	uint32_t mac_high, tag = VLAN_TPID_C | tci >> 8 << 16 | tci << 24;

	if (__builtin_expect(m->data_off < VLAN_TAG_LEN, 0))
		return false;
	eth = rte_pktmbuf_mtod(m, uint8_t *);
	__builtin_memcpy(&mac_low, eth, 8);
	__builtin_memcpy(&mac_high, eth + 8, 4);
	__builtin_memcpy(eth - 4, &mac_low, 8);
	__builtin_memcpy(eth + 4, &mac_high, 4);
	__builtin_memcpy(eth + 8, &tag, 4);
	m->data_off -= VLAN_TAG_LEN;
	m->data_len += VLAN_TAG_LEN;
	m->pkt_len += VLAN_TAG_LEN;
	if (m->l2_len)
		m->l2_len += VLAN_TAG_LEN;
	return true;
}

#endif
