/*
 * RAM disk. Memory is taken in 2 MiB chunks at creation, so a large disk needs no large contiguous piece and no request allocates.
 * Owner: the core that made it. It has one state: a request is finished before submit returns.
 */
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <storage/ram.h>
#include <string.h>

#define CHUNK_BYTES (2u * 1024 * 1024)

struct ram_lun {
	struct blk_dev blk;
	size_t chunk_count, own_bytes;
	uint8_t *chunks[];
};

static struct ram_lun *from_blk(struct blk_dev *dev)
{
	return hv_container_of(dev, struct ram_lun, blk);
}

/* Moves [offset, offset+len) between the disk and `req`, or zeroes it when zero is set. */
static void ram_move(struct ram_lun *ram, struct blk_req *req, bool zero)
{
	uint64_t at = req->offset_bytes;
	size_t moved = 0;

	while (moved < req->length_bytes) {
		uint8_t *p = ram->chunks[at / CHUNK_BYTES] + at % CHUNK_BYTES;
		size_t n = HV_MIN(req->length_bytes - moved, CHUNK_BYTES - at % CHUNK_BYTES);

		if (zero)
			memset(p, 0, n);
		else if (req->op == BLK_WRITE)
			blk_segs_to_buf(req->segs, req->nsegs, moved, p, n);
		else
			blk_segs_from_buf(req->segs, req->nsegs, moved, p, n);
		moved += n;
		at += n;
	}
}

static int ram_submit(struct blk_dev *dev, struct blk_req *req)
{
	struct ram_lun *ram = from_blk(dev);

	switch (req->op) {
	case BLK_READ:
	case BLK_WRITE:
		ram_move(ram, req, false);
		break;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		ram_move(ram, req, true);
		break;
	case BLK_FLUSH:
		break;
	default:
		return trace_error(-EOPNOTSUPP);
	}
	blk_complete(req, 0);
	return 0;
}

static void ram_close(struct blk_dev *dev)
{
	struct ram_lun *ram = from_blk(dev);

	for (size_t i = 0; i < ram->chunk_count; i++)
		if (ram->chunks[i])
			hv_contig_free(ram->chunks[i], CHUNK_BYTES);
	hv_contig_free(ram, ram->own_bytes);
}

static const struct blk_ops ram_ops = {.submit = ram_submit, .close = ram_close};

int ram_lun_create(const char *name, uint64_t size_bytes, struct blk_dev **out)
{
	size_t chunks = (size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
	size_t own_bytes = sizeof(struct ram_lun) + chunks * sizeof(uint8_t *);
	struct ram_lun *ram;

	if (size_bytes == 0 || size_bytes % 512 || size_bytes > UINT64_MAX / 2)
		return trace_error(-EINVAL);
	ram = hv_contig_alloc(own_bytes, 4096);
	if (!ram)
		return trace_error(-ENOMEM);
	memset(ram, 0, own_bytes);
	ram->own_bytes = own_bytes;
	ram->chunk_count = chunks;
	ram->blk = (struct blk_dev){.ops = &ram_ops,
		.name = name,
		.size_bytes = size_bytes,
		.block_bytes = 512,
		.physical_bytes = 4096,
		.max_bytes = 1024 * 1024,
		.max_segs = 256,
		.core = hv_core_self(),
		.can_discard = true,
		.can_write_zeroes = true,
		.state = BLK_STATE_ONLINE};
	for (size_t i = 0; i < chunks; i++) {
		ram->chunks[i] = hv_contig_alloc(CHUNK_BYTES, 4096);
		if (!ram->chunks[i]) {
			ram_close(&ram->blk);
			return trace_error(-ENOMEM);
		}
		memset(ram->chunks[i], 0, CHUNK_BYTES);
	}
	*out = &ram->blk;
	return 0;
}
