/* The I/O bus: lookup, overlap, splitting at a region's end, moving regions, and what nobody answers. */
#include "test.h"
#include "virt/iobus_impl.h"
#include "vm/vm_impl.h"
#include <errno.h>

static struct vm vm;

static int setup(void **state)
{
	native_start(1);
	memset(&vm, 0, sizeof(vm));
	vm.iobus = iobus_create();
	return vm.iobus ? 0 : -1;
}

static int teardown(void **state)
{
	iobus_destroy(vm.iobus);
	return 0;
}

/* Reads as its first byte's offset plus its arg; remembers writes. */
static uint64_t written;
static void answer(struct io_region *r, struct io_access *a)
{
	if (a->write)
		written = a->value;
	else
		a->value = a->offset + (uintptr_t)r->arg;
}

static uint64_t in(uint64_t addr, unsigned size)
{
	struct io_access a = {.addr = addr, .size = (uint8_t)size};
	iobus_dispatch(&vm, IO_PORT, &a);
	return a.value;
}

static void finds_the_region(void **state)
{
	struct io_region r[40];
	for (unsigned i = 0; i < 40; i++) { /* attached in a scrambled order */
		unsigned k = i * 17 % 40;
		r[k] = (struct io_region){.start = 0x100 + k * 0x10, .bytes = 8, .access = answer, .arg = (void *)(uintptr_t)(k * 0x10)};
		assert_int_equal(iobus_attach(&vm, IO_PORT, &r[k]), 0);
	}
	for (unsigned k = 0; k < 40; k++) {
		assert_int_equal(in(0x100 + k * 0x10, 1), k * 0x10 & 0xff);
		assert_int_equal(in(0x107 + k * 0x10, 1), (k * 0x10 + 7) & 0xff);
		assert_int_equal(in(0x108 + k * 0x10, 1), 0xff);
	}
	assert_int_equal(vm.io_unclaimed, 40);
	for (unsigned k = 0; k < 40; k += 2)
		iobus_detach(&vm, IO_PORT, &r[k]);
	for (unsigned k = 0; k < 40; k++)
		assert_int_equal(in(0x100 + k * 0x10, 2), k % 2 ? k * 0x10 : 0xffff);
}

static void refuses_overlap_and_nonsense(void **state)
{
	struct io_region a = {.start = 0x60, .bytes = 5, .access = answer}, b = {.start = 0x64, .bytes = 1, .access = answer};
	struct io_region empty = {.start = 1, .access = answer}, wrap = {.start = ~0ull, .bytes = 2, .access = answer};
	struct io_region far = {.start = 0xffff, .bytes = 2, .access = answer};
	assert_int_equal(iobus_attach(&vm, IO_PORT, &a), 0);
	assert_int_equal(iobus_attach(&vm, IO_PORT, &a), -EBUSY);
	assert_int_equal(iobus_attach(&vm, IO_PORT, &b), -EBUSY);
	assert_int_equal(iobus_attach(&vm, IO_MMIO, &b), 0); /* the other space is its own */
	assert_int_equal(iobus_attach(&vm, IO_PORT, &empty), -EINVAL);
	assert_int_equal(iobus_attach(&vm, IO_MMIO, &wrap), -EINVAL);
	assert_int_equal(iobus_attach(&vm, IO_PORT, &far), -EINVAL);
}

static void is_full_at_some_point(void **state)
{
	static struct io_region r[200];
	int ret = 0;
	memset(r, 0, sizeof(r));
	for (unsigned i = 0; i < 200 && ret == 0; i++) {
		r[i] = (struct io_region){.start = i, .bytes = 1, .access = answer};
		ret = iobus_attach(&vm, IO_PORT, &r[i]);
	}
	assert_int_equal(ret, -ENOSPC);
}

static void splits_at_the_end_of_a_region(void **state)
{
	struct io_region a = {.start = 0x70, .bytes = 2, .access = answer, .arg = (void *)0x40};
	assert_int_equal(iobus_attach(&vm, IO_PORT, &a), 0);
	assert_int_equal(in(0x71, 4), 0xffffff41);
	struct io_access w = {.addr = 0x71, .size = 2, .write = true, .value = 0x1234};
	assert_true(iobus_dispatch(&vm, IO_PORT, &w));
	assert_int_equal(written, 0x34);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_the_region, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_overlap_and_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(is_full_at_some_point, setup, teardown),
		cmocka_unit_test_setup_teardown(splits_at_the_end_of_a_region, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
