/* The part of <netinet/tcp.h> that the initiators' libraries use, for the image build (see sys/socket.h). */
#ifndef NET_POSIX_NETINET_TCP_H
#define NET_POSIX_NETINET_TCP_H

#define SOL_TCP 6
#define TCP_NODELAY 1
#define TCP_KEEPIDLE 4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT 6
#define TCP_SYNCNT 7
#define TCP_USER_TIMEOUT 18

#endif
