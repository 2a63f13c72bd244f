/*
 * A hostile iSCSI target: a good one (tests/unit/storage/iscsi/fake_target.c), each of whose answers the input changes: bytes, length, sent
 * twice, cut, not sent, or the connection closed. Reads, writes and flushes run meanwhile. Nothing may crash or hang, every request ends
 * exactly once, and a read's data stay in its buffer.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c
 * fuzz: hv/kern/sched.c hv/kern/slab.c hv/kern/timer.c tests/native/native.c hv/kern/chacha.c
 * fuzz: tests/unit/storage/iscsi/fake_target.c storage/link.c storage/iscsi/ subprojects/libiscsi/lib/connect.c
 * fuzz: subprojects/libiscsi/lib/crc32c.c subprojects/libiscsi/lib/discovery.c subprojects/libiscsi/lib/init.c
 * fuzz: subprojects/libiscsi/lib/iscsi-command.c subprojects/libiscsi/lib/logging.c subprojects/libiscsi/lib/login.c
 * fuzz: subprojects/libiscsi/lib/md5.c subprojects/libiscsi/lib/nop.c subprojects/libiscsi/lib/pdu.c
 * fuzz: subprojects/libiscsi/lib/scsi-lowlevel.c subprojects/libiscsi/lib/socket.c subprojects/libiscsi/lib/task_mgmt.c
 * fuzz: subprojects/libiscsi/lib/utils.c
 * fuzz-flags: -Istorage -Istorage/include -Istorage/iscsi/include -Itests/unit/storage/iscsi -DHAVE_CONFIG_H -Drand=berth_random_int
 * fuzz-flags: -Isubprojects/libiscsi/include -Isubprojects/libiscsi/berth
 */
#include "native.h"
#include <errno.h>
#include <hv/core.h>
#include <stdlib.h>
#include <storage/iscsi.h>
#include <string.h>

#include "../unit/storage/iscsi/fake_target.h"

enum { REQUESTS = 6, BLOCK = 4096, TURNS = 160, GUARD = 64 };

static const uint8_t *input;
static size_t left;
static unsigned ended;

static uint8_t take(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

/* A byte of the input says what happens to an answer: the low bits how many bytes of it change, the high ones the rest. */
static unsigned mangle(uint8_t *pdu, size_t *bytes)
{
	uint8_t how = take();
	for (unsigned n = how & 3; n; n--) {
		size_t at = take() | (size_t)(take() & 1) << 8;
		pdu[at % *bytes] = take();
	}
	switch (how >> 2 & 7) {
	case 5:
		*bytes -= take() % *bytes;
		return 1;
	case 6:
		return 2;
	case 7:
		return take() & 1 ? FAKE_CLOSE : 0;
	default:
		return 1;
	}
}

static void done(struct blk_req *req, int status)
{
	if (req->owner != &ended || status > 0)
		abort();
	req->owner = NULL; /* a second end would be seen */
	ended++;
}

static void turns(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		native_core_step();
		fake_target_step();
		native_time_advance(i % 8 ? 1000 : 200000000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t ops[REQUESTS] = {BLK_WRITE, BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_READ, BLK_WRITE};
	static struct {
		uint8_t before[GUARD], data[BLOCK], after[GUARD];
	} buffers[REQUESTS];
	struct iscsi_config c = {.portal_count = 1, .target = "t", .initiator = "i", .lun = 1};
	struct hv_seg segs[REQUESTS];
	struct blk_req reqs[REQUESTS];
	struct iscsi_initiator *s;
	unsigned submitted = 0;

	input = data;
	left = size;
	ended = 0;
	native_start(1);
	c.portals[0] = (struct storage_portal){0x7f000001, fake_target_start()};
	fake_target_mangle = mangle;
	if (iscsi_initiator_open(&c, "bad", NULL, NULL, &s))
		abort();
	struct blk_dev *disk = &iscsi_initiator_lun(s)->blk;
	memset(buffers, 0x5a, sizeof(buffers));
	turns(TURNS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		segs[i] = (struct hv_seg){buffers[i].data, BLOCK};
		reqs[i] = (struct blk_req){.op = ops[i],
			.flags = i == 2 ? BLK_F_FUA : 0,
			.offset_bytes = ops[i] == BLK_FLUSH ? 0 : i * BLOCK,
			.length_bytes = ops[i] == BLK_FLUSH ? 0 : BLOCK,
			.nsegs = ops[i] != BLK_FLUSH,
			.segs = &segs[i],
			.done = done,
			.owner = &ended,
			.deadline_ns = i == 4 ? hv_now_ns() + 2000000000 : 0};
		submitted += blk_submit(disk, &reqs[i]) == 0; /* refused when the probe was lied to: no size, other blocks */
	}
	turns(TURNS);
	iscsi_initiator_close(s);
	if (ended != submitted)
		abort();
	for (unsigned i = 0; i < REQUESTS; i++)
		for (unsigned g = 0; g < GUARD; g++)
			if (buffers[i].before[g] != 0x5a || buffers[i].after[g] != 0x5a)
				abort();
	fake_target_mangle = NULL;
	fake_target_stop();
	return 0;
}
