/* The inventory: VMs wait for their datastores and for nothing else, failures have a reason, and what a VM held is given back at its end.
 */
#include "kit.h"
#include <errno.h>
#include <hv/core.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define event_is(name, key, text)                                                                                                          \
	do {                                                                                                                               \
		yyjson_doc *d_ = kit_event(name);                                                                                          \
		assert_non_null(d_);                                                                                                       \
		assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(d_), key)), text);                                   \
		yyjson_doc_free(d_);                                                                                                       \
	} while (0)

static void a_vm_starts_and_ends(void **state)
{
	struct config_vm *c = kit_vm("one");
	struct vm *vm;

	c->cpus = 3;
	c->debug_exit = true;
	strcpy(c->cmdline, "quiet");
	kit_disk(c, KIT_RAM, "");
	kit_start();
	vm = kit_vm_find("one");
	assert_non_null(vm);
	assert_true(vm->started);
	assert_int_equal(vm->config.cpus, 3);
	assert_string_equal(vm->config.cmdline, "quiet");
	assert_true(vm->config.debug_exit);
	assert_int_equal(vm->config.disk_count, 1);
	assert_int_equal(vm->config.disks[0].dev->size_bytes, 8u << 20);
	assert_string_equal(vm->kernel, "the guest's program");
	assert_int_equal(kit_state("one"), MACHINE_RUNNING);
	kit_vm_end("one", VM_END_DEBUG_EXIT, 42, NULL);
	assert_true(vm->destroyed);
	assert_int_equal(kit_state("one"), MACHINE_ENDED);
	event_is("vm-ended", "how", "debug-exit");
	yyjson_doc *doc = kit_event("vm-ended");

	assert_int_equal(yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "value")), 42);
	yyjson_doc_free(doc);
	assert_null(datastore_disk_get(kit_parts.datastores[KIT_RAM], 0, NULL));
}

static void each_waits_for_its_own_datastore(void **state)
{
	kit_disk(kit_vm("db1"), KIT_SAN, "");
	kit_disk(kit_vm("web1"), KIT_NAS, "web1.raw");
	kit_disk(kit_vm("ram"), KIT_RAM, "");
	kit_file_add("web1.raw", 1 << 20);
	kit_start();
	assert_int_equal(kit_state("db1"), MACHINE_WAITING);
	assert_int_equal(kit_state("web1"), MACHINE_WAITING);
	assert_int_equal(kit_state("ram"), MACHINE_RUNNING);
	assert_non_null(strstr(native_log_text(), "db1 waits for datastore san1"));
	native_time_advance(3600ull * 1000000000); /* for as long as it takes */
	native_run(50);
	assert_int_equal(kit_state("db1"), MACHINE_WAITING);
	kit_link("nas1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(kit_state("web1"), MACHINE_RUNNING);
	assert_int_equal(kit_state("db1"), MACHINE_WAITING);
	kit_link("san1", STORAGE_LINK_LOST); /* a further attempt fails */
	native_run(50);
	assert_int_equal(kit_state("db1"), MACHINE_WAITING);
	kit_link("san1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(kit_state("db1"), MACHINE_RUNNING);
	assert_true(kit_vm_find("db1")->started);
}

static void boot_files_come_from_a_datastore(void **state)
{
	struct config_vm *c = kit_vm("one");

	c->kernel = c->initrd = (struct config_file_ref){.present = true, .datastore = KIT_NAS};
	strcpy(c->kernel.path, "vmlinuz");
	strcpy(c->initrd.path, "initrd");
	kit_file_add("vmlinuz", 600);
	kit_file_add("initrd", 700);
	kit_start();
	assert_null(kit_vm_find("one"));
	assert_int_equal(kit_state("one"), MACHINE_WAITING);
	kit_link("nas1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(kit_state("one"), MACHINE_RUNNING);
	assert_string_equal(kit_vm_find("one")->kernel, KIT_FILE_TEXT);
	assert_int_equal(kit_vm_find("one")->config.initrd.bytes, 700);
	assert_int_equal(kit_files_open, 0); /* read whole, then given back: teardown counts the memory */
}

/* ---- failures: the VM is reported as crashed, with the reason, and what it had is given back ---- */

static void a_missing_disk_fails_its_vm_only(void **state)
{
	kit_disk(kit_vm("web1"), KIT_NAS, "nowhere.raw");
	kit_disk(kit_vm("ram"), KIT_RAM, "");
	kit_link("nas1", STORAGE_LINK_READY);
	kit_start();
	assert_int_equal(kit_state("web1"), MACHINE_FAILED);
	assert_int_equal(kit_state("ram"), MACHINE_RUNNING);
	event_is("vm-ended", "vm", "web1");
	event_is("vm-ended", "how", "crash");
	event_is("vm-ended", "reason", "not started: disk nowhere.raw: No such file or directory");
}

static void a_second_user_of_a_disk_is_refused(void **state)
{
	kit_disk(kit_vm("one"), KIT_SAN, "");
	kit_disk(kit_vm("two"), KIT_SAN, "");
	kit_link("san1", STORAGE_LINK_READY);
	kit_start();
	assert_int_equal(kit_state("one"), MACHINE_RUNNING);
	assert_int_equal(kit_state("two"), MACHINE_FAILED);
	event_is("vm-ended", "reason", "not started: disk san1: Device or resource busy");
	kit_vm_end("one", VM_END_POWER_OFF, 0, NULL);
	event_is("vm-ended", "how", "power-off");
}

static void a_missing_boot_file_gives_the_disks_back(void **state)
{
	struct config_vm *c = kit_vm("one");

	kit_disk(c, KIT_RAM, "");
	strcpy(c->kernel.path, "absent");
	kit_start();
	event_is("vm-ended", "reason", "not started: boot module absent: No such file or directory");
	assert_null(datastore_disk_get(kit_parts.datastores[KIT_RAM], 0, NULL));
}

static void a_boot_file_that_cannot_be_read_is_named(void **state)
{
	struct config_vm *c = kit_vm("one");

	c->kernel = (struct config_file_ref){.present = true, .datastore = KIT_NAS};
	strcpy(c->kernel.path, "vmlinuz");
	kit_link("nas1", STORAGE_LINK_READY);
	kit_file_add("vmlinuz", 600);
	kit_file_error = -EACCES;
	kit_start();
	event_is("vm-ended", "reason", "not started: boot file vmlinuz: Permission denied");
}

static void a_machine_that_cannot_be_made(void **state)
{
	struct config_vm *c = kit_vm("one");

	kit_disk(c, KIT_RAM, "");
	c->kernel = (struct config_file_ref){.present = true, .datastore = KIT_NAS};
	strcpy(c->kernel.path, "vmlinuz");
	kit_file_add("vmlinuz", 600);
	kit_link("nas1", STORAGE_LINK_READY);
	kit_vm_error = -ENOMEM;
	kit_start();
	assert_int_equal(kit_state("one"), MACHINE_FAILED);
	event_is("vm-ended", "how", "crash");
	assert_null(datastore_disk_get(kit_parts.datastores[KIT_RAM], 0, NULL));
}

static void ends_have_their_names(void **state)
{
	static const struct {
		enum vm_end how;
		const char *text, *reason;
	} ends[] = {{VM_END_POWER_OFF, "power-off", NULL}, {VM_END_RESET, "reset", NULL}, {VM_END_CRASH, "crash", "triple fault"},
		{VM_END_STOPPED, "stopped", NULL}};
	static const char *const names[] = {"a", "b", "c", "d"};

	for (unsigned i = 0; i < HV_ARRAY_LEN(ends); i++)
		kit_vm(names[i]);
	kit_start();
	for (unsigned i = 0; i < HV_ARRAY_LEN(ends); i++) {
		kit_vm_end(names[i], ends[i].how, 0, ends[i].reason);
		event_is("vm-ended", "vm", names[i]);
		event_is("vm-ended", "how", ends[i].text);
		event_is("vm-ended", "reason", ends[i].reason ? ends[i].reason : "");
	}
}

/* ---- the last end ---- */

static void the_counters_come_with_the_last_end(void **state)
{
	yyjson_doc *doc;

	kit_vm("one");
	kit_vm("two");
	kit_start();
	kit_vm_end("one", VM_END_POWER_OFF, 0, NULL);
	assert_null(kit_event("stats"));
	kit_vm_end("two", VM_END_POWER_OFF, 0, NULL);
	doc = kit_event("stats");
	assert_non_null(doc);
	yyjson_doc_free(doc);
}

/* In a process of its own: the host powers off, or does not. */
static int status_after_the_last_end(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		kit_vm("one");
		kit_start();
		kit_vm_end("one", VM_END_POWER_OFF, 0, NULL);
		_exit(77); /* it runs on */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_host_powers_off_if_it_is_told_to(void **state)
{
	struct config_host *host = (struct config_host *)&kit_parts.config->host;

	assert_int_equal(status_after_the_last_end(), 77);
	host->power_off_when_idle = true;
	assert_int_equal(status_after_the_last_end(), 0);
}

/* In a process of its own: milliseconds after the last VM's end until the host is off, when its last writes are stable after `stable_ms`.
 */
static int off_after(unsigned stable_ms, unsigned most_ms)
{
	pid_t child = fork();
	int status;

	if (!child) {
		kit_settling = true;
		kit_vm("one");
		kit_start();
		kit_vm_end("one", VM_END_POWER_OFF, 0, NULL);
		for (unsigned ms = 0; ms < most_ms; ms += 10) {
			kit_settling = ms < stable_ms;
			native_time_advance(10000000);
			native_run(20);
		}
		_exit(77); /* it runs on */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_host_stays_on_for_the_last_writes(void **state)
{
	((struct config_host *)&kit_parts.config->host)->power_off_when_idle = true;
	assert_int_equal(off_after(5000, 4000), 77);
	assert_int_equal(off_after(3000, 4000), 0);
	assert_int_equal(off_after(100000, 12000), 0); /* but not for ever */
}

static void a_host_without_vms_reports_and_answers(void **state)
{
	yyjson_doc *doc;

	kit_start();
	doc = kit_event("stats");
	assert_non_null(doc);
	yyjson_doc_free(doc);
	assert_string_equal(kit_command("list\n"), "{\"event\":\"vms\",\"vms\":[]}\n");
}

/* ---- VM consoles ---- */

static void print(const char *bytes, size_t len)
{
	struct vm *vm = kit_vm_find("one");

	vm->config.console(vm->config.arg, bytes, len);
}

static void consoles_print_whole_harmless_lines(void **state)
{
	static const char hostile[] = "a\x1b[2Jb\r\n\x07\x7fx\ty\0z\n[host] 0.0 error forged: x\n";
	char large[2000];

	kit_vm("one");
	kit_start();
	print("hel", 3);
	assert_null(strstr(native_log_text(), "hel"));
	print("lo\nno end", 9);
	assert_non_null(strstr(native_log_text(), "[one] hello\n"));
	assert_null(strstr(native_log_text(), "no end"));
	print("\n", 1);
	print(hostile, sizeof(hostile) - 1);
	assert_non_null(strstr(native_log_text(), "[one] no end\n[one] a[2Jb\n[one] x\tyz\n[one] [host] 0.0 error forged: x\n"));
	memset(large, 'L', sizeof(large));
	print(large, sizeof(large));
	assert_null(strstr(native_log_text(), "LLLL\nLLLL")); /* each part of a long line has the name before it */
	assert_non_null(strstr(native_log_text(), "L\n[one] L"));
	print("\nlast words", 11);
	kit_vm_end("one", VM_END_CRASH, 0, "triple fault");
	assert_non_null(strstr(native_log_text(), "[one] last words\n"));
}

static void lines_without_room_are_counted(void **state)
{
	kit_vm("one");
	kit_start();
	native_console_full(true);
	print("one\ntwo\nthree\n", 14);
	native_console_full(false);
	print("four\n", 5);
	assert_null(strstr(native_log_text(), "[one] two"));
	assert_non_null(strstr(native_log_text(), "[one] four\n"));
	assert_non_null(strstr(kit_command("stats\n"), "\"console_dropped\":3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, kit_mgmt_setup, kit_mgmt_teardown)
		T(a_vm_starts_and_ends),
		T(each_waits_for_its_own_datastore),
		T(boot_files_come_from_a_datastore),
		T(a_missing_disk_fails_its_vm_only),
		T(a_second_user_of_a_disk_is_refused),
		T(a_missing_boot_file_gives_the_disks_back),
		T(a_boot_file_that_cannot_be_read_is_named),
		T(a_machine_that_cannot_be_made),
		T(ends_have_their_names),
		T(the_counters_come_with_the_last_end),
		T(the_host_powers_off_if_it_is_told_to),
		T(the_host_stays_on_for_the_last_writes),
		T(a_host_without_vms_reports_and_answers),
		T(consoles_print_whole_harmless_lines),
		T(lines_without_room_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
