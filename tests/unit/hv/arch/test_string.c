/* The image's own memory and string functions against the C library's, at every length and overlap that takes another branch. */
#include "test.h"
#include <stdlib.h>

#define memcpy own_memcpy
#define memmove own_memmove
#define memset own_memset
#define memcmp own_memcmp
#define memchr own_memchr
#define strlen own_strlen
#define strnlen own_strnlen
#define strcmp own_strcmp
#define strncmp own_strncmp
#define strchr own_strchr
#include "arch/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr

#define SIZE 700

static unsigned char a[SIZE], b[SIZE];

static void fill(void)
{
	for (unsigned i = 0; i < SIZE; i++)
		a[i] = b[i] = (unsigned char)rand();
}

static void copies(void **state)
{
	unsigned char *src = malloc(SIZE);

	for (unsigned n = 0; n < 600; n += n < 290 ? 1 : 37)
		for (unsigned at = 0; at < 9; at++) {
			fill();
			for (unsigned i = 0; i < SIZE; i++)
				src[i] = (unsigned char)rand();
			assert_ptr_equal(own_memcpy(a + at, src + (n % 7), n), a + at);
			memcpy(b + at, src + (n % 7), n);
			assert_memory_equal(a, b, SIZE);
		}
	free(src);
}

static void moves_that_overlap(void **state)
{
	for (unsigned n = 0; n < 600; n += n < 60 ? 1 : 41)
		for (unsigned from = 0; from < 40; from++)
			for (unsigned to = 0; to < 40; to++) {
				fill();
				assert_ptr_equal(own_memmove(a + to, a + from, n), a + to);
				memmove(b + to, b + from, n);
				assert_memory_equal(a, b, SIZE);
			}
}

static void sets(void **state)
{
	for (unsigned n = 0; n < 600; n += n < 290 ? 1 : 37)
		for (unsigned at = 0; at < 9; at++) {
			fill();
			assert_ptr_equal(own_memset(a + at, (int)(n | 0x100), n), a + at);
			memset(b + at, (int)n, n);
			assert_memory_equal(a, b, SIZE);
		}
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void compares(void **state)
{
	for (unsigned n = 0; n < 60; n++)
		for (unsigned i = 0; i < 60; i++) {
			fill();
			b[i] = (unsigned char)(b[i] + (i % 3));
			assert_int_equal(sign(own_memcmp(a, b, n)), sign(memcmp(a, b, n)));
		}
}

static void strings(void **state)
{
	static const char *const s[] = {"", "a", "ab", "abc", "abd", "\xff", "a\xff"};

	for (unsigned i = 0; i < HV_ARRAY_LEN(s); i++) {
		assert_int_equal(own_strlen(s[i]), strlen(s[i]));
		assert_int_equal(own_strnlen(s[i], 2), strnlen(s[i], 2));
		assert_ptr_equal(own_strchr(s[i], 'b'), strchr(s[i], 'b'));
		assert_ptr_equal(own_strchr(s[i], 0), strchr(s[i], 0));
		assert_ptr_equal(own_memchr(s[i], 'b', strlen(s[i])), memchr(s[i], 'b', strlen(s[i])));
		for (unsigned k = 0; k < HV_ARRAY_LEN(s); k++) {
			assert_int_equal(sign(own_strcmp(s[i], s[k])), sign(strcmp(s[i], s[k])));
			for (unsigned n = 0; n < 4; n++)
				assert_int_equal(sign(own_strncmp(s[i], s[k], n)), sign(strncmp(s[i], s[k], n)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies),
		cmocka_unit_test(moves_that_overlap),
		cmocka_unit_test(sets),
		cmocka_unit_test(compares),
		cmocka_unit_test(strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
