#include "guest_driver.h"
#include "vdev/irq.h"
#include "vdev/pci.h"
#include "vdev/virtio/virtio.h"
#include "virt/gmem_impl.h"
#include "virt/iobus_impl.h"

struct guest guest;

/* ---- what the rest of a VM does ---- */
void vm_msi_send(struct vm *vm, uint64_t address, uint32_t data)
{
	assert_int_equal(address, 0xfee00000);
	assert_in_range(data, 0, VECTORS - 1);
	guest.msi[data]++;
}

void vm_reset(struct vm *vm)
{
	guest.resets++;
}

/* ---- the machine ---- */
void guest_start(const struct vm_config *config)
{
	native_start(1);
	guest_make(config);
}

void guest_make(const struct vm_config *config)
{
	memset(&guest, 0, sizeof(guest));
	guest.vm.config = *config;
	strcpy(guest.vm.name, "test");
	guest.next_free = 0x10000;
	assert_int_equal(gmem_create(GUEST_MEMORY, &guest.vm.gmem), 0);
	guest.vm.iobus = iobus_create();
	assert_non_null(guest.vm.iobus);
	assert_int_equal(vpci_create(&guest.vm), 0);
	assert_int_equal(virtio_attach_all(&guest.vm), 0);
}

static bool detached;
static void detach(void *arg)
{
	virtio_detach_all(&guest.vm);
	detached = true;
}

void guest_end(void)
{
	detached = false;
	assert_int_equal(hv_fiber_spawn("detach", detach, NULL, 0), 0);
	guest_run();
	assert_true(detached);
	vpci_destroy(&guest.vm);
	iobus_destroy(guest.vm.iobus);
	gmem_destroy(guest.vm.gmem);
}

void guest_run(void)
{
	assert_true(native_run(10000));
}

static uint64_t access_bus(enum io_space space, uint64_t addr, unsigned size, bool write, uint64_t value)
{
	struct io_access a = {.addr = addr, .size = (uint8_t)size, .write = write, .value = value};
	if (!iobus_dispatch(&guest.vm, space, &a))
		a.value = ~0ull;
	return size == 8 ? a.value : a.value & ((1ull << (8 * size)) - 1);
}

uint32_t port_read(uint16_t port, unsigned size)
{
	return (uint32_t)access_bus(IO_PORT, port, size, false, 0);
}

void port_write(uint16_t port, unsigned size, uint32_t value)
{
	access_bus(IO_PORT, port, size, true, value);
}

uint64_t mmio_read(uint64_t gpa, unsigned size)
{
	return access_bus(IO_MMIO, gpa, size, false, 0);
}

void mmio_write(uint64_t gpa, unsigned size, uint64_t value)
{
	access_bus(IO_MMIO, gpa, size, true, value);
}

uint32_t pci_read(unsigned slot, unsigned offset, unsigned size)
{
	port_write(0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
	return port_read((uint16_t)(0xcfc + (offset & 3)), size);
}

void pci_write(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
	port_write(0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
	port_write((uint16_t)(0xcfc + (offset & 3)), size, value);
}

uint64_t ram_alloc(uint64_t bytes)
{
	uint64_t at = guest.next_free;
	guest.next_free = HV_ALIGN_UP(at + bytes, 16ull);
	assert_true(guest.next_free <= GUEST_MEMORY);
	return at;
}

void *ram(uint64_t gpa, size_t len)
{
	void *p = gmem_ptr(guest.vm.gmem, GPA(gpa), len, true);
	assert_non_null(p);
	return p;
}

void ram_fill(uint64_t gpa, uint8_t byte, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(uint8_t *)ram(gpa + i, 1) = byte;
}

static uint16_t get16(uint64_t gpa)
{
	return *(uint16_t *)ram(gpa, 2);
}

static void put16(uint64_t gpa, uint16_t x)
{
	*(uint16_t *)ram(gpa, 2) = x;
}

/* ---- devices: the offsets are the test's own knowledge of VIRTIO 1.2, 4.1.4.3 ---- */
uint8_t dev_status(struct dev *d)
{
	return (uint8_t)mmio_read(d->mmio_base + 0x14, 1);
}

void dev_set_status(struct dev *d, uint8_t status)
{
	mmio_write(d->mmio_base + 0x14, 1, status);
}

uint64_t dev_offered(struct dev *d)
{
	uint64_t f;
	mmio_write(d->mmio_base + 0, 4, 0);
	f = mmio_read(d->mmio_base + 4, 4);
	mmio_write(d->mmio_base + 0, 4, 1);
	return f | mmio_read(d->mmio_base + 4, 4) << 32;
}

static void queue_setup(struct dev *d, unsigned i, unsigned vector)
{
	struct queue *q = &d->queues[i];
	uint64_t c = d->mmio_base;
	memset(q, 0, sizeof(*q));
	mmio_write(c + 0x16, 2, i);
	q->dev = d;
	q->index = i;
	q->size = (uint16_t)mmio_read(c + 0x18, 2);
	q->event_idx = d->features & (1ull << 29);
	assert_int_not_equal(q->size, 0);
	q->desc = ram_alloc(16u * q->size);
	q->avail = ram_alloc(6 + 2u * q->size);
	q->used = ram_alloc(6 + 8u * q->size);
	ram_fill(q->desc, 0, q->used + 6 + 8u * q->size - q->desc);
	mmio_write(c + 0x1a, 2, i);
	assert_int_equal(mmio_read(c + 0x1a, 2), i);
	mmio_write(c + 0x20, 8, q->desc);
	mmio_write(c + 0x28, 4, (uint32_t)q->avail);
	mmio_write(c + 0x2c, 4, q->avail >> 32);
	mmio_write(c + 0x30, 8, q->used);
	mmio_write(c + 0x1c, 2, 1);
	mmio_write(d->mmio_base + 0x3000 + 16 * i, 8, 0xfee00000);
	mmio_write(d->mmio_base + 0x3000 + 16 * i + 8, 4, vector);
	mmio_write(d->mmio_base + 0x3000 + 16 * i + 12, 4, 0);
}

static unsigned find_cap(unsigned slot, uint8_t id)
{
	unsigned at = pci_read(slot, 0x34, 1);
	while (at && pci_read(slot, at, 1) != id)
		at = pci_read(slot, at + 1, 1);
	return at;
}

void dev_prepare(struct dev *d, unsigned slot, uint64_t features, unsigned queues, unsigned vector_base)
{
	memset(d, 0, sizeof(*d));
	d->slot = slot;
	d->io_base = pci_read(slot, 0x10, 4) & ~3u;
	d->mmio_base = pci_read(slot, 0x14, 4) & ~15u;
	pci_write(slot, 4, 2, 7); /* decode and bus master */
	unsigned msix = find_cap(slot, 0x11);
	assert_int_not_equal(msix, 0);
	pci_write(slot, msix + 2, 2, 0x8000);
	dev_set_status(d, 0);
	guest_run();
	assert_int_equal(dev_status(d), 0);
	dev_set_status(d, 1 | 2);
	d->features = (features & dev_offered(d)) | 1ull << 32;
	assert_int_equal(features & ~dev_offered(d), 0);
	for (unsigned i = 0; i < 2; i++) {
		mmio_write(d->mmio_base + 8, 4, i);
		mmio_write(d->mmio_base + 0xc, 4, (uint32_t)(d->features >> (32 * i)));
	}
	dev_set_status(d, 1 | 2 | 8);
	assert_int_equal(dev_status(d), 11);
	for (unsigned i = 0; i < queues; i++)
		queue_setup(d, i, vector_base + i);
	mmio_write(d->mmio_base + 0x10, 2, queues);
	mmio_write(d->mmio_base + 0x3000 + 16 * queues, 8, 0xfee00000);
	mmio_write(d->mmio_base + 0x3000 + 16 * queues + 8, 4, vector_base + 15);
	mmio_write(d->mmio_base + 0x3000 + 16 * queues + 12, 4, 0);
}

void dev_open(struct dev *d, unsigned slot, uint64_t features, unsigned queues, unsigned vector_base)
{
	dev_prepare(d, slot, features, queues, vector_base);
	dev_set_status(d, 15);
	guest_run();
	assert_int_equal(dev_status(d), 15);
}

/* ---- rings ---- */
void desc_write(uint64_t table, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t *p = ram(table + 16 * index, 16);
	memcpy(p, &gpa, 8);
	memcpy(p + 8, &len, 4);
	memcpy(p + 12, &flags, 2);
	memcpy(p + 14, &next, 2);
}

void queue_add_head(struct queue *q, uint16_t head)
{
	put16(q->avail + 4 + 2u * (q->avail_idx % q->size), head);
	put16(q->avail + 2, ++q->avail_idx);
}

static void write_chain(uint64_t table, unsigned first, const struct buf *bufs, unsigned n, unsigned size)
{
	for (unsigned i = 0; i < n; i++)
		desc_write(table, (first + i) % size, bufs[i].gpa, bufs[i].len, (uint16_t)((i + 1 < n ? 1 : 0) | (bufs[i].in ? 2 : 0)),
			(uint16_t)((first + i + 1) % size));
}

uint16_t queue_add(struct queue *q, const struct buf *bufs, unsigned n)
{
	uint16_t head = q->free_desc;
	if (q->indirect) {
		uint64_t table = ram_alloc(16 * n);
		write_chain(table, 0, bufs, n, n + 1);
		desc_write(q->desc, head, table, 16 * n, 4, 0);
		q->free_desc = (uint16_t)((head + 1) % q->size);
	} else {
		write_chain(q->desc, head, bufs, n, q->size);
		q->free_desc = (uint16_t)((head + n) % q->size);
	}
	queue_add_head(q, head);
	return head;
}

bool queue_kick(struct queue *q, uint16_t added)
{
	bool wanted;
	if (q->event_idx) {
		uint16_t event = get16(q->used + 4 + 8u * q->size);
		wanted = (uint16_t)(q->avail_idx - event - 1) < added;
	} else {
		wanted = !(get16(q->used) & 1);
	}
	if (wanted)
		port_write((uint16_t)(q->dev->io_base + 4 * q->index), 2, q->index);
	return wanted;
}

bool queue_used(struct queue *q, uint16_t *head, uint32_t *len)
{
	if (q->used_seen == get16(q->used + 2))
		return false;
	uint32_t *e = ram(q->used + 4 + 8u * (q->used_seen % q->size), 8);
	if (head)
		*head = (uint16_t)e[0];
	if (len)
		*len = e[1];
	q->used_seen++;
	return true;
}

void queue_want_interrupt(struct queue *q)
{
	put16(q->avail + 4 + 2u * q->size, q->used_seen);
}
