/*
 * Memory as devices see it: an I/O address is a physical address (no IOMMU remapping), and all memory DPDK uses is in the direct map, where
 * neighbours are physical neighbours. DPDK's own bookkeeping of huge pages (memseg lists) has nothing to describe and is empty.
 */
#include "eal/eal.h"

#include <errno.h>
#include <hv/mem.h>
#include <rte_eal_paging.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include <eal_private.h>

#define PAGE_BYTES (2u << 20) /* what an mbuf pool's objects are kept from straddling */

void eal_memory_start(void)
{
	rte_eal_get_configuration()->iova_mode = RTE_IOVA_PA;
}

rte_iova_t rte_mem_virt2iova(const void *p)
{
	return hv_virt_to_phys(p).v;
}

phys_addr_t rte_mem_virt2phy(const void *p)
{
	return hv_virt_to_phys(p).v;
}

size_t rte_mem_page_size(void)
{
	return PAGE_BYTES;
}

/* Nothing is ever paged out. */
int rte_mem_lock(const void *p, size_t size)
{
	return 0;
}

/* Only mempools of anonymous memory map their own; ours come from zones. */
void *rte_mem_map(void *requested, size_t size, int prot, int flags, int fd, uint64_t offset)
{
	rte_errno = ENOTSUP;
	return NULL;
}

int rte_mem_unmap(void *p, size_t size)
{
	rte_errno = ENOTSUP;
	return -1;
}

struct rte_memseg *rte_mem_virt2memseg(const void *p, const struct rte_memseg_list *list)
{
	return NULL;
}

struct rte_memseg_list *rte_mem_virt2memseg_list(const void *p)
{
	return NULL;
}

int rte_memseg_list_walk(rte_memseg_list_walk_t fn, void *arg)
{
	return 0;
}

/* Only the spread of mempool objects over channels depends on these: the usual two channels of a server's node, one rank. */
unsigned rte_memory_get_nchannel(void)
{
	return 2;
}

unsigned rte_memory_get_nrank(void)
{
	return 1;
}

uint64_t eal_get_baseaddr(void)
{
	return 0;
}
