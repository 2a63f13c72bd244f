/*
 * DPDK's PCI bus over hv/pci.h: the functions hv found become devices of the bus; registers are reached through hv's configuration space
 * access, uncached BAR mappings, and I/O ports. Control paths on the main lcore, but for port I/O, which a legacy virtio device's doorbell
 * is.
 */
#include "eal/eal.h"

#include <errno.h>
#include <hv/log.h>
#include <hv/pci.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include <bus_pci_driver.h>
#include <eal_private.h>

#define CONFIG_BYTES 4096

struct eal_pci {
	struct rte_pci_device device; /* first: pci_free() frees what it is given */
	struct hv_pci_dev *dev;
};

struct hv_pci_dev *eal_pci_dev(const struct rte_pci_device *d)
{
	return ((const struct eal_pci *)d)->dev;
}

/* ---- scan ---- */

static void describe(struct rte_pci_device *d, const struct hv_pci_dev *dev)
{
	d->addr = (struct rte_pci_addr){.domain = dev->segment, .bus = dev->bus, .devid = dev->dev, .function = dev->fn};
	d->id = (struct rte_pci_id){.class_id = dev->class_code,
		.vendor_id = dev->vendor,
		.device_id = dev->device,
		.subsystem_vendor_id = dev->subsys_vendor,
		.subsystem_device_id = dev->subsys_device};
	d->max_vfs = 0;
	d->device.bus = &rte_pci_bus.bus;
	d->device.numa_node = 0;
	d->kdrv = RTE_PCI_KDRV_NIC_UIO; /* ours to drive, without VFIO */
	for (unsigned i = 0; i < HV_ARRAY_LEN(dev->bar); i++) {
		d->mem_resource[i].phys_addr = dev->bar[i].base.v;
		d->mem_resource[i].len = dev->bar[i].bytes;
	}
	pci_common_set(d);
}

int rte_pci_scan(void)
{
	for (unsigned i = 0; i < hv_pci_count(); i++) {
		struct eal_pci *p = calloc(1, sizeof(*p));

		if (!p)
			return trace_error(-ENOMEM);
		p->dev = hv_pci_get(i);
		describe(&p->device, p->dev);
		rte_pci_add_device(&p->device);
	}
	return 0;
}

bool pci_device_iommu_support_va(const struct rte_pci_device *d)
{
	return false;
}

enum rte_iova_mode pci_device_iova_mode(const struct rte_pci_driver *driver, const struct rte_pci_device *d)
{
	return RTE_IOVA_PA;
}

/* ---- configuration space: any offset and length, in the widest aligned accesses ---- */

static unsigned access_width(size_t left, off_t offset)
{
	if (left >= 4 && offset % 4 == 0)
		return 4;
	return left >= 2 && offset % 2 == 0 ? 2 : 1;
}

static bool in_config_space(size_t len, off_t offset)
{
	return offset >= 0 && offset <= CONFIG_BYTES && len <= (size_t)(CONFIG_BYTES - offset);
}

int rte_pci_read_config(const struct rte_pci_device *d, void *buf, size_t len, off_t offset)
{
	uint8_t *out = buf;

	if (!in_config_space(len, offset))
		return -1;
	for (size_t done = 0; done < len;) {
		unsigned width = access_width(len - done, offset + (off_t)done);
		uint32_t value = hv_pci_read(eal_pci_dev(d), (unsigned)offset + (unsigned)done, width);

		memcpy(out + done, &value, width);
		done += width;
	}
	return (int)len;
}

int rte_pci_write_config(const struct rte_pci_device *d, const void *buf, size_t len, off_t offset)
{
	const uint8_t *in = buf;

	if (!in_config_space(len, offset))
		return -1;
	for (size_t done = 0; done < len;) {
		unsigned width = access_width(len - done, offset + (off_t)done);
		uint32_t value = 0;

		memcpy(&value, in + done, width);
		hv_pci_write(eal_pci_dev(d), (unsigned)offset + (unsigned)done, width, value);
		done += width;
	}
	return (int)len;
}

/* ---- registers ---- */

/* A driver's first step with a device: registers mapped, decoding and bus mastering on, an interrupt source. Repeating it changes nothing.
 */
int rte_pci_map_device(struct rte_pci_device *d)
{
	struct hv_pci_dev *dev = eal_pci_dev(d);
	int err;

	for (unsigned i = 0; i < HV_ARRAY_LEN(dev->bar); i++) {
		if (!dev->bar[i].bytes || dev->bar[i].io)
			continue;
		d->mem_resource[i].addr = hv_pci_bar_map(dev, i);
		if (!d->mem_resource[i].addr) {
			log_error("nic.pci.map", "%s: BAR %u (%llu bytes) cannot be mapped", d->name, i,
				(unsigned long long)dev->bar[i].bytes);
			return trace_error(-ENOMEM);
		}
	}
	err = eal_intr_bind(d, dev);
	if (err)
		return err;
	hv_pci_enable(dev);
	return 0;
}

/* hv keeps BAR mappings for good: the next rte_pci_map_device gets the same. */
void rte_pci_unmap_device(struct rte_pci_device *d)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(d->mem_resource); i++)
		d->mem_resource[i].addr = NULL;
}

int rte_pci_ioport_map(struct rte_pci_device *d, int bar, struct rte_pci_ioport *port)
{
	struct hv_pci_dev *dev = eal_pci_dev(d);
	int err;

	if (bar < 0 || bar >= (int)HV_ARRAY_LEN(dev->bar) || !dev->bar[bar].io || !dev->bar[bar].bytes)
		return -1;
	err = eal_intr_bind(d, dev);
	if (err)
		return -1;
	hv_pci_enable(dev);
	*port = (struct rte_pci_ioport){.dev = d, .base = dev->bar[bar].base.v, .len = dev->bar[bar].bytes};
	return 0;
}

int rte_pci_ioport_unmap(struct rte_pci_ioport *port)
{
	port->base = 0;
	return 0;
}

void rte_pci_ioport_read(struct rte_pci_ioport *port, void *data, size_t len, off_t offset)
{
	uint16_t reg = (uint16_t)(port->base + (uint64_t)offset);
	uint8_t *out = data;

	while (len) {
		unsigned width = len >= 4 ? 4 : len >= 2 ? 2 : 1;
		uint32_t value;

		if (width == 4) {
			__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(reg));
		} else if (width == 2) {
			uint16_t v;

			__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(reg));
			value = v;
		} else {
			uint8_t v;

			__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(reg));
			value = v;
		}
		memcpy(out, &value, width);
		out += width;
		reg = (uint16_t)(reg + width);
		len -= width;
	}
}

void rte_pci_ioport_write(struct rte_pci_ioport *port, const void *data, size_t len, off_t offset)
{
	uint16_t reg = (uint16_t)(port->base + (uint64_t)offset);
	const uint8_t *in = data;

	while (len) {
		unsigned width = len >= 4 ? 4 : len >= 2 ? 2 : 1;
		uint32_t value = 0;

		memcpy(&value, in, width);
		if (width == 4)
			__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(reg));
		else if (width == 2)
			__asm__ volatile("outw %0, %1" : : "a"((uint16_t)value), "Nd"(reg));
		else
			__asm__ volatile("outb %0, %1" : : "a"((uint8_t)value), "Nd"(reg));
		in += width;
		reg = (uint16_t)(reg + width);
		len -= width;
	}
}
