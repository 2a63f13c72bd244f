/*
 * Sockets over the hypervisor's own stack, with the meaning of POSIX (IEEE Std 1003.1 XSH) and these limits: TCP over IPv4 only,
 * non-blocking always, poll with timeout 0 only. In the image the POSIX names (net/posix) are these functions; natively both exist side by
 * side.
 *
 * All in loop context on the network's core. Return value and errno as POSIX; errno values beyond: EINPROGRESS of connect as usual.
 * Descriptors are small numbers from NET_FD_FIRST on, valid here only.
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NET_FD_FIRST 3
#define NET_FD_MAX 128

/* EAFNOSUPPORT: not IPv4; EPROTONOSUPPORT: not a stream; EMFILE; ENOMEM. */
int net_socket(int domain, int type, int protocol);
/* EINPROGRESS; ENETUNREACH: no vmk reaches it; EISCONN, EALREADY, EADDRINUSE, EINVAL, EBADF. The outcome: POLLOUT, then SO_ERROR. */
int net_connect(int fd, const struct sockaddr *address, socklen_t length);
int net_bind(int fd, const struct sockaddr *address, socklen_t length);
int net_shutdown(int fd, int how);
/* The last close of a connection sends what was written, then FIN; with unread data, or SO_LINGER of 0 s, RST. */
int net_close(int fd);
/* new_fd becomes another name of fd's socket; what it was before is closed. */
int net_dup2(int fd, int new_fd);
ssize_t net_recv(int fd, void *buffer, size_t length, int flags);
ssize_t net_readv(int fd, const struct iovec *vectors, int count);
/* EAGAIN: send buffer full; EPIPE: shut down or closed; an error of the connection once. Data is copied once, out of `buffer`. */
ssize_t net_send(int fd, const void *buffer, size_t length, int flags);
ssize_t net_writev(int fd, const struct iovec *vectors, int count);
int net_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int net_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int net_setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int net_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int net_getpeername(int fd, struct sockaddr *address, socklen_t *length);
int net_fcntl(int fd, int command, long argument);
int net_ioctl(int fd, unsigned long request, void *argument);

/* fn(arg) when the socket's poll state may have changed: data, room, connection up or gone. It must not close the socket. fn NULL: stop. */
int net_socket_notify(int fd, void (*fn)(void *arg), void *arg);

#endif
