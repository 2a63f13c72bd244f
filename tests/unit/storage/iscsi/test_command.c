/*
 * The LUN as a disk over a target that forgets, lies and breaks the protocol (fake_target.c): what ended well really happened, and each
 * request ends exactly once.
 */
#include "fake_target.h"
#include "test.h"
#include <errno.h>
#include <hv/core.h>
#include <stdlib.h>
#include <storage/iscsi.h>

#define BLOCK 4096u

static struct iscsi_initiator *s;
static struct blk_dev *disk;
static uint8_t buffer[BLOCK];
static int ended, end_status;

static void turns(unsigned count, const int *until)
{
	for (unsigned i = 0; i < count && !(until && *until); i++) {
		native_core_step();
		fake_target_step();
	}
}

static int setup(void **state)
{
	struct iscsi_config c = {.portal_count = 1, .target = "iqn.2026-01.lab:t", .initiator = "iqn.2026-01.lab:i", .lun = 1};

	native_start(1);
	native_time_real(true);
	c.portals[0] = (struct storage_portal){0x7f000001, fake_target_start()};
	assert_int_equal(iscsi_initiator_open(&c, "san1", NULL, NULL, &s), 0);
	disk = &iscsi_initiator_lun(s)->blk;
	for (unsigned i = 0; i < 1000000 && disk->state != BLK_STATE_ONLINE; i++)
		turns(1, NULL);
	assert_int_equal(disk->state, BLK_STATE_ONLINE);
	assert_int_equal(disk->size_bytes, FAKE_LUN_BYTES);
	return 0;
}

static int teardown(void **state)
{
	iscsi_initiator_close(s);
	fake_target_stop();
	return 0;
}

static void done(struct blk_req *req, int status)
{
	ended++;
	end_status = status;
}

static int run(uint8_t op, uint8_t flags, uint64_t offset, unsigned count)
{
	static struct hv_seg seg;
	static struct blk_req req;

	seg = (struct hv_seg){buffer, BLOCK};
	req = (struct blk_req){.op = op, .flags = flags, .offset_bytes = offset, .done = done};
	if (op != BLK_FLUSH) {
		req.length_bytes = BLOCK;
		req.segs = &seg;
		req.nsegs = 1;
	}
	ended = 0;
	end_status = 1;
	assert_int_equal(blk_submit(disk, &req), 0);
	turns(count, &ended);
	if (!ended)
		blk_cancel(disk, &req);
	turns(3000000, &ended);
	assert_int_equal(ended, 1);
	return end_status;
}

static void test_write_read_flush(void **state)
{
	memset(buffer, 0x41, BLOCK);
	assert_int_equal(run(BLK_WRITE, 0, BLOCK, 1000000), 0);
	assert_int_equal(fake_target_stable()[BLOCK], 0);
	assert_int_equal(run(BLK_FLUSH, 0, 0, 1000000), 0);
	assert_int_equal(fake_target_stable()[BLOCK], 0x41);
	memset(buffer, 0, BLOCK);
	assert_int_equal(run(BLK_READ, 0, BLOCK, 1000000), 0);
	assert_int_equal(buffer[0] | buffer[BLOCK - 1], 0x41);
}

/* "Target failure" says nothing about status: the command was not carried out. It is sent again over a new connection, a bounded number of
 * times. */
static void test_target_failure(void **state)
{
	memset(buffer, 0x42, BLOCK);
	fake_target_faults.responses = 1;
	assert_int_equal(run(BLK_WRITE, 0, 0, 3000000), 0);
	assert_int_equal(fake_target_writes, 1);
	assert_true(iscsi_initiator_link(s)->stats.replayed >= 1);
	memset(buffer, 0, BLOCK);
	assert_int_equal(run(BLK_READ, 0, 0, 1000000), 0);
	assert_int_equal(buffer[0], 0x42);
}

/* A READ that ends well with half of the data, and one that leaves out the start of it. */
static void test_incomplete_read(void **state)
{
	memset(buffer, 0x43, BLOCK);
	assert_int_equal(run(BLK_WRITE, 0, 0, 1000000), 0);
	memset(buffer, 0, BLOCK);
	fake_target_faults.short_reads = 1;
	assert_int_equal(run(BLK_READ, 0, 0, 3000000), 0);
	assert_int_equal(buffer[BLOCK - 1], 0x43);
	memset(buffer, 0, BLOCK);
	fake_target_faults.late_reads = 1;
	assert_int_equal(run(BLK_READ, 0, 0, 3000000), 0);
	assert_int_equal(buffer[0], 0x43);
	fake_target_faults.short_reads = 1000;
	assert_int_equal(run(BLK_READ, 0, 0, 9000000), -EIO);
}

/* Between the two steps of a stable write the target loses its cache: with the connection up (unit attention), and with it. */
static void test_stable_write_over_a_lost_cache(void **state)
{
	memset(buffer, 0x44, BLOCK);
	fake_target_faults.power_cycles = 1;
	assert_int_equal(run(BLK_WRITE, BLK_F_FUA, 0, 3000000), 0);
	assert_int_equal(fake_target_stable()[0], 0x44);
	assert_int_equal(fake_target_writes, 2);
	memset(buffer, 0x45, BLOCK);
	fake_target_faults.drops = 1;
	assert_int_equal(run(BLK_WRITE, BLK_F_FUA, 0, 3000000), 0);
	assert_int_equal(fake_target_stable()[0], 0x45);
	assert_int_equal(fake_target_writes, 4);
}

static void test_sense(void **state)
{
	memcpy(fake_target_faults.sense, (uint8_t[]){3, 0x11, 0}, 3); /* unrecovered read error */
	assert_int_equal(run(BLK_READ, 0, 0, 1000000), -EIO);
	memcpy(fake_target_faults.sense, (uint8_t[]){7, 0x27, 0x07}, 3); /* thin-provisioned space is used up */
	assert_int_equal(run(BLK_WRITE, 0, 0, 1000000), -ENOSPC);
	memcpy(fake_target_faults.sense, (uint8_t[]){2, 0x04, 0x01}, 3); /* becoming ready: waits, is no error, and can be cancelled */
	assert_int_equal(run(BLK_READ, 0, 0, 20000), -ECANCELED);
	assert_non_null(strstr(native_log_text(), "iscsi.unit.waits"));
	fake_target_faults.sense[0] = 0;
	assert_int_equal(run(BLK_READ, 0, 0, 1000000), 0);
}

/* Cancel and deadline of a request that the target holds: it ends once, the connection goes, the next request works. */
static void test_cancel_and_deadline(void **state)
{
	static struct hv_seg seg = {buffer, BLOCK};
	struct blk_req req = {
		.op = BLK_WRITE, .length_bytes = BLOCK, .nsegs = 1, .segs = &seg, .done = done, .deadline_ns = hv_now_ns() + 200000000};

	fake_target_faults.swallow = true;
	ended = 0;
	assert_int_equal(blk_submit(disk, &req), 0);
	turns(9000000, &ended);
	assert_int_equal(end_status, -ETIMEDOUT);
	assert_int_equal(run(BLK_READ, 0, 0, 1000), -ECANCELED);
	fake_target_faults.swallow = false;
	assert_int_equal(run(BLK_READ, 0, 0, 3000000), 0);
	assert_int_equal(iscsi_initiator_link(s)->stats.timed_out, 1);
	assert_int_equal(iscsi_initiator_link(s)->stats.canceled, 1);
	assert_int_equal(disk->stats.in_flight, 0);
}

/* After a reconnection the LUN is another disk, or has other blocks: not one request reaches it until the right one is back. */
static void not_used(void)
{
	unsigned writes = fake_target_writes;

	fake_target_disconnect();
	turns(200, NULL);
	assert_int_equal(run(BLK_WRITE, 0, BLOCK, 100000), -ECANCELED);
	assert_int_equal(fake_target_writes, writes);
	assert_non_null(strstr(native_log_text(), "another disk now"));
}

static void test_other_serial(void **state)
{
	fake_target_faults.serial = "two";
	not_used();
}

static void test_other_blocks(void **state)
{
	fake_target_faults.block_bytes = 4096;
	not_used();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_write_read_flush),
		T(test_target_failure),
		T(test_incomplete_read),
		T(test_stable_write_over_a_lost_cache),
		T(test_sense),
		T(test_cancel_and_deadline),
		T(test_other_serial),
		T(test_other_blocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
