/* virtio-blk against a RAM disk that can also delay, refuse and fail. */
#include "guest_driver.h"
#include <errno.h>

#define DISK_BYTES (1u << 20)
#define PENDING_MAX 512
#define SEG_MAX (1ull << 2)
#define F_FLUSH (1ull << 9)
#define F_DISCARD (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define F_EVENT_IDX (1ull << 29)
#define F_INDIRECT (1ull << 28)

static struct {
	struct blk_dev dev;
	uint8_t data[DISK_BYTES];
	bool delay;        /* keep requests until disk_finish */
	unsigned again_in; /* refuse the n-th submit from now, then every one until 0 */
	unsigned refuse;   /* refuse this many submits */
	int error;         /* end requests so */
	struct blk_req *pending[PENDING_MAX];
	unsigned count, submits, cancels, flushes, fua, most_parts;
	uint64_t longest;
} disk;

static void disk_do(struct blk_req *r)
{
	if (disk.error == 0 && r->op == BLK_READ)
		blk_segs_from_buf(r->segs, r->nsegs, 0, disk.data + r->offset_bytes, r->length_bytes);
	if (disk.error == 0 && r->op == BLK_WRITE)
		blk_segs_to_buf(r->segs, r->nsegs, 0, disk.data + r->offset_bytes, r->length_bytes);
	if (disk.error == 0 && (r->op == BLK_DISCARD || r->op == BLK_WRITE_ZEROES))
		memset(disk.data + r->offset_bytes, 0, r->length_bytes);
	disk.flushes += r->op == BLK_FLUSH;
	disk.fua += r->op == BLK_WRITE && (r->flags & BLK_F_FUA);
	blk_complete(r, disk.error);
}

static int disk_submit(struct blk_dev *dev, struct blk_req *r)
{
	if (disk.refuse) {
		disk.refuse--;
		return -EAGAIN;
	}
	disk.submits++;
	disk.longest = HV_MAX(disk.longest, r->length_bytes);
	if (disk.delay)
		disk.pending[disk.count++] = r;
	else
		disk_do(r);
	return 0;
}

static void disk_cancel(struct blk_dev *dev, struct blk_req *r)
{
	disk.cancels++;
	for (unsigned i = 0; i < disk.count; i++)
		if (disk.pending[i] == r) {
			disk.pending[i] = disk.pending[--disk.count];
			blk_complete(r, -ECANCELED);
			return;
		}
	fail_msg("cancel of a request that is not here");
}

static void disk_finish(void)
{
	while (disk.count)
		disk_do(disk.pending[--disk.count]);
}

static const struct blk_ops disk_ops = {.submit = disk_submit, .cancel = disk_cancel};
static struct dev dev;
static struct queue *q;

static void start(uint64_t features)
{
	struct vm_config config = {.disk_count = 1, .disks = {{.dev = &disk.dev, .serial = "serial-0123"}}};
	disk.dev.ops = &disk_ops;
	disk.dev.name = "ram";
	disk.dev.size_bytes = DISK_BYTES;
	if (!disk.dev.block_bytes)
		disk.dev.block_bytes = disk.dev.physical_bytes = 512;
	if (!disk.dev.max_bytes)
		disk.dev.max_bytes = DISK_BYTES;
	if (!disk.dev.max_segs)
		disk.dev.max_segs = 256;
	for (unsigned i = 0; i < DISK_BYTES; i++)
		disk.data[i] = (uint8_t)(i / 512 + i);
	guest_start(&config);
	dev_open(&dev, 1, features, 1, 0);
	q = &dev.queues[0];
}

static int setup(void **state)
{
	memset(&disk, 0, sizeof(disk));
	return 0;
}

static int teardown(void **state)
{
	disk_finish();
	guest_end();
	assert_int_equal(disk.dev.stats.in_flight, 0);
	return 0;
}

struct request {
	uint64_t header, data, status;
	uint16_t head;
};

/* Puts a request on the queue without kicking. pieces: how many descriptors the data comes in. */
static struct request request(uint32_t type, uint64_t sector, uint32_t len, unsigned pieces)
{
	struct request r = {.header = ram_alloc(16), .data = ram_alloc(len + 16), .status = ram_alloc(1)};
	struct buf bufs[130];
	unsigned n = 0;
	bool in = type == 0 || type == 8;
	memcpy(ram(r.header, 16), &(struct {
		uint32_t t, z;
		uint64_t s;
	}){type, 0, sector},
		16);
	*(uint8_t *)ram(r.status, 1) = 0xee;
	bufs[n++] = (struct buf){r.header, 16, false};
	for (unsigned i = 0; i < pieces && len; i++) {
		uint32_t at = (uint32_t)((uint64_t)len * i / pieces), end = (uint32_t)((uint64_t)len * (i + 1) / pieces);
		bufs[n++] = (struct buf){r.data + at, end - at, in};
	}
	bufs[n++] = (struct buf){r.status, 1, true};
	r.head = queue_add(q, bufs, n);
	return r;
}

static uint8_t status_of(const struct request *r)
{
	return *(uint8_t *)ram(r->status, 1);
}

/* Kicks, runs, and expects exactly this request to come back. */
static uint8_t finish(const struct request *r, uint32_t *len)
{
	uint16_t head;
	queue_kick(q, 1);
	guest_run();
	assert_true(queue_used(q, &head, len));
	assert_int_equal(head, r->head);
	assert_false(queue_used(q, NULL, NULL));
	return status_of(r);
}

static void reads_and_writes(void **state)
{
	start(F_FLUSH | F_EVENT_IDX);
	uint32_t len;
	struct request r = request(0, 3, 4096, 1);
	assert_int_equal(finish(&r, &len), 0);
	assert_int_equal(len, 4097);
	assert_memory_equal(ram(r.data, 4096), disk.data + 3 * 512, 4096);
	assert_int_equal(guest.msi[0], 1);
	r = request(1, 8, 1024, 3);
	for (unsigned i = 0; i < 1024; i++)
		*(uint8_t *)ram(r.data + i, 1) = (uint8_t)(i * 7);
	assert_int_equal(finish(&r, &len), 0);
	assert_int_equal(len, 1);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(disk.data[8 * 512 + i], (uint8_t)(i * 7));
	assert_int_equal(disk.fua, 0);
	r = request(4, 0, 0, 0);
	assert_int_equal(finish(&r, &len), 0);
	assert_int_equal(disk.flushes, 1);
	r = request(8, 0, 20, 1);
	assert_int_equal(finish(&r, &len), 0);
	assert_string_equal(ram(r.data, 20), "serial-0123");
	assert_int_equal(len, 21);
}

static void without_flush_writes_through(void **state)
{
	start(0);
	struct request r = request(1, 0, 512, 1);
	assert_int_equal(finish(&r, NULL), 0);
	assert_int_equal(disk.fua, 1);
}

static void many_pieces_and_indirect(void **state)
{
	start(F_FLUSH | F_INDIRECT);
	q->indirect = true;
	struct request r = request(0, 0, 126 * 512, 126);
	assert_int_equal(finish(&r, NULL), 0);
	for (unsigned i = 0; i < 126 * 512; i++)
		assert_int_equal(*(uint8_t *)ram(r.data + i, 1), disk.data[i]);
}

/* Parts: by bytes and by segments, sync and async, with cuts inside segments. */
static void large_requests_in_parts(void **state)
{
	disk.dev.max_bytes = 1536;
	disk.dev.max_segs = 2;
	start(F_FLUSH);
	for (unsigned delay = 0; delay < 2; delay++) {
		disk.delay = delay;
		struct request r = request(0, 5, 64 * 512, 37);
		queue_kick(q, 1);
		guest_run();
		while (disk.count) {
			assert_int_equal(disk.count, 1);
			disk_finish();
			guest_run();
		}
		assert_true(queue_used(q, NULL, NULL));
		assert_int_equal(status_of(&r), 0);
		for (unsigned i = 0; i < 64 * 512; i++)
			assert_int_equal(*(uint8_t *)ram(r.data + i, 1), disk.data[5 * 512 + i]);
	}
	assert_true(disk.longest <= 1536);
	disk.delay = false;
	struct request w = request(1, 100, 200 * 512, 3);
	for (unsigned i = 0; i < 200 * 512; i++)
		*(uint8_t *)ram(w.data + i, 1) = (uint8_t)(i * 31 + i / 512);
	assert_int_equal(finish(&w, NULL), 0);
	for (unsigned i = 0; i < 200 * 512; i++)
		assert_int_equal(disk.data[100 * 512 + i], (uint8_t)(i * 31 + i / 512));
}

static void a_failed_part_fails_the_request(void **state)
{
	disk.dev.max_bytes = 512;
	disk.delay = true;
	start(F_FLUSH);
	struct request r = request(0, 0, 2048, 1);
	queue_kick(q, 1);
	guest_run();
	struct blk_req *part = disk.pending[--disk.count];
	disk_do(part);
	assert_int_equal(disk.count, 1); /* the next one */
	disk.error = -EIO;
	disk_finish();
	guest_run();
	uint32_t len;
	assert_true(queue_used(q, NULL, &len));
	assert_int_equal(len, 0);
	assert_int_equal(status_of(&r), 1);
	assert_int_equal(disk.submits, 2);
}

static void bad_requests_end_in_their_status(void **state)
{
	start(F_FLUSH);
	struct request r = request(0, DISK_BYTES / 512, 512, 1);
	assert_int_equal(finish(&r, NULL), 1);
	r = request(1, DISK_BYTES / 512 - 1, 1024, 1);
	assert_int_equal(finish(&r, NULL), 1);
	r = request(0, ~0ull, 512, 1);
	assert_int_equal(finish(&r, NULL), 1);
	r = request(1, ~0ull / 512, 512, 1);
	assert_int_equal(finish(&r, NULL), 1);
	r = request(0, 0, 511, 1);
	assert_int_equal(finish(&r, NULL), 1);
	r = request(77, 0, 512, 1);
	assert_int_equal(finish(&r, NULL), 2);
	r = request(11, 0, 16, 1);
	assert_int_equal(finish(&r, NULL), 2); /* discard was not offered */
	r = request(0, 0, 0, 0);
	assert_int_equal(finish(&r, NULL), 0); /* nothing to read: nothing wrong */
	assert_int_equal(disk.submits, 0);
	assert_int_equal(dev_status(&dev), 15);
	disk.error = -EIO;
	r = request(0, 0, 512, 1);
	assert_int_equal(finish(&r, NULL), 1);
	disk.error = -EOPNOTSUPP;
	r = request(0, 0, 512, 1);
	assert_int_equal(finish(&r, NULL), 2);
}

static void block_size_4096(void **state)
{
	disk.dev.block_bytes = disk.dev.physical_bytes = 4096;
	start(F_FLUSH);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1000 + 20, 4), 4096);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1000, 8), DISK_BYTES / 512);
	struct request r = request(0, 8, 4096, 1);
	assert_int_equal(finish(&r, NULL), 0);
	r = request(0, 1, 4096, 1);
	assert_int_equal(finish(&r, NULL), 1);
	r = request(0, 0, 512, 1);
	assert_int_equal(finish(&r, NULL), 1);
}

static void read_only_disk(void **state)
{
	disk.dev.read_only = true;
	start(F_FLUSH);
	assert_true(dev_offered(&dev) & (1ull << 5));
	struct request r = request(1, 0, 512, 1);
	assert_int_equal(finish(&r, NULL), 1);
	assert_int_equal(disk.submits, 0);
}

static void discard_and_write_zeroes(void **state)
{
	disk.dev.can_discard = disk.dev.can_write_zeroes = true;
	start(F_FLUSH | F_DISCARD | F_WRITE_ZEROES);
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range = {4, 2, 0};
	struct request r = request(11, 0, 16, 1);
	memcpy(ram(r.data, 16), &range, 16);
	assert_int_equal(finish(&r, NULL), 0);
	assert_int_equal(disk.data[4 * 512 + 1], 0);
	assert_int_not_equal(disk.data[6 * 512 + 1], 0);
	range.flags = 1; /* unmap makes no sense in a discard */
	r = request(11, 0, 16, 1);
	memcpy(ram(r.data, 16), &range, 16);
	assert_int_equal(finish(&r, NULL), 2);
	range.sector = DISK_BYTES / 512 - 1;
	r = request(13, 0, 16, 1);
	memcpy(ram(r.data, 16), &range, 16);
	assert_int_equal(finish(&r, NULL), 1);
	range.sector = 10;
	r = request(13, 0, 16, 1);
	memcpy(ram(r.data, 16), &range, 16);
	assert_int_equal(finish(&r, NULL), 0);
	assert_int_equal(disk.data[10 * 512 + 1], 0);
}

/* -EAGAIN is back-pressure: every request comes back right, none twice. */
static void a_refusing_disk_delays_only(void **state)
{
	start(F_FLUSH);
	disk.refuse = 5;
	struct request r[20];
	for (unsigned i = 0; i < 20; i++)
		r[i] = request(0, i, 512, 1);
	queue_kick(q, 20);
	unsigned seen = 0;
	for (unsigned round = 0; round < 20; round++) {
		guest_run();
		while (queue_used(q, NULL, NULL))
			seen++;
		native_time_advance(1000000);
	}
	assert_int_equal(seen, 20);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(status_of(&r[i]), 0);
		assert_memory_equal(ram(r[i].data, 512), disk.data + i * 512, 512);
	}
	assert_int_equal(disk.submits, 20);
	assert_true(native_sleeps(0) > 5); /* it did not spin meanwhile */
}

/* More long chains than large segment arrays: the rest waits in the ring. The core sleeps while it waits. */
static void long_chains_wait_for_room(void **state)
{
	start(F_FLUSH | F_INDIRECT);
	q->indirect = true;
	disk.delay = true;
	for (unsigned i = 0; i < 40; i++)
		request(0, i, 40 * 512, 40);
	queue_kick(q, 40);
	guest_run();
	assert_int_equal(disk.count, 32);
	disk_finish();
	guest_run();
	disk_finish();
	guest_run();
	unsigned seen = 0;
	while (queue_used(q, NULL, NULL))
		seen++;
	assert_int_equal(seen, 40);
}

/* A burst is published at once: one interrupt for 16 requests, no kick but the first. */
static void one_interrupt_for_a_burst(void **state)
{
	start(F_FLUSH | F_EVENT_IDX);
	unsigned kicks = 0;
	queue_want_interrupt(q);
	for (unsigned i = 0; i < 16; i++) {
		request(0, i, 512, 1);
		kicks += queue_kick(q, 1);
	}
	guest_run();
	unsigned seen = 0;
	while (queue_used(q, NULL, NULL))
		seen++;
	assert_int_equal(seen, 16);
	assert_int_equal(guest.msi[0], 1);
	assert_int_equal(kicks, 1);
	/* The driver has not asked for another interrupt: none comes. */
	request(0, 0, 512, 1);
	queue_kick(q, 1);
	guest_run();
	assert_true(queue_used(q, NULL, NULL));
	assert_int_equal(guest.msi[0], 1);
}

/* Without EVENT_IDX the flags do it. */
static void flags_suppress_too(void **state)
{
	start(F_FLUSH);
	disk.delay = true;
	for (unsigned i = 0; i < 3; i++)
		request(0, i, 512, 1);
	guest_run();
	assert_int_equal(disk.count, 3);
	assert_int_equal(*(uint16_t *)ram(q->used, 2), 1); /* NO_NOTIFY while it polls */
	*(uint16_t *)ram(q->avail, 2) = 1;                 /* NO_INTERRUPT */
	disk_finish();
	guest_run();
	assert_int_equal(guest.msi[0], 0);
	assert_int_equal(*(uint16_t *)ram(q->used + 2, 2), 3);
}

/* Reset with requests in flight: status stays until they are done; nothing is written to the old ring after that. */
static void reset_waits_for_requests_in_flight(void **state)
{
	start(F_FLUSH);
	disk.delay = true;
	for (unsigned i = 0; i < 5; i++)
		request(0, i, 512, 1);
	queue_kick(q, 5);
	guest_run();
	assert_int_equal(disk.count, 5);
	dev_set_status(&dev, 0);
	assert_int_not_equal(dev_status(&dev), 0);
	guest_run();
	assert_int_equal(dev_status(&dev), 0);
	assert_int_equal(disk.cancels, 5);
	assert_int_equal(disk.count, 0);
	assert_false(queue_used(q, NULL, NULL));
	assert_int_equal(guest.msi[0], 0);
	dev_open(&dev, 1, F_FLUSH, 1, 0);
	q = &dev.queues[0];
	disk.delay = false;
	struct request r = request(0, 1, 512, 1);
	assert_int_equal(finish(&r, NULL), 0);
}

static void uncancel(struct blk_dev *d, struct blk_req *r)
{
	disk.cancels++;
}

/* A disk that cannot cancel: the reset waits, the ring stays untouched meanwhile, and the core sleeps. */
static void reset_waits_for_a_stubborn_disk(void **state)
{
	static const struct blk_ops stubborn = {.submit = disk_submit, .cancel = uncancel};
	start(F_FLUSH);
	disk.dev.ops = &stubborn;
	disk.delay = true;
	request(0, 0, 512, 1);
	queue_kick(q, 1);
	guest_run();
	dev_set_status(&dev, 0);
	guest_run();
	assert_int_not_equal(dev_status(&dev), 0);
	assert_int_equal(disk.cancels, 1);
	disk_finish();
	guest_run();
	assert_int_equal(dev_status(&dev), 0);
	assert_false(queue_used(q, NULL, NULL));
}

static void a_new_size_is_told(void **state)
{
	start(F_FLUSH);
	uint8_t generation = (uint8_t)mmio_read(dev.mmio_base + 0x15, 1);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1000, 8), DISK_BYTES / 512);
	disk.dev.size_bytes = DISK_BYTES / 2;
	disk.dev.changed(&disk.dev, disk.dev.changed_arg);
	assert_int_equal(guest.msi[15], 1);
	assert_int_equal(mmio_read(dev.mmio_base + 0x1000, 8), DISK_BYTES / 1024);
	assert_int_not_equal(mmio_read(dev.mmio_base + 0x15, 1), generation);
}

static void malformed_requests_break_the_device_only(void **state)
{
	start(F_FLUSH);
	uint64_t page = ram_alloc(4096);
	queue_add(q, (struct buf[]){{page, 8, false}, {page + 64, 1, true}}, 2); /* header too short */
	queue_kick(q, 1);
	guest_run();
	assert_int_equal(dev_status(&dev) & 64, 64);
	assert_int_equal(guest.msi[15], 1);
	assert_non_null(strstr(native_log_text(), "disk0 queue 0"));
	dev_open(&dev, 1, F_FLUSH, 1, 0);
	q = &dev.queues[0];
	queue_add(q, (struct buf[]){{page, 16, false}}, 1); /* no status byte */
	queue_kick(q, 1);
	guest_run();
	assert_int_equal(dev_status(&dev) & 64, 64);
	dev_open(&dev, 1, F_FLUSH, 1, 0);
	q = &dev.queues[0];
	struct request r = request(0, 1, 512, 1);
	assert_int_equal(finish(&r, NULL), 0);
}

/* Bus mastering off: memory is not touched until it is on again. */
static void no_bus_master_no_access(void **state)
{
	start(F_FLUSH);
	pci_write(1, 4, 2, 3);
	struct request r = request(0, 0, 512, 1);
	queue_kick(q, 1);
	guest_run();
	assert_int_equal(status_of(&r), 0xee);
	pci_write(1, 4, 2, 7);
	assert_int_equal(finish(&r, NULL), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(reads_and_writes), T(without_flush_writes_through), T(many_pieces_and_indirect),
		T(large_requests_in_parts), T(a_failed_part_fails_the_request), T(bad_requests_end_in_their_status), T(block_size_4096),
		T(read_only_disk), T(discard_and_write_zeroes), T(a_refusing_disk_delays_only), T(long_chains_wait_for_room),
		T(one_interrupt_for_a_burst), T(flags_suppress_too), T(reset_waits_for_requests_in_flight),
		T(reset_waits_for_a_stubborn_disk), T(a_new_size_is_told), T(malformed_requests_break_the_device_only),
		T(no_bus_master_no_access)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
