/*
 * Memory zones: named allocations (queue rings, mempools) that are found again by name. Zeroed, contiguous. A zone's descriptor has the
 * same index as its name (zone.h). Set-up paths, any core, under one spin lock.
 */
#include "eal/eal.h"
#include "eal/heap.h"
#include "eal/zone.h"

#include <errno.h>
#include <hv/log.h>
#include <rte_errno.h>
#include <rte_memzone.h>
#include <rte_spinlock.h>
#include <stdio.h>
#include <string.h>

_Static_assert(EAL_ZONE_NAME == RTE_MEMZONE_NAMESIZE, "names fit");

static rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;
static struct eal_zones names;
static struct rte_memzone zones[EAL_ZONES];

static void describe(struct rte_memzone *z, const char *name, void *p, size_t bytes)
{
	memset(z, 0, sizeof(*z));
	strcpy(z->name, name);
	z->addr = p;
	z->iova = rte_mem_virt2iova(p);
	z->len = bytes;
	z->hugepage_sz = RTE_PGSIZE_2M;
}

/* The work of a reserve under the lock: the zone's index, or -errno. */
static int reserve(const char *name, size_t bytes, unsigned align, unsigned bound)
{
	int i = eal_zone_claim(&names, name);
	void *p;

	if (i < 0)
		return i;
	p = eal_heap_alloc(&eal_heap, bytes, align, bound);
	if (!p) {
		eal_zone_release(&names, (unsigned)i);
		return -ENOMEM;
	}
	memset(p, 0, bytes);
	describe(&zones[i], name, p, bytes);
	return i;
}

/* bytes 0 ("the largest there is") is refused: nothing here wants it, and a heap that grows has no such thing. */
const struct rte_memzone *rte_memzone_reserve_bounded(
	const char *name, size_t bytes, int socket, unsigned flags, unsigned align, unsigned bound)
{
	int i;

	if (!bytes || (align && !rte_is_power_of_2(align)) || (bound && (!rte_is_power_of_2(bound) || bound < bytes))) {
		rte_errno = EINVAL;
		return NULL;
	}
	rte_spinlock_lock(&lock);
	i = reserve(name, bytes, align, bound);
	rte_spinlock_unlock(&lock);
	if (i < 0) {
		if (i != -EEXIST)
			log_error("nic.memory.zone", "no memory zone \"%s\" of %zu bytes: error %d", name ? name : "", bytes, -i);
		rte_errno = -i;
		return NULL;
	}
	return &zones[i];
}

const struct rte_memzone *rte_memzone_reserve_aligned(const char *name, size_t bytes, int socket, unsigned flags, unsigned align)
{
	return rte_memzone_reserve_bounded(name, bytes, socket, flags, align, 0);
}

const struct rte_memzone *rte_memzone_reserve(const char *name, size_t bytes, int socket, unsigned flags)
{
	return rte_memzone_reserve_bounded(name, bytes, socket, flags, RTE_CACHE_LINE_SIZE, 0);
}

const struct rte_memzone *rte_memzone_lookup(const char *name)
{
	int i;

	rte_spinlock_lock(&lock);
	i = eal_zone_find(&names, name);
	rte_spinlock_unlock(&lock);
	if (i < 0) {
		rte_errno = ENOENT;
		return NULL;
	}
	return &zones[i];
}

int rte_memzone_free(const struct rte_memzone *z)
{
	int err = -EINVAL;
	void *p = NULL;

	rte_spinlock_lock(&lock);
	if (z >= zones && z < zones + EAL_ZONES) {
		p = z->addr;
		err = eal_zone_release(&names, (unsigned)(z - zones));
		if (!err)
			zones[z - zones].addr = NULL;
	}
	rte_spinlock_unlock(&lock);
	if (!err)
		eal_heap_free(&eal_heap, p);
	return err;
}
