/* Lines for a serial port: whole or not at all, in order, across the ring's end; and who hears of what was dropped. */
#include "kern/line_ring.h"
#include "test.h"
#include <stdlib.h>

static char memory[64];
static struct line_ring r;

static int setup(void **state)
{
	memset(memory, '#', sizeof(memory));
	r = (struct line_ring){.buf = memory, .size = sizeof(memory)};
	return 0;
}

static void what_goes_in_comes_out(void **state)
{
	char out[65] = "";

	assert_int_equal(line_ring_take(&r, out, 16), 0);
	assert_true(line_ring_put(&r, "hello\n", 6, 0));
	assert_true(line_ring_put(&r, "world\n", 6, 0));
	assert_int_equal(line_ring_take(&r, out, 4), 4);
	assert_int_equal(line_ring_take(&r, out + 4, 60), 8);
	assert_string_equal(out, "hello\nworld\n");
	assert_int_equal(r.bytes, 12);
}

static void a_line_is_whole_or_dropped(void **state)
{
	char line[65], out[65] = "";

	memset(line, 'x', sizeof(line));
	assert_false(line_ring_put(&r, line, 65, 0));
	assert_true(line_ring_put(&r, line, 60, 0));
	assert_false(line_ring_put(&r, "12345", 5, 0));
	assert_true(line_ring_put(&r, "1234", 4, 0));
	assert_false(line_ring_put(&r, "5", 1, 0));
	assert_int_equal(line_ring_take(&r, out, 64), 64);
	assert_string_equal(out + 60, "1234");
	assert_int_equal(r.dropped, 3);
}

static void room_is_kept_for_others(void **state)
{
	assert_false(line_ring_put(&r, "guest", 5, 60));
	assert_true(line_ring_put(&r, "guest", 4, 60));
	assert_false(line_ring_put(&r, "g", 1, 60));
	assert_true(line_ring_put(&r, "host's own line", 15, 0));
	assert_false(line_ring_put(&r, "g", 1, 60));
	assert_false(line_ring_put(&r, "g", 1, 65)); /* more than there ever is */
}

static void no_memory_takes_nothing(void **state)
{
	r = (struct line_ring){0};
	assert_false(line_ring_put(&r, "x", 1, 0));
}

static void drops_are_told_once_when_there_is_room(void **state)
{
	char line[64], out[64];

	memset(line, 'x', sizeof(line));
	assert_true(line_ring_put(&r, line, 64, 0));
	assert_false(line_ring_put(&r, "a", 1, 0));
	assert_false(line_ring_put(&r, "b", 1, 0));
	assert_int_equal(line_ring_news(&r), 0); /* no room for the report */
	line_ring_take(&r, out, 32);
	assert_int_equal(line_ring_news(&r), 2);
	assert_int_equal(line_ring_news(&r), 0);
}

/* Against a plain queue, for long enough that the counters wrap. */
static void random_lines_against_a_model(void **state)
{
	static char model[1 << 16];
	size_t in = 0, out = 0;

	r.head = r.tail = UINT32_MAX - 500;
	srand(3);
	for (unsigned i = 0; i < 3000; i++) {
		char text[40], taken[20];
		size_t len = (size_t)rand() % sizeof(text), room = sizeof(memory) - (in - out);
		unsigned n;

		for (size_t k = 0; k < len; k++)
			text[k] = (char)rand();
		assert_int_equal(line_ring_put(&r, text, len, 0), len <= room);
		if (len <= room) {
			memcpy(model + in, text, len);
			in += len;
		}
		n = line_ring_take(&r, taken, (unsigned)rand() % sizeof(taken));
		assert_memory_equal(taken, model + out, n);
		out += n;
		assert_int_equal(line_ring_used(&r), in - out);
	}
	assert_true(in > 1000 && r.head < UINT32_MAX - 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_goes_in_comes_out, setup),
		cmocka_unit_test_setup(a_line_is_whole_or_dropped, setup),
		cmocka_unit_test_setup(room_is_kept_for_others, setup),
		cmocka_unit_test_setup(no_memory_takes_nothing, setup),
		cmocka_unit_test_setup(drops_are_told_once_when_there_is_room, setup),
		cmocka_unit_test_setup(random_lines_against_a_model, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
