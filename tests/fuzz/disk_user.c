/* The user of a disk whose server is hostile (disk_user.h). */
#include "disk_user.h"
#include "native.h"
#include <hv/core.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS = 6, BLOCK = 4096, GUARD = 64, FILL = 0x5a };

static const uint8_t *input;
static size_t left;
static unsigned submitted, ended;
static struct {
	struct blk_req req;
	struct hv_seg seg;
	uint8_t before[GUARD], data[BLOCK], after[GUARD];
} requests[REQUESTS];

void fuzz_input_begin(const uint8_t *data, size_t size)
{
	input = data;
	left = size;
	submitted = ended = 0;
	memset(requests, FILL, sizeof(requests));
}

uint8_t fuzz_input_take(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

unsigned fuzz_answer_mangle(uint8_t *answer, size_t bytes)
{
	uint8_t how = fuzz_input_take();

	for (unsigned n = how & 3; n; n--) {
		size_t at = fuzz_input_take() | (size_t)(fuzz_input_take() & 1) << 8;
		answer[at % bytes] = fuzz_input_take();
	}
	return how >> 2 & 7;
}

void fuzz_turns(unsigned count, void (*server_step)(void))
{
	for (unsigned i = 0; i < count; i++) {
		native_core_step();
		server_step();
		native_time_advance(i % 8 ? 1000 : 200000000);
	}
}

static void done(struct blk_req *req, int status)
{
	if (req->owner != &ended || status > 0)
		abort();
	req->owner = NULL; /* a second end would be seen */
	ended++;
}

void fuzz_disk_submit(struct blk_dev *disk)
{
	static const uint8_t ops[REQUESTS] = {BLK_WRITE, BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_READ, BLK_WRITE};

	for (unsigned i = 0; i < REQUESTS; i++) {
		bool data = ops[i] != BLK_FLUSH;
		requests[i].seg = (struct hv_seg){requests[i].data, BLOCK};
		requests[i].req = (struct blk_req){.op = ops[i],
			.flags = i == 2 ? BLK_F_FUA : 0,
			.offset_bytes = data ? i * BLOCK : 0,
			.length_bytes = data ? BLOCK : 0,
			.nsegs = data,
			.segs = &requests[i].seg,
			.done = done,
			.owner = &ended,
			.deadline_ns = i == 4 ? hv_now_ns() + 2000000000 : 0};
		submitted += blk_submit(disk, &requests[i].req) == 0; /* refused when the disk lied: no size, other blocks */
	}
}

void fuzz_disk_check(void)
{
	if (ended != submitted)
		abort();
	for (unsigned i = 0; i < REQUESTS; i++) {
		for (unsigned g = 0; g < GUARD; g++) {
			if (requests[i].before[g] != FILL || requests[i].after[g] != FILL)
				abort();
		}
	}
}
