/*
 * Services of a DPDK under an operating system that this host does not have, each with the reason. They fail in the way their callers
 * expect, or have nothing to do.
 */
#include <errno.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_interrupts.h>
#include <rte_telemetry.h>
#include <rte_trace_point_register.h>
#include <rte_vect.h>
#include <rte_vfio.h>

#include "hotplug_mp.h"
#include "private.h"
#include <bus_pci_driver.h>
#include <eal_private.h>

/* Telemetry: a UNIX socket for DPDK's own tools. Counters are read through ethdev and printed with the host's. */
int rte_telemetry_register_cmd(const char *cmd, telemetry_cb fn, const char *help)
{
	return 0;
}

/* Trace points: never enabled, since none is given a buffer; they cost their one test of a zero word. hv's trace takes their place. */
RTE_DEFINE_PER_LCORE(volatile int, trace_point_sz);
RTE_DEFINE_PER_LCORE(void *, trace_mem);

int __rte_trace_point_register(rte_trace_point_t *trace, const char *name, void (*register_fn)(void))
{
	return 0;
}

void __rte_trace_mem_per_thread_alloc(void)
{
}

void __rte_trace_point_emit_field(size_t size, const char *field, const char *type)
{
}

/* More than one process: there is one program. */
int eal_dev_hotplug_request_to_primary(struct eal_dev_mp_req *req)
{
	return -ENOTSUP;
}

int eal_dev_hotplug_request_to_secondary(struct eal_dev_mp_req *req)
{
	return -ENOTSUP;
}

/* Port I/O permission: the host runs in ring 0. */
int rte_eal_iopl_init(void)
{
	return 0;
}

/* VFIO: Linux's IOMMU interface. Devices use physical addresses. */
int rte_vfio_container_dma_map(int container, uint64_t va, uint64_t iova, uint64_t len)
{
	rte_errno = ENOTSUP;
	return -1;
}

int rte_vfio_container_dma_unmap(int container, uint64_t va, uint64_t iova, uint64_t len)
{
	rte_errno = ENOTSUP;
	return -1;
}

/* Surprise removal of a device whose registers are mapped: not handled; reads then give all ones, as the hardware does. */
int pci_uio_remap_resource(struct rte_pci_device *d)
{
	return -1;
}

/* Event file descriptors: a receive interrupt wakes the core that polls the queue, nothing waits on a descriptor. */
int rte_intr_rx_ctl(struct rte_intr_handle *handle, int epfd, int op, unsigned int vec, void *data)
{
	return -ENOTSUP;
}

/* Vectors of SSE at most: a wider one would make every core's state larger, and nothing here is built with it. */
uint16_t rte_vect_get_max_simd_bitwidth(void)
{
	return RTE_VECT_SIMD_128;
}

int rte_vect_set_max_simd_bitwidth(uint16_t bitwidth)
{
	return -EPERM;
}
