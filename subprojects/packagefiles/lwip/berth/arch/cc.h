/* The compiler and machine under lwIP. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX
#endif

#define LWIP_NO_UNISTD_H 1
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

/* All in net/. */
_Noreturn void net_lwip_panic(const char *message, const char *file, int line);
uint32_t net_lwip_random(void);
/* Initial sequence number of a connection (RFC 6528). */
uint32_t net_lwip_isn(const void *local_ip, uint16_t local_port, const void *remote_ip, uint16_t remote_port);
void *net_lwip_alloc(size_t bytes);
void *net_lwip_calloc(size_t count, size_t bytes);
void net_lwip_free(void *p);

#define LWIP_PLATFORM_ASSERT(message) net_lwip_panic(message, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(x) \
	do { \
	} while (0)
#define LWIP_RAND() net_lwip_random()

#endif
