/*
 * A VMkernel NIC: an lwIP network interface on a vmk port of the switch.
 *
 * Receive: no copy. The mbuf itself becomes a custom pbuf, whose record lies in the mbuf's private area; freeing the pbuf frees the mbuf.
 * The number of mbufs the stack may hold that way is limited, so that connections nobody reads leave the uplink its receive buffers. Send:
 * frame.c.
 *
 * Owner: the network's core.
 */
#include "stack.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <lwip/etharp.h>
#include <lwip/netif.h>
#include <netif/ethernet.h>
#include <rte_mbuf.h>
#include <string.h>
#include <vswitch/vswitch.h>

#define TX_GATHER 32
#define HELD_MAX 4096u /* received mbufs in the stack's hands: half of a receive pool */
#define CHECKSUMS_RECEIVED (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)
#define CHECKSUMS_ALWAYS (NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_ICMP | NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_ICMP)

struct vmk {
	bool used;
	struct net_vmknic_config config;
	struct vsw_vmk_port *port;
	struct netif netif;
	uint8_t mac[6];
	unsigned tx_count;
	struct rte_mbuf *tx[TX_GATHER];
	uint64_t rx_frames, tx_frames, tx_referenced, rx_refused, tx_refused;
};

static struct vmk vmks[NET_MAX_VMKNICS];
static unsigned held;

/* ---- receive ---- */

/* Lies in the mbuf's private area, right behind struct rte_mbuf. */
struct rx_pbuf {
	struct pbuf_custom pbuf;
	struct rte_mbuf *mbuf;
};
_Static_assert(sizeof(struct rx_pbuf) <= VSW_MBUF_PRIVATE, "a pbuf record fits the private area");

static void rx_pbuf_free(struct pbuf *p)
{
	held--;
	rte_pktmbuf_free_seg(((struct rx_pbuf *)(void *)p)->mbuf);
}

static struct pbuf *wrap_segment(struct rte_mbuf *m)
{
	struct rx_pbuf *r = rte_mbuf_to_priv(m);

	*r = (struct rx_pbuf){.pbuf.custom_free_function = rx_pbuf_free, .mbuf = m};
	m->next = NULL;
	m->nb_segs = 1;
	held++;
	return pbuf_alloced_custom(PBUF_RAW, m->data_len, PBUF_REF, &r->pbuf, rte_pktmbuf_mtod(m, void *), m->data_len);
}

static struct pbuf *wrap(struct rte_mbuf *m)
{
	struct rte_mbuf *next = m->next;
	struct pbuf *p = wrap_segment(m);

	while (next) {
		m = next;
		next = m->next;
		pbuf_cat(p, wrap_segment(m));
	}
	return p;
}

static void receive(struct vmk *k, struct rte_mbuf *m)
{
	bool good = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	struct pbuf *p = wrap(m);

	NETIF_SET_CHECKSUM_CTRL(&k->netif, good ? CHECKSUMS_ALWAYS : CHECKSUMS_ALWAYS | CHECKSUMS_RECEIVED);
	k->rx_frames++;
	if (k->netif.input(p, &k->netif) != ERR_OK)
		pbuf_free(p);
}

static unsigned rx(void *arg, struct rte_mbuf **frames, unsigned n)
{
	struct vmk *k = arg;

	for (unsigned i = 0; i < n; i++) {
		if (held + frames[i]->nb_segs > HELD_MAX || frames[i]->pkt_len > UINT16_MAX) {
			k->rx_refused += n - i;
			return i;
		}
		receive(k, frames[i]);
	}
	return n;
}

/* ---- send ---- */

static void flush(struct vmk *k)
{
	if (k->tx_count) {
		vsw_vmk_tx(k->port, k->tx, k->tx_count);
		k->tx_count = 0;
		vsw_vmk_flush(k->port);
	}
}

void net_vmk_flush(void)
{
	for (unsigned i = 0; i < NET_MAX_VMKNICS; i++) {
		if (vmks[i].used)
			flush(&vmks[i]);
	}
}

bool net_vmk_waiting(void)
{
	for (unsigned i = 0; i < NET_MAX_VMKNICS; i++) {
		if (vmks[i].used && vmks[i].tx_count)
			return true;
	}
	return false;
}

static err_t link_output(struct netif *netif, struct pbuf *p)
{
	struct vmk *k = netif->state;
	bool referenced;
	struct rte_mbuf *m = net_frame_make(vsw_vmk_pool(k->port), p, &referenced);

	if (!m) {
		k->tx_refused++;
		return ERR_MEM;
	}
	k->tx_frames++;
	k->tx_referenced += referenced;
	k->tx[k->tx_count++] = m;
	if (k->tx_count == TX_GATHER)
		flush(k);
	return ERR_OK;
}

/* ---- control ---- */

static void link_changed(void *arg, bool up)
{
	struct vmk *k = arg;

	/* The interface stays up without an uplink: other ports of the switch can be reached. A new uplink hears where we are. */
	if (up)
		etharp_gratuitous(&k->netif);
}

static err_t init_netif(struct netif *netif)
{
	struct vmk *k = netif->state;

	netif->name[0] = 'v';
	netif->name[1] = 'm';
	netif->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(netif->hwaddr, k->mac, ETH_HWADDR_LEN);
	netif->mtu = k->config.mtu && k->config.mtu < vsw_vmk_mtu(k->port) ? k->config.mtu : vsw_vmk_mtu(k->port);
	netif->output = etharp_output;
	netif->linkoutput = link_output;
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
	NETIF_SET_CHECKSUM_CTRL(netif, CHECKSUMS_ALWAYS | CHECKSUMS_RECEIVED);
	return ERR_OK;
}

static void add_netif(struct vmk *k)
{
	uint32_t mask = k->config.prefix ? UINT32_MAX << (32 - k->config.prefix) : 0;
	ip4_addr_t address = {lwip_htonl(k->config.address)}, netmask = {lwip_htonl(mask)}, gateway = {lwip_htonl(k->config.gateway)};

	netif_add(&k->netif, &address, &netmask, &gateway, k, init_netif, ethernet_input);
	if (k->config.gateway && !netif_default)
		netif_set_default(&k->netif);
	netif_set_up(&k->netif);
	netif_set_link_up(&k->netif);
}

void net_vmk_mac(const char *host, const char *vmk, uint8_t mac[6])
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (unsigned part = 0; part < 2; part++) {
		for (const char *s = part ? vmk : host; *s; s++)
			h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
		h = (h ^ '/') * 0x100000001b3ull;
	}
	h ^= h >> 32;
	mac[0] = 0x02; /* locally administered, individual */
	for (unsigned i = 1; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
}

static struct vmk *free_slot(const char *name, int *err)
{
	struct vmk *k = NULL;

	*err = -ENOSPC;
	for (unsigned i = 0; i < NET_MAX_VMKNICS; i++) {
		if (!vmks[i].used) {
			k = k ? k : &vmks[i];
		} else if (!strcmp(vmks[i].config.name, name)) {
			*err = -EEXIST;
			return NULL;
		}
	}
	return k;
}

int net_vmk_create(const struct net_vmknic_config *config, struct vsw *v)
{
	struct vsw_vmk_client client = {.rx = rx, .link = link_changed};
	struct vmk *k;
	int err;

	net_assert_core();
	k = free_slot(config->name, &err);
	if (!k)
		return trace_error(err);
	*k = (struct vmk){.config = *config};
	if (config->has_mac)
		memcpy(k->mac, config->mac, sizeof(k->mac));
	else
		net_vmk_mac("", config->name, k->mac);
	client.arg = k;
	err = vsw_vmk_port_create(v, config->portgroup, config->name, k->mac, &client, &k->port);
	if (err)
		return trace_error(err);
	k->used = true;
	add_netif(k);
	log_info("net.vmk.up", "%s: %u.%u.%u.%u/%u", config->name, config->address >> 24, config->address >> 16 & 255,
		config->address >> 8 & 255, config->address & 255, config->prefix);
	return 0;
}

void net_vmk_destroy_all(void)
{
	for (unsigned i = 0; i < NET_MAX_VMKNICS; i++) {
		if (!vmks[i].used)
			continue;
		flush(&vmks[i]);
		netif_remove(&vmks[i].netif);
		vsw_vmk_port_destroy(vmks[i].port);
		vmks[i].used = false;
	}
}

void net_vmk_foreach(void (*fn)(void *arg, const struct net_vmk_info *info), void *arg)
{
	for (unsigned i = 0; i < NET_MAX_VMKNICS; i++) {
		const struct vmk *k = &vmks[i];
		struct net_vmk_info info = {
			.name = k->config.name,
			.address = k->config.address,
			.prefix = k->config.prefix,
			.mtu = k->netif.mtu,
			.rx_frames = k->rx_frames,
			.tx_frames = k->tx_frames,
			.tx_referenced = k->tx_referenced,
			.rx_refused = k->rx_refused,
			.tx_refused = k->tx_refused,
		};

		if (!k->used)
			continue;
		memcpy(info.mac, k->mac, sizeof(info.mac));
		fn(arg, &info);
	}
}
