/* Saved state: round trip, and every damage of the bytes is seen. */
#include "test.h"
#include "vm/state.h"
#include <errno.h>

#define TAG_A STATE_TAG('A', 'A', 'A', 'A')
#define TAG_B STATE_TAG('B', 'B', 'B', 'B')

static uint8_t buf[256];

static size_t write_two(void)
{
	struct state_writer w;
	state_writer_init(&w, buf, sizeof(buf));
	state_begin(&w, TAG_A, 1, 0);
	state_put_u8(&w, 1);
	state_put_u16(&w, 2);
	state_end(&w);
	state_begin(&w, TAG_B, 3, 7);
	state_put_u32(&w, 3);
	state_put_u64(&w, 4);
	state_end(&w);
	return (size_t)state_writer_finish(&w);
}

static void round_trip_in_any_order(void **state)
{
	struct state_reader r;
	state_reader_init(&r, buf, write_two());
	assert_int_equal(state_open(&r, TAG_B, 3, 7), 3);
	assert_int_equal(state_get_u32(&r), 3);
	assert_int_equal(state_get_u64(&r), 4);
	assert_true(state_close(&r));
	assert_int_equal(state_open(&r, TAG_A, 1, 0), 1);
	assert_int_equal(state_get_u8(&r), 1);
	assert_false(state_close(&r)); /* two bytes are left */
	assert_int_equal(state_get_u16(&r), 2);
	assert_true(state_close(&r));
	assert_int_equal(state_get_u16(&r), 0);
	assert_false(state_reader_ok(&r));
}

static void refuses_what_does_not_fit(void **state)
{
	struct state_reader r;
	size_t n = write_two();
	state_reader_init(&r, buf, n);
	assert_int_equal(state_open(&r, TAG_B, 3, 8), -ENOENT);
	assert_int_equal(state_open(&r, TAG_B, 2, 7), -EPROTO);
	for (size_t cut = n - 1; cut > 15; cut--) { /* the second section is cut */
		state_reader_init(&r, buf, cut);
		assert_int_equal(state_open(&r, TAG_B, 3, 7), -EINVAL);
	}
	memset(buf + 8, 0xff, 4); /* the first section's length */
	state_reader_init(&r, buf, n);
	assert_int_equal(state_open(&r, TAG_B, 3, 7), -EINVAL);
}

static void writer_never_overruns(void **state)
{
	struct state_writer w;
	uint8_t small[20];
	memset(small, 0xee, sizeof(small));
	state_writer_init(&w, small, 16);
	state_begin(&w, TAG_A, 1, 0);
	state_put_u32(&w, 5);
	state_put_u8(&w, 6);
	state_end(&w);
	assert_int_equal(state_writer_finish(&w), -ENOSPC);
	assert_int_equal(small[16], 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_in_any_order),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(writer_never_overruns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
