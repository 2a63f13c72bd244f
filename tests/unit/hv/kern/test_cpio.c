/* The boot archive: good ones, and every way to leave its bounds. Archives are exact-size copies, so that ASan sees a byte too far. */
#include "test.h"
#include "kern/cpio.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static char text[4096];
static size_t len;
static struct hv_module out[4];

static void add(const char *name, unsigned mode, const char *data, unsigned size)
{
	unsigned namesize = (unsigned)strlen(name) + 1;

	len += (size_t)sprintf(text + len, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, namesize, 0);
	memcpy(text + len, name, namesize);
	len += namesize;
	while (len % 4)
		text[len++] = '\0';
	memcpy(text + len, data, size);
	len += size;
	while (len % 4)
		text[len++] = '\0';
}

static int setup(void **state)
{
	len = 0;
	memset(out, 0, sizeof(out));
	add("config.json", 0100644, "{\"a\":1}", 7);
	add("folder", 040755, "", 0);
	add("san1.secret", 0100600, "x", 1);
	add("TRAILER!!!", 0, "", 0);
	return 0;
}

static int parse(const char *bytes, size_t n, const char **error)
{
	char *copy = malloc(n ? n : 1);
	size_t offset;
	int r;

	memcpy(copy, bytes, n);
	r = cpio_read(copy, n, out, HV_ARRAY_LEN(out), error, &offset);
	assert_true(offset <= n);
	for (int i = 0; i < r; i++) {
		const char *data = out[i].data;

		assert_true(out[i].name >= copy && out[i].name + strlen(out[i].name) < copy + n);
		assert_true(!out[i].bytes || (data >= copy && data + out[i].bytes <= copy + n));
	}
	free(copy);
	return r;
}

static void reads_files_in_place(void **state)
{
	const char *error;
	size_t offset;

	assert_int_equal(cpio_read(text, len, out, 4, &error, &offset), 2);
	assert_string_equal(out[0].name, "config.json");
	assert_int_equal(out[0].bytes, 7);
	assert_memory_equal(out[0].data, "{\"a\":1}", 7);
	assert_ptr_equal((const char *)out[0].data, text + 124);
	assert_string_equal(out[1].name, "san1.secret");
	assert_memory_equal(out[1].data, "x", 1);
}

static void every_truncation_is_refused(void **state)
{
	const char *error;

	for (size_t n = 0; n < len - 3; n++) { /* the trailer's padding may be missing */
		assert_int_equal(parse(text, n, &error), -EINVAL);
		assert_non_null(error);
	}
}

static void every_changed_byte_stays_in_bounds(void **state)
{
	static const char values[] = {0, '0', 'F', 'f', 'g', ' ', (char)0xff};
	const char *error;

	for (size_t i = 0; i < len; i++)
		for (unsigned v = 0; v < sizeof(values); v++) {
			char saved = text[i];

			text[i] = values[v];
			parse(text, len, &error);
			text[i] = saved;
		}
}

static void too_many_files(void **state)
{
	const char *error;

	len = 0;
	for (unsigned i = 0; i < 5; i++)
		add("file", 0100644, "data", 4);
	add("TRAILER!!!", 0, "", 0);
	assert_int_equal(parse(text, len, &error), -E2BIG);
	assert_string_equal(error, "too many files");
}

static void huge_size_does_not_wrap(void **state)
{
	const char *error;

	memcpy(text + 6 + 8 * 6, "FFFFFFFF", 8);
	assert_int_equal(parse(text, len, &error), -EINVAL);
	assert_string_equal(error, "a file is longer than the archive");
	setup(NULL);
	memcpy(text + 6 + 8 * 11, "FFFFFFFF", 8);
	assert_int_equal(parse(text, len, &error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_files_in_place, setup),
		cmocka_unit_test_setup(every_truncation_is_refused, setup),
		cmocka_unit_test_setup(every_changed_byte_stays_in_bounds, setup),
		cmocka_unit_test_setup(too_many_files, setup),
		cmocka_unit_test_setup(huge_size_does_not_wrap, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
