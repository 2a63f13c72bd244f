/*
 * The part of POSIX <netdb.h> that the initiators' libraries use, for the image build. There is no resolver: getaddrinfo accepts numeric
 * IPv4 addresses only (configuration gives nothing else).
 */
#ifndef NET_POSIX_NETDB_H
#define NET_POSIX_NETDB_H

#include <sys/socket.h>

struct addrinfo {
	int ai_flags;
	int ai_family;
	int ai_socktype;
	int ai_protocol;
	socklen_t ai_addrlen;
	struct sockaddr *ai_addr;
	char *ai_canonname;
	struct addrinfo *ai_next;
};

struct servent {
	char *s_name;
	char **s_aliases;
	int s_port;
	char *s_proto;
};

#define EAI_NONAME (-2)
#define EAI_MEMORY (-10)

/* 0 and *result (one entry), or EAI_NONAME (not a numeric IPv4 address), EAI_MEMORY. service: NULL or a decimal port. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);
void freeaddrinfo(struct addrinfo *result);
/* Always NULL: no port is set aside. port in network byte order. */
struct servent *getservbyport(int port, const char *protocol);

#endif
