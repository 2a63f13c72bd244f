/* blk_submit's checks, accounting, and the segment copies. */
#include "test.h"
#include <errno.h>
#include <hv/blk.h>

static struct blk_req *held;
static int submit_result, done_status, done_calls;

static int submit(struct blk_dev *dev, struct blk_req *req)
{
	if (!submit_result)
		held = req;
	return submit_result;
}

static void done(struct blk_req *req, int status)
{
	done_status = status;
	done_calls++;
}

static const struct blk_ops ops = {.submit = submit};
static struct blk_dev dev;
static struct hv_seg segs[3];
static char data[8192];

static int setup(void **state)
{
	native_start(1);
	dev = (struct blk_dev){.ops = &ops, .name = "d", .size_bytes = 1 << 20, .block_bytes = 512, .max_bytes = 8192, .max_segs = 2};
	segs[0] = (struct hv_seg){data, 512};
	segs[1] = (struct hv_seg){data + 512, 512};
	held = NULL;
	submit_result = done_calls = 0;
	return 0;
}

static struct blk_req make(unsigned op, uint64_t offset, uint64_t length, unsigned nsegs)
{
	return (struct blk_req){.op = (uint8_t)op, .nsegs = (uint16_t)nsegs, .segs = segs, .offset_bytes = offset, .length_bytes = length, .done = done};
}

static void accepts_and_counts(void **state)
{
	struct blk_req r = make(BLK_WRITE, 512, 1024, 2);

	assert_int_equal(blk_submit(&dev, &r), 0);
	assert_ptr_equal(held, &r);
	assert_int_equal(dev.stats.in_flight, 1);
	native_time_advance(1000);
	blk_complete(&r, 0);
	assert_int_equal(dev.stats.in_flight, 0);
	assert_int_equal(dev.stats.ios[BLK_WRITE], 1);
	assert_int_equal(dev.stats.bytes[BLK_WRITE], 1024);
	assert_int_equal(dev.stats.latency[3], 1);
	assert_int_equal(done_calls, 1);
	assert_int_equal(blk_submit(&dev, &r), 0);
	blk_complete(&r, -EIO);
	assert_int_equal(dev.stats.errors[BLK_WRITE], 1);
	assert_int_equal(dev.stats.bytes[BLK_WRITE], 1024);
	assert_int_equal(done_status, -EIO);
}

static void back_pressure_leaves_no_trace(void **state)
{
	struct blk_req r = make(BLK_READ, 0, 1024, 2);

	submit_result = -EAGAIN;
	assert_int_equal(blk_submit(&dev, &r), -EAGAIN);
	assert_int_equal(dev.stats.in_flight, 0);
	assert_int_equal(dev.stats.again, 1);
	assert_null(r.dev);
}

struct bad {
	unsigned op, nsegs;
	uint64_t offset, length;
	int err;
};

static void refuses(void **state)
{
	static const struct bad bad[] = {
		{BLK_READ, 2, 1, 1024, -EINVAL},
		{BLK_READ, 2, 0, 1023, -EINVAL},
		{BLK_READ, 2, 0, 512, -EINVAL},
		{BLK_READ, 0, 0, 0, -EINVAL},
		{BLK_READ, 3, 0, 1024, -EINVAL},
		{BLK_READ, 2, 1 << 20, 1024, -EINVAL},
		{BLK_READ, 2, (1 << 20) - 512, 1024, -EINVAL},
		{BLK_READ, 2, UINT64_MAX - 511, 1024, -EINVAL},
		{BLK_FLUSH, 0, 0, 512, -EINVAL},
		{BLK_DISCARD, 0, 0, 512, -EOPNOTSUPP},
		{BLK_WRITE_ZEROES, 0, 0, 512, -EOPNOTSUPP},
		{BLK_OP_COUNT, 0, 0, 0, -EOPNOTSUPP},
		{255, 0, 0, 0, -EOPNOTSUPP},
	};
	struct blk_req r;

	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++) {
		r = make(bad[i].op, bad[i].offset, bad[i].length, bad[i].nsegs);
		assert_int_equal(blk_submit(&dev, &r), bad[i].err);
	}
	segs[0].len = 8192;
	r = make(BLK_READ, 0, 8704, 2);
	assert_int_equal(blk_submit(&dev, &r), -EINVAL); /* more than max_bytes */
	segs[0].len = 512;
	dev.read_only = true;
	r = make(BLK_WRITE, 0, 1024, 2);
	assert_int_equal(blk_submit(&dev, &r), -EROFS);
	dev.can_discard = true;
	r = make(BLK_DISCARD, 0, 512, 0);
	assert_int_equal(blk_submit(&dev, &r), -EROFS);
	dev.read_only = false;
	assert_int_equal(blk_submit(&dev, &r), 0);
	blk_complete(&r, 0);
	dev.state = BLK_STATE_GONE;
	r = make(BLK_FLUSH, 0, 0, 0);
	assert_int_equal(blk_submit(&dev, &r), -ENODEV);
	assert_int_equal(dev.stats.in_flight, 0);
}

static void segment_copies(void **state)
{
	char a[5] = "abcde", b[4] = "1234", out[9];
	const struct hv_seg s[] = {{a, 5}, {NULL, 0}, {b, 4}};

	assert_int_equal(blk_segs_to_buf(s, 3, 3, out, 4), 4);
	assert_memory_equal(out, "de12", 4);
	assert_int_equal(blk_segs_to_buf(s, 3, 7, out, 9), 2);
	assert_int_equal(blk_segs_to_buf(s, 3, 9, out, 1), 0);
	assert_int_equal(blk_segs_from_buf(s, 3, 4, "XYZ", 3), 3);
	assert_memory_equal(a, "abcdX", 5);
	assert_memory_equal(b, "YZ34", 4);
}

static void latency_buckets(void **state)
{
	assert_int_equal(blk_latency_bucket(0), 0);
	assert_int_equal(blk_latency_bucket(249), 0);
	assert_int_equal(blk_latency_bucket(250), 1);
	assert_int_equal(blk_latency_bucket(1000), 3);
	assert_int_equal(blk_latency_bucket(UINT64_MAX), BLK_LATENCY_BUCKETS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(accepts_and_counts, setup),
		cmocka_unit_test_setup(back_pressure_leaves_no_trace, setup),
		cmocka_unit_test_setup(refuses, setup),
		cmocka_unit_test_setup(segment_copies, setup),
		cmocka_unit_test_setup(latency_buckets, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
