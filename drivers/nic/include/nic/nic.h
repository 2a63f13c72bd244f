/*
 * The machine's network cards, each a DPDK ethdev port that its poll-mode driver has claimed.
 *
 * A port is left as probed; whoever uses it (an uplink of the vSwitch) configures and starts it through rte_ethdev and polls it on one
 * core. Receive interrupts work on every port (conf.intr_conf.rxq = 1 before rte_eth_dev_configure), on the core that starts it. Memory
 * that DPDK allocates (rte_malloc, memory zones, mempools) is physically contiguous per allocation.
 *
 * DPDK may be used from lcores: the core of nic_init and those that called nic_core_join. An lcore's id is the core's index.
 */
#ifndef NIC_NIC_H
#define NIC_NIC_H

#include <hv/types.h>

#define NIC_MAX 32u

struct nic {
	uint16_t port;      /* ethdev port id */
	uint8_t mac[6];     /* permanent address */
	char pci[16];       /* "0000:00:02.0": segment, bus, device, function */
	const char *driver; /* the poll-mode driver, "net_virtio" */
	uint16_t mtu_max;   /* bytes of payload */
	uint16_t rx_queues_max, tx_queues_max; /* 1 to receive by, where a queue would have no interrupt of its own */
	/* What the device can do, were it configured so. */
	bool tx_checksum; /* TCP and UDP over IPv4/IPv6 */
	bool tso;         /* TCP segmentation, IPv4 and IPv6 */
	bool tx_chains;   /* a frame may be a chain of mbufs */
	bool rx_checksum;
	bool rx_chains;        /* a frame larger than a buffer arrives as a chain */
	bool lro;              /* may hand over several TCP segments as one large frame */
	bool interrupt_driven; /* false: no usable MSI-X; a timer stands in for receive interrupts, none for link events */
};

struct nic_link {
	bool up, full_duplex;
	uint32_t mbps; /* 0 = unknown */
};

/*
 * Starts DPDK with the calling core as its main lcore, finds the NICs and claims them. No NIC is no error. May take seconds (devices
 * reset). -EALREADY; -ENOSYS: a driver of pmd.c is not in the image; -ENOMEM, -EIO. @pre core == hv_core_self(). Fiber (or loop) context.
 */
int nic_init(unsigned core) HV_MUST_CHECK;
/* Makes the calling core an lcore: one that polls queues or allocates mbufs on its own account. Loop context; again is harmless. */
void nic_core_join(void);

unsigned nic_count(void);
/* NULL beyond the count. Stable for good. Any core. */
const struct nic *nic_get(unsigned i);
/* By permanent MAC address, or by PCI address text; NULL when there is none. */
const struct nic *nic_find_mac(const uint8_t mac[6]);
const struct nic *nic_find_pci(const char *pci);
/* The link now, or as last reported when link events were asked for (intr_conf.lsc); does not wait for negotiation. 0, -EINVAL, or the
 * driver's error. Loop context on the port's core. */
int nic_link(const struct nic *n, struct nic_link *out) HV_MUST_CHECK;
/*
 * Receive interrupt of a queue on or off; nic is a const struct nic *. After "on" the caller polls the queue once more before it sleeps: a
 * frame that arrived just before raises none. Fits struct vsw_uplink_dev.arm. @pre the port is started with intr_conf.rxq. Loop context on
 * its core.
 */
void nic_rx_arm(void *nic, unsigned queue, bool on);

#endif
