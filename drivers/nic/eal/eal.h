/*
 * What the parts of our Environment Abstraction Layer know of each other. Everything else they offer is DPDK's own interface (rte_*.h,
 * and for drivers eal_private.h and the PCI bus's private.h), implemented one subject a file.
 */
#ifndef NIC_EAL_EAL_H
#define NIC_EAL_EAL_H

#include <hv/types.h>

struct hv_pci_dev;
struct rte_pci_device;
struct eal_heap;

/*
 * Brings DPDK up with the calling core as its main lcore: memory, tail queues, time, buses, probe of every device. 0, or -errno with a log
 * line; a device whose driver fails is logged and left out. Once. Fiber or loop context.
 */
int eal_start(void) HV_MUST_CHECK;

/* lcore.c: makes the calling core an lcore (its number is the core's index). Loop context. */
void eal_lcore_join(void);

/* memory.c */
void eal_memory_start(void);

/* malloc.c: the heap that rte_malloc and memory zones share. */
extern struct eal_heap eal_heap;

/* pci.c: the machine's function behind a DPDK device. */
struct hv_pci_dev *eal_pci_dev(const struct rte_pci_device *d);

/* interrupts.c: gives a mapped device's interrupt handle its source. 0 or -ENOSPC. */
int eal_intr_bind(struct rte_pci_device *d, struct hv_pci_dev *dev) HV_MUST_CHECK;
/* True when the device raises MSI-X; false when its interrupt line is polled by timer. */
bool eal_intr_is_msix(const struct rte_pci_device *d);

#endif
