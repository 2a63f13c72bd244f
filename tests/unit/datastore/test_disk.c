/* Disks: what opening makes of a name and a size on each kind of datastore, who may share one, the fault layer, and that a failure leaves
 * nothing. */
#include "kit.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>

#define MS 1000000ull
#define MIB (1u << 20)

static int setup(void **state)
{
	kit_storage_start();
	return 0;
}

static int teardown(void **state)
{
	kit_storage_end();
	return 0;
}

struct opening {
	struct datastore *ds;
	const char *file;
	struct datastore_disk_options options;
	struct blk_dev *dev;
	int result;
};

static void open_it(void *arg)
{
	struct opening *o = arg;

	o->result = datastore_disk_open(o->ds, o->file, &o->options, &o->dev);
}

static int open_disk(struct datastore *ds, const char *file, uint64_t size_bytes, bool read_only, struct blk_dev **dev)
{
	struct opening o = {.ds = ds, .file = file, .options = {.size_bytes = size_bytes, .read_only = read_only}};

	kit_fiber(open_it, &o);
	*dev = o.dev;
	return o.result;
}

static unsigned ended;
static int end_status;

static void done(struct blk_req *req, int status)
{
	ended++;
	end_status = status;
}

static int io(struct blk_dev *dev, unsigned op, void *data, uint32_t bytes)
{
	static struct blk_req req;
	static struct hv_seg seg;

	seg = (struct hv_seg){.base = data, .len = bytes};
	req = (struct blk_req){.op = (uint8_t)op, .nsegs = 1, .segs = &seg, .length_bytes = bytes, .done = done};
	return blk_submit(dev, &req);
}

/* ---- RAM ---- */

static struct datastore *ram_open(const char *name, uint64_t size_bytes, const struct datastore_fault_config *fault)
{
	struct datastore_config c = kit_config(name, DATASTORE_RAM);
	struct datastore *ds;

	c.ram.size_bytes = size_bytes;
	if (fault)
		c.fault = *fault;
	assert_int_equal(datastore_open(&c, &ds), 0);
	return ds;
}

static void a_ram_disk_keeps_its_contents(void **state)
{
	struct datastore *ds = ram_open("ram1", 8 * MIB, NULL);
	struct datastore_stats s;
	struct blk_dev *dev, *again;
	char data[512] = "kept";

	assert_int_equal(open_disk(ds, "a", 2 * MIB, false, &dev), 0);
	assert_int_equal(dev->size_bytes, 2 * MIB);
	assert_int_equal(io(dev, BLK_WRITE, data, sizeof(data)), 0);
	datastore_disk_close(ds, dev);
	assert_null(datastore_disk_get(ds, 0, NULL));
	memset(data, 0, sizeof(data));
	assert_int_equal(open_disk(ds, "a", 2 * MIB, true, &again), 0);
	assert_int_equal(io(again, BLK_READ, data, sizeof(data)), 0);
	assert_string_equal(data, "kept");
	assert_int_equal(io(again, BLK_WRITE, data, sizeof(data)), -EROFS);
	datastore_stats(ds, &s);
	assert_int_equal(s.io.ios[BLK_WRITE], 1);
	assert_int_equal(s.io.ios[BLK_READ], 1);
	datastore_disk_close(ds, again);
}

static void ram_has_its_size(void **state)
{
	struct datastore *ds = ram_open("ram1", 8 * MIB, NULL), *unbounded = ram_open("ram2", 0, NULL);
	struct blk_dev *a, *b, *c;

	assert_int_equal(open_disk(ds, "a", 0, false, &a), -EINVAL); /* a named disk wants a size */
	assert_int_equal(open_disk(unbounded, "", 0, false, &a), -EINVAL);
	assert_int_equal(open_disk(ds, "a", 6 * MIB, false, &a), 0);
	assert_int_equal(open_disk(ds, "b", 3 * MIB, false, &b), -ENOSPC);
	assert_int_equal(open_disk(ds, "", 0, false, &b), -ENOSPC);
	assert_int_equal(open_disk(ds, "b", 2 * MIB, false, &b), 0);
	assert_int_equal(open_disk(unbounded, "c", 32 * MIB, false, &c), 0);
	assert_int_equal(open_disk(ds, "a", 6 * MIB, false, &c), -EBUSY);
	datastore_disk_close(ds, a);
	datastore_disk_close(ds, b);
	assert_ptr_not_equal(datastore_disk_get(unbounded, 0, NULL), NULL);
	datastore_disk_close(unbounded, datastore_disk_get(unbounded, 0, NULL));
	assert_int_equal(open_disk(ds, "c", 1 * MIB, false, &c), -ENOSPC); /* closed disks keep their memory */
}

static void ram_holds_no_boot_files(void **state)
{
	struct datastore *ds = ram_open("ram1", 8 * MIB, NULL);
	void *data;
	size_t bytes;

	assert_int_equal(datastore_file_load(ds, "vmlinuz", MIB, &data, &bytes, 0), -EOPNOTSUPP);
}

/* ---- a LUN ---- */

static void a_lun_is_one_disk(void **state)
{
	struct datastore *ds = kit_open("san1", DATASTORE_ISCSI);
	struct blk_dev *dev, *other;

	kit_link("san1", STORAGE_LINK_READY);
	assert_int_equal(open_disk(ds, "disk.raw", 0, false, &dev), -ENOENT);
	assert_int_equal(open_disk(ds, "", 2 * KIT_LUN_BYTES, false, &dev), -ENOSPC);
	assert_int_equal(open_disk(ds, "", KIT_LUN_BYTES, true, &dev), 0);
	assert_true(dev->read_only);
	assert_int_equal(open_disk(ds, "", 0, true, &other), -EBUSY);
	datastore_disk_close(ds, dev);
	assert_int_equal(open_disk(ds, "", 0, false, &dev), 0);
	assert_false(dev->read_only);
	datastore_disk_close(ds, dev);
}

/* A LUN's device outlives its being open: what it did is counted once. */
static void a_lun_is_counted_once(void **state)
{
	struct datastore *ds = kit_open("san1", DATASTORE_ISCSI);
	struct datastore_stats s;
	struct blk_dev *dev;
	char data[512] = "";

	kit_link("san1", STORAGE_LINK_READY);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(open_disk(ds, "", 0, false, &dev), 0);
		assert_int_equal(io(dev, BLK_WRITE, data, sizeof(data)), 0);
		datastore_stats(ds, &s);
		assert_int_equal(s.io.ios[BLK_WRITE], i + 1);
		datastore_disk_close(ds, dev);
	}
	datastore_stats(ds, &s);
	assert_int_equal(s.io.bytes[BLK_WRITE], 3 * sizeof(data));
}

/* ---- files ---- */

static void files_are_made_and_grown_but_not_shrunk(void **state)
{
	struct datastore *ds = kit_open("nas1", DATASTORE_NFS);
	struct blk_dev *dev;

	kit_link("nas1", STORAGE_LINK_READY);
	assert_int_equal(open_disk(ds, "new.raw", 0, false, &dev), -ENOENT);
	assert_int_equal(open_disk(ds, "new.raw", MIB, true, &dev), -ENOENT);
	assert_int_equal(open_disk(ds, "new.raw", MIB, false, &dev), 0);
	assert_int_equal(kit_file_size("new.raw"), MIB);
	datastore_disk_close(ds, dev);
	assert_int_equal(open_disk(ds, "new.raw", 2 * MIB, false, &dev), 0);
	assert_int_equal(dev->size_bytes, 2 * MIB);
	datastore_disk_close(ds, dev);
	assert_int_equal(open_disk(ds, "new.raw", MIB, false, &dev), 0);
	assert_int_equal(kit_file_size("new.raw"), 2 * MIB);
	datastore_disk_close(ds, dev);
}

static void readers_share_a_file_writers_do_not(void **state)
{
	struct datastore *ds = kit_open("nas1", DATASTORE_NFS);
	struct blk_dev *a, *b, *c;

	kit_link("nas1", STORAGE_LINK_READY);
	kit_file_add("golden.raw", MIB);
	assert_int_equal(open_disk(ds, "golden.raw", 0, true, &a), 0);
	assert_int_equal(open_disk(ds, "golden.raw", 0, true, &b), 0);
	assert_int_equal(open_disk(ds, "golden.raw", 0, false, &c), -EBUSY);
	datastore_disk_close(ds, a);
	assert_int_equal(open_disk(ds, "golden.raw", 0, false, &c), -EBUSY);
	datastore_disk_close(ds, b);
	assert_int_equal(open_disk(ds, "golden.raw", 0, false, &c), 0);
	assert_int_equal(open_disk(ds, "golden.raw", 0, true, &a), -EBUSY);
	datastore_disk_close(ds, c);
}

/* While the first waits for the server, the second must not get the disk, too. */
static void two_that_open_at_once_do_not_both_get_it(void **state)
{
	struct datastore *ds = kit_open("nas1", DATASTORE_NFS);
	struct opening a = {.ds = ds, .file = "disk.raw", .result = 1}, b = a;

	kit_link("nas1", STORAGE_LINK_READY);
	kit_file_add("disk.raw", MIB);
	kit_file_slow = true;
	assert_int_equal(hv_fiber_spawn("a", open_it, &a, 0), 0);
	assert_int_equal(hv_fiber_spawn("b", open_it, &b, 0), 0);
	native_run(50);
	assert_int_equal(a.result, 0);
	assert_int_equal(b.result, -EBUSY);
	datastore_disk_close(ds, a.dev);
}

static void a_failed_open_leaves_nothing(void **state)
{
	struct datastore *ds = kit_open("nas1", DATASTORE_NFS);
	struct blk_dev *dev;
	char name[1100];

	kit_link("nas1", STORAGE_LINK_READY);
	kit_file_add("disk.raw", MIB);
	kit_file_error = -EACCES;
	assert_int_equal(open_disk(ds, "disk.raw", MIB, false, &dev), -EACCES);
	kit_file_error = 0;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(open_disk(ds, name, MIB, false, &dev), -ENAMETOOLONG);
	assert_null(datastore_disk_get(ds, 0, NULL));
	assert_int_equal(open_disk(ds, "disk.raw", 0, false, &dev), 0); /* nobody has it */
	datastore_disk_close(ds, dev);
}

/* The n-th allocation fails, until an open needs no more: each time nothing is left behind (teardown counts the memory). */
static void no_allocation_is_special(void **state)
{
	const struct datastore_fault_config fault = {.enabled = true, .delay_us = 1};
	struct datastore *ds = ram_open("ram1", 8 * MIB, &fault);
	struct opening o = {.ds = ds, .file = "a", .options = {.size_bytes = 3 * MIB}};
	uint64_t total, before, after;
	unsigned n = 0;

	hv_mem_usage(&total, &before);
	do {
		assert_int_equal(hv_fiber_spawn("open", open_it, &o, 0), 0);
		native_fail_alloc(++n);
		native_run(50);
		native_fail_alloc(0);
		hv_mem_usage(&total, &after);
		assert_true(o.result == 0 || (o.result == -ENOMEM && after == before));
	} while (o.result);
	assert_in_range(n, 4, 20);
	datastore_disk_close(ds, o.dev);
}

static void a_disk_waits_for_its_datastore(void **state)
{
	struct datastore *ds = kit_open("san1", DATASTORE_ISCSI);
	struct opening late = {.ds = ds, .file = "", .result = 1}, patient = late;

	late.options.deadline_ns = hv_now_ns() + 500 * MS;
	assert_int_equal(hv_fiber_spawn("late", open_it, &late, 0), 0);
	assert_int_equal(hv_fiber_spawn("patient", open_it, &patient, 0), 0);
	native_run(50);
	assert_true(late.result == 1 && patient.result == 1);
	native_time_advance(501 * MS);
	native_run(50);
	assert_int_equal(late.result, -ETIMEDOUT);
	assert_int_equal(patient.result, 1);
	kit_link("san1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(patient.result, 0);
	datastore_disk_close(ds, patient.dev);
}

/* ---- the fault layer by configuration ---- */

static void errors_by_configuration(void **state)
{
	const struct datastore_fault_config fault = {.enabled = true, .error_every = 3};
	struct datastore *ds = ram_open("ram1", 8 * MIB, &fault);
	struct datastore_stats s;
	struct blk_dev *dev;
	char data[512] = "";
	unsigned failed = 0;

	assert_int_equal(open_disk(ds, "", 0, false, &dev), 0);
	for (unsigned i = 1; i <= 9; i++) {
		assert_int_equal(io(dev, BLK_READ, data, sizeof(data)), 0);
		assert_int_equal(end_status, i % 3 ? 0 : -EIO);
		failed += end_status != 0;
	}
	datastore_stats(ds, &s);
	assert_int_equal(failed, 3);
	assert_int_equal(s.io.errors[BLK_READ], 3);
	datastore_disk_close(ds, dev);
}

static void delay_by_configuration(void **state)
{
	const struct datastore_fault_config fault = {.enabled = true, .delay_us = 2000};
	struct datastore *ds = ram_open("ram1", 8 * MIB, &fault);
	struct datastore_stats s;
	struct blk_dev *dev;
	char data[512] = "";

	assert_int_equal(open_disk(ds, "", 0, false, &dev), 0);
	ended = 0;
	assert_int_equal(io(dev, BLK_READ, data, sizeof(data)), 0);
	native_time_advance(1900 * 1000);
	native_core_step();
	assert_int_equal(ended, 0);
	datastore_stats(ds, &s);
	assert_int_equal(s.io.in_flight, 1);
	native_time_advance(200 * 1000);
	native_core_step();
	assert_int_equal(ended, 1);
	assert_int_equal(end_status, 0);
	datastore_stats(ds, &s);
	assert_int_equal(s.io.in_flight, 0);
	assert_int_equal(s.io.latency[blk_latency_bucket(2100 * 1000)], 1);
	datastore_disk_close(ds, dev);
}

/* ---- boot files ---- */

struct loading {
	struct datastore *ds;
	const char *path;
	size_t max, bytes;
	void *data;
	int result;
};

static void load_it(void *arg)
{
	struct loading *l = arg;

	l->result = datastore_file_load(l->ds, l->path, l->max, &l->data, &l->bytes, 0);
}

static void a_boot_file_is_read_whole_or_refused(void **state)
{
	struct datastore *ds = kit_open("nas1", DATASTORE_NFS);
	struct loading l = {.ds = ds, .path = "vmlinuz", .max = 1000};

	kit_link("nas1", STORAGE_LINK_READY);
	kit_file_add("vmlinuz", 1000);
	kit_file_add("large", 1001);
	kit_fiber(load_it, &l);
	assert_int_equal(l.result, 0);
	assert_int_equal(l.bytes, 1000);
	assert_string_equal(l.data, KIT_FILE_TEXT);
	datastore_file_unload(l.data, l.bytes);
	l.path = "large";
	kit_fiber(load_it, &l);
	assert_int_equal(l.result, -EFBIG);
	l.path = "none";
	kit_fiber(load_it, &l);
	assert_int_equal(l.result, -ENOENT);
	assert_int_equal(kit_files_open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(a_ram_disk_keeps_its_contents),
		T(ram_has_its_size),
		T(ram_holds_no_boot_files),
		T(a_lun_is_one_disk),
		T(a_lun_is_counted_once),
		T(files_are_made_and_grown_but_not_shrunk),
		T(readers_share_a_file_writers_do_not),
		T(two_that_open_at_once_do_not_both_get_it),
		T(a_failed_open_leaves_nothing),
		T(no_allocation_is_special),
		T(a_disk_waits_for_its_datastore),
		T(errors_by_configuration),
		T(delay_by_configuration),
		T(a_boot_file_is_read_whole_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
