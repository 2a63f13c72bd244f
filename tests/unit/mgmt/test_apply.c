/* `config apply`: all or nothing, with reasons; the switch is a double that notes what it was given. */
#include "kit.h"
#include "transfer.h"

#include <config/config.h>
#include <errno.h>
#include <net/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <vswitch/vswitch.h>

/* ---- the switch and the network, as doubles ---- */

static struct vsw_config given; /* of the last commit */
static unsigned placed;         /* port group of a.nic0 in it */
static int switch_error;        /* of the next prepare */
static unsigned commits, aborts, vmks, configured_calls;
static struct netport nic;
static struct vsw_config prepared;
static unsigned prepared_place;

int vsw_change_prepare(struct vsw *v, const struct vsw_config *config, const struct vsw_placement *placement, struct vsw_refusal *why,
	struct vsw_change **out)
{
	prepared = *config;
	prepared_place = placement->portgroup(placement->arg, VSW_PORT_GUEST, "a.nic0");
	assert_null(placement->own(placement->arg, VSW_PORT_GUEST, "nobody.nic0"));
	if (switch_error) {
		strcpy(why->path, "portgroups[1]");
		strcpy(why->text, "the switch says no");
	}
	*out = NULL;
	return switch_error;
}

void vsw_change_commit(struct vsw_change *c)
{
	given = prepared;
	placed = prepared_place;
	commits++;
}

void vsw_change_abort(struct vsw_change *c)
{
	aborts++;
}

int net_vmk_create(const struct net_vmknic_config *config, struct vsw *v)
{
	vmks++;
	return 0;
}

void vsw_guest_port_apply(struct netport *np, const struct vsw_port_config *config)
{
}

int vsw_guest_port_create(struct vsw *v, unsigned portgroup, const char *name, const uint8_t mac[6], struct netport **out)
{
	*out = &nic;
	return 0;
}

void vsw_guest_port_destroy(struct netport *np)
{
}

static void configured(struct config *config)
{
	configured_calls++;
	assert_ptr_equal(config, kit_inventory->parts.config);
}

/* ---- configurations ---- */

#define NETWORK "'uplinks':[{'name':'u0','match':{'mac':'52:54:00:12:34:56'}}],'vswitches':[{'name':'s0','uplinks':['u0']}],"
#define VM_A "{'name':'a','memory':'2MiB','boot':{'multiboot':'module:guest'},'nics':[{'portgroup':'web'}]}"
static const char base[] = "{'host':{'name':'hv1','power_off_when_idle':false}," NETWORK
			   "'portgroups':[{'name':'storage','vswitch':'s0'},{'name':'web','vswitch':'s0','vlan':20}],"
			   "'vmknics':[{'name':'vmk0','portgroup':'storage','address':'10.0.2.15/24'}],"
			   "'datastores':[{'name':'ram1','ram':{'size':'8MiB'}}],'vms':[" VM_A "]}";

static char *quoted(const char *text)
{
	char *copy = strdup(text);

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return copy;
}

static void no_problem(void *arg, const struct config_problem *p)
{
	fail_msg("%s: %s", p->path, p->message);
}

static int setup(void **state)
{
	const struct config_sink sink = {no_problem, NULL};
	char *json = quoted(base);

	kit_mgmt_setup(state);
	assert_int_equal(config_read_json(json, strlen(json), kit_parts.config, NULL, &sink), 0);
	free(json);
	kit_parts.datastores += KIT_RAM;
	kit_parts.configured = configured;
	switch_error = 0;
	commits = aborts = vmks = configured_calls = 0;
	kit_start();
	assert_int_equal(kit_state("a"), MACHINE_RUNNING);
	return 0;
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

static unsigned id;

static const char *command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static const char *command(const char *fmt, ...)
{
	static char line[1100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return kit_command(line);
}

static void send_part(const char *name, const uint8_t *bytes, size_t size)
{
	char text[1000];

	command("config part %u %s %zu %08x\n", id, name, size, transfer_crc32(0, bytes, size));
	for (size_t at = 0; at < size; at += 700) {
		size_t len = HV_MIN(size - at, 700u);

		encode(text, bytes + at, len);
		command("config data %u %zu %08x %s\n", id, at, transfer_crc32(0, bytes + at, len), text);
	}
}

/* base with `from` replaced by `to`, sent; the answer to `verb`. */
static const char *apply(const char *verb, const char *from, const char *to)
{
	const char *at = strstr(base, from);
	char *json = malloc(sizeof(base) + strlen(to) + 200), *good;

	assert_non_null(at);
	sprintf(json, "{'positions':{'file':'new.yaml','lines':{'portgroups[0].vlan':6,'portgroups[1].vlan':7,'vms[0]':9}},%.*s%s%s",
		(int)(at - base) - 1, base + 1, to, at + strlen(from));
	good = quoted(json);
	command("config begin %u\n", ++id);
	send_part("config.json", (const uint8_t *)good, strlen(good));
	free(json);
	free(good);
	return command("config %s %u\n", verb, id);
}

static bool says(const char *answer, const char *text)
{
	char *wanted = quoted(text);
	bool found = strstr(answer, wanted) != NULL;

	if (!found)
		print_message("%s\nis not in\n%s\n", wanted, answer);
	free(wanted);
	return found;
}

/* ---- tests ---- */

static void a_change_is_applied(void **state)
{
	const struct config *before = kit_inventory->parts.config;
	const char *answer = apply("apply", "[{'name':'storage','vswitch':'s0'},{'name':'web','vswitch':'s0','vlan':20}]",
		"[{'name':'web','vswitch':'s0','vlan':30},{'name':'storage','vswitch':'s0'}]");

	assert_true(says(answer, "'state':'applied'"));
	assert_true(says(answer, "'at':'new.yaml:6','text':'port group "));
	assert_true(says(answer, "vlan changes from 20 to 30"));
	assert_int_equal(commits, 1);
	assert_int_equal(configured_calls, 1);
	assert_int_equal(given.portgroups[0].vlan, 30);
	assert_int_equal(placed, 0); /* a.nic0 is in web, which has another index now */
	assert_ptr_not_equal(kit_inventory->parts.config, before);
	assert_int_equal(kit_inventory->machines[0]->config->nics[0].portgroup, 0);
	assert_int_equal(kit_state("a"), MACHINE_RUNNING);
	/* Asked again, for the answer got lost: all of it, and nothing happens a second time. */
	assert_true(says(command("config apply %u\n", id), "'state':'applied','changes':[{'at':'new.yaml:6'"));
	assert_int_equal(commits, 1);
}

/* {"crc":"xxxxxxxx",...,"request":"xxxxxxxx"} and a newline: of the rest of the line, and of the line that is answered. */
static void answers_name_their_line(void **state)
{
	static const char *const lines[] = {
		"begin 5", "part 5 f 1 00000000", "data 5 0 00000000 QQ==", "data 5 0", "check 5", "nothing", ""};

	for (unsigned i = 0; i < HV_ARRAY_LEN(lines); i++) {
		const char *answer = command("config %s\n", lines[i]), *rest = answer + strlen("{'crc':'01234567',");
		char wanted[40];

		sprintf(wanted, "{'crc':'%08x',", transfer_crc32(0, (const uint8_t *)rest, strlen(rest) - 1));
		assert_ptr_equal(strstr(answer, "{\"crc\""), answer);
		assert_true(says(answer, wanted));
		sprintf(wanted, "'request':'%08x'}", transfer_crc32(0, (const uint8_t *)lines[i], strlen(lines[i])));
		assert_true(says(answer, wanted));
	}
}

static void a_check_changes_nothing(void **state)
{
	const struct config *before = kit_inventory->parts.config;

	assert_true(says(apply("check", "'vlan':20", "'vlan':30"), "'state':'checked'"));
	assert_int_equal(commits, 0);
	assert_int_equal(aborts, 1); /* the switch was asked, too */
	assert_ptr_equal(kit_inventory->parts.config, before);
	assert_true(says(command("config apply %u\n", id), "'state':'applied'")); /* the same bytes */
	assert_int_equal(commits, 1);
}

/* A check says what apply would: also what only the switch or the inventory knows. */
static void a_check_asks_everybody(void **state)
{
	const struct config *before = kit_inventory->parts.config;
	const char *answer;

	switch_error = -EEXIST;
	answer = apply("check", "{'name':'ram1','ram':{'size':'8MiB'}}",
		"{'name':'ram1','ram':{'size':'8MiB'}},{'name':'ram2','ram':{'size':'4MiB'}}");
	assert_true(says(answer, "'state':'refused'"));
	assert_true(says(answer, "the switch says no"));
	switch_error = 0;
	assert_true(says(apply("check", "'vms':[", "'vms':[{'name':'b','memory':'2MiB','boot':{'linux':'module:none'}},"),
		"the host has no boot module"));
	answer = apply("check", "{'name':'ram1','ram':{'size':'8MiB'}}",
		"{'name':'ram1','ram':{'size':'8MiB'}},{'name':'ram2','ram':{'size':'4MiB'}}");
	assert_true(says(answer, "'state':'checked'"));
	assert_null(datastore_find("ram2"));
	assert_int_equal(commits, 0);
	assert_int_equal(kit_inventory->count, 1);
	assert_ptr_equal(kit_inventory->parts.config, before);
	assert_int_equal(kit_state("a"), MACHINE_RUNNING);
}

static void what_a_running_vm_cannot_do_is_refused(void **state)
{
	const struct config *before = kit_inventory->parts.config;
	const char *answer = apply("apply", "'memory':'2MiB'", "'memory':'4MiB'");

	assert_true(says(answer, "'state':'refused'"));
	assert_true(says(answer, "'at':'new.yaml:9'"));
	assert_true(says(answer, "memory changes from 2MiB to 4MiB: the memory of a running VM cannot be changed"));
	assert_true(says(apply("apply", VM_A, ""), "is removed: a running VM cannot be removed"));
	assert_true(says(apply("apply", "10.0.2.15", "10.0.2.16"), "connections to storage are bound to it"));
	assert_int_equal(commits, 0);
	assert_ptr_equal(kit_inventory->parts.config, before);
	kit_vm_end("a", VM_END_POWER_OFF, 0, NULL);
	assert_true(says(apply("apply", "'memory':'2MiB'", "'memory':'4MiB'"), "'state':'applied'"));
	assert_int_equal(kit_state("a"), MACHINE_ENDED);
	kit_vms[0].used = false;
	command("start a\n");
	assert_int_equal(kit_state("a"), MACHINE_RUNNING);
	assert_int_equal(kit_vm_find("a")->config.memory_bytes, 4u << 20);
	assert_true(says(command("start a\n"), "has not ended"));
	kit_vm_end("a", VM_END_POWER_OFF, 0, NULL);
	assert_true(says(apply("apply", VM_A, ""), "'state':'applied'"));
	assert_int_equal(kit_inventory->count, 0);
}

static void a_vm_and_its_datastore_come(void **state)
{
	assert_true(says(apply("apply", "{'name':'ram1','ram':{'size':'8MiB'}}],'vms':[" VM_A "]}",
				 "{'name':'ram2','ram':{'size':'4MiB'}},{'name':'ram1','ram':{'size':'8MiB'}}],'vms':["
				 "{'name':'b','memory':'2MiB','boot':{'multiboot':'module:guest'},'disks':[{'datastore':'ram2','file':'d','"
				 "size':'1MiB'}]}," VM_A "]}"),
		"'state':'applied'"));
	native_run(50);
	assert_int_equal(kit_inventory->count, 2);
	assert_int_equal(kit_state("b"), MACHINE_RUNNING);
	assert_int_equal(kit_state("a"), MACHINE_RUNNING);
	assert_string_equal(datastore_name(kit_inventory->datastores[0]), "ram2");
	assert_string_equal(datastore_name(kit_inventory->datastores[1]), "ram1");
	kit_vm_end("b", VM_END_POWER_OFF, 0, NULL);
	/* Both go again. */
	assert_true(says(apply("apply", "hv1", "hv1"), "'state':'applied'"));
	assert_int_equal(kit_inventory->count, 1);
	assert_null(datastore_find("ram2"));
}

static void a_refusal_undoes_what_was_prepared(void **state)
{
	const char *answer;

	switch_error = -EEXIST;
	answer = apply("apply", "{'name':'ram1','ram':{'size':'8MiB'}}],'vms':[",
		"{'name':'ram1','ram':{'size':'8MiB'}},{'name':'ram2','ram':{'size':'4MiB'}}],'vms':["
		"{'name':'b','memory':'2MiB','boot':{'multiboot':'module:guest'}},");
	assert_true(says(answer, "'state':'refused'"));
	assert_true(says(answer, "the switch says no"));
	assert_null(datastore_find("ram2"));
	assert_int_equal(kit_inventory->count, 1);
	assert_int_equal(commits, 0);
	assert_int_equal(kit_state("a"), MACHINE_RUNNING);
	answer = apply("apply", "'vms':[", "'vms':[{'name':'b','memory':'2MiB','boot':{'linux':'module:none'}},");
	assert_true(says(answer, "the host has no boot module"));
	assert_int_equal(kit_inventory->count, 1);
}

static void bad_configurations_are_explained(void **state)
{
	const char *answer = apply("apply", "'vlan':20", "'vlan':'x'");

	assert_true(says(answer, "'state':'refused'"));
	assert_true(says(answer, "'at':'new.yaml:7','path':'portgroups[1].vlan','severity':'error'"));
	assert_true(says(apply("apply", "'memory':'2MiB'", "'memory':'3MiB'"), "is not a multiple of 2MiB"));
	assert_true(says(apply("apply", "]}", "]"), "the JSON is not valid"));
	assert_int_equal(commits, 0);
}

static void secrets_come_as_parts(void **state)
{
	static const char san[] =
		"{'name':'ram1','ram':{'size':'8MiB'}},{'name':'san2','iscsi':{'portals':['10.0.2.2'],'target':'iqn.2026-01.lab:t1',"
		"'chap':{'user':'hv1','secret':'module:new.secret'}}}";
	char *json, *good;
	const char *answer;

	assert_true(says(apply("apply", "{'name':'ram1','ram':{'size':'8MiB'}}", san), "there is no secret"));
	/* Again, with the secret behind it. */
	json = malloc(sizeof(base) + sizeof(san));
	sprintf(json, "%.*s%s%s", (int)(strstr(base, "{'name':'ram1'") - base), base, san, strstr(base, "],'vms'"));
	good = quoted(json);
	command("config begin %u\n", ++id);
	send_part("config.json", (const uint8_t *)good, strlen(good));
	send_part("new.secret", (const uint8_t *)"hunter2hunter2\n", 15);
	answer = command("config apply %u\n", id);
	assert_true(says(answer, "'state':'applied'"));
	assert_string_equal(kit_inventory->parts.config->datastores[1].iscsi.chap_secret, "hunter2hunter2");
	assert_null(strstr(native_log_text(), "hunter2"));
	assert_null(strstr(native_control_text(), "hunter2"));
	free(json);
	free(good);
}

static void a_transfer_that_stops_is_forgotten(void **state)
{
	apply("check", "'vlan':20", "'vlan':30");
	native_time_advance(TRANSFER_IDLE_NS + 1);
	native_run(50);
	assert_true(says(command("config apply %u\n", id), "'state':'error'"));
	assert_true(says(command("config apply\n"), "'state':'error'"));
	assert_true(says(command("config\n"), "'state':'error'"));
	assert_int_equal(commits, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_mgmt_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_change_is_applied),
		TEST(answers_name_their_line),
		TEST(a_check_changes_nothing),
		TEST(a_check_asks_everybody),
		TEST(what_a_running_vm_cannot_do_is_refused),
		TEST(a_vm_and_its_datastore_come),
		TEST(a_refusal_undoes_what_was_prepared),
		TEST(bad_configurations_are_explained),
		TEST(secrets_come_as_parts),
		TEST(a_transfer_that_stops_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
