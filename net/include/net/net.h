/*
 * The hypervisor's own TCP/IP: one IPv4 stack (lwIP) with a network interface for each VMkernel NIC ("vmk"), each on a port of the virtual
 * switch. One core owns it, the switch's; all functions are called in loop context on that core. Sockets: net/socket.h.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <hv/types.h>
#include <net/config.h>

struct vsw;

/* Starts the stack on `core` (the calling core). Once. -ENOMEM. */
int net_init(unsigned core) HV_MUST_CHECK;

/*
 * Makes VMkernel NIC `config->name` on a vmk port of port group config->portgroup. Its address answers to ARP and ICMP echo from then on.
 * The first vmk with a gateway has the default route. -EEXIST: name or MAC in use; -ENOSPC: NET_MAX_VMKNICS; else as vsw_vmk_port_create.
 */
int net_vmk_create(const struct net_vmknic_config *config, struct vsw *v) HV_MUST_CHECK;
/* Takes all vmks away, closes all sockets. For tests. */
void net_stop(void);

/* The MAC of a vmk that has none configured: locally administered, from the host's and the NIC's names (FNV-1a), so it survives restarts.
 */
void net_vmk_mac(const char *host, const char *vmk, uint8_t mac[6]);

struct net_vmk_info {
	const char *name;
	uint32_t address; /* IPv4, host byte order */
	uint8_t prefix;
	uint8_t mac[6];
	uint16_t mtu;
	uint64_t rx_frames, tx_frames;
	uint64_t tx_referenced; /* of tx_frames: sent from where the socket's data lies, without another copy */
	uint64_t rx_refused; /* dropped: too many received buffers are held (slow readers), or no memory */
	uint64_t tx_refused; /* dropped: no packet buffer */
};
void net_vmk_foreach(void (*fn)(void *arg, const struct net_vmk_info *info), void *arg);

struct net_stats {
	uint64_t tcp_segments_in, tcp_segments_out, tcp_checksum_errors, tcp_drops;
	uint64_t ip_drops, icmp_in, arp_in;
	unsigned sockets;        /* open now */
	uint64_t memory_refused; /* allocations that found a size class empty */
};
void net_stats_get(struct net_stats *stats);

#endif
