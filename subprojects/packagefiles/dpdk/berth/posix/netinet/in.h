/* <netinet/in.h> for DPDK in the image build: IP protocol numbers (IANA "Assigned Internet Protocol Numbers"). */
#ifndef BERTH_NETINET_IN_H
#define BERTH_NETINET_IN_H

#include <stdint.h>

#define IPPROTO_IP 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41

#endif
