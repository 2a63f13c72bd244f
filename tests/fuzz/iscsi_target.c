/*
 * A hostile iSCSI target: a good one (tests/unit/storage/iscsi/fake_target.c), each of whose answers the input changes: bytes, length, sent
 * twice, cut, not sent, or the connection closed. Reads, writes and flushes run meanwhile. Nothing may crash or hang, every request ends
 * exactly once, and a read's data stay in its buffer.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c
 * fuzz: hv/kern/sched.c hv/kern/slab.c hv/kern/timer.c tests/native/native.c hv/kern/chacha.c
 * fuzz: tests/fuzz/disk_user.c tests/unit/storage/iscsi/fake_target.c storage/link.c storage/iscsi/
 * fuzz: subprojects/libiscsi/lib/connect.c subprojects/libiscsi/lib/crc32c.c subprojects/libiscsi/lib/discovery.c subprojects/libiscsi/lib/init.c
 * fuzz: subprojects/libiscsi/lib/iscsi-command.c subprojects/libiscsi/lib/logging.c subprojects/libiscsi/lib/login.c
 * fuzz: subprojects/libiscsi/lib/md5.c subprojects/libiscsi/lib/nop.c subprojects/libiscsi/lib/pdu.c
 * fuzz: subprojects/libiscsi/lib/scsi-lowlevel.c subprojects/libiscsi/lib/socket.c subprojects/libiscsi/lib/task_mgmt.c
 * fuzz: subprojects/libiscsi/lib/utils.c
 * fuzz-flags: -Istorage -Istorage/include -Istorage/iscsi/include -Itests/unit/storage/iscsi -DHAVE_CONFIG_H -Drand=berth_random_int
 * fuzz-flags: -Isubprojects/libiscsi/include -Isubprojects/libiscsi/berth
 */
#include "disk_user.h"
#include "native.h"
#include <stdlib.h>
#include <storage/iscsi.h>

#include "../unit/storage/iscsi/fake_target.h"

enum { TURNS = 160 };

/* How often the answer is sent, after what the input has made of it. */
static unsigned mangle(uint8_t *pdu, size_t *bytes)
{
	switch (fuzz_answer_mangle(pdu, *bytes)) {
	case 5:
		*bytes -= fuzz_input_take() % *bytes;
		return 1;
	case 6:
		return 2;
	case 7:
		return fuzz_input_take() & 1 ? FAKE_CLOSE : 0;
	default:
		return 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iscsi_config c = {.portal_count = 1, .target = "t", .initiator = "i", .lun = 1};
	struct iscsi_initiator *s;

	fuzz_input_begin(data, size);
	native_start(1);
	c.portals[0] = (struct storage_portal){0x7f000001, fake_target_start()};
	fake_target_mangle = mangle;
	if (iscsi_initiator_open(&c, "bad", NULL, NULL, &s))
		abort();
	fuzz_turns(TURNS, fake_target_step);
	fuzz_disk_submit(&iscsi_initiator_lun(s)->blk);
	fuzz_turns(TURNS, fake_target_step);
	iscsi_initiator_close(s);
	fuzz_disk_check();
	fake_target_mangle = NULL;
	fake_target_stop();
	return 0;
}
