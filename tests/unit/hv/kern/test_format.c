/* hv_snprintf gives what C's snprintf gives, for the conversions it knows. */
#include "test.h"
#include <hv/log.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static const char *const flags[] = {"", "-", "0", "-0"};
static const char *const counts[] = {"", "1", "5", "12", "30", ".0", ".3", "8.3", "3.8", "20.10"};
static const int64_t values[] = {0, 1, -1, 9, 127, 128, -128, 255, 65535, 65536, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, 0x123456789abcdefll};

static void compare(const char *fmt, int64_t v)
{
	char ours[128], theirs[128];
	int (*volatile libc)(char *, size_t, const char *, ...) = snprintf;
	int n = libc(theirs, sizeof(theirs), fmt, v);

	assert_int_equal(hv_snprintf(ours, sizeof(ours), fmt, v), n);
	assert_string_equal(ours, theirs);
}

static void numbers(void **state)
{
	static const char *const conversions[] = {"d", "i", "u", "x", "X", "ld", "lu", "lx", "lld", "llu", "llx", "zu", "zd", "hd", "hu", "hhd", "hhu", "hhx"};
	char fmt[32];

	for (unsigned f = 0; f < HV_ARRAY_LEN(flags); f++)
		for (unsigned c = 0; c < HV_ARRAY_LEN(counts); c++)
			for (unsigned k = 0; k < HV_ARRAY_LEN(conversions); k++)
				for (unsigned v = 0; v < HV_ARRAY_LEN(values); v++) {
					snprintf(fmt, sizeof(fmt), "<%%%s%s%s>", flags[f], counts[c], conversions[k]);
					compare(fmt, values[v]);
				}
}

static void texts(void **state)
{
	char out[64];

	assert_int_equal(hv_snprintf(out, sizeof(out), "%s|%5s|%-5s|%.2s|%c|%%|%*d", "ab", "cd", "ef", "ghi", 'j', 4, 7), 26);
	assert_string_equal(out, "ab|   cd|ef   |gh|j|%|   7");
	hv_snprintf(out, sizeof(out), "%p", (void *)0xabcul);
	assert_string_equal(out, "0xabc");
	hv_snprintf(out, sizeof(out), "%.*s", 3, "unterminated");
	assert_string_equal(out, "unt");
}

static void truncates_and_terminates(void **state)
{
	char out[8];

	memset(out, 'z', sizeof(out));
	assert_int_equal(hv_snprintf(out, 5, "%s", "abcdefgh"), 8);
	assert_string_equal(out, "abcd");
	assert_int_equal(out[5], 'z');
	assert_int_equal(hv_snprintf(NULL, 0, "%d", 1234), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(texts),
		cmocka_unit_test(truncates_and_terminates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
