/* POSIX <sys/uio.h> for the image build: vectored transfer on the sockets of net/. */
#ifndef NET_POSIX_SYS_UIO_H
#define NET_POSIX_SYS_UIO_H

#include <stddef.h>
#include <sys/types.h>

struct iovec {
	void *iov_base;
	size_t iov_len;
};

#define IOV_MAX 1024

/* As recv and send, over count vectors. */
ssize_t readv(int fd, const struct iovec *vectors, int count);
ssize_t writev(int fd, const struct iovec *vectors, int count);

#endif
