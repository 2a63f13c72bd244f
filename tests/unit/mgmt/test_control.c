/* The control console: what each command answers, and that no bytes at all get more than an error event out of it. */
#include "kit.h"
#include <errno.h>
#include <stdlib.h>

static const char *error_text(const char *answer)
{
	static char text[200];
	yyjson_doc *doc = yyjson_read(answer, strlen(answer), YYJSON_READ_STOP_WHEN_DONE);
	yyjson_val *root = yyjson_doc_get_root(doc);

	assert_non_null(doc);
	assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "event")), "error");
	strcpy(text, yyjson_get_str(yyjson_obj_get(root, "text")));
	yyjson_doc_free(doc);
	return text;
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void list_has_the_states(void **state)
{
	kit_vm("one");
	kit_disk(kit_vm("two"), KIT_SAN, "");
	kit_disk(kit_vm("three"), KIT_RAM, "no size");
	kit_start();
	kit_vm_end("one", VM_END_RESET, 0, NULL);
	assert_string_equal(kit_command("list\n"),
		"{\"event\":\"vms\",\"vms\":[{\"name\":\"one\",\"state\":\"ended\"},{\"name\":\"two\",\"state\":\"waiting\"},"
		"{\"name\":\"three\",\"state\":\"failed\"}]}\n");
}

/* The CRC-32 of the line behind "ask ", and of all behind the first comma (computed by zlib). */
static void ask_marks_the_answer(void **state)
{
	kit_vm("one");
	kit_start();
	assert_string_equal(kit_command("ask 7 list\n"), "{\"crc\":\"c7532f02\",\"event\":\"vms\",\"vms\":[{\"name\":\"one\",\"state\":"
							 "\"running\"}],\"id\":7,\"request\":\"0cf09eb6\"}\n");
	assert_string_equal(
		kit_command("ask 4294967295 stop none\n"), "{\"crc\":\"79aa9e72\",\"event\":\"error\",\"text\":\"no VM of this name; "
							   "`list` shows them\",\"id\":4294967295,\"request\":\"c77171ed\"}\n");
	assert_string_equal(kit_command("list\n"), "{\"event\":\"vms\",\"vms\":[{\"name\":\"one\",\"state\":\"running\"}]}\n");
}

static void ask_needs_a_number_and_a_command(void **state)
{
	static const char *const bad[] = {
		"ask\n", "ask 7\n", "ask x list\n", "ask -1 list\n", "ask 4294967296 list\n", "ask 7list\n", "ask  7 list\n"};

	kit_start();
	for (unsigned i = 0; i < HV_ARRAY_LEN(bad); i++)
		assert_non_null(strstr(error_text(kit_command(bad[i])), "ask ID COMMAND"));
	assert_non_null(strstr(kit_command("ask 7 ask 8 list\n"), "ask ID COMMAND"));
	assert_string_equal(kit_command("ask 7 \n"), "");
}

static void input_reaches_the_vm_as_it_is(void **state)
{
	struct vm *vm;

	kit_vm("one");
	kit_vm("on");
	kit_start();
	vm = kit_vm_find("one");
	assert_string_equal(kit_command("input one say \"hello\"  there\n"), "");
	assert_string_equal(vm->typed, "say \"hello\"  there\n");
	assert_string_equal(kit_command("input one\n"), ""); /* just a newline */
	assert_string_equal(kit_command("input one \r\n"), "");
	assert_string_equal(vm->typed, "say \"hello\"  there\n\n\n");
	assert_int_equal(kit_vm_find("on")->typed_len, 0);
}

static void dirty_log_of_a_vm(void **state)
{
	kit_vm("one");
	kit_start();
	assert_string_equal(error_text(kit_command("dirty one read\n")), "the dirty log is off: dirty VM start");
	assert_string_equal(error_text(kit_command("dirty one what\n")), "dirty VM start, read or stop");
	assert_string_equal(kit_command("dirty one start\n"), "{\"event\":\"dirty\",\"vm\":\"one\",\"on\":true}\n");
	assert_true(kit_vm_find("one")->logged);
	assert_string_equal(error_text(kit_command("dirty one start\n")), "the dirty log is on already");
	assert_string_equal(kit_command("dirty one read\n"), "{\"event\":\"dirty\",\"vm\":\"one\",\"on\":true,\"pages\":5,\"ranges\":"
							     "[[0,2],[258048,2],[4295237632,1]],\"more\":false}\n");
	assert_string_equal(kit_command("dirty one stop\n"), "{\"event\":\"dirty\",\"vm\":\"one\",\"on\":false}\n");
	assert_false(kit_vm_find("one")->logged);
}

static void input_that_does_not_fit_is_reported(void **state)
{
	kit_vm("one");
	kit_start();
	kit_vm_input_room = 3;
	assert_non_null(strstr(error_text(kit_command("input one hello\n")), "did not take all of it"));
	kit_vm_input_room = 5; /* all but the newline */
	assert_non_null(strstr(error_text(kit_command("input one hello\n")), "did not take all of it"));
}

static void commands_name_a_running_vm(void **state)
{
	static const char *const absent[] = {
		"stop none\n", "stop\n", "stop  one\n", "stop ONE\n", "stop onee\n", "stop on\n", "input none x\n"};

	kit_vm("one");
	kit_disk(kit_vm("two"), KIT_SAN, "");
	kit_start();
	for (unsigned i = 0; i < HV_ARRAY_LEN(absent); i++)
		assert_non_null(strstr(error_text(kit_command(absent[i])), "no VM of this name"));
	assert_non_null(strstr(error_text(kit_command("stop two\n")), "not running"));
	assert_false(kit_vm_find("one")->stopped);
	assert_string_equal(kit_command("stop one\n"), "");
	assert_true(kit_vm_find("one")->stopped);
	kit_vm_end("one", VM_END_STOPPED, 0, NULL);
	assert_non_null(strstr(error_text(kit_command("stop one\n")), "not running"));
}

static void a_host_without_a_switch_says_so(void **state)
{
	kit_start();
	assert_non_null(strstr(error_text(kit_command("macs\n")), "no vSwitch"));
	assert_non_null(strstr(error_text(kit_command("uplinks\n")), "no vSwitch"));
	assert_non_null(strstr(error_text(kit_command("drops\n")), "no vSwitch"));
}

static void unknown_commands(void **state)
{
	static const char *const unknown[] = {
		"lis\n", "listt\n", "LIST\n", "\tlist\n", "{\"event\":\"stats\"}\n", "\xff\xfe\n", "\x1b[A\n"};

	kit_start();
	for (unsigned i = 0; i < HV_ARRAY_LEN(unknown); i++)
		assert_non_null(strstr(error_text(kit_command(unknown[i])), "unknown command"));
	assert_string_equal(kit_command("\n\r\n  \n"), ""); /* nothing asked */
}

static void help_names_every_command(void **state)
{
	static const char *const names[] = {"stats", "list", "input", "stop", "macs", "uplinks", "drops", "trace", "ask", "help"};
	const char *text;

	kit_start();
	text = kit_command("help\n");
	for (unsigned i = 0; i < HV_ARRAY_LEN(names); i++)
		assert_non_null(strstr(text, names[i]));
}

static void the_longest_line_and_one_more(void **state)
{
	static char line[5000];
	struct vm *vm;

	kit_vm("one");
	kit_start();
	vm = kit_vm_find("one");
	kit_vm_input_room = 4000;
	memset(line, 'x', sizeof(line));
	memcpy(line, "input one ", 10);
	line[1023] = '\n';
	assert_string_equal(kit_control(line, 1024), "");
	assert_int_equal(vm->typed_len, 1014);
	line[1023] = 'x';
	line[1024] = '\n';
	assert_non_null(strstr(error_text(kit_control(line, 1025)), "too long"));
	line[1024] = 'x';
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(lines(kit_control(line, sizeof(line))), 1); /* one error, not one a kilobyte */
	assert_int_equal(vm->typed_len, 1014);
	assert_non_null(strstr(kit_command("list\n"), "\"vms\"")); /* and the next line is a command again */
}

static void a_line_comes_in_pieces(void **state)
{
	kit_start();
	assert_string_equal(kit_command("li"), "");
	assert_string_equal(kit_command("st"), "");
	assert_int_equal(lines(kit_command("\nlist\nhe")), 2);
	assert_true(lines(kit_command("lp\n")) > 3);
}

static void a_line_with_a_nul_is_no_command(void **state)
{
	kit_vm("one");
	kit_start();
	assert_string_equal(kit_control("list\0\n", 6), "");
	assert_string_equal(kit_control("stop one\0\n", 10), "");
	assert_false(kit_vm_find("one")->stopped);
	assert_int_equal(lines(kit_command("list\n")), 1);
}

/* Any bytes: each line gets at most what its command answers, and every answer is a JSON object (teardown reads all). */
static void garbage(void **state)
{
	static const char *const words[] = {
		"stats", "list", "input one ", "input ", "stop ", "macs", "\n", "\r", " ", "one", "\xc3", "\"", "\\"};
	static char bytes[20000];

	kit_vm("one");
	kit_start();
	srand(7);
	for (unsigned round = 0; round < 8; round++) {
		size_t len = 0;

		while (len < sizeof(bytes) - 20) {
			const char *w = words[(unsigned)rand() % HV_ARRAY_LEN(words)];

			if (rand() % 3) {
				bytes[len++] = (char)rand();
			} else {
				memcpy(bytes + len, w, strlen(w));
				len += strlen(w);
			}
		}
		kit_vm_input_room = 100;
		kit_vm_find("one")->typed_len = 0;
		bytes[len++] = '\n';
		kit_control(bytes, len);
	}
	assert_true(kit_events_checked() > 100);
	assert_int_equal(lines(kit_command("list\n")), 1);
}

/* The host has no valid configuration: the console is there, and says so. */
static void without_an_inventory(void **state)
{
	control_start(NULL);
	assert_non_null(strstr(error_text(kit_command("list\n")), "no valid configuration"));
	assert_non_null(strstr(error_text(kit_command("stop one\n")), "no valid configuration"));
	assert_true(lines(kit_command("help\n")) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, kit_mgmt_setup, kit_mgmt_teardown)
		T(list_has_the_states),
		T(ask_marks_the_answer),
		T(ask_needs_a_number_and_a_command),
		T(input_reaches_the_vm_as_it_is),
		T(dirty_log_of_a_vm),
		T(input_that_does_not_fit_is_reported),
		T(commands_name_a_running_vm),
		T(a_host_without_a_switch_says_so),
		T(unknown_commands),
		T(help_names_every_command),
		T(the_longest_line_and_one_more),
		T(a_line_comes_in_pieces),
		T(a_line_with_a_nul_is_no_command),
		T(garbage),
		T(without_an_inventory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
