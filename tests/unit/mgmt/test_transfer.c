/* A configuration over a bad line: it arrives as it was sent or not at all, and nothing that comes over the line does harm. */
#include "test.h"

#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>

static struct transfer t;
static struct transfer_answer a;
static uint8_t file[5000];

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 31 + i / 256);
	t = (struct transfer){.open = false};
	return 0;
}

static int teardown(void **state)
{
	transfer_discard(&t);
	return 0;
}

static const char *say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static const char *say(const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	transfer_line(&t, line, &a);
	return a.state;
}

static void encode(char *out, const uint8_t *in, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t g = (uint32_t)in[i] << 16 | (i + 1 < len ? in[i + 1] << 8 : 0) | (i + 2 < len ? in[i + 2] : 0);

		*out++ = digits[g >> 18];
		*out++ = digits[g >> 12 & 63];
		*out++ = i + 1 < len ? digits[g >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[g & 63] : '=';
	}
	*out = 0;
}

static void data_line(char *line, size_t at, size_t len)
{
	int n = sprintf(line, "data 7 %zu %08x ", at, transfer_crc32(0, file + at, len));

	encode(line + n, file + at, len);
}

static const char *send_chunk(size_t at, size_t len)
{
	char line[1200];

	data_line(line, at, len);
	return say("%s", line);
}

static void crc_is_zlibs(void **state)
{
	assert_int_equal(transfer_crc32(0, (const uint8_t *)"123456789", 9), 0xcbf43926);
	assert_int_equal(transfer_crc32(transfer_crc32(0, (const uint8_t *)"1234", 4), (const uint8_t *)"56789", 5), 0xcbf43926);
	assert_int_equal(transfer_crc32(0, file, 0), 0);
}

static void parts_arrive(void **state)
{
	const struct transfer_part *p;

	assert_string_equal(say("begin 7"), "ready");
	assert_false(transfer_complete(&t, 7));
	assert_string_equal(say("part 7 config.json 5000 %08x", transfer_crc32(0, file, 5000)), "receiving");
	for (size_t at = 0; at < 5000; at += 700)
		assert_string_equal(send_chunk(at, at + 700 > 5000 ? 5000 - at : 700), at + 700 >= 5000 ? "received" : "receiving");
	assert_int_equal(a.offset, 5000);
	for (unsigned len = 1; len <= 4; len++) { /* each padding */
		assert_string_equal(say("part 7 secret%u %u %08x", len, len, transfer_crc32(0, file, len)), "receiving");
		assert_false(transfer_complete(&t, 7));
		assert_string_equal(send_chunk(0, len), "received");
	}
	assert_true(transfer_complete(&t, 7));
	assert_false(transfer_complete(&t, 8));
	p = transfer_find(&t, "config.json");
	assert_int_equal(p->got, 5000);
	assert_memory_equal(p->bytes, file, 5000);
	p = transfer_find(&t, "secret3");
	assert_memory_equal(p->bytes, file, 3);
	assert_null(transfer_find(&t, "secret9"));
	assert_string_equal(say("abort 7"), "aborted");
	assert_false(t.open);
}

static void lost_lines_and_answers_do_no_harm(void **state)
{
	say("begin 7");
	say("part 7 f 3000 %08x", transfer_crc32(0, file, 3000));
	assert_string_equal(say("begin 7"), "receiving"); /* the answer got lost: asked again */
	assert_string_equal(say("part 7 f 3000 %08x", transfer_crc32(0, file, 3000)), "receiving");
	assert_string_equal(send_chunk(0, 600), "receiving");
	assert_string_equal(send_chunk(0, 600), "receiving"); /* again */
	assert_int_equal(a.offset, 600);
	assert_string_equal(send_chunk(1200, 600), "again"); /* one in between was lost */
	assert_int_equal(a.offset, 600);
	assert_string_equal(send_chunk(300, 600), "again"); /* half of it is here */
	assert_int_equal(a.offset, 600);
	for (size_t at = 600; at < 3000; at += 600)
		send_chunk(at, 600);
	assert_string_equal(a.state, "received");
	assert_string_equal(send_chunk(2400, 600), "received");
	assert_memory_equal(transfer_find(&t, "f")->bytes, file, 3000);
}

/* Each byte of a line, changed to each of some others: the file is right in the end, or the line was not taken. */
static void damaged_lines_are_not_taken(void **state)
{
	static const char others[] = " 0A/=+z~9f\t";
	char line[200], damaged[200];

	say("begin 7");
	say("part 7 f 100 %08x", transfer_crc32(0, file, 100));
	data_line(line, 0, 90);
	for (size_t i = 0; line[i]; i++) {
		for (size_t k = 0; k < sizeof(others); k++) { /* the NUL too: a line cut short */
			strcpy(damaged, line);
			if (damaged[i] == others[k])
				continue;
			damaged[i] = others[k];
			say("%s", damaged);
			if (transfer_find(&t, "f")->got)
				fail_msg("taken: %s", damaged);
		}
	}
	assert_string_equal(say("%s", line), "receiving");
	assert_string_equal(send_chunk(90, 11), "again"); /* more than the part has */
	assert_string_equal(send_chunk(90, 10), "received");
}

static void a_wrong_whole_begins_anew(void **state)
{
	say("begin 7");
	say("part 7 f 100 %08x", transfer_crc32(0, file, 100) ^ 1);
	assert_string_equal(send_chunk(0, 100), "again");
	assert_int_equal(a.offset, 0);
	assert_false(transfer_complete(&t, 7));
}

static void limits(void **state)
{
	static const char *const bad[] = {"", " ", "begin", "begin ", "begin x", "begin -1", "begin 4294967296",
		"begin 99999999999999999999999", "part 7", "part 7 f", "part 7 f 1", "part 7 f 0 00000000", "part 7 f 4194305 00000000",
		"part 7 f 10 0000000", "part 7 f 10 000000000", "part 7 f 10 0000000G", "part 7 f 10 00000000 x", "part 7  10 00000000",
		"part 8 f 10 00000000", "data 7 0 00000000 AAAA", "abort 9", "nothing 7",
		"part 7 0123456789012345678901234567890123456789012345678901234567890123 10 00000000", "part 7 a\x01 10 00000000"};
	unsigned i;

	say("begin 7");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (strcmp(say("%s", bad[i]), "error") != 0)
			fail_msg("taken: %s", bad[i]);
		assert_true(t.open && t.id == 7 && !t.count);
	}
	for (i = 0; i < TRANSFER_MAX_PARTS; i++) {
		assert_string_equal(say("part 7 p%u 2 %08x", i, transfer_crc32(0, file, 2)), "receiving");
		assert_string_equal(send_chunk(0, 1), "receiving");
		assert_string_equal(say("part 7 other 1 00000000"), "error"); /* one after the other */
		assert_string_equal(send_chunk(1, 1), "received");
	}
	assert_string_equal(say("part 7 more 1 00000000"), "error");
	assert_string_equal(say("begin 8"), "ready"); /* another sender: the first is forgotten */
	assert_int_equal(t.count, 0);
	assert_string_equal(say("part 8 a %u 00000000", TRANSFER_MAX_BYTES), "receiving");
	assert_string_equal(say("part 7 b 1 00000000"), "error");
	assert_string_equal(say("data 8 0 %08x QQ==", transfer_crc32(0, (const uint8_t *)"A", 1)), "receiving");
	assert_string_equal(say("part 8 b 1 00000000"), "error");
}

/* A part's line carries no checksum of its own: what it began, the right line replaces as long as nothing has come. */
static void a_damaged_part_line_is_replaced(void **state)
{
	say("begin 7");
	assert_string_equal(say("part 7 e 4000000 %08x", transfer_crc32(0, file, 100)), "receiving");
	assert_string_equal(say("part 7 f 4000000 %08x", transfer_crc32(0, file, 100)), "receiving");
	assert_string_equal(say("part 7 f 100 %08x", transfer_crc32(0, file, 100)), "receiving");
	assert_int_equal(t.count, 1);
	assert_int_equal(t.total, 100);
	assert_string_equal(send_chunk(0, 100), "received");
	assert_null(transfer_find(&t, "e"));
	assert_memory_equal(transfer_find(&t, "f")->bytes, file, 100);
}

static unsigned rnd(unsigned n)
{
	static uint64_t x = 1234567;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x % n);
}

static void any_line_is_survived(void **state)
{
	static const char *const words[] = {"begin", "part", "data", "abort", "7", "8", "0", "4194304", "4294967295", "f", "00000000",
		"ffffffff", "AAAA", "A===", "====", "QQ==", "/+/+", "-", "\x7f", "00000000000000000000"};
	char line[1024];

	for (unsigned round = 0; round < 200000; round++) {
		size_t n = 0;

		line[0] = 0;
		for (unsigned i = rnd(7); i; i--)
			n += (size_t)sprintf(line + n, "%s%s", words[rnd(sizeof(words) / sizeof(words[0]))], rnd(9) ? " " : "");
		if (n && !rnd(3))
			n--;
		line[n] = 0;
		say("%s", line);
		assert_true(t.count <= TRANSFER_MAX_PARTS && t.total <= TRANSFER_MAX_BYTES);
		for (unsigned i = 0; i < t.count; i++)
			assert_true(t.parts[i].got <= t.parts[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_zlibs),
		cmocka_unit_test_setup_teardown(parts_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_lines_and_answers_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_lines_are_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_whole_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_part_line_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(any_line_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
