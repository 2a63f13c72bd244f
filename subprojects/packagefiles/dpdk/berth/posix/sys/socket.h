/* <sys/socket.h> for DPDK in the image build: the two address families that its headers compare with. */
#ifndef BERTH_SYS_SOCKET_H
#define BERTH_SYS_SOCKET_H

#define AF_INET 2
#define AF_INET6 10

#endif
