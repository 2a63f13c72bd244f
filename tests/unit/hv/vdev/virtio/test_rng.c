/* virtio-rng: buffers of one and several pieces are filled, differently each time, with at most what a chain may take; nonsense breaks the
 * device. */
#include "guest_driver.h"

enum { MOST = 256, SLOT = 1 };

static struct dev dev;
static struct queue *q;

static int setup(void **state)
{
	struct vm_config config = {0};
	guest_start(&config);
	dev_open(&dev, SLOT, 0, 1, 0);
	q = &dev.queues[0];
	return 0;
}

static int teardown(void **state)
{
	guest_end();
	return 0;
}

/* What the device says it wrote. */
static uint32_t ask(const struct buf *bufs, unsigned n)
{
	uint16_t head, got;
	uint32_t len = 0;
	head = queue_add(q, bufs, n);
	queue_kick(q, 1);
	guest_run();
	assert_true(queue_used(q, &got, &len));
	assert_int_equal(got, head);
	return len;
}

static bool all(uint64_t gpa, uint32_t len, uint8_t byte)
{
	const uint8_t *p = ram(gpa, len);
	for (uint32_t i = 0; i < len; i++)
		if (p[i] != byte)
			return false;
	return true;
}

static void fills_buffers(void **state)
{
	uint64_t a = ram_alloc(128), b = ram_alloc(64);
	ram_fill(a, 0, 128);
	ram_fill(b, 0, 64);
	assert_int_equal(ask((const struct buf[]){{a, 64, true}}, 1), 64);
	assert_false(all(a, 64, 0));
	assert_true(all(a + 64, 64, 0));
	assert_int_equal(ask((const struct buf[]){{b, 32, true}, {b + 32, 32, true}}, 2), 64);
	assert_false(all(b, 32, 0));
	assert_false(all(b + 32, 32, 0));
	assert_true(memcmp(ram(a, 64), ram(b, 64), 64) != 0);
}

static void a_large_buffer_is_filled_in_part(void **state)
{
	uint64_t a = ram_alloc(65536);
	ram_fill(a, 0, 65536);
	assert_int_equal(ask((const struct buf[]){{a, 65536, true}}, 1), MOST);
	assert_false(all(a, MOST, 0));
	assert_true(all(a + MOST, 65536 - MOST, 0));
}

static void interrupts_once_for_a_burst(void **state)
{
	uint64_t a = ram_alloc(64);
	uint16_t head;
	uint32_t len;
	unsigned before = guest.msi[0];
	for (unsigned i = 0; i < 4; i++)
		queue_add(q, (const struct buf[]){{a + 16 * i, 16, true}}, 1);
	queue_kick(q, 4);
	guest_run();
	for (unsigned i = 0; i < 4; i++)
		assert_true(queue_used(q, &head, &len) && len == 16);
	assert_int_equal(guest.msi[0], before + 1);
}

/* A request that has no room for an answer: the device needs a reset, and works after one. */
static void a_request_without_room(void **state)
{
	uint64_t a = ram_alloc(64);
	uint16_t head;
	uint32_t len;
	queue_add(q, (const struct buf[]){{a, 64, false}}, 1);
	queue_kick(q, 1);
	guest_run();
	assert_false(queue_used(q, &head, &len));
	assert_true(dev_status(&dev) & 0x40); /* DEVICE_NEEDS_RESET */
	dev_open(&dev, SLOT, 0, 1, 0);
	assert_int_equal(ask((const struct buf[]){{a, 64, true}}, 1), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(fills_buffers),
		T(a_large_buffer_is_filled_in_part),
		T(interrupts_once_for_a_burst),
		T(a_request_without_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
