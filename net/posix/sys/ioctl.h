/* <sys/ioctl.h> for the image build: the libraries include it and call nothing of it. */
#ifndef NET_POSIX_SYS_IOCTL_H
#define NET_POSIX_SYS_IOCTL_H
#endif
