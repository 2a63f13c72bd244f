/*
 * MSI-X of a virtual PCI function (PCI Local Bus 3.0, 6.8.2): table, pending bits, masks.
 *
 * The device raises from its I/O core, the guest writes the table from vCPU cores; msix_lock makes each a step of its own, so that an
 * interrupt is sent with a consistent address and data, or noted as pending and sent by the write that unmasks it: never lost, never
 * doubled.
 */
#include "vdev/irq.h"
#include "vdev/pci.h"
#include "vm/state.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

enum {
	CAP_MSIX = 0x11,
	CONTROL_ENABLE = 1u << 15,
	CONTROL_MASK_ALL = 1u << 14,
	ENTRY_BYTES = 16,
	ENTRY_MASKED = 1u << 0,
	PBA_BYTES = 8, /* VPCI_MSIX_MAX is below 64 */
};
_Static_assert(VPCI_MSIX_MAX <= 64, "the pending bits are one qword");

int vpci_msix_init(struct vpci_dev *d)
{
	if (!d->msix_count)
		return 0;
	if (d->msix_count > VPCI_MSIX_MAX)
		return trace_error(-ENOSPC);
	uint8_t body[12] = {0}, writable[12] = {0};
	uint32_t table = d->msix_table | d->msix_bar, pba = d->msix_pba | d->msix_bar;
	body[2] = (uint8_t)(d->msix_count - 1);
	writable[3] = (CONTROL_ENABLE | CONTROL_MASK_ALL) >> 8;
	for (unsigned i = 0; i < 4; i++) {
		body[4 + i] = (uint8_t)(table >> (8 * i));
		body[8 + i] = (uint8_t)(pba >> (8 * i));
	}
	int cap = vpci_cap_add(d, CAP_MSIX, body, sizeof(body), writable);
	if (cap < 0)
		return cap;
	d->msix_cap = (uint8_t)cap;
	vpci_msix_reset(d);
	return 0;
}

void vpci_msix_reset(struct vpci_dev *d)
{
	vdev_lock(&d->msix_lock);
	d->msix_enabled = d->msix_masked = false;
	for (unsigned i = 0; i < VPCI_MSIX_MAX; i++)
		d->msix[i] = (struct vpci_msix_entry){.masked = true};
	vdev_unlock(&d->msix_lock);
}

/* Sends what is pending and no longer masked. @pre msix_lock */
static void send_pending(struct vpci_dev *d, struct vpci_msix_entry *e)
{
	if (!e->pending || e->masked || d->msix_masked || !d->msix_enabled)
		return;
	e->pending = false;
	d->msix_sent++;
	vm_msi_send(d->vm, e->address, e->data);
}

void vpci_msix_raise(struct vpci_dev *d, unsigned entry)
{
	if (entry >= d->msix_count)
		return;
	struct vpci_msix_entry *e = &d->msix[entry];
	vdev_lock(&d->msix_lock);
	if (d->msix_enabled) {
		e->pending = true;
		send_pending(d, e);
		d->msix_held += e->pending;
	}
	vdev_unlock(&d->msix_lock);
}

void vpci_msix_control(struct vpci_dev *d)
{
	uint8_t control = d->config[d->msix_cap + 3];
	vdev_lock(&d->msix_lock);
	d->msix_enabled = control & (CONTROL_ENABLE >> 8);
	d->msix_masked = control & (CONTROL_MASK_ALL >> 8);
	for (unsigned i = 0; i < d->msix_count; i++) {
		if (!d->msix_enabled)
			d->msix[i].pending = false;
		send_pending(d, &d->msix[i]);
	}
	vdev_unlock(&d->msix_lock);
}

/* One dword of the table. @pre msix_lock */
static uint32_t table_read(const struct vpci_msix_entry *e, unsigned dword)
{
	switch (dword) {
	case 0:
		return (uint32_t)e->address;
	case 1:
		return (uint32_t)(e->address >> 32);
	case 2:
		return e->data;
	default:
		return e->masked ? ENTRY_MASKED : 0;
	}
}

static void table_write(struct vpci_dev *d, struct vpci_msix_entry *e, unsigned dword, uint32_t value)
{
	switch (dword) {
	case 0:
		e->address = (e->address & ~0xffffffffull) | (value & ~3u);
		break;
	case 1:
		e->address = (e->address & 0xffffffffull) | (uint64_t)value << 32;
		break;
	case 2:
		e->data = value;
		break;
	default:
		e->masked = value & ENTRY_MASKED;
		send_pending(d, e);
	}
}

static void table_access(struct vpci_dev *d, struct io_access *a, unsigned offset)
{
	struct vpci_msix_entry *e = &d->msix[offset / ENTRY_BYTES];
	unsigned dword = offset % ENTRY_BYTES / 4;
	if ((a->size != 4 && a->size != 8) || offset % a->size) {
		a->value = ~0ull; /* 6.8.2: only aligned dword and qword accesses are defined */
		return;
	}
	vdev_lock(&d->msix_lock);
	if (a->write) {
		table_write(d, e, dword, (uint32_t)a->value);
		if (a->size == 8)
			table_write(d, e, dword + 1, (uint32_t)(a->value >> 32));
	} else {
		a->value = table_read(e, dword);
		if (a->size == 8)
			a->value |= (uint64_t)table_read(e, dword + 1) << 32;
	}
	vdev_unlock(&d->msix_lock);
}

static void pba_read(struct vpci_dev *d, struct io_access *a, unsigned offset)
{
	uint64_t bits = 0;
	vdev_lock(&d->msix_lock);
	for (unsigned i = 0; i < d->msix_count; i++)
		bits |= (uint64_t)d->msix[i].pending << i;
	vdev_unlock(&d->msix_lock);
	a->value = bits >> (8 * offset);
}

bool vpci_msix_access(struct vpci_dev *d, struct io_access *a)
{
	if (a->offset >= d->msix_table && a->offset < d->msix_table + (uint64_t)d->msix_count * ENTRY_BYTES) {
		table_access(d, a, (unsigned)(a->offset - d->msix_table));
		return true;
	}
	if (a->offset >= d->msix_pba && a->offset < d->msix_pba + PBA_BYTES) {
		if (!a->write)
			pba_read(d, a, (unsigned)(a->offset - d->msix_pba));
		return true;
	}
	return false;
}

void vpci_msix_save(struct vpci_dev *d, struct state_writer *w)
{
	for (unsigned i = 0; i < VPCI_MSIX_MAX; i++) {
		state_put_u64(w, d->msix[i].address);
		state_put_u32(w, d->msix[i].data);
		state_put_u8(w, (uint8_t)(d->msix[i].masked | d->msix[i].pending << 1));
	}
}

void vpci_msix_load(struct state_reader *r, struct vpci_msix_entry out[VPCI_MSIX_MAX])
{
	for (unsigned i = 0; i < VPCI_MSIX_MAX; i++) {
		uint64_t address = state_get_u64(r);
		uint32_t data = state_get_u32(r);
		uint8_t flags = state_get_u8(r);
		out[i] = (struct vpci_msix_entry){.address = address, .data = data, .masked = flags & 1, .pending = flags & 2};
	}
}
