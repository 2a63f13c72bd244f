/* Multiboot2 boot information: good ones, every field out of bounds, and garbage. Exact-size copies, so that ASan sees a byte too far. */
#include "test.h"
#include "boot/boot.h"
#include <stdio.h>
#include <stdlib.h>

#define PA 0x100000ull /* where the information lies */
#define MIB (1ull << 20)

static char text[8192];
static uint32_t len;
static struct boot_info info;

static void put32(uint32_t v)
{
	memcpy(text + len, &v, 4);
	len += 4;
}

static void put64(uint64_t v)
{
	memcpy(text + len, &v, 8);
	len += 8;
}

/* Returns where the tag's length is. */
static uint32_t begin(uint32_t type)
{
	while (len % 8)
		text[len++] = '\x5a';
	put32(type);
	put32(0);
	return len - 4;
}

static void end(uint32_t at)
{
	uint32_t bytes = len - (at - 4);

	memcpy(text + at, &bytes, 4);
}

static void map_entry(uint64_t start, uint64_t bytes, uint32_t type)
{
	put64(start);
	put64(bytes);
	put32(type);
	put32(0);
}

static void map_tag(void)
{
	uint32_t at = begin(6);

	put32(24);
	put32(0);
	map_entry(0, 0x9f000, 1);
	map_entry(MIB, 255 * MIB, 1);
	map_entry(200 * MIB, MIB, 2); /* a hole, although inside RAM */
	map_entry(255 * MIB, MIB, 3);
	map_entry(~0ull - 100, 4096, 1); /* beyond the end of the address space */
	end(at);
}

static void string(const char *s)
{
	memcpy(text + len, s, strlen(s) + 1);
	len += (uint32_t)strlen(s) + 1;
}

static void cmdline_tag(const char *s)
{
	uint32_t at = begin(1);

	string(s);
	end(at);
}

static void module_tag(uint32_t start, uint32_t stop, const char *name)
{
	uint32_t at = begin(3);

	put32(start);
	put32(stop);
	string(name);
	end(at);
}

static void rsdp_tag(uint32_t type, unsigned bytes)
{
	uint32_t at = begin(type);

	memset(text + len, 'R', bytes);
	len += bytes;
	end(at);
}

static void framebuffer_tag(uint64_t address, uint32_t pitch, uint32_t columns, uint32_t rows, uint8_t kind)
{
	uint32_t at = begin(8);

	put32((uint32_t)address);
	put32((uint32_t)(address >> 32));
	put32(pitch);
	put32(columns);
	put32(rows);
	text[len++] = 16;
	text[len++] = (char)kind;
	len += 2;
	end(at);
}

static int setup(void **state)
{
	memset(text, 0, sizeof(text));
	memset(&info, 0, sizeof(info));
	len = 8;
	return 0;
}

static void finish(void)
{
	end(begin(0));
	memcpy(text, &len, 4);
}

/* NULL or the error. Names point into the copy: `keep` is it, freed by the caller. */
static const char *parse(size_t bytes, char **keep)
{
	char *copy = malloc(bytes ? bytes : 1);
	const char *error;
	bool ok;

	memcpy(copy, text, bytes);
	ok = multiboot2_read(copy, bytes, PA, &info, &error);
	assert_int_equal(ok, error == NULL);
	for (unsigned i = 0; ok && i < info.module_count; i++)
		assert_true(info.modules[i].name >= copy && info.modules[i].name + strlen(info.modules[i].name) < copy + bytes);
	if (keep)
		*keep = copy;
	else
		free(copy);
	return error;
}

static const char *parse_all(void)
{
	finish();
	return parse(len, NULL);
}

static void reads_all_tags_in_any_order(void **state)
{
	char *copy;

	rsdp_tag(15, 36);
	module_tag(16 * MIB, 16 * MIB + 5, "config.json");
	cmdline_tag("a=1 b");
	rsdp_tag(14, 20);
	module_tag(0, 0, "empty");
	map_tag();
	begin(999);
	end(len - 4);
	finish();
	assert_null(parse(len, &copy));
	assert_string_equal(info.cmdline, "a=1 b");
	assert_int_equal(info.rsdp, PA + 16); /* version 2's, although version 1's comes later */
	assert_int_equal(info.module_count, 2);
	assert_string_equal(info.modules[0].name, "config.json");
	assert_int_equal(info.modules[0].address, 16 * MIB);
	assert_int_equal(info.modules[0].bytes, 5);
	assert_string_equal(info.modules[1].name, "empty");
	assert_int_equal(info.modules[1].bytes, 0);
	free(copy);
}

static void the_stricter_entry_counts_and_used_memory_is_kept(void **state)
{
	map_tag();
	module_tag(16 * MIB, 16 * MIB + 5, "f");
	assert_null(parse_all());
	assert_int_equal(info.ram.count, 3);
	assert_int_equal(info.ram.r[0].end, 0x9f000);
	assert_int_equal(info.ram.r[1].start, MIB);
	assert_int_equal(info.ram.r[1].end, 200 * MIB);
	assert_int_equal(info.ram.r[2].start, 201 * MIB);
	assert_int_equal(info.ram.r[2].end, 255 * MIB);
	assert_int_equal(info.firmware.count, 1);
	assert_int_equal(info.firmware.r[0].start, 255 * MIB);
	assert_int_equal(info.keep.count, 2);
	assert_int_equal(info.keep.r[0].start, PA);
	assert_int_equal(info.keep.r[0].end, PA + 4096);
	assert_int_equal(info.keep.r[1].start, 16 * MIB);
	assert_int_equal(info.keep.r[1].end, 16 * MIB + 4096);
}

static void a_map_is_needed(void **state)
{
	cmdline_tag("x");
	assert_string_equal(parse_all(), "it has no memory map");
}

static void map_entries_need_their_size(void **state)
{
	static const uint32_t bad[] = {0, 8, 23, 25, 28};

	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++) {
		uint32_t at;

		setup(state);
		at = begin(6);
		put32(bad[i]);
		put32(0);
		map_entry(0, MIB, 1);
		end(at);
		assert_string_equal(parse_all(), "the memory map has entries of an impossible size");
	}
}

static void modules_lie_in_memory(void **state)
{
	static const uint32_t bad[][2] = {{16 * MIB, 15 * MIB}, {199 * MIB, 202 * MIB}, {254 * MIB, 256 * MIB}, {3u << 30, (3u << 30) + 1}, {0xa0000, 0xa1000}};

	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++) {
		setup(state);
		map_tag();
		module_tag(bad[i][0], bad[i][1], "f");
		assert_string_equal(parse_all(), "a module is not in memory, or there are too many");
	}
}

static void modules_have_names_that_end(void **state)
{
	uint32_t at;

	map_tag();
	module_tag(16 * MIB, 17 * MIB, "");
	assert_string_equal(parse_all(), "a module has no name");
	setup(state);
	map_tag();
	at = begin(3);
	put32(16 * MIB);
	put32(17 * MIB);
	memcpy(text + len, "name", 4);
	len += 4;
	end(at); /* the padding behind it is no NUL, and not its own */
	assert_string_equal(parse_all(), "a module has no name");
}

static void too_many_modules_are_refused(void **state)
{
	char name[8];

	map_tag();
	for (unsigned i = 0; i < 300 && len < sizeof(text) - 64; i++) {
		snprintf(name, sizeof(name), "%u", i);
		module_tag(16 * MIB, 16 * MIB + 1, name);
	}
	assert_string_equal(parse_all(), "a module is not in memory, or there are too many");
	assert_int_equal(info.module_count, BOOT_MODULES_MAX);
}

static void an_rsdp_is_whole(void **state)
{
	map_tag();
	rsdp_tag(14, 19);
	assert_string_equal(parse_all(), "the RSDP is too short");
	setup(state);
	map_tag();
	rsdp_tag(15, 35);
	assert_string_equal(parse_all(), "the RSDP is too short");
}

/* Only a text screen of a possible size is one. */
static void a_text_screen(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t pitch, columns, rows;
		uint8_t kind;
		bool good;
	} cases[] = {{0xb8000, 160, 80, 25, 2, true}, {0xb8000, 264, 132, 60, 2, true}, {0xe0000000, 4096, 1024, 768, 1, false},
		{0x1000b8000, 160, 80, 25, 2, false}, {0xb8000, 159, 80, 25, 2, false}, {0xb8000, 160, 0, 25, 2, false},
		{0xb8000, 160, 80, 61, 2, false}, {0xb8000, 1u << 30, 80, 25, 2, false}, {0xb8000, 4096, 0x80000001, 25, 2, false}};

	for (size_t i = 0; i < HV_ARRAY_LEN(cases); i++) {
		setup(NULL);
		map_tag();
		framebuffer_tag(cases[i].address, cases[i].pitch, cases[i].columns, cases[i].rows, cases[i].kind);
		finish();
		assert_null(parse(len, NULL));
		assert_int_equal(info.screen.address, cases[i].good ? cases[i].address : 0);
	}
	assert_int_equal(info.screen.rows, 0);
	setup(NULL);
	map_tag();
	end(begin(8)); /* too short */
	finish();
	assert_null(parse(len, NULL));
	assert_int_equal(info.screen.address, 0);
}

static void a_long_command_line_is_cut(void **state)
{
	char line[3000];

	memset(line, 'c', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	map_tag();
	cmdline_tag(line);
	assert_null(parse_all());
	assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_BYTES - 1);
}

static void every_cut_is_refused(void **state)
{
	uint32_t whole;

	module_tag(16 * MIB, 17 * MIB, "f");
	map_tag();
	cmdline_tag("x");
	finish();
	whole = len;
	for (uint32_t n = 0; n < whole; n++) {
		memset(&info, 0, sizeof(info));
		assert_non_null(parse(n, NULL)); /* its own length says more than there is */
		if (n < 8)
			continue;
		memcpy(text, &n, 4);
		memset(&info, 0, sizeof(info));
		assert_non_null(parse(n, NULL));
		memcpy(text, &whole, 4);
	}
	memset(&info, 0, sizeof(info));
	assert_null(parse(whole, NULL));
}

/* Any word of good information replaced by an extreme one: refused or read, never out of bounds. */
static void extreme_words_do_no_harm(void **state)
{
	static const uint32_t extreme[] = {0, 1, 7, 8, 9, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};

	map_tag();
	module_tag(16 * MIB, 17 * MIB, "f");
	rsdp_tag(15, 36);
	cmdline_tag("x");
	finish();
	for (uint32_t at = 0; at + 4 <= len; at++) {
		for (unsigned i = 0; i < HV_ARRAY_LEN(extreme); i++) {
			uint32_t old;

			memcpy(&old, text + at, 4);
			memcpy(text + at, &extreme[i], 4);
			memset(&info, 0, sizeof(info));
			parse(len, NULL);
			memcpy(text + at, &old, 4);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_all_tags_in_any_order, setup),
		cmocka_unit_test_setup(the_stricter_entry_counts_and_used_memory_is_kept, setup),
		cmocka_unit_test_setup(a_map_is_needed, setup),
		cmocka_unit_test_setup(map_entries_need_their_size, setup),
		cmocka_unit_test_setup(modules_lie_in_memory, setup),
		cmocka_unit_test_setup(modules_have_names_that_end, setup),
		cmocka_unit_test_setup(too_many_modules_are_refused, setup),
		cmocka_unit_test_setup(an_rsdp_is_whole, setup),
		cmocka_unit_test_setup(a_text_screen, setup),
		cmocka_unit_test_setup(a_long_command_line_is_cut, setup),
		cmocka_unit_test_setup(every_cut_is_refused, setup),
		cmocka_unit_test_setup(extreme_words_do_no_harm, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
