/* <netinet/ip6.h> for DPDK in the image build: the IPv6 extension headers that rte_ip.h walks (RFC 8200 section 4). */
#ifndef BERTH_NETINET_IP6_H
#define BERTH_NETINET_IP6_H

#ifndef IPPROTO_HOPOPTS
#define IPPROTO_HOPOPTS 0
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_ESP 50
#define IPPROTO_AH 51
#define IPPROTO_ICMPV6 58
#define IPPROTO_NONE 59
#define IPPROTO_DSTOPTS 60
#endif

#endif
