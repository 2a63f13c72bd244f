/* 8259 pair and IOAPIC. */
#include "test.h"

#include "machine.h"
#include "vdev/irq.h"

#define IOA 0xfec00000ull

static int setup(void **state)
{
	machine_start(2, 4 << 20);
	out8(0x20, 0x11);
	out8(0x21, 0x30);
	out8(0x21, 0x04);
	out8(0x21, 0x01);
	out8(0xa0, 0x11);
	out8(0xa1, 0x38);
	out8(0xa1, 0x02);
	out8(0xa1, 0x01);
	out8(0x21, 0x00);
	out8(0xa1, 0x00);
	return 0;
}
/* As Linux: PIC masked, both LAPICs on, LINT0 masked. */
static int setup_apic(void **state)
{
	setup(state);
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	for (unsigned i = 0; i < 2; i++) {
		machine_as(i);
		mmio_write32(0xfee000f0, 0x1ff);
		mmio_write32(0xfee00350, 0x10700);
	}
	machine_as(0);
	return 0;
}
static int teardown(void **state)
{
	machine_stop();
	return 0;
}

static void pic_priority_and_eoi(void **state)
{
	vm_irq_set(&m.vm, 5, true);
	vm_irq_set(&m.vm, 3, true);
	assert_true(m.vcpus[0].kicks >= 1);
	assert_int_equal(take(0), 0x33);
	assert_int_equal(take(0), -1); /* 5 waits for 3's EOI */
	out8(0x20, 0x0b);
	assert_int_equal(in8(0x20), 0x08); /* ISR */
	out8(0x20, 0x0a);
	assert_int_equal(in8(0x20), 0x20); /* IRR */
	vm_irq_set(&m.vm, 1, true);
	assert_int_equal(take(0), 0x31); /* higher priority nests */
	out8(0x20, 0x61); /* specific EOI of 1 */
	out8(0x20, 0x20);
	assert_int_equal(take(0), 0x35);
	out8(0x20, 0x20);
	assert_int_equal(take(0), -1);
	vm_irq_set(&m.vm, 5, true); /* still high: no edge */
	assert_int_equal(take(0), -1);
	vm_irq_pulse(&m.vm, 5);
	assert_int_equal(take(0), -1);
	vm_irq_pulse(&m.vm, 5);
	assert_int_equal(take(0), 0x35);
}

static void pic_cascade_mask_and_level(void **state)
{
	vm_irq_set(&m.vm, 12, true);
	assert_int_equal(take(0), 0x3c);
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
	assert_int_equal(take(0), -1);
	out8(0x4d1, 0x02 | 0x04); /* 9 and 10 level */
	assert_int_equal(in8(0x4d1), 0x06);
	out8(0x4d0, 0xff);
	assert_int_equal(in8(0x4d0), 0xf8); /* 0..2 cannot be */
	vm_irq_set(&m.vm, 10, true);
	assert_int_equal(take(0), 0x3a);
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
	assert_int_equal(take(0), 0x3a); /* still high: again */
	vm_irq_set(&m.vm, 10, false);
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
	assert_int_equal(take(0), -1);
	out8(0xa1, 0x04);
	vm_irq_set(&m.vm, 10, true);
	assert_int_equal(take(0), -1);
	out8(0xa1, 0x00);
	assert_int_equal(take(0), 0x3a);
}

static void pic_auto_eoi_rotation_poll(void **state)
{
	out8(0x20, 0x11);
	out8(0x21, 0x40);
	out8(0x21, 0x04);
	out8(0x21, 0x03); /* auto EOI */
	vm_irq_pulse(&m.vm, 4);
	assert_int_equal(take(0), 0x44);
	vm_irq_pulse(&m.vm, 6);
	assert_int_equal(take(0), 0x46); /* nothing in service */
	out8(0x20, 0xc4); /* lowest priority: 4, so 5 is highest */
	vm_irq_pulse(&m.vm, 0);
	vm_irq_pulse(&m.vm, 5);
	assert_int_equal(take(0), 0x45);
	assert_int_equal(take(0), 0x40);
	vm_irq_pulse(&m.vm, 7);
	out8(0x20, 0x0c); /* poll */
	assert_int_equal(in8(0x20), 0x87);
	assert_int_equal(take(0), -1);
}

static void pic_not_initialised_is_silent(void **state)
{
	machine_stop();
	machine_start(2, 4 << 20);
	vm_irq_set(&m.vm, 4, true);
	assert_int_equal(take(0), -1);
}

static uint32_t ioa_read(unsigned reg)
{
	mmio_write32(IOA, reg);
	return mmio_read32(IOA + 0x10);
}
static void ioa_write(unsigned reg, uint32_t x)
{
	mmio_write32(IOA, reg);
	mmio_write32(IOA + 0x10, x);
}
static void route(unsigned pin, unsigned cpu, uint32_t low)
{
	ioa_write(0x11 + 2 * pin, cpu << 24);
	ioa_write(0x10 + 2 * pin, low);
}

static void ioapic_edge(void **state)
{
	assert_int_equal(ioa_read(1), 0x00170020);
	route(4, 1, 0x24);
	vm_irq_set(&m.vm, 4, true);
	vm_irq_set(&m.vm, 4, true);
	assert_int_equal(m.vcpus[1].kicks, 1);
	assert_int_equal(take(1), 0x24);
	machine_as(1);
	mmio_write32(0xfee000b0, 0);
	assert_int_equal(take(1), -1);
	vm_irq_set(&m.vm, 4, false);
	route(4, 1, 0x10024);
	vm_irq_set(&m.vm, 4, true); /* masked edge: lost (82093AA 3.2.4) */
	route(4, 1, 0x24);
	assert_int_equal(take(1), -1);
	route(2, 0, 0x22); /* ISA 0 comes in at 2 */
	vm_irq_pulse(&m.vm, 0);
	assert_int_equal(take(0), 0x22);
}

static void ioapic_level_eoi_resample(void **state)
{
	machine_as(0);
	route(9, 0, 0x8029);
	vm_irq_set(&m.vm, 9, true);
	assert_int_equal(take(0), 0x29);
	assert_int_equal(ioa_read(0x10 + 18) & 0x4000, 0x4000); /* remote IRR */
	assert_int_equal(mmio_read32(0xfee00180 + 0x10) & 1 << 9, 1 << 9); /* TMR */
	mmio_write32(0xfee000b0, 0);
	assert_int_equal(take(0), 0x29); /* still high */
	vm_irq_set(&m.vm, 9, false);
	mmio_write32(0xfee000b0, 0);
	assert_int_equal(take(0), -1);
	assert_int_equal(ioa_read(0x10 + 18) & 0x4000, 0);

	vm_irq_set(&m.vm, 9, true);
	assert_int_equal(take(0), 0x29);
	vm_irq_set(&m.vm, 9, false);
	mmio_write32(IOA + 0x40, 0x29); /* EOI register */
	assert_int_equal(ioa_read(0x10 + 18) & 0x4000, 0);
	route(9, 7, 0x8029); /* nobody there: not stuck */
	vm_irq_set(&m.vm, 9, true);
	assert_int_equal(ioa_read(0x10 + 18) & 0x4000, 0);
	route(9, 0, 0x8029);
	mmio_write32(0xfee000b0, 0);
	assert_int_equal(take(0), 0x29);
	vm_irq_set(&m.vm, 24, true); /* no such input */
	vm_irq_set(&m.vm, 1000, true);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define A(f) cmocka_unit_test_setup_teardown(f, setup_apic, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pic_priority_and_eoi), T(pic_cascade_mask_and_level), T(pic_auto_eoi_rotation_poll), T(pic_not_initialised_is_silent),
		A(ioapic_edge), A(ioapic_level_eoi_resample),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
