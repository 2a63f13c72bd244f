/*
 * PCI functions: found once at boot on every bus that firmware's ECAM regions (or configuration ports) reach, BARs sized, MSI-X routed to cores.
 * Control paths on core 0 at boot, then the driver that owns a function.
 */
#include <hv/pci.h>
#include "arch/cpu.h"
#include "arch/platform.h"
#include "kern/lock.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>

#define MAX_FUNCTIONS 256
#define CAP_MSIX 0x11u
enum {
	REG_COMMAND = 0x04,
	REG_STATUS = 0x06,
	REG_CLASS = 0x08,
	REG_HEADER = 0x0e,
	REG_BAR0 = 0x10,
	REG_SUBSYSTEM = 0x2c,
	REG_CAPABILITIES = 0x34,
};
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_INTX_OFF = 0x400 };
#define MSIX_ENABLE 0x8000u
#define MSIX_FUNCTION_MASK 0x4000u
#define MSIX_ENTRY_BYTES 16u

/* What the public struct does not show. */
struct function {
	struct hv_pci_dev dev;
	volatile char *ecam; /* its 4 KiB of configuration space; NULL: through ports */
	void *bar_map[6];
	volatile uint32_t *msix_table;
	uint16_t *msix_core; /* core and vector in use by each entry; vector 0 = none */
	uint8_t *msix_vector;
};

static struct function *functions; /* MAX_FUNCTIONS */
static unsigned function_count;
static struct hv_lock port_lock;

static struct function *function_of(const struct hv_pci_dev *d)
{
	return hv_container_of((struct hv_pci_dev *)(uintptr_t)d, struct function, dev);
}

unsigned hv_pci_count(void)
{
	return function_count;
}

struct hv_pci_dev *hv_pci_get(unsigned i)
{
	return i < function_count ? &functions[i].dev : NULL;
}

/* ---- configuration space ---- */
static uint32_t all_ones(unsigned width)
{
	return width == 4 ? UINT32_MAX : (1u << (8 * width)) - 1;
}

/* Selects a register through the ports (PCI 3.0, 3.2.2.3.2) and returns the data port. */
static uint16_t port_select(const struct hv_pci_dev *d, unsigned offset)
{
	cpu_outl(0xcf8, 0x80000000u | (uint32_t)d->bus << 16 | (uint32_t)d->dev << 11 | (uint32_t)d->fn << 8 | (offset & 0xfcu));
	return (uint16_t)(0xcfc + (offset & 3));
}

uint32_t hv_pci_read(const struct hv_pci_dev *d, unsigned offset, unsigned width)
{
	volatile char *ecam = function_of(d)->ecam;
	unsigned long irq;
	uint32_t v;
	uint16_t port;

	if (offset % width || offset + width > (ecam ? 4096u : 256u))
		return all_ones(width);
	if (ecam)
		return width == 1 ? *(volatile uint8_t *)(ecam + offset)
			: width == 2 ? *(volatile uint16_t *)(ecam + offset) : *(volatile uint32_t *)(ecam + offset);
	irq = hv_lock_irq(&port_lock);
	port = port_select(d, offset);
	v = width == 1 ? cpu_inb(port) : width == 2 ? cpu_inw(port) : cpu_inl(port);
	hv_unlock_irq(&port_lock, irq);
	return v;
}

void hv_pci_write(const struct hv_pci_dev *d, unsigned offset, unsigned width, uint32_t value)
{
	volatile char *ecam = function_of(d)->ecam;
	unsigned long irq;
	uint16_t port;

	if (offset % width || offset + width > (ecam ? 4096u : 256u))
		return;
	if (ecam) {
		if (width == 1)
			*(volatile uint8_t *)(ecam + offset) = (uint8_t)value;
		else if (width == 2)
			*(volatile uint16_t *)(ecam + offset) = (uint16_t)value;
		else
			*(volatile uint32_t *)(ecam + offset) = value;
		return;
	}
	irq = hv_lock_irq(&port_lock);
	port = port_select(d, offset);
	if (width == 1)
		cpu_outb(port, (uint8_t)value);
	else if (width == 2)
		cpu_outw(port, (uint16_t)value);
	else
		cpu_outl(port, value);
	hv_unlock_irq(&port_lock, irq);
}

/* ---- enumeration ---- */
/* Size of the BAR register at `offset`: the writable bits (PCI 3.0, 6.2.5.1). Decoding is off meanwhile. */
static uint32_t probe(const struct hv_pci_dev *d, unsigned offset, uint32_t *value)
{
	uint32_t bits;

	*value = hv_pci_read(d, offset, 4);
	hv_pci_write(d, offset, 4, UINT32_MAX);
	bits = hv_pci_read(d, offset, 4);
	hv_pci_write(d, offset, 4, *value);
	return bits;
}

static unsigned size_bar(struct hv_pci_dev *d, unsigned i, unsigned count)
{
	struct hv_pci_bar *bar = &d->bar[i];
	uint32_t low, high = 0, bits = probe(d, REG_BAR0 + 4 * i, &low), high_bits = UINT32_MAX;
	uint64_t mask;

	bar->io = low & 1;
	if (bar->io) {
		mask = bits & 0xfffffffcu;
		bar->base = HPA(low & 0xfffcu);
		bar->bytes = mask ? (uint32_t)(~mask & 0xffffu) + 1u : 0;
		return 1;
	}
	bar->wide = (low & 6) == 4 && i + 1 < count;
	bar->prefetch = low & 8;
	if (bar->wide)
		high_bits = probe(d, REG_BAR0 + 4 * (i + 1), &high);
	mask = (uint64_t)high_bits << 32 | (bits & ~0xfu);
	bar->base = HPA((uint64_t)high << 32 | (low & ~0xfu));
	bar->bytes = bits & ~0xfu || (bar->wide && high_bits) ? ~mask + 1 : 0;
	return bar->wide ? 2 : 1;
}

static void size_bars(struct hv_pci_dev *d)
{
	unsigned header = hv_pci_read(d, REG_HEADER, 1) & 0x7f;
	unsigned count = header == 0 ? 6 : header == 1 ? 2 : 0;
	uint32_t command = hv_pci_read(d, REG_COMMAND, 2);

	hv_pci_write(d, REG_COMMAND, 2, command & ~(uint32_t)(COMMAND_IO | COMMAND_MEMORY));
	for (unsigned i = 0; i < count;)
		i += size_bar(d, i, count);
	hv_pci_write(d, REG_COMMAND, 2, command);
	for (unsigned i = 0; i < count; i++)
		if (d->bar[i].bytes && !d->bar[i].base.v)
			log_warn("pci.bar", "%02x:%02x.%x BAR %u: firmware gave it no address", d->bus, d->dev, d->fn, i);
}

static void find_msix(struct hv_pci_dev *d)
{
	unsigned at;

	if (!(hv_pci_read(d, REG_STATUS, 2) & 0x10))
		return;
	at = hv_pci_read(d, REG_CAPABILITIES, 1) & 0xfcu;
	for (unsigned i = 0; at >= 0x40 && i < 48; i++) { /* a list that loops ends, too */
		if (hv_pci_read(d, at, 1) == CAP_MSIX) {
			d->msix_cap = (uint16_t)at;
			d->msix_vectors = (uint16_t)((hv_pci_read(d, at + 2, 2) & 0x7ff) + 1);
			return;
		}
		at = hv_pci_read(d, at + 1, 1) & 0xfcu;
	}
}

/* Returns the header type, or -1 when there is no function. */
static int add_function(uint16_t segment, unsigned bus, unsigned dev, unsigned fn, volatile char *ecam)
{
	struct function *f = &functions[function_count];
	struct hv_pci_dev *d = &f->dev;
	uint32_t id, subsystem;

	*f = (struct function){.dev = {.segment = segment, .bus = (uint8_t)bus, .dev = (uint8_t)dev, .fn = (uint8_t)fn}, .ecam = ecam};
	id = hv_pci_read(d, 0, 4);
	if ((id & 0xffff) == 0xffff)
		return -1;
	d->vendor = (uint16_t)id;
	d->device = (uint16_t)(id >> 16);
	d->class_code = hv_pci_read(d, REG_CLASS, 4) >> 8;
	subsystem = hv_pci_read(d, REG_SUBSYSTEM, 4);
	d->subsys_vendor = (uint16_t)subsystem;
	d->subsys_device = (uint16_t)(subsystem >> 16);
	size_bars(d);
	find_msix(d);
	log_debug("pci.function", "%02x:%02x.%x %04x:%04x class %06x, %u MSI-X vectors", bus, dev, fn, d->vendor, d->device, d->class_code,
		d->msix_vectors);
	function_count++;
	return (int)hv_pci_read(d, REG_HEADER, 1);
}

static void scan_bus(uint16_t segment, unsigned bus, volatile char *ecam)
{
	for (unsigned dev = 0; dev < 32; dev++) {
		unsigned functions_here = 1;

		for (unsigned fn = 0; fn < functions_here; fn++) {
			int header;

			if (function_count == MAX_FUNCTIONS) {
				log_warn("pci.full", "more than %u functions: the rest stays unused", MAX_FUNCTIONS);
				return;
			}
			header = add_function(segment, bus, dev, fn, ecam ? ecam + ((dev << 3 | fn) << 12) : NULL);
			if (fn == 0 && header >= 0 && header & 0x80)
				functions_here = 8;
		}
	}
}

void pci_init(const struct acpi_info *acpi)
{
	functions = hv_contig_alloc(MAX_FUNCTIONS * sizeof(*functions), HV_PAGE_SIZE);
	if (!functions)
		hv_panic("no memory for PCI");
	for (unsigned i = 0; i < acpi->ecam_count; i++) {
		const struct acpi_ecam *e = &acpi->ecams[i];
		uint64_t first = e->base + ((uint64_t)e->first_bus << 20);
		volatile char *ecam = hv_mmio_map(HPA(first), (size_t)(e->last_bus - e->first_bus + 1) << 20);

		if (!ecam) {
			log_error("pci.ecam", "cannot map the configuration space at %lx", (unsigned long)first);
			continue;
		}
		for (unsigned bus = e->first_bus; bus <= e->last_bus; bus++)
			scan_bus(e->segment, bus, ecam + ((size_t)(bus - e->first_bus) << 20));
	}
	if (!acpi->ecam_count)
		for (unsigned bus = 0; bus < 256; bus++)
			scan_bus(0, bus, NULL);
	log_info("pci.ready", "%u functions", function_count);
}

/* ---- for drivers ---- */
void hv_pci_enable(struct hv_pci_dev *d)
{
	uint32_t command = hv_pci_read(d, REG_COMMAND, 2);

	hv_pci_write(d, REG_COMMAND, 2, command | COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
}

void *hv_pci_bar_map(struct hv_pci_dev *d, unsigned bar)
{
	struct function *f = function_of(d);

	if (bar >= 6 || d->bar[bar].io || !d->bar[bar].bytes || !d->bar[bar].base.v)
		return NULL;
	if (!f->bar_map[bar])
		f->bar_map[bar] = hv_mmio_map(d->bar[bar].base, d->bar[bar].bytes);
	return f->bar_map[bar];
}

/* First use: maps the table, masks all entries, turns MSI-X on (PCI 3.0, 6.8.2). */
static int start_msix(struct function *f)
{
	struct hv_pci_dev *d = &f->dev;
	uint32_t where, control;
	uint64_t offset;
	char *bar;

	if (f->msix_table)
		return 0;
	if (!d->msix_cap)
		return trace_error(-ENODEV);
	where = hv_pci_read(d, d->msix_cap + 4u, 4);
	offset = where & ~7u;
	bar = hv_pci_bar_map(d, where & 7);
	if (!bar || offset + d->msix_vectors * MSIX_ENTRY_BYTES > d->bar[where & 7].bytes)
		return trace_error(-ENODEV);
	f->msix_core = hv_contig_alloc(d->msix_vectors * (sizeof(*f->msix_core) + sizeof(*f->msix_vector)), HV_PAGE_SIZE);
	if (!f->msix_core)
		return trace_error(-ENOSPC);
	f->msix_vector = (uint8_t *)(f->msix_core + d->msix_vectors);
	f->msix_table = (volatile uint32_t *)(bar + offset);
	control = hv_pci_read(d, d->msix_cap + 2u, 2);
	hv_pci_write(d, d->msix_cap + 2u, 2, control | MSIX_ENABLE | MSIX_FUNCTION_MASK);
	for (unsigned i = 0; i < d->msix_vectors; i++)
		f->msix_table[i * 4 + 3] = 1;
	hv_pci_write(d, REG_COMMAND, 2, hv_pci_read(d, REG_COMMAND, 2) | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_OFF);
	hv_pci_write(d, d->msix_cap + 2u, 2, (control | MSIX_ENABLE) & ~MSIX_FUNCTION_MASK);
	return 0;
}

int hv_pci_msix_set(struct hv_pci_dev *d, unsigned entry, unsigned core, void (*fn)(void *arg), void *arg)
{
	struct function *f = function_of(d);
	volatile uint32_t *e;
	uint64_t address;
	uint32_t data;
	int vector, err = start_msix(f);

	if (err)
		return err;
	if (entry >= d->msix_vectors)
		return trace_error(-EINVAL);
	vector = hv_irq_alloc(core, fn, arg);
	if (vector < 0)
		return vector;
	hv_msi_message(core, vector, &address, &data);
	e = f->msix_table + entry * 4;
	e[3] = 1;
	e[0] = (uint32_t)address;
	e[1] = (uint32_t)(address >> 32);
	e[2] = data;
	e[3] = 0;
	if (f->msix_vector[entry])
		hv_irq_free(f->msix_core[entry], f->msix_vector[entry]);
	f->msix_core[entry] = (uint16_t)core;
	f->msix_vector[entry] = (uint8_t)vector;
	return 0;
}

void hv_pci_msix_mask(struct hv_pci_dev *d, unsigned entry, bool masked)
{
	struct function *f = function_of(d);

	if (!f->msix_table || entry >= d->msix_vectors)
		return;
	f->msix_table[entry * 4 + 3] = masked;
	(void)f->msix_table[entry * 4 + 3]; /* read back: the write has arrived when this returns */
}
