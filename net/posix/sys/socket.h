/*
 * The part of POSIX <sys/socket.h> (IEEE Std 1003.1, XSH) that the initiators' libraries use, for the image build. Implemented by net/ over
 * lwIP; the numbers are the image's own (they are passed to nothing but net/). Every socket is a TCP/IPv4 stream socket and non-blocking
 * whatever O_NONBLOCK says; all calls are in loop context on the network's core. In native builds the system's header is used instead.
 */
#ifndef NET_POSIX_SYS_SOCKET_H
#define NET_POSIX_SYS_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef uint32_t socklen_t;
typedef uint16_t sa_family_t;

struct sockaddr {
	sa_family_t sa_family;
	char sa_data[14];
};

struct sockaddr_storage {
	sa_family_t ss_family;
	char ss_padding[126];
} __attribute__((aligned(8)));

struct linger {
	int l_onoff;
	int l_linger;
};

#define AF_UNSPEC 0
#define AF_INET 2
#define AF_INET6 10
#define PF_INET AF_INET
#define PF_INET6 AF_INET6

#define SOCK_STREAM 1
#define SOCK_DGRAM 2

#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_LINGER 13

#define MSG_PEEK 0x02
#define MSG_DONTWAIT 0x40
#define MSG_NOSIGNAL 0x4000

#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

/* A descriptor, or -1 with errno EMFILE, EAFNOSUPPORT, ENOMEM. */
int socket(int domain, int type, int protocol);
/* -1 with errno EINPROGRESS: poll for POLLOUT, then read SO_ERROR. */
int connect(int fd, const struct sockaddr *address, socklen_t length);
int bind(int fd, const struct sockaddr *address, socklen_t length);
int shutdown(int fd, int how);
/* Bytes, 0 = the peer closed, -1 with errno EAGAIN when there is nothing to do now. */
ssize_t recv(int fd, void *buffer, size_t length, int flags);
ssize_t send(int fd, const void *buffer, size_t length, int flags);
ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address, socklen_t *address_length);
ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address, socklen_t address_length);
int getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int getsockname(int fd, struct sockaddr *address, socklen_t *length);
int getpeername(int fd, struct sockaddr *address, socklen_t *length);

#endif
