/* POSIX <poll.h> for the image build. The only timeout that net/ accepts is 0: nothing blocks. */
#ifndef NET_POSIX_POLL_H
#define NET_POSIX_POLL_H

struct pollfd {
	int fd;
	short events;
	short revents;
};

typedef unsigned long nfds_t;

#define POLLIN 0x001
#define POLLPRI 0x002
#define POLLOUT 0x004
#define POLLERR 0x008
#define POLLHUP 0x010
#define POLLNVAL 0x020

/* Number of entries with revents != 0. @pre timeout_ms == 0 */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms);

#endif
