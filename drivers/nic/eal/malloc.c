/* rte_malloc and its family over the heap of heap.h. One NUMA node, so the socket argument says nothing. Set-up paths, any core. */
#include "eal/eal.h"
#include "eal/heap.h"

#include <rte_malloc.h>
#include <rte_memory.h>
#include <string.h>

struct eal_heap eal_heap;

void *rte_malloc_socket(const char *type, size_t size, unsigned align, int socket)
{
	return eal_heap_alloc(&eal_heap, size, align, 0);
}

void *rte_malloc(const char *type, size_t size, unsigned align)
{
	return rte_malloc_socket(type, size, align, SOCKET_ID_ANY);
}

void *rte_zmalloc_socket(const char *type, size_t size, unsigned align, int socket)
{
	void *p = rte_malloc_socket(type, size, align, socket);

	return p ? memset(p, 0, size) : NULL;
}

void *rte_zmalloc(const char *type, size_t size, unsigned align)
{
	return rte_zmalloc_socket(type, size, align, SOCKET_ID_ANY);
}

void *rte_calloc_socket(const char *type, size_t num, size_t size, unsigned align, int socket)
{
	size_t bytes;

	return __builtin_mul_overflow(num, size, &bytes) ? NULL : rte_zmalloc_socket(type, bytes, align, socket);
}

void *rte_calloc(const char *type, size_t num, size_t size, unsigned align)
{
	return rte_calloc_socket(type, num, size, align, SOCKET_ID_ANY);
}

void *rte_realloc_socket(void *old, size_t size, unsigned int align, int socket)
{
	void *p;

	if (!old)
		return rte_malloc_socket(NULL, size, align, socket);
	if (!size) {
		rte_free(old);
		return NULL;
	}
	if (size <= eal_heap_size(old) && (!align || (uintptr_t)old % align == 0))
		return old;
	p = rte_malloc_socket(NULL, size, align, socket);
	if (!p)
		return NULL;
	memcpy(p, old, HV_MIN(size, eal_heap_size(old)));
	rte_free(old);
	return p;
}

void *rte_realloc(void *old, size_t size, unsigned int align)
{
	return rte_realloc_socket(old, size, align, SOCKET_ID_ANY);
}

void rte_free(void *p)
{
	eal_heap_free(&eal_heap, p);
}

rte_iova_t rte_malloc_virt2iova(const void *p)
{
	return rte_mem_virt2iova(p);
}

/* There is no external memory: 0 = not external, -1 = no such node. */
int rte_malloc_heap_socket_is_external(int socket)
{
	return socket == SOCKET_ID_ANY || socket == 0 ? 0 : -1;
}
