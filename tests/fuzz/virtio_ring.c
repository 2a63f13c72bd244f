/*
 * Fuzzes everything a guest driver can reach of PCI, virtio transport, rings, blk, net and rng: the input is a program of register writes,
 * memory writes, notifications, deliveries and turns of the I/O core's loop. Nothing may crash, read or write outside guest memory, or keep
 * the core from going to sleep.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c hv/kern/sched.c
 * fuzz: hv/kern/slab.c hv/kern/timer.c hv/virt/gmem.c hv/virt/iobus.c hv/vm/state.c hv/vdev/pci.c hv/vdev/pci_msix.c
 * fuzz: hv/vdev/virtio/blk.c hv/vdev/virtio/device.c hv/vdev/virtio/net.c hv/vdev/virtio/net_header.c hv/vdev/virtio/net_rx.c
 * hv/vdev/virtio/net_steer.c hv/vdev/virtio/net_tx.c hv/vdev/virtio/pci.c fuzz: hv/vdev/virtio/ring.c hv/vdev/virtio/rng.c
 * hv/vdev/virtio/save.c tests/native/native.c
 */
#include "native.h"
#include "vdev/irq.h"
#include "vdev/pci.h"
#include "vdev/virtio/virtio.h"
#include "virt/gmem_impl.h"
#include "virt/iobus_impl.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	WINDOW = 0x8000, /* guest memory that the input fills */
	DISK = 64 << 10,
	SLOTS = 4, /* bridge, disk, NIC, rng */
	PENDING = 600,
};
/* Rings of queue q of slot s, where the "open" operation puts them. */
#define RING_AT(s, q) (0x8000u + (s)*0x8000u + (q)*0x2000u)

static struct vm vm;
static struct {
	struct blk_dev dev;
	uint8_t data[DISK];
	struct blk_req *pending[PENDING];
	unsigned count, mode;
} disk;
static struct netport port;
static const struct netport_client *client;

void vm_msi_send(struct vm *v, uint64_t address, uint32_t data)
{
}
void vm_reset(struct vm *v)
{
}

/* ---- a disk with moods, a switch that checks what it gets ---- */
static void disk_end(struct blk_req *r)
{
	if (r->op == BLK_READ)
		blk_segs_from_buf(r->segs, r->nsegs, 0, disk.data + r->offset_bytes, r->length_bytes);
	if (r->op == BLK_WRITE)
		blk_segs_to_buf(r->segs, r->nsegs, 0, disk.data + r->offset_bytes, r->length_bytes);
	blk_complete(r, disk.mode == 3 ? -EIO : 0);
}

static int disk_submit(struct blk_dev *d, struct blk_req *r)
{
	if (disk.mode == 1)
		return -EAGAIN;
	if (disk.mode == 2 && disk.count < PENDING)
		disk.pending[disk.count++] = r;
	else
		disk_end(r);
	return 0;
}

static void disk_finish(void)
{
	while (disk.count)
		disk_end(disk.pending[--disk.count]);
}

static void disk_cancel(struct blk_dev *d, struct blk_req *r)
{
	for (unsigned i = 0; i < disk.count; i++)
		if (disk.pending[i] == r) {
			disk.pending[i] = disk.pending[--disk.count];
			blk_complete(r, -ECANCELED);
			return;
		}
	abort(); /* asked about a request that is not here */
}
static const struct blk_ops disk_ops = {.submit = disk_submit, .cancel = disk_cancel};

static unsigned sw_tx(struct netport *p, const struct netport_frame *f, unsigned n)
{
	static uint8_t flat[70000];
	if (disk.mode == 1)
		return n / 2;
	for (unsigned i = 0; i < n; i++) {
		if (f[i].len < 14 || f[i].len > sizeof(flat) || blk_segs_to_buf(f[i].segs, f[i].nsegs, 0, flat, f[i].len) != f[i].len)
			abort();
		if (f[i].off.needs_csum && f[i].off.csum_start + f[i].off.csum_offset + 2u > f[i].len)
			abort();
		if (f[i].off.gso && !f[i].off.gso_size)
			abort();
	}
	return n;
}
static unsigned sw_plain(struct netport *p, const struct hv_seg *f, unsigned n)
{
	static uint8_t flat[2048];
	if (disk.mode == 1)
		return n / 2;
	for (unsigned i = 0; i < n; i++) {
		if (f[i].len < NETPORT_PLAIN_MIN || f[i].len > 1518)
			abort();
		memcpy(flat, f[i].base, f[i].len);
	}
	return n;
}
static void sw_client(struct netport *p, const struct netport_client *c)
{
	client = c;
}
static void sw_features(struct netport *p, uint32_t f)
{
}
static void sw_mac(struct netport *p, const uint8_t mac[6])
{
}
static void sw_filter(struct netport *p, bool promisc, bool allmulti)
{
}
static const struct netport_ops sw_ops = {.tx_burst = sw_tx,
	.tx_plain = sw_plain,
	.set_client = sw_client,
	.set_features = sw_features,
	.set_mac = sw_mac,
	.set_filter = sw_filter};

static void create(void)
{
	native_start(1);
	disk.dev = (struct blk_dev){.ops = &disk_ops,
		.name = "ram",
		.size_bytes = DISK,
		.block_bytes = 512,
		.physical_bytes = 4096,
		.max_bytes = 8192,
		.max_segs = 4,
		.can_discard = true,
		.can_write_zeroes = true};
	port = (struct netport){.ops = &sw_ops, .name = "port", .mtu = 1500, .link_up = true, .features = 0x1f};
	vm.config.disk_count = vm.config.nic_count = 1;
	vm.config.disks[0].dev = &disk.dev;
	vm.config.nics[0].port = &port;
	strcpy(vm.name, "fuzz");
	vm.iobus = iobus_create();
	if (gmem_create(2 * GMEM_UNIT, &vm.gmem) < 0 || !vm.iobus || vpci_create(&vm) < 0 || virtio_attach_all(&vm) < 0)
		abort();
}

/* ---- the input ---- */
struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, unsigned n)
{
	uint64_t x = 0;
	for (unsigned i = 0; i < n && in->at < in->end; i++)
		x |= (uint64_t)*in->at++ << (8 * i);
	return x;
}

static uint64_t bus(enum io_space space, uint64_t addr, unsigned size, bool write, uint64_t value)
{
	struct io_access a = {.addr = addr, .size = (uint8_t)size, .write = write, .value = value};
	(void)iobus_dispatch(&vm, space, &a); /* nobody there is fine */
	return a.value;
}

static uint64_t config_at(unsigned slot, unsigned offset)
{
	return VPCI_ECAM_BASE + slot * 0x8000 + offset;
}

static uint32_t bar(unsigned slot, unsigned i)
{
	return (uint32_t)bus(IO_MMIO, config_at(slot, 0x10 + 4 * i), 4, false, 0) & ~3u;
}

static void ram_write(uint64_t gpa, const void *p, size_t len)
{
	(void)!gmem_write(vm.gmem, GPA(gpa), p, len); /* outside of RAM: nothing to do */
}

/* Puts all BARs back to where they were at first, decoded: the input may have moved one over another. */
static void restore_bars(void)
{
	static uint32_t first[SLOTS][2];
	for (unsigned slot = 1; slot < SLOTS; slot++) {
		bus(IO_MMIO, config_at(slot, 4), 2, true, 0);
		for (unsigned i = 0; i < 2; i++)
			if (!first[slot][i])
				first[slot][i] = bar(slot, i);
	}
	for (unsigned slot = 1; slot < SLOTS; slot++) {
		for (unsigned i = 0; i < 2; i++)
			bus(IO_MMIO, config_at(slot, 0x10 + 4 * i), 4, true, first[slot][i]);
		bus(IO_MMIO, config_at(slot, 4), 2, true, 7);
	}
}

static void reset_device(unsigned slot)
{
	restore_bars();
	bus(IO_MMIO, bar(slot, 1) + 0x14, 1, true, 0);
	disk.mode = 0;
	disk_finish();
	if (!native_run(1000))
		abort();
	if (bus(IO_MMIO, bar(slot, 1) + 0x14, 1, false, 0) != 0)
		abort();
}

static void open_device(unsigned slot, uint32_t drop)
{
	uint64_t r = bar(slot, 1);
	reset_device(slot);
	for (unsigned i = 0; i < 2; i++) {
		bus(IO_MMIO, r, 4, true, i);
		uint32_t f = (uint32_t)bus(IO_MMIO, r + 4, 4, false, 0);
		bus(IO_MMIO, r + 8, 4, true, i);
		bus(IO_MMIO, r + 12, 4, true, i ? f : f & ~drop);
	}
	bus(IO_MMIO, r + 0x14, 1, true, 11);
	for (unsigned q = 0; q < 3; q++) {
		bus(IO_MMIO, r + 0x16, 2, true, q);
		bus(IO_MMIO, r + 0x18, 2, true, 16);
		bus(IO_MMIO, r + 0x20, 8, true, RING_AT(slot, q));
		bus(IO_MMIO, r + 0x28, 8, true, RING_AT(slot, q) + 0x800);
		bus(IO_MMIO, r + 0x30, 8, true, RING_AT(slot, q) + 0x1000);
		bus(IO_MMIO, r + 0x1c, 2, true, 1);
	}
	bus(IO_MMIO, r + 0x14, 1, true, 15);
}

static void deliver(struct input *in)
{
	static uint8_t data[70000];
	uint32_t len = (uint32_t)take(in, 2);
	struct hv_seg s = {data, len};
	netport_rx_frame f = {.segs = &s, .nsegs = 1, .len = len};
	f.off.gso = (uint8_t)take(in, 1) % 4;
	f.off.needs_csum = f.off.gso;
	if (len & 1 && len >= NETPORT_HEAD && !f.off.gso) {
		/* Half of them from the guest's own memory. */
		void *own = gmem_ptr(vm.gmem, GPA(len % 0x1000), len, false);
		struct netport_direct d = {.head_bytes = len & 2 ? 20 : 16, .rest = len & 4 ? own : data, .bytes = len};
		client->rx_direct(client->arg, &d, 1);
	} else {
		client->rx_burst(client->arg, &f, 1);
	}
	client->rx_flush(client->arg);
}

static void step(struct input *in)
{
	unsigned op = (unsigned)take(in, 1), slot = (op >> 4) % SLOTS, q = (op >> 6) % 3;
	uint64_t ring = RING_AT(slot, q), value;
	switch (op % 12) {
	case 0: { /* a descriptor */
		unsigned i = (unsigned)take(in, 1) % 17, gpa = (unsigned)take(in, 2), len = (unsigned)take(in, 2);
		uint16_t tail[2] = {(uint16_t)(take(in, 1) & 7), (uint16_t)(take(in, 1) % 18)};
		uint64_t addr = gpa % WINDOW;
		uint32_t l = (len & 0x8000) ? len * 64 : len;
		ram_write(ring + 16 * i, &addr, 8);
		ram_write(ring + 16 * i + 8, &l, 4);
		ram_write(ring + 16 * i + 12, tail, 4);
		break;
	}
	case 1: { /* make a head available */
		uint16_t index = 0, head = (uint16_t)(take(in, 1) % 17);
		(void)!gmem_read(vm.gmem, GPA(ring + 0x802), &index, 2);
		ram_write(ring + 0x804 + 2 * (index % 16), &head, 2);
		index++;
		ram_write(ring + 0x802, &index, 2);
		bus(IO_PORT, bar(slot, 0) + 4 * q, 2, true, q);
		break;
	}
	case 2: /* memory */
		value = take(in, 2);
		for (unsigned n = (unsigned)take(in, 1) % 32; n; n--, value++) {
			uint8_t b = (uint8_t)take(in, 1);
			ram_write(value % WINDOW, &b, 1);
		}
		break;
	case 3:
		value = take(in, 8);
		ram_write(ring + take(in, 2) % 0x2000, &value, 8);
		break;
	case 4: { /* registers */
		unsigned at = (unsigned)take(in, 2) % 0x4000, size = 1u << (take(in, 1) % 4);
		bus(IO_MMIO, bar(slot, 1) + at, size, true, take(in, size));
		break;
	}
	case 5: { /* configuration space */
		unsigned at = (unsigned)take(in, 1), size = 1u << (take(in, 1) % 4);
		bus(IO_MMIO, config_at(slot, at), size, true, take(in, size));
		bus(IO_MMIO, config_at(slot, at), size, false, 0);
		break;
	}
	case 6:
		bus(IO_MMIO, bar(slot, 1) + take(in, 2) % 0x4000, 1u << (take(in, 1) % 4), false, 0);
		break;
	case 7:
		open_device(slot ? slot : 1, (uint32_t)take(in, 4));
		break;
	case 8:
		native_core_step();
		break;
	case 9:
		deliver(in);
		break;
	case 10:
		disk.mode = (unsigned)take(in, 1) % 4;
		break;
	default:
		disk_finish();
		native_time_advance(1000000);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	struct input in = {data, data + size};
	if (!made)
		create();
	made = true;
	memset(gmem_ptr(vm.gmem, GPA(0), 0x30000, true), 0, 0x30000);
	for (unsigned slot = 1; slot < SLOTS; slot++)
		open_device(slot, 0);
	while (in.at < in.end)
		step(&in);
	vpci_reset(&vm);
	for (unsigned slot = 1; slot < SLOTS; slot++)
		reset_device(slot);
	if (disk.dev.stats.in_flight)
		abort();
	return 0;
}
