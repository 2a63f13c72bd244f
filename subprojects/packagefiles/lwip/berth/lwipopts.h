/* lwIP's configuration. What is not here is lwIP's default (lwip/opt.h). */
#ifndef LWIP_LWIPOPTS_H
#define LWIP_LWIPOPTS_H

/* One thread: the network's core. No OS, no sockets of lwIP's own. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0

/* Memory from net/memory.c: size classes of slabs, reserved at start. */
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC net_lwip_alloc
#define MEM_CUSTOM_FREE net_lwip_free
#define MEM_CUSTOM_CALLOC net_lwip_calloc
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8

/* Protocols. Fragments are not taken: no initiator needs them, and reassembly is a favourite target. */
#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_ICMP 1
#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_TCP 1
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_ACD 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define IP_FORWARD 0
#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 16
#define ETHARP_SUPPORT_STATIC_ENTRIES 0
#define LWIP_MULTICAST_PING 0
#define LWIP_BROADCAST_PING 0

/* Frames: room before the Ethernet header for a VLAN tag. */
#define PBUF_LINK_ENCAPSULATION_HLEN 8
#define ETH_PAD_SIZE 0
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define LWIP_NETIF_LINK_CALLBACK 0
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1 /* net/vmk.c sets it for each received frame: not again what the NIC has checked */

/* TCP: 1 MiB windows (RFC 7323), one tick of 50 ms: least retransmission time 0.3 s. */
#define TCP_MSS 8960
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5
#define TCP_WND (1024 * 1024)
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SND_QUEUELEN 4096
#define TCP_SNDLOWAT 16384
#define TCP_SNDQUEUELOWAT 2048
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 1024
#define TCP_OOSEQ_MAX_BYTES (1024 * 1024)
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 0
#define TCP_TMR_INTERVAL 50
#define LWIP_TCP_RTO_TIME 1000 /* RFC 6298 section 2.1 */
#define TCP_SYNMAXRTX 6
#define TCP_MAXRTX 12
#define LWIP_TCP_KEEPALIVE 1
#define SO_REUSE 1
#define TCP_LISTEN_BACKLOG 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 0
#define LWIP_HOOK_TCP_ISN(lip, lport, rip, rport) net_lwip_isn(lip, lport, rip, rport)

#define LWIP_STATS 1
#define LWIP_STATS_DISPLAY 0
#define LWIP_STATS_LARGE 1
#define MEM_STATS 0
#define MEMP_STATS 0
#define LWIP_NETIF_HOSTNAME 0
#define LWIP_DISABLE_TCP_SANITY_CHECKS 0
#define LWIP_TIMERS 1

#endif
