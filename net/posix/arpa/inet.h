/* POSIX <arpa/inet.h> for the image build: IPv4 addresses as text. */
#ifndef NET_POSIX_ARPA_INET_H
#define NET_POSIX_ARPA_INET_H

#include <netinet/in.h>

/* "a.b.c.d" in a static buffer, overwritten by the next call. */
char *inet_ntoa(struct in_addr address);
/* 1 and *address when text is "a.b.c.d", else 0. */
int inet_aton(const char *text, struct in_addr *address);

#endif
