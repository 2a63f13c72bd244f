/* <net/if.h> for the image build: the one constant that libnfs needs. */
#ifndef NET_POSIX_NET_IF_H
#define NET_POSIX_NET_IF_H

#define IFNAMSIZ 16

#endif
