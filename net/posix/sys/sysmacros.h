/* <sys/sysmacros.h> for the image build: the libraries include it and use nothing of it in the files that we build. */
#ifndef NET_POSIX_SYS_SYSMACROS_H
#define NET_POSIX_SYS_SYSMACROS_H
#endif
