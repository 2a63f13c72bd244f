/* <netinet/ip.h> for DPDK in the image build: protocol numbers that net/posix's <netinet/in.h> leaves out. */
#ifndef BERTH_NETINET_IP_H
#define BERTH_NETINET_IP_H

#ifndef IPPROTO_IPIP
#define IPPROTO_IPIP 4
#endif
#ifndef IPPROTO_GRE
#define IPPROTO_GRE 47
#endif
#ifndef IPPROTO_SCTP
#define IPPROTO_SCTP 132
#endif

#endif
