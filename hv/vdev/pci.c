/*
 * A VM's PCI host bridge: configuration space and BARs.
 *
 * Owner: made and freed in a fiber on io_core; configuration accesses come from any vCPU core and are serialised by vpci.lock (held for a
 * few instructions, or for one iobus attach/detach when a BAR moves). Lock order: vpci.lock, then msix_lock, then the bus's and LAPIC's
 * own.
 *
 * A function's 256 bytes are plain data with a mask of guest-writable bits; only three things have an effect of their own: the command
 * register and BARs (decoding), MSI-X message control (pci_msix.c), and bytes that the device asked to be told about (config_hook).
 *
 * Invariants
 *  1. bar.decoded is true exactly while bar.region is on the VM's bus, and then region.start is what configuration space says.
 *  2. A BAR is decoded only inside its window, so the guest can never place one over RAM or over a fixed device.
 */
#include "vdev/pci.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

/* PCI Local Bus 3.0, 6.1 "Configuration Space Organization". */
enum {
	CFG_VENDOR = 0x00,
	CFG_DEVICE = 0x02,
	CFG_COMMAND = 0x04,
	CFG_STATUS = 0x06,
	CFG_REVISION = 0x08,
	CFG_CLASS = 0x09,
	CFG_BAR = 0x10,
	CFG_SUBSYS_VENDOR = 0x2c,
	CFG_SUBSYS = 0x2e,
	CFG_CAPABILITIES = 0x34,
	CFG_FIRST_CAP = 0x40,
	COMMAND_IO = 1u << 0,
	COMMAND_MEMORY = 1u << 1,
	COMMAND_MASTER = 1u << 2,
	COMMAND_INTX_OFF = 1u << 10,
	STATUS_CAPS = 1u << 4,
};

#define PORT_ADDRESS 0xcf8u
#define ADDRESS_ENABLE 0x80000000u
#define RESET_CPU 0x04u /* port 0xcf9 */

struct vpci {
	struct vm *vm;
	struct vdev_lock lock;
	_Atomic uint32_t address; /* port 0xcf8 */
	_Atomic uint8_t reset_control;
	struct io_region ports, ecam;
	struct vpci_dev *slot[VPCI_SLOTS];
	uint32_t io_next, mmio_next; /* first unassigned address of each window */
	struct vpci_dev bridge;
};

static void put16(uint8_t *p, uint16_t x)
{
	p[0] = (uint8_t)x;
	p[1] = (uint8_t)(x >> 8);
}

static void put32(uint8_t *p, uint32_t x)
{
	put16(p, (uint16_t)x);
	put16(p + 2, (uint16_t)(x >> 16));
}

static uint32_t get_bytes(const uint8_t *p, unsigned n)
{
	uint32_t x = 0;
	for (unsigned i = 0; i < n; i++)
		x |= (uint32_t)p[i] << (8 * i);
	return x;
}

/* ---- decoding ---- */

static bool in_window(const struct vpci_bar *bar, uint32_t base)
{
	uint64_t start = bar->io ? VPCI_IO_BASE : VPCI_MMIO_BASE;
	uint64_t end = start + (bar->io ? VPCI_IO_BYTES : VPCI_MMIO_BYTES);
	return base >= start && (uint64_t)base + bar->bytes <= end;
}

static void bar_access(struct io_region *r, struct io_access *a)
{
	struct vpci_bar *bar = hv_container_of(r, struct vpci_bar, region);
	bar->access(r->arg, a);
}

static void bar_decode(struct vpci_dev *d, unsigned i, uint16_t command)
{
	struct vpci_bar *bar = &d->bar[i];
	enum io_space space = bar->io ? IO_PORT : IO_MMIO;
	uint32_t base = get_bytes(d->config + CFG_BAR + 4 * i, 4) & ~(bar->bytes - 1);
	bool want = (command & (bar->io ? COMMAND_IO : COMMAND_MEMORY)) && in_window(bar, base);

	if (bar->decoded && (!want || bar->region.start != base)) {
		iobus_detach(d->vm, space, &bar->region);
		bar->decoded = false;
	}
	if (!want || bar->decoded)
		return;
	bar->region.start = base; /* the only field that changes: another vCPU may be in the middle of a call through this region */
	int err = iobus_attach(d->vm, space, &bar->region);
	if (err < 0)
		log_warn("vpci.bar.overlap", "%s: %s BAR%u at 0x%x is not decoded: it overlaps another device (%d)", d->vm->name, d->name,
			i, base, err);
	bar->decoded = err == 0;
}

/* Makes the bus follow the command register and BARs. @pre vpci.lock, or no vCPU runs */
static void decode_all(struct vpci_dev *d)
{
	uint16_t command = (uint16_t)get_bytes(d->config + CFG_COMMAND, 2);
	for (unsigned i = 0; i < VPCI_BARS; i++)
		if (d->bar[i].bytes)
			bar_decode(d, i, command);
}

bool vpci_bus_master(const struct vpci_dev *d)
{
	return __atomic_load_n(&d->config[CFG_COMMAND], __ATOMIC_ACQUIRE) & COMMAND_MASTER;
}

/* ---- configuration accesses: offset and size inside one dword, offset below 256 ---- */

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned end)
{
	return offset < end && offset + size > start;
}

static uint32_t config_read(struct vpci *p, struct vpci_dev *d, unsigned offset, unsigned size)
{
	if (d->config_hook && touches(offset, size, d->hook_start, d->hook_end))
		d->config_hook(d, offset, size, false);
	vdev_lock(&p->lock);
	uint32_t value = get_bytes(d->config + offset, size);
	vdev_unlock(&p->lock);
	return value;
}

static void config_write(struct vpci *p, struct vpci_dev *d, unsigned offset, unsigned size, uint32_t value)
{
	vdev_lock(&p->lock);
	for (unsigned i = 0; i < size; i++, value >>= 8) {
		uint8_t mask = d->writable[offset + i];
		d->config[offset + i] = (uint8_t)((d->config[offset + i] & ~mask) | (value & mask));
	}
	if (touches(offset, size, CFG_COMMAND, CFG_COMMAND + 2) || touches(offset, size, CFG_BAR, CFG_BAR + 4 * VPCI_BARS))
		decode_all(d);
	if (d->msix_cap && touches(offset, size, d->msix_cap + 2u, d->msix_cap + 4u))
		vpci_msix_control(d);
	vdev_unlock(&p->lock);
	if (d->config_hook && touches(offset, size, d->hook_start, d->hook_end))
		d->config_hook(d, offset, size, true);
}

/* One access of at most 4 bytes; devfn and offset as in both access mechanisms. Absent functions read all ones. */
static uint32_t config_access(struct vpci *p, unsigned devfn, unsigned offset, unsigned size, bool write, uint32_t value)
{
	struct vpci_dev *d = devfn & 7 ? NULL : p->slot[(devfn >> 3) % VPCI_SLOTS];
	if (!d || offset + size > sizeof(d->config) || (offset & 3) + size > 4)
		return ~0u;
	if (!write)
		return config_read(p, d, offset, size);
	config_write(p, d, offset, size, value);
	return 0;
}

static void ecam_access(struct io_region *r, struct io_access *a)
{
	struct vpci *p = r->arg;
	unsigned devfn = (unsigned)(a->offset >> 12) & 0xff, offset = (unsigned)a->offset & 0xfff;
	if (a->size <= 4) {
		a->value = config_access(p, devfn, offset, a->size, a->write, (uint32_t)a->value);
		return;
	}
	uint64_t low = config_access(p, devfn, offset, 4, a->write, (uint32_t)a->value);
	uint64_t high = config_access(p, devfn, offset + 4, 4, a->write, (uint32_t)(a->value >> 32));
	a->value = low | high << 32;
}

/* Port 0xcf9, as chipsets have it: a 0-to-1 change of bit 2 resets the machine. */
static void reset_control_access(struct vpci *p, struct io_access *a)
{
	if (!a->write) {
		a->value = p->reset_control;
		return;
	}
	uint8_t value = (uint8_t)a->value, old = atomic_exchange(&p->reset_control, value);
	if ((value & RESET_CPU) && !(old & RESET_CPU))
		vm_reset(p->vm);
}

static void port_access(struct io_region *r, struct io_access *a)
{
	struct vpci *p = r->arg;
	if (a->offset == 0 && a->size == 4) {
		if (a->write)
			p->address = (uint32_t)a->value & 0x80fffffcu;
		else
			a->value = p->address;
		return;
	}
	if (a->offset == 1 && a->size == 1) {
		reset_control_access(p, a);
		return;
	}
	uint32_t address = p->address;
	if (a->offset < 4 || !(address & ADDRESS_ENABLE) || (address & 0x00ff0000u)) {
		a->value = ~0ull; /* no such function: bus other than 0, or not enabled */
		return;
	}
	unsigned offset = (address & 0xfc) + ((unsigned)a->offset & 3);
	a->value = config_access(p, (address >> 8) & 0xff, offset, a->size, a->write, (uint32_t)a->value);
}

/* ---- functions ---- */

int vpci_cap_add(struct vpci_dev *d, uint8_t id, const void *body, unsigned len, const uint8_t *writable)
{
	unsigned offset = d->cap_end ? d->cap_end : CFG_FIRST_CAP;
	if (len < 2 || offset + len > sizeof(d->config))
		return trace_error(-ENOSPC);
	memcpy(d->config + offset, body, len);
	d->config[offset] = id;
	d->config[offset + 1] = 0;
	if (writable)
		memcpy(d->writable + offset, writable, len);
	d->config[d->cap_last ? d->cap_last + 1u : CFG_CAPABILITIES] = (uint8_t)offset;
	d->config[CFG_STATUS] |= STATUS_CAPS;
	d->cap_last = (uint8_t)offset;
	d->cap_end = (uint8_t)HV_MIN(HV_ALIGN_UP(offset + len, 4u), 255u);
	return (int)offset;
}

void vpci_cap_hook(struct vpci_dev *d, unsigned offset, unsigned len)
{
	d->hook_start = (uint8_t)offset;
	d->hook_end = (uint8_t)(offset + len);
}

static void config_init(struct vpci_dev *d)
{
	put16(d->config + CFG_VENDOR, d->vendor_id);
	put16(d->config + CFG_DEVICE, d->device_id);
	put16(d->config + CFG_SUBSYS_VENDOR, d->subsys_vendor_id);
	put16(d->config + CFG_SUBSYS, d->subsys_id);
	d->config[CFG_REVISION] = d->revision;
	put16(d->config + CFG_CLASS, (uint16_t)d->class_code);
	d->config[CFG_CLASS + 2] = (uint8_t)(d->class_code >> 16);
	put16(d->writable + CFG_COMMAND, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_OFF);
	d->writable[0x0c] = 0xff; /* cache line size and interrupt line: scratch bytes of software */
	d->writable[0x3c] = 0xff;
}

/* Places one BAR, naturally aligned (memory BARs at least to a page). */
static int bar_assign(struct vpci *p, struct vpci_dev *d, unsigned i)
{
	struct vpci_bar *bar = &d->bar[i];
	uint32_t *next = bar->io ? &p->io_next : &p->mmio_next;
	uint32_t base = HV_ALIGN_UP(*next, bar->io ? bar->bytes : HV_MAX(bar->bytes, 4096u));
	if ((bar->bytes & (bar->bytes - 1)) || bar->bytes < (bar->io ? 4u : 16u) || !in_window(bar, base))
		return trace_error(-ENOSPC);
	*next = base + bar->bytes;
	bar->region = (struct io_region){.start = base, .bytes = bar->bytes, .access = bar_access, .name = d->name, .arg = d};
	put32(d->config + CFG_BAR + 4 * i, base | (bar->io ? 1u : 0u));
	put32(d->writable + CFG_BAR + 4 * i, ~(bar->bytes - 1));
	d->config[CFG_COMMAND] |= bar->io ? COMMAND_IO : COMMAND_MEMORY;
	return 0;
}

static void release_bars(struct vpci_dev *d)
{
	for (unsigned i = 0; i < VPCI_BARS; i++) {
		struct vpci_bar *bar = &d->bar[i];
		if (bar->decoded)
			iobus_detach(d->vm, bar->io ? IO_PORT : IO_MMIO, &bar->region);
		bar->decoded = false;
	}
}

int vpci_register(struct vm *vm, struct vpci_dev *d)
{
	struct vpci *p = vm->vpci;
	unsigned slot = 0;
	while (slot < VPCI_SLOTS && p->slot[slot])
		slot++;
	if (slot == VPCI_SLOTS)
		return trace_error(-ENOSPC);
	d->vm = vm;
	d->slot = (uint8_t)slot;
	config_init(d);
	int err = vpci_msix_init(d);
	for (unsigned i = 0; i < VPCI_BARS && err == 0; i++)
		if (d->bar[i].bytes)
			err = bar_assign(p, d, i);
	if (err < 0)
		return err;
	memcpy(d->reset_config, d->config, sizeof(d->config));
	decode_all(d);
	for (unsigned i = 0; i < VPCI_BARS; i++)
		if (d->bar[i].bytes && !d->bar[i].decoded) {
			release_bars(d);
			return trace_error(-EBUSY);
		}
	p->slot[slot] = d;
	d->registered = true;
	return 0;
}

void vpci_unregister(struct vpci_dev *d)
{
	if (!d->registered)
		return;
	release_bars(d);
	d->vm->vpci->slot[d->slot] = NULL;
	d->registered = false;
}

/* ---- life cycle ---- */

static void bridge_init(struct vpci_dev *d)
{
	d->name = "host-bridge";
	d->vendor_id = 0x1b36; /* a host bridge that guests have no quirks for */
	d->device_id = 0x0008;
	d->subsys_vendor_id = 0x1af4;
	d->subsys_id = 0x1100;
	d->class_code = 0x060000;
}

static int attach_bus(struct vpci *p)
{
	struct vm *vm = p->vm;
	p->ports = (struct io_region){.start = PORT_ADDRESS, .bytes = 8, .access = port_access, .name = "pci-config", .arg = p};
	p->ecam =
		(struct io_region){.start = VPCI_ECAM_BASE, .bytes = VPCI_ECAM_BYTES, .access = ecam_access, .name = "pci-ecam", .arg = p};
	int err = iobus_attach(vm, IO_PORT, &p->ports);
	if (err < 0)
		return err;
	err = iobus_attach(vm, IO_MMIO, &p->ecam);
	if (err < 0)
		iobus_detach(vm, IO_PORT, &p->ports);
	return err;
}

int vpci_create(struct vm *vm)
{
	struct vpci *p = hv_contig_alloc(sizeof(*p), HV_PAGE_SIZE);
	if (!p)
		return trace_error(-ENOMEM);
	memset(p, 0, sizeof(*p));
	p->vm = vm;
	p->io_next = VPCI_IO_BASE;
	p->mmio_next = VPCI_MMIO_BASE;
	bridge_init(&p->bridge);
	int err = attach_bus(p);
	if (err < 0)
		goto free;
	vm->vpci = p;
	err = vpci_register(vm, &p->bridge);
	if (err < 0)
		goto detach;
	return 0;
detach:
	vm->vpci = NULL;
	iobus_detach(vm, IO_MMIO, &p->ecam);
	iobus_detach(vm, IO_PORT, &p->ports);
free:
	hv_contig_free(p, sizeof(*p));
	return err;
}

void vpci_destroy(struct vm *vm)
{
	struct vpci *p = vm->vpci;
	if (!p)
		return;
	for (unsigned i = 0; i < VPCI_SLOTS; i++)
		if (p->slot[i])
			vpci_unregister(p->slot[i]);
	iobus_detach(vm, IO_MMIO, &p->ecam);
	iobus_detach(vm, IO_PORT, &p->ports);
	vm->vpci = NULL;
	hv_contig_free(p, sizeof(*p));
}

void vpci_reset(struct vm *vm)
{
	struct vpci *p = vm->vpci;
	p->address = 0;
	p->reset_control = 0;
	for (unsigned i = 0; i < VPCI_SLOTS; i++)
		if (p->slot[i])
			release_bars(p->slot[i]);
	for (unsigned i = 0; i < VPCI_SLOTS; i++) {
		struct vpci_dev *d = p->slot[i];
		if (!d)
			continue;
		memcpy(d->config, d->reset_config, sizeof(d->config));
		vpci_msix_reset(d);
		decode_all(d);
	}
}

/* ---- saved state: section PCIB (bridge registers), one section PCID per function ---- */

#define TAG_BRIDGE STATE_TAG('P', 'C', 'I', 'B')
#define TAG_FUNCTION STATE_TAG('P', 'C', 'I', 'D')

void vpci_save(struct vm *vm, struct state_writer *w)
{
	struct vpci *p = vm->vpci;
	state_begin(w, TAG_BRIDGE, 1, 0);
	state_put_u32(w, p->address);
	state_put_u8(w, p->reset_control);
	state_end(w);
	for (unsigned i = 0; i < VPCI_SLOTS; i++) {
		struct vpci_dev *d = p->slot[i];
		if (!d)
			continue;
		state_begin(w, TAG_FUNCTION, 1, (uint16_t)i);
		state_put(w, d->config, sizeof(d->config));
		vpci_msix_save(d, w);
		state_end(w);
	}
}

/* Bits that the guest cannot write come from this host, whatever the stream says. */
static void function_apply(struct vpci_dev *d, const uint8_t config[256], const struct vpci_msix_entry *msix)
{
	for (unsigned i = 0; i < sizeof(d->config); i++)
		d->config[i] = (uint8_t)((d->reset_config[i] & ~d->writable[i]) | (config[i] & d->writable[i]));
	memcpy(d->msix, msix, sizeof(d->msix));
	decode_all(d);
	if (d->msix_cap)
		vpci_msix_control(d);
}

static int function_load(struct vpci_dev *d, struct state_reader *r)
{
	uint8_t config[256];
	struct vpci_msix_entry msix[VPCI_MSIX_MAX];
	if (state_open(r, TAG_FUNCTION, 1, d->slot) < 0)
		return trace_error(-EINVAL);
	state_get(r, config, sizeof(config));
	vpci_msix_load(r, msix);
	if (!state_close(r) || memcmp(config, d->reset_config, 4) != 0)
		return trace_error(-EINVAL);
	function_apply(d, config, msix);
	return 0;
}

int vpci_load(struct vm *vm, struct state_reader *r)
{
	struct vpci *p = vm->vpci;
	if (state_open(r, TAG_BRIDGE, 1, 0) < 0)
		return trace_error(-EINVAL);
	uint32_t address = state_get_u32(r);
	uint8_t reset_control = state_get_u8(r);
	if (!state_close(r))
		return trace_error(-EINVAL);
	for (unsigned i = 0; i < VPCI_SLOTS; i++)
		if (p->slot[i])
			release_bars(p->slot[i]);
	for (unsigned i = 0; i < VPCI_SLOTS; i++) {
		int err = p->slot[i] ? function_load(p->slot[i], r) : 0;
		if (err < 0)
			return err;
	}
	p->address = address & 0x80fffffcu;
	p->reset_control = reset_control;
	return 0;
}
