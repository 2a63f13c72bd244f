/* <sys/ioctl.h> for the image build: the two requests that sockets take. */
#ifndef NET_POSIX_SYS_IOCTL_H
#define NET_POSIX_SYS_IOCTL_H

#define FIONREAD 0x541bul
#define FIONBIO 0x5421ul

int ioctl(int fd, unsigned long request, ...);

#endif
