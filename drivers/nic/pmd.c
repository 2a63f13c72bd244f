/*
 * The poll-mode drivers in the image, and the list of NICs they claimed.
 *
 * A driver enters DPDK's PCI bus from a constructor, which a linker that drops unreferenced objects would lose without a word; nic_init
 * therefore checks that each driver of the table below is on the bus. To add one: its sources in the dpdk overlay, its row here.
 *
 * Owner: written once by nic_init, read by any core after.
 */
#include "eal/eal.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <nic/nic.h>
#include <rte_ethdev.h>
#include <string.h>

#include "private.h"
#include <bus_pci_driver.h>
#include <ethdev_driver.h>

static const struct {
	const char *name, *serves;
} drivers[] = {
	{"net_virtio", "virtio-net 1.x and legacy"},
	{"net_e1000_em", "Intel 8254x, 82571-82574, 82583, ICH8-10, PCH (e1000, e1000e)"},
	{"net_e1000_igb", "Intel 82575, 82576, 82580, I350, I210"},
	{"net_vmxnet3", "VMware vmxnet3"},
};

static struct nic nics[NIC_MAX];
static unsigned nic_total;
static bool started;

static bool on_bus(const char *name)
{
	const struct rte_pci_driver *d;

	FOREACH_DRIVER_ON_PCIBUS(d)
	{
		if (!strcmp(d->driver.name, name))
			return true;
	}
	return false;
}

static int check_drivers(void)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(drivers); i++) {
		if (!on_bus(drivers[i].name)) {
			log_error("nic.driver.missing", "driver %s (%s) is not in this image", drivers[i].name, drivers[i].serves);
			return trace_error(-ENOSYS);
		}
	}
	return 0;
}

static bool has(uint64_t capabilities, uint64_t all_of)
{
	return (capabilities & all_of) == all_of;
}

static void describe_offloads(struct nic *n, const struct rte_eth_dev_info *info)
{
	n->tx_checksum = has(info->tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
	n->tso = has(info->tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_TSO);
	n->tx_chains = has(info->tx_offload_capa, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	n->rx_checksum = has(info->rx_offload_capa, RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	n->rx_chains = has(info->rx_offload_capa, RTE_ETH_RX_OFFLOAD_SCATTER);
	n->lro = has(info->rx_offload_capa, RTE_ETH_RX_OFFLOAD_TCP_LRO);
}

static int describe(struct nic *n, uint16_t port)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	const struct rte_pci_device *d;
	int err = rte_eth_dev_info_get(port, &info);

	if (!err)
		err = rte_eth_macaddr_get(port, &mac);
	if (err)
		return err;
	d = RTE_DEV_TO_PCI(info.device);
	*n = (struct nic){.port = port,
		.driver = info.driver_name,
		.mtu_max = info.max_mtu,
		.rx_queues_max = eal_intr_is_msix(d) ? info.max_rx_queues : 1, /* no more interrupts than that */
		.tx_queues_max = info.max_tx_queues,
		.interrupt_driven = eal_intr_is_msix(d)};
	memcpy(n->mac, mac.addr_bytes, sizeof(n->mac));
	hv_snprintf(n->pci, sizeof(n->pci), "%s", d->name);
	describe_offloads(n, &info);
	/* Else a user could ask for link events that would never come. */
	if (!n->interrupt_driven)
		rte_eth_devices[port].data->dev_flags &= ~(uint32_t)RTE_ETH_DEV_INTR_LSC;
	return 0;
}

static void list_ports(void)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV(port)
	{
		struct nic *n = &nics[nic_total];
		int err;

		if (nic_total == NIC_MAX)
			break;
		err = describe(n, port);
		if (err) {
			log_error("nic.describe", "ethdev port %u does not describe itself: error %d", port, -err);
			continue;
		}
		log_info("nic.found", "%s %02x:%02x:%02x:%02x:%02x:%02x driver %s%s%s%s%s", n->pci, n->mac[0], n->mac[1], n->mac[2],
			n->mac[3], n->mac[4], n->mac[5], n->driver, n->tx_checksum ? ", checksum" : "", n->tso ? ", TSO" : "",
			n->lro ? ", LRO" : "", n->interrupt_driven ? ", MSI-X" : ", no MSI-X");
		nic_total++;
	}
}

int nic_init(unsigned core)
{
	int err;

	hv_assert(core == hv_core_self());
	if (started)
		return -EALREADY;
	started = true;
	err = check_drivers();
	if (!err)
		err = eal_start();
	if (err)
		return err;
	list_ports();
	return 0;
}

void nic_core_join(void)
{
	eal_lcore_join();
}

unsigned nic_count(void)
{
	return nic_total;
}

const struct nic *nic_get(unsigned i)
{
	return i < nic_total ? &nics[i] : NULL;
}

const struct nic *nic_find_mac(const uint8_t mac[6])
{
	for (unsigned i = 0; i < nic_total; i++) {
		if (!memcmp(nics[i].mac, mac, sizeof(nics[i].mac)))
			return &nics[i];
	}
	return NULL;
}

const struct nic *nic_find_pci(const char *pci)
{
	for (unsigned i = 0; i < nic_total; i++) {
		if (!strcmp(nics[i].pci, pci))
			return &nics[i];
	}
	return NULL;
}

int nic_link(const struct nic *n, struct nic_link *out)
{
	struct rte_eth_link link = {0};
	int err = rte_eth_link_get_nowait(n->port, &link);

	if (err)
		return err;
	*out = (struct nic_link){.up = link.link_status == RTE_ETH_LINK_UP,
		.full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX,
		.mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed};
	return 0;
}

void nic_rx_arm(void *nic, unsigned queue, bool on)
{
	const struct nic *n = nic;
	int err = on ? rte_eth_dev_rx_intr_enable(n->port, (uint16_t)queue) : rte_eth_dev_rx_intr_disable(n->port, (uint16_t)queue);

	/* Fails only when the port was not started with interrupts, which is the caller's mistake: its core would sleep for ever. */
	hv_assert(!err);
}
