/* RAM disk and fault layer: data survives, each fault does what it says, each request ends once. */
#include "test.h"
#include <errno.h>
#include <hv/core.h>
#include <storage/fault.h>
#include <storage/file.h>
#include <storage/ram.h>

#define BLOCK 4096u

static struct blk_dev *ram, *dev;
static uint8_t data[4 * BLOCK];
static int ended, end_status;
static struct blk_req req;
static struct hv_seg seg;

static void done(struct blk_req *r, int status)
{
	ended++;
	end_status = status;
}

static int setup(void **state)
{
	native_start(1);
	assert_int_equal(ram_lun_create("ram", 4u << 20, &ram), 0);
	assert_int_equal(fault_lun_create("fault", ram, &(struct fault_config){0}, &dev), 0);
	return 0;
}

static int teardown(void **state)
{
	dev->ops->close(dev);
	return 0;
}

static int submit(uint8_t op, uint64_t offset, uint32_t len)
{
	seg = (struct hv_seg){data, len};
	req = (struct blk_req){.op = op, .offset_bytes = offset, .length_bytes = len, .nsegs = op <= BLK_WRITE, .segs = &seg, .done = done};
	ended = 0;
	end_status = 1;
	return blk_submit(dev, &req);
}

static void test_data(void **state)
{
	memset(data, 0x77, BLOCK);
	assert_int_equal(submit(BLK_WRITE, (2u << 20) - 512, BLOCK), 0); /* across two chunks */
	memset(data, 0, BLOCK);
	assert_int_equal(submit(BLK_READ, (2u << 20) - 512, BLOCK), 0);
	assert_int_equal(data[0] & data[BLOCK - 1], 0x77);
	assert_int_equal(submit(BLK_DISCARD, (2u << 20) - 512, BLOCK), 0);
	assert_int_equal(submit(BLK_READ, (2u << 20) - 512, BLOCK), 0);
	assert_int_equal(data[0] | data[BLOCK - 1], 0);
	assert_int_equal(submit(BLK_READ, 4u << 20, BLOCK), -EINVAL);
}

static void test_error(void **state)
{
	fault_lun_set(dev, &(struct fault_config){.error_every = 2});
	assert_int_equal(submit(BLK_READ, 0, BLOCK), 0);
	assert_int_equal(end_status, 0);
	assert_int_equal(submit(BLK_READ, 0, BLOCK), 0);
	assert_int_equal(end_status, -EIO);
	assert_int_equal(ended, 1);
}

static void test_delay(void **state)
{
	fault_lun_set(dev, &(struct fault_config){.delay_us = 1000});
	assert_int_equal(submit(BLK_READ, 0, BLOCK), 0);
	native_core_step();
	assert_int_equal(ended, 0);
	native_time_advance(1100000);
	native_core_step();
	assert_int_equal(ended, 1);
	assert_int_equal(end_status, 0);
}

static void test_torn(void **state)
{
	fault_lun_set(dev, &(struct fault_config){.torn_every = 1});
	memset(data, 0x33, 2 * BLOCK);
	assert_int_equal(submit(BLK_WRITE, 0, 2 * BLOCK), 0);
	assert_int_equal(end_status, -EIO);
	fault_lun_set(dev, &(struct fault_config){0});
	assert_int_equal(submit(BLK_READ, 0, 2 * BLOCK), 0);
	assert_int_equal(data[BLOCK - 1], 0x33);
	assert_int_equal(data[BLOCK], 0);
}

static void test_hang(void **state)
{
	fault_lun_set(dev, &(struct fault_config){.hang_every = 1});
	assert_int_equal(submit(BLK_READ, 0, BLOCK), 0);
	native_time_advance(10000000000ull);
	native_core_step();
	assert_int_equal(ended, 0);
	blk_cancel(dev, &req);
	assert_int_equal(end_status, -ECANCELED);
	assert_int_equal(submit(BLK_READ, 0, BLOCK), 0);
	fault_lun_set(dev, &(struct fault_config){0});
	fault_lun_release(dev);
	assert_int_equal(ended, 1);
	assert_int_equal(end_status, 0);
}

static void test_again(void **state)
{
	fault_lun_set(dev, &(struct fault_config){.again_every = 1});
	assert_int_equal(submit(BLK_READ, 0, BLOCK), -EAGAIN);
	assert_int_equal(ended, 0);
}

static void test_paths(void **state)
{
	assert_int_equal(file_path_check("web1/disk.raw"), 0);
	assert_int_equal(file_path_check(""), 0);
	assert_int_equal(file_path_check("/etc"), -EINVAL);
	assert_int_equal(file_path_check("a//b"), -EINVAL);
	assert_int_equal(file_path_check("a/"), -EINVAL);
	assert_int_equal(file_path_check("a/../b"), -EINVAL);
	assert_int_equal(file_path_check("./b"), -EINVAL);
	assert_int_equal(file_path_check("..."), 0);
	char name[300];

	memset(name, 'x', sizeof(name));
	name[256] = 0;
	assert_int_equal(file_path_check(name), -ENAMETOOLONG);
	name[255] = 0;
	assert_int_equal(file_path_check(name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_data),
		T(test_error),
		T(test_delay),
		T(test_torn),
		T(test_hang),
		T(test_again),
		cmocka_unit_test(test_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
