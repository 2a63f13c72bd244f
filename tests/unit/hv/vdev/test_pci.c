/* The PCI host bridge and MSI-X as a guest sees them, with a virtio rng and a stand-in for the disk as functions. */
#include "vdev/pci.h"
#include "vdev/virtio/virtio.h"
#include "virtio/guest_driver.h"
#include "vm/state.h"

enum { RNG = 1 };
static struct dev dev;

static int setup(void **state)
{
	guest_start(&(struct vm_config){0});
	return 0;
}

static int teardown(void **state)
{
	guest_end();
	return 0;
}

static void both_mechanisms_show_the_same(void **state)
{
	assert_int_equal(pci_read(0, 0, 4), 0x00081b36);
	assert_int_equal(pci_read(0, 8, 4) >> 16, 0x0600);
	assert_int_equal(pci_read(RNG, 0, 4), 0x10441af4);
	for (unsigned slot = 0; slot < 2; slot++)
		for (unsigned at = 0; at < 256; at += 4)
			assert_int_equal(mmio_read(0xe0000000 + slot * 0x8000 + at, 4), pci_read(slot, at, 4));
	assert_int_equal(mmio_read(0xe0000000 + RNG * 0x8000, 8), (uint64_t)pci_read(RNG, 4, 4) << 32 | 0x10441af4);
	assert_int_equal(pci_read(RNG, 2, 2), 0x1044);
	assert_int_equal(pci_read(RNG, 3, 1), 0x10);
}

static void absent_functions_read_all_ones(void **state)
{
	assert_int_equal(pci_read(5, 0, 4), 0xffffffff);
	assert_int_equal(mmio_read(0xe0000000 + 0x1000, 4), 0xffffffff); /* function 1 */
	assert_int_equal(mmio_read(0xe0000000 + 0x100, 4), 0xffffffff);  /* no extended space */
	port_write(0xcf8, 4, 0x80010000);
	assert_int_equal(port_read(0xcfc, 4), 0xffffffff); /* bus 1 */
	port_write(0xcf8, 4, 0);
	assert_int_equal(port_read(0xcfc, 4), 0xffffffff); /* not enabled */
	assert_int_equal(port_read(0xcf8, 4), 0);
	pci_write(5, 4, 2, 7);
	mmio_write(0xe0000000 + 5 * 0x8000 + 4, 8, ~0ull);
}

static void identity_is_read_only(void **state)
{
	pci_write(RNG, 0, 4, 0x12345678);
	pci_write(RNG, 8, 4, 0xffffffff);
	pci_write(RNG, 0x34, 1, 0);
	assert_int_equal(pci_read(RNG, 0, 4), 0x10441af4);
	assert_int_equal(pci_read(RNG, 0x34, 1), 0x40);
	assert_int_equal(pci_read(RNG, 0x3d, 1), 0); /* no interrupt pin */
}

static void bars_are_sized_and_moved(void **state)
{
	uint32_t io = pci_read(RNG, 0x10, 4), mem = pci_read(RNG, 0x14, 4);
	assert_in_range(io, 0xc001, 0xffff);
	assert_int_equal(io & 3, 1);
	assert_in_range(mem, 0xd0000000, 0xdfffffff);
	assert_int_equal(pci_read(RNG, 4, 2) & 3, 3);
	assert_int_equal(mmio_read(mem + 0x12, 2), 1); /* queue count: it answers there */
	pci_write(RNG, 0x14, 4, 0xffffffff);
	assert_int_equal(pci_read(RNG, 0x14, 4), 0xffffc000);
	assert_int_equal(mmio_read(mem + 0x12, 2), 0xffff);
	pci_write(RNG, 0x14, 4, 0xd8000000);
	assert_int_equal(mmio_read(0xd8000012, 2), 1);
	pci_write(RNG, 4, 2, 1); /* memory decoding off */
	assert_int_equal(mmio_read(0xd8000012, 2), 0xffff);
	pci_write(RNG, 4, 2, 3);
	assert_int_equal(mmio_read(0xd8000012, 2), 1);
	pci_write(RNG, 0x10, 4, 0xffffffff);
	assert_int_equal(pci_read(RNG, 0x10, 4), 0xffffff81);
	pci_write(RNG, 0x14, 4, 0x00100000); /* over RAM: not decoded */
	pci_write(RNG, 0x14, 4, 0xe0000000); /* over ECAM: not decoded */
	assert_int_equal(mmio_read(0xe0000000, 4), 0x00081b36);
}

static void bars_do_not_displace_others(void **state)
{
	pci_write(RNG, 4, 2, 0);
	struct vpci_dev other = {.name = "other", .vendor_id = 1, .device_id = 2, .bar = {{.bytes = 0x4000}}};
	other.bar[0].access = NULL;
	assert_int_equal(vpci_register(&guest.vm, &other), 0);
	pci_write(2, 4, 2, 0);
	pci_write(RNG, 4, 2, 3);
	pci_write(2, 0x10, 4, pci_read(RNG, 0x14, 4));
	pci_write(2, 4, 2, 2);
	assert_int_equal(mmio_read(pci_read(RNG, 0x14, 4) + 0x12, 2), 1);
	assert_non_null(strstr(native_log_text(), "vpci.bar.overlap"));
	vpci_unregister(&other);
}

static void reset_control(void **state)
{
	port_write(0xcf9, 1, 2);
	assert_int_equal(guest.resets, 0);
	port_write(0xcf9, 1, 6);
	port_write(0xcf9, 1, 6);
	assert_int_equal(guest.resets, 1);
	assert_int_equal(port_read(0xcf9, 1), 6);
}

/* ---- MSI-X ---- */

static unsigned msix_cap(void)
{
	unsigned at = pci_read(RNG, 0x34, 1);
	while (pci_read(RNG, at, 1) != 0x11)
		at = pci_read(RNG, at + 1, 1);
	return at;
}

static void ask(void)
{
	struct queue *q = &dev.queues[0];
	queue_add(q, (struct buf[]){{ram_alloc(64), 64, true}}, 1);
	queue_kick(q, 1);
	guest_run();
	assert_true(queue_used(q, NULL, NULL));
}

static void masked_interrupts_wait(void **state)
{
	dev_open(&dev, RNG, 0, 1, 0);
	uint32_t entry = dev.mmio_base + 0x3000, pba = dev.mmio_base + 0x3800;
	unsigned cap = msix_cap();
	assert_int_equal(pci_read(RNG, cap + 2, 2), 0x8001); /* two entries */
	ask();
	assert_int_equal(guest.msi[0], 1);
	mmio_write(entry + 12, 4, 1);
	ask();
	ask();
	assert_int_equal(guest.msi[0], 1);
	assert_int_equal(mmio_read(pba, 4), 1);
	mmio_write(entry + 8, 4, 7); /* a masked entry may be re-targeted */
	mmio_write(entry + 12, 4, 0);
	assert_int_equal(guest.msi[0], 1);
	assert_int_equal(guest.msi[7], 1); /* once for both */
	assert_int_equal(mmio_read(pba, 8), 0);
	pci_write(RNG, cap + 2, 2, 0xc000); /* function mask */
	ask();
	assert_int_equal(guest.msi[7], 1);
	pci_write(RNG, cap + 2, 2, 0x8000);
	assert_int_equal(guest.msi[7], 2);
	pci_write(RNG, cap + 2, 2, 0);
	ask();
	pci_write(RNG, cap + 2, 2, 0x8000);
	assert_int_equal(guest.msi[7], 2); /* off means off */
	mmio_write(dev.mmio_base + 0x16, 2, 0);
	mmio_write(dev.mmio_base + 0x1a, 2, 9); /* no such vector */
	assert_int_equal(mmio_read(dev.mmio_base + 0x1a, 2), 0xffff);
	ask();
	assert_int_equal(guest.msi[7], 2);
	assert_int_equal(mmio_read(dev.mmio_base + 0x800, 1), 1); /* ISR says so, and forgets */
	assert_int_equal(mmio_read(dev.mmio_base + 0x800, 1), 0);
}

static void odd_table_accesses_do_nothing(void **state)
{
	dev_open(&dev, RNG, 0, 1, 0);
	uint32_t entry = dev.mmio_base + 0x3000;
	mmio_write(entry + 8, 2, 9);
	mmio_write(entry + 9, 4, 9);
	mmio_write(entry + 4, 8, 0x0000000900000009ull);
	mmio_write(dev.mmio_base + 0x3800, 4, ~0u);
	assert_int_equal(mmio_read(entry, 8), 0xfee00000);
	assert_int_equal(mmio_read(entry + 8, 8), 0);
	assert_int_equal(mmio_read(dev.mmio_base + 0x3800, 8), 0);
	for (unsigned at = 0; at < 0x4000; at++) /* every offset and size, in and out of registers */
		for (unsigned size = 1; size <= 8; size *= 2) {
			mmio_read(dev.mmio_base + at, size);
			if (at + size <= 0x3000 || at >= 0x3020)
				mmio_write(dev.mmio_base + at, size, 0x0101010101010101ull * (at & 0xff));
		}
	guest_run();
}

/* VIRTIO 1.2, 4.1.4.9 */
static void registers_through_configuration_space(void **state)
{
	unsigned cap = pci_read(RNG, 0x34, 1);
	while (!(pci_read(RNG, cap, 1) == 9 && pci_read(RNG, cap + 3, 1) == 5))
		cap = pci_read(RNG, cap + 1, 1);
	pci_write(RNG, cap + 4, 1, 1);
	pci_write(RNG, cap + 8, 4, 0x12);
	pci_write(RNG, cap + 12, 4, 2);
	assert_int_equal(pci_read(RNG, cap + 16, 2), 1); /* queue count */
	pci_write(RNG, cap + 8, 4, 0x14);
	pci_write(RNG, cap + 12, 4, 1);
	pci_write(RNG, cap + 16, 1, 3);
	assert_int_equal(pci_read(RNG, cap + 16, 1), 3);
	for (unsigned bar = 0; bar < 256; bar += 3) { /* hostile windows */
		pci_write(RNG, cap + 4, 1, bar);
		pci_write(RNG, cap + 8, 4, 0xfffffffc);
		pci_write(RNG, cap + 12, 4, bar % 9);
		pci_read(RNG, cap + 16, 4);
		pci_write(RNG, cap + 16, 4, bar);
	}
	pci_write(RNG, cap + 4, 1, 1);
	pci_write(RNG, cap + 8, 4, 0x4000);
	pci_write(RNG, cap + 12, 4, 4);
	pci_read(RNG, cap + 16, 4);
}

/* ---- negotiation ---- */

static void features_that_were_not_offered_are_refused(void **state)
{
	dev_prepare(&dev, RNG, 0, 0, 0);
	dev_set_status(&dev, 0);
	dev_set_status(&dev, 3);
	mmio_write(dev.mmio_base + 8, 4, 0);
	mmio_write(dev.mmio_base + 0xc, 4, 1u << 20);
	mmio_write(dev.mmio_base + 8, 4, 1);
	mmio_write(dev.mmio_base + 0xc, 4, 1);
	dev_set_status(&dev, 11);
	assert_int_equal(dev_status(&dev), 3);
	dev_set_status(&dev, 15);
	assert_int_equal(dev_status(&dev), 3);
	mmio_write(dev.mmio_base + 8, 4, 0);
	mmio_write(dev.mmio_base + 0xc, 4, 0);
	dev_set_status(&dev, 11);
	assert_int_equal(dev_status(&dev), 11);
}

static void hostile_queue_registers(void **state)
{
	static const uint64_t bad[] = {0xfffffffffffffff0ull, 0xc0000000, GUEST_MEMORY, 0x8};
	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++) {
		dev_prepare(&dev, RNG, 0, 1, 0);
		mmio_write(dev.mmio_base + 0x1c, 2, 0); /* cannot be disabled again */
		assert_int_equal(mmio_read(dev.mmio_base + 0x1c, 2), 1);
		mmio_write(dev.mmio_base + 0x20, 8, bad[i]); /* nor changed */
		dev_set_status(&dev, 0);
		dev_set_status(&dev, 3);
		mmio_write(dev.mmio_base + 8, 4, 1);
		mmio_write(dev.mmio_base + 0xc, 4, 1);
		dev_set_status(&dev, 11);
		mmio_write(dev.mmio_base + 0x18, 2, 3); /* not a power of two: ignored */
		assert_int_equal(mmio_read(dev.mmio_base + 0x18, 2), 16);
		mmio_write(dev.mmio_base + 0x20, 8, bad[i]);
		mmio_write(dev.mmio_base + 0x1c, 2, 1);
		dev_set_status(&dev, 15);
		guest_run();
		assert_int_equal(dev_status(&dev) & 64, 64);
	}
}

/* ---- saved state ---- */

static void state_survives_a_move(void **state)
{
	static uint8_t buf[32768];
	struct state_writer w;
	struct state_reader r;
	dev_open(&dev, RNG, 0, 1, 3);
	ask();
	pci_write(RNG, 4, 2, 5);
	pci_write(RNG, 0x14, 4, 0xd9000000);
	pci_write(RNG, 4, 2, 7);
	mmio_write(0xd900300c, 4, 1); /* masked, then pending */
	dev.mmio_base = 0xd9000000;
	ask();
	virtio_drain(&guest.vm);
	state_writer_init(&w, buf, sizeof(buf));
	vpci_save(&guest.vm, &w);
	virtio_save(&guest.vm, &w);
	int64_t len = state_writer_finish(&w);
	assert_true(len > 0);
	virtio_resume(&guest.vm);

	/* The other host: the same devices, this guest memory; nothing else. */
	dev_set_status(&dev, 0);
	guest_run();
	vpci_reset(&guest.vm);
	assert_int_not_equal(pci_read(RNG, 0x14, 4), 0xd9000000);
	state_reader_init(&r, buf, (size_t)len);
	assert_int_equal(vpci_load(&guest.vm, &r), 0);
	assert_int_equal(virtio_load(&guest.vm, &r), 0);
	guest_run();
	assert_int_equal(dev_status(&dev), 15);
	assert_int_equal(guest.msi[3], 1);
	mmio_write(0xd900300c, 4, 0);
	assert_int_equal(guest.msi[3], 2);
	ask();
	assert_int_equal(guest.msi[3], 3);

	/* Cut short or damaged anywhere: refused or harmless. */
	for (int64_t cut = 0; cut < len; cut += 7) {
		dev_set_status(&dev, 0);
		guest_run();
		state_reader_init(&r, buf, (size_t)cut);
		int pci = vpci_load(&guest.vm, &r), virtio = virtio_load(&guest.vm, &r);
		assert_true(pci < 0 || virtio < 0);
		buf[cut] ^= 0xff;
		state_reader_init(&r, buf, (size_t)len);
		if (vpci_load(&guest.vm, &r) == 0)
			(void)!virtio_load(&guest.vm, &r);
		guest_run();
		buf[cut] ^= 0xff;
		vpci_reset(&guest.vm);
		dev.mmio_base = pci_read(RNG, 0x14, 4);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(both_mechanisms_show_the_same), T(absent_functions_read_all_ones), T(identity_is_read_only),
		T(bars_are_sized_and_moved), T(bars_do_not_displace_others), T(reset_control), T(masked_interrupts_wait),
		T(odd_table_accesses_do_nothing), T(registers_through_configuration_space), T(features_that_were_not_offered_are_refused),
		T(hostile_queue_registers), T(state_survives_a_move)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
