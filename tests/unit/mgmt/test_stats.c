/* The counters' document: what is promised is in it, before, during and after a VM's life, and no text from outside can break it. */
#include "kit.h"
#include <hv/core.h>
#include <hv/mem.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <vswitch/vswitch.h>

static yyjson_doc *doc;

static int teardown(void **state)
{
	yyjson_doc_free(doc);
	doc = NULL;
	return kit_mgmt_teardown(state);
}

/* What `stats` answers, at a path such as "/vms/0/exits". */
static yyjson_val *at(const char *path)
{
	yyjson_val *v = yyjson_doc_ptr_get(doc, path);

	if (!v)
		print_error("no %s\n", path);
	assert_non_null(v);
	return v;
}

static void take(void)
{
	const char *text = kit_command("stats\n");

	yyjson_doc_free(doc);
	doc = yyjson_read(text, strlen(text), 0);
	assert_non_null(doc);
	assert_string_equal(yyjson_get_str(at("/event")), "stats");
}

static void a_vm_that_waits_has_zeroes(void **state)
{
	kit_disk(kit_vm("db1"), KIT_SAN, "");
	kit_start();
	take();
	assert_string_equal(yyjson_get_str(at("/vms/0/state")), "waiting");
	assert_int_equal(yyjson_get_uint(at("/vms/0/memory_bytes")), 0);
	assert_int_equal(yyjson_get_uint(at("/vms/0/interrupts")), 0);
	assert_int_equal(yyjson_obj_size(at("/vms/0/exits")), 0);
	assert_int_equal(yyjson_arr_size(at("/disks")), 0);
	assert_string_equal(yyjson_get_str(at("/datastores/1/state")), "attaching");
}

static void check_running(void)
{
	assert_string_equal(yyjson_get_str(at("/vms/0/name")), "one");
	assert_int_equal(yyjson_get_uint(at("/vms/0/memory_bytes")), (2u << 20) + 4096);
	assert_int_equal(yyjson_obj_size(at("/vms/0/exits")), 1); /* reasons that never came are left out */
	assert_int_equal(yyjson_get_uint(at("/vms/0/exits/cpuid")), 12);
	assert_int_equal(yyjson_get_uint(at("/vms/0/interrupts")), 34);
	assert_true(yyjson_get_uint(at("/vms/0/counters/run_ns")) == UINT64_MAX); /* whole 64 bits */
	assert_string_equal(yyjson_get_str(at("/disks/1/vm")), "one");
	assert_string_equal(yyjson_get_str(at("/disks/1/disk")), "vdb");
	assert_string_equal(yyjson_get_str(at("/disks/1/datastore")), "ram1");
	assert_int_equal(yyjson_get_uint(at("/disks/1/size_bytes")), 8u << 20);
	assert_int_equal(yyjson_arr_size(at("/disks/0/latency_log2")), BLK_LATENCY_BUCKETS);
}

static void done(struct blk_req *req, int status)
{
}

static void a_running_vm_and_its_disks(void **state)
{
	static char data[1024];
	struct hv_seg seg = {.base = data, .len = sizeof(data)};
	struct blk_req req = {.op = BLK_WRITE, .nsegs = 1, .segs = &seg, .length_bytes = sizeof(data), .done = done};
	struct config_vm *c = kit_vm("one");

	kit_disk(c, KIT_NAS, "d.raw");
	kit_disk(c, KIT_RAM, "");
	kit_file_add("d.raw", 1 << 20);
	kit_link("nas1", STORAGE_LINK_READY);
	kit_start();
	assert_int_equal(blk_submit(kit_vm_find("one")->config.disks[1].dev, &req), 0);
	take();
	check_running();
	assert_string_equal(yyjson_get_str(at("/vms/0/state")), "running");
	assert_int_equal(yyjson_get_uint(at("/disks/1/ios/write")), 1);
	assert_int_equal(yyjson_get_uint(at("/disks/1/bytes/write")), 1024);
	assert_int_equal(yyjson_get_uint(at("/disks/1/errors/write")), 0);
	assert_int_equal(yyjson_get_uint(at("/datastores/2/written_bytes")), 1024);
	assert_string_equal(yyjson_get_str(at("/datastores/0/state")), "online");
	assert_int_equal(yyjson_get_uint(at("/cores/0/run_ns")), 0);
	assert_true(yyjson_get_uint(at("/cores/0/rounds")) > 0);
	/* Its numbers outlive it; its disks' are not lost to the datastore. */
	kit_vm_end("one", VM_END_POWER_OFF, 0, NULL);
	take();
	check_running();
	assert_string_equal(yyjson_get_str(at("/vms/0/state")), "ended");
	assert_int_equal(yyjson_get_uint(at("/disks/1/bytes/write")), 1024);
	assert_int_equal(yyjson_get_uint(at("/datastores/2/written_bytes")), 1024);
}

static void memory_is_the_hosts(void **state)
{
	uint64_t total, unused;

	kit_parts.base_memory_bytes = 12345;
	kit_start();
	take();
	hv_mem_usage(&total, &unused);
	assert_true(yyjson_get_uint(at("/memory/total_bytes")) == total);
	assert_true(yyjson_get_uint(at("/memory/free_bytes")) == unused);
	assert_int_equal(yyjson_get_uint(at("/memory/base_bytes")), 12345);
}

/* A server's error text is in `reason`: bytes that are no UTF-8 must not cost the host its counters. */
static void texts_from_outside_do_not_break_the_document(void **state)
{
	static const char *const hostile[] = {"\xff\xfe \x80", "cut off \xc3", "over\xc0\xaflong", "surrogate \xed\xa0\x80",
		"too far \xf4\x90\x80\x80", "\"},{\"event\":\"vm-ended\"", "line\none\r\x1b[2J",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"};

	kit_start();
	for (unsigned i = 0; i < HV_ARRAY_LEN(hostile); i++) {
		kit_link_fail("san1", hostile[i]);
		take();
		assert_true(yyjson_is_str(at("/datastores/1/reason")));
	}
	assert_string_equal(yyjson_get_str(at("/datastores/1/reason")), hostile[7]); /* good text stays as it is */
}

/* A reason that is cut in the middle of a character is still told. */
static void a_long_reason_is_told(void **state)
{
	struct config_vm *c = kit_vm("one");
	yyjson_doc *ended;

	kit_disk(c, KIT_NAS, "");
	for (unsigned i = 0; i < 150; i++)
		strcat(c->disks[0].file, "\xc3\xa9");
	kit_link("nas1", STORAGE_LINK_READY);
	kit_start();
	ended = kit_event("vm-ended");
	assert_non_null(ended);
	assert_non_null(strstr(yyjson_get_str(yyjson_doc_ptr_get(ended, "/reason")), "not started: disk \xc3\xa9"));
	yyjson_doc_free(ended);
}

/* ---- switch ports: the real switch, without a wire ---- */

static const struct vsw_config vsw_config = {
	.switch_count = 1,
	.switches = {{.name = "vSwitch0", .mac_ageing_s = 8}},
	.portgroup_count = 1,
	.portgroups = {{.name = "web", .vlan = 20}},
};

static void eal_start(void)
{
	static bool started;
	char *argv[] = {"test", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};

	if (!started)
		assert_true(rte_eal_init(HV_ARRAY_LEN(argv), argv) >= 0);
	started = true;
}

static void nic(struct config_vm *c, uint8_t last)
{
	c->nics[c->nic_count++] = (struct config_vm_nic){.has_mac = true, .mac = {0x52, 0x54, 0, 0, 0, last}};
}

static void check_port(unsigned i, const char *name, const char *vm)
{
	char path[40];

	snprintf(path, sizeof(path), "/ports/%u/name", i);
	assert_string_equal(yyjson_get_str(at(path)), name);
	snprintf(path, sizeof(path), "/ports/%u/vm", i);
	assert_string_equal(yyjson_get_str(at(path)), vm);
	snprintf(path, sizeof(path), "/ports/%u/drops", i);
	assert_true(yyjson_is_obj(at(path)));
}

/* A port belongs to the VM that its name begins with, whatever dots the names hold. */
static void ports_belong_to_their_vms(void **state)
{
	struct config_vm *c;

	eal_start();
	assert_int_equal(vsw_create(&vsw_config, 0, &kit_parts.vsw), 0);
	c = kit_vm("web.nic0");
	nic(c, 1);
	c = kit_vm("web");
	nic(c, 2);
	nic(c, 3);
	c = kit_vm("twin");
	nic(c, 4);
	nic(c, 2); /* taken */
	kit_start();
	assert_int_equal(kit_state("twin"), MACHINE_FAILED);
	assert_non_null(strstr(native_log_text(), "twin: crash: not started: switch port twin.nic1: File exists"));
	take();
	check_port(0, "web.nic0.nic0", "web.nic0");
	check_port(1, "web.nic0", "web");
	check_port(2, "web.nic1", "web");
	assert_int_equal(yyjson_get_uint(at("/ports/2/vlan")), 20);
	assert_string_equal(yyjson_get_str(at("/ports/2/portgroup")), "web");
	kit_vm_end("web", VM_END_POWER_OFF, 0, NULL);
	kit_vm_end("web.nic0", VM_END_POWER_OFF, 0, NULL);
	take();
	check_port(1, "web.nic0", "web"); /* as it was when its VM ended */
	vsw_destroy(kit_parts.vsw);
	kit_inventory->parts.vsw = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, kit_mgmt_setup, teardown)
		T(a_vm_that_waits_has_zeroes),
		T(a_running_vm_and_its_disks),
		T(memory_is_the_hosts),
		T(texts_from_outside_do_not_break_the_document),
		T(a_long_reason_is_told),
		T(ports_belong_to_their_vms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
