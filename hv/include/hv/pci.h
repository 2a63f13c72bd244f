/* The machine's PCI Express functions, for drivers (PCI Local Bus 3.0 ch. 6, PCIe Base 4.0 ch. 7). Control paths, loop context. */
#ifndef HV_PCI_H
#define HV_PCI_H

#include <hv/types.h>

struct hv_pci_bar {
	hpa_t base;
	uint64_t bytes; /* 0 = not implemented */
	bool io, wide, prefetch;
};

struct hv_pci_dev {
	uint16_t segment;
	uint8_t bus, dev, fn;
	uint16_t vendor, device, subsys_vendor, subsys_device;
	uint32_t class_code; /* base class, sub-class, interface: 24 bits */
	struct hv_pci_bar bar[6];
	uint16_t msix_cap, msix_vectors; /* 0 when it has no MSI-X */
};

/* All functions found at boot; stable. */
unsigned hv_pci_count(void);
struct hv_pci_dev *hv_pci_get(unsigned i);
/* width 1, 2 or 4 bytes, offset aligned to it, below 4096 (256 without ECAM; beyond reads all ones). */
uint32_t hv_pci_read(const struct hv_pci_dev *d, unsigned offset, unsigned width);
void hv_pci_write(const struct hv_pci_dev *d, unsigned offset, unsigned width, uint32_t value);
/* Turns on memory/IO decoding and bus mastering. */
void hv_pci_enable(struct hv_pci_dev *d);
/* Maps a memory BAR uncached; NULL for an I/O BAR or on error. The same mapping on every call. */
void *hv_pci_bar_map(struct hv_pci_dev *d, unsigned bar);
/* Routes MSI-X table entry `entry` to fn(arg) on `core` and unmasks it; the first call enables MSI-X. 0, -ENODEV, -ENOSPC, -EINVAL. */
int hv_pci_msix_set(struct hv_pci_dev *d, unsigned entry, unsigned core, void (*fn)(void *arg), void *arg) HV_MUST_CHECK;
void hv_pci_msix_mask(struct hv_pci_dev *d, unsigned entry, bool masked);

#endif
