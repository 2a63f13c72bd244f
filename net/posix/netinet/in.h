/* The part of POSIX <netinet/in.h> that the initiators' libraries use, for the image build (see sys/socket.h). */
#ifndef NET_POSIX_NETINET_IN_H
#define NET_POSIX_NETINET_IN_H

#include <stdint.h>
#include <sys/socket.h>

typedef uint16_t in_port_t;
typedef uint32_t in_addr_t;

struct in_addr {
	in_addr_t s_addr; /* network byte order */
};

struct sockaddr_in {
	sa_family_t sin_family;
	in_port_t sin_port; /* network byte order */
	struct in_addr sin_addr;
	unsigned char sin_zero[8];
};

/* The libraries name the IPv6 types; net/ has no IPv6 sockets (EAFNOSUPPORT). */
struct in6_addr {
	uint8_t s6_addr[16];
};

struct sockaddr_in6 {
	sa_family_t sin6_family;
	in_port_t sin6_port;
	uint32_t sin6_flowinfo;
	struct in6_addr sin6_addr;
	uint32_t sin6_scope_id;
};

#define IPPROTO_IP 0
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41
#define IPPORT_RESERVED 1024
#define INADDR_ANY ((in_addr_t)0)
#define INET_ADDRSTRLEN 16
#define INET6_ADDRSTRLEN 46

static inline uint16_t net_swap16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t net_swap32(uint32_t v)
{
	return __builtin_bswap32(v);
}

/* Macros, so that another definition of the same names can be seen and avoided. */
#undef htons
#undef ntohs
#undef htonl
#undef ntohl
#define htons(v) net_swap16(v)
#define ntohs(v) net_swap16(v)
#define htonl(v) net_swap32(v)
#define ntohl(v) net_swap32(v)

#endif
