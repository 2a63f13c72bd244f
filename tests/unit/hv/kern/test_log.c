/* Log lines: one line an event, nothing forged, long lines cut, the ring keeps the newest. */
#include "test.h"
#include "kern/log.h"
#include <hv/log.h>
#include <stdlib.h>

static int setup(void **state)
{
	native_start(1);
	hv_log_set_level(HV_LOG_INFO);
	return 0;
}

static void line_has_time_level_event(void **state)
{
	log_warn("test.event", "value %d", 5);
	assert_string_equal(native_log_text(), "[host] 1.000000 warn test.event: value 5\n");
}

static void control_characters_cannot_forge_a_line(void **state)
{
	log_info("test.event", "%s", "a\n[host] 9.0 error fake: b\x1b[2J");
	assert_string_equal(native_log_text(), "[host] 1.000000 info test.event: a?[host] 9.0 error fake: b?[2J\n");
}

static void long_line_is_cut_and_ended(void **state)
{
	char text[2000];
	size_t len;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info("test.event", "%s", text);
	len = strlen(native_log_text());
	assert_in_range(len, 400, 512);
	assert_int_equal(native_log_text()[len - 1], '\n');
}

static void level_filters(void **state)
{
	log_debug("test.event", "no");
	assert_string_equal(native_log_text(), "");
	hv_log_set_level(HV_LOG_DEBUG);
	assert_int_equal(trace_error(-5), -5);
	assert_non_null(strstr(native_log_text(), "test_log.c:"));
}

static void ring_keeps_the_newest(void **state)
{
	char *buf = malloc(HV_LOG_RING_BYTES + 1);

	for (unsigned i = 0; i < 3000; i++)
		log_info("test.event", "line %u", i);
	buf[hv_log_ring_read(buf, HV_LOG_RING_BYTES)] = '\0';
	assert_non_null(strstr(buf, "line 2999\n"));
	assert_null(strstr(buf, "line 1\n"));
	assert_int_equal(hv_log_ring_read(buf, 10), 10);
	assert_memory_equal(buf, "line 2999\n", 10);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(line_has_time_level_event, setup),
		cmocka_unit_test_setup(control_characters_cannot_forge_a_line, setup),
		cmocka_unit_test_setup(long_line_is_cut_and_ended, setup),
		cmocka_unit_test_setup(level_filters, setup),
		cmocka_unit_test_setup(ring_keeps_the_newest, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
