/*
 * The POSIX socket names in the image: libiscsi and libnfs are compiled against net/posix and call these. Each is net/socket.h's function
 * of the same name; addresses as text are done here. Natively the system has these names, so this file is for the image only.
 *
 * Owner: the network's core.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hv/log.h>
#include <net/socket.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int socket(int domain, int type, int protocol)
{
	return net_socket(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	return net_connect(fd, address, length);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	return net_bind(fd, address, length);
}

int shutdown(int fd, int how)
{
	return net_shutdown(fd, how);
}

int close(int fd)
{
	return net_close(fd);
}

int dup2(int fd, int new_fd)
{
	return net_dup2(fd, new_fd);
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
	return net_recv(fd, buffer, length, flags);
}

ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
	return net_send(fd, buffer, length, flags);
}

/* Stream sockets: the address is the connection's, nobody asks for it. */
ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address, socklen_t *address_length)
{
	if (address_length)
		*address_length = 0;
	return net_recv(fd, buffer, length, flags);
}

ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address, socklen_t address_length)
{
	if (address) {
		errno = EISCONN;
		return -1;
	}
	return net_send(fd, buffer, length, flags);
}

ssize_t readv(int fd, const struct iovec *vectors, int count)
{
	return net_readv(fd, vectors, count);
}

ssize_t writev(int fd, const struct iovec *vectors, int count)
{
	return net_writev(fd, vectors, count);
}

int poll(struct pollfd *list, nfds_t count, int timeout_ms)
{
	return net_poll(list, count, timeout_ms);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	return net_getsockopt(fd, level, option, value, length);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	return net_setsockopt(fd, level, option, value, length);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	return net_getsockname(fd, address, length);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	return net_getpeername(fd, address, length);
}

int fcntl(int fd, int command, ...)
{
	va_list ap;
	long argument;

	va_start(ap, command);
	argument = va_arg(ap, int);
	va_end(ap);
	return net_fcntl(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *argument;

	va_start(ap, request);
	argument = va_arg(ap, void *);
	va_end(ap);
	return net_ioctl(fd, request, argument);
}

/* ---- addresses as text ---- */

/* Four decimal numbers 0..255 without leading zeros (which some read as octal), nothing before or after. */
int inet_aton(const char *text, struct in_addr *address)
{
	uint32_t value = 0;

	for (unsigned part = 0; part < 4; part++) {
		unsigned n = 0, digits = 0;

		if (part && *text++ != '.')
			return 0;
		while (*text >= '0' && *text <= '9' && digits < 3) {
			if (digits && !n)
				return 0;
			n = n * 10 + (unsigned)(*text++ - '0');
			digits++;
		}
		if (!digits || n > 255)
			return 0;
		value = value << 8 | n;
	}
	if (*text)
		return 0;
	address->s_addr = htonl(value);
	return 1;
}

char *inet_ntoa(struct in_addr address)
{
	static char text[INET_ADDRSTRLEN];
	uint32_t a = ntohl(address.s_addr);

	hv_snprintf(text, sizeof(text), "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	return text;
}

static int parse_port(const char *service, in_port_t *port)
{
	unsigned long n = 0;

	for (const char *s = service; s && *s; s++) {
		if (*s < '0' || *s > '9' || n > 65535)
			return EAI_NONAME;
		n = n * 10 + (unsigned long)(*s - '0');
	}
	if (n > 65535)
		return EAI_NONAME;
	*port = htons((uint16_t)n);
	return 0;
}

struct result {
	struct addrinfo info;
	struct sockaddr_in address;
};

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct result *r;

	if (!node || !inet_aton(node, &address.sin_addr) || parse_port(service, &address.sin_port))
		return EAI_NONAME;
	r = calloc(1, sizeof(*r));
	if (!r)
		return EAI_MEMORY;
	r->address = address;
	r->info = (struct addrinfo){
		.ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
		.ai_addrlen = sizeof(r->address),
		.ai_addr = (struct sockaddr *)&r->address,
	};
	*out = &r->info;
	return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
	free(info);
}

struct servent *getservbyport(int port, const char *protocol)
{
	return NULL;
}
