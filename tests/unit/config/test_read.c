/* config/read.c, decode.c: JSON bytes become the struct, or exactly the problems that they have. */
#include "test.h"

#include "collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct collected problems;

static void refuses(const char *json, const char *expected)
{
	int result;
	free(collect_read(json, &problems, &result));
	assert_string_equal(problems.text, expected);
	assert_int_equal(result, -EINVAL);
}

static struct config *accepts(const char *json)
{
	int result;
	struct config *config = collect_read(json, &problems, &result);
	assert_string_equal(problems.text, "");
	assert_int_equal(result, 0);
	return config;
}

static const char full[] =
	"{'host':{'name':'hv1','power_off_when_idle':false},"
	"'uplinks':[{'name':'uplink0','match':{'mac':'52:54:00:12:34:56'}},{'name':'uplink1','match':{'pci':'0001:02:1f.7'},'mtu':9000}],"
	"'vswitches':[{'name':'vSwitch0','uplinks':['uplink1','uplink0'],'mac_ageing':60},{'name':'internal'}],"
	"'portgroups':[{'name':'VM "
	"Network','vswitch':'internal'},{'name':'web','vswitch':'vSwitch0','vlan':20,'policy':{'forged_transmits':true}}],"
	"'vmknics':[{'name':'vmk0','portgroup':'web','address':'10.0.2.15/24','gateway':'10.0.2.2'}],"
	"'datastores':[{'name':'nas1','nfs':{'server':'10.0.2.2','export':'/vol1','nfs_port':12049,'mount_port':12050,'uid':1000}},"
	"{'name':'san1','iscsi':{'portals':['10.0.2.2:13260','10.0.2.3'],'target':'iqn.2026-01.lab:t1','lun':1,"
	"'chap':{'user':'hv1','secret':'module:good'}}},"
	"{'name':'ram','ram':{'size':'64MiB'},'fault':{'delay_us':500,'error_every':3}}],"
	"'vms':[{'name':'web1','memory':'256MiB','boot':{'linux':'nas1:web1/vmlinuz','initrd':'module:initrd','cmdline':'console=ttyS0'},"
	"'disks':[{'datastore':'san1'},{'datastore':'ram','file':'a','size':'1MiB','read_only':true}],"
	"'nics':[{'portgroup':'web'},{'portgroup':'VM Network','mac':'52-54-00-AA-00-01'}]},"
	"{'name':'t','cpus':2,'memory':'2 MiB','boot':{'multiboot':'module:k','modules':['module:a','nas1:b']},'debug_exit':true}]}";

static void reads_network(void **state)
{
	struct config *c = accepts(full);
	assert_string_equal(c->host.name, "hv1");
	assert_string_equal(c->host.initiator, "iqn.2026-01.io.berth:hv1");
	assert_int_equal(c->host.io_cores, 1);
	assert_false(c->host.power_off_when_idle);
	assert_int_equal(c->vsw.uplink_count, 2);
	assert_true(c->vsw.uplinks[0].has_mac && !c->vsw.uplinks[0].has_pci && c->vsw.uplinks[1].has_pci && !c->vsw.uplinks[1].has_mac);
	assert_memory_equal(c->vsw.uplinks[0].mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(c->vsw.uplinks[0].mtu, 1500);
	assert_int_equal(c->vsw.uplinks[1].mtu, 9000);
	assert_int_equal(c->vsw.uplinks[1].pci_segment, 1);
	assert_int_equal(c->vsw.uplinks[1].pci_bus, 2);
	assert_int_equal(c->vsw.uplinks[1].pci_dev, 31);
	assert_int_equal(c->vsw.uplinks[1].pci_fn, 7);
	assert_int_equal(c->vsw.switch_count, 2);
	assert_int_equal(c->vsw.switches[0].uplink_count, 2);
	assert_int_equal(c->vsw.switches[0].uplinks[0], 1);
	assert_int_equal(c->vsw.switches[0].uplinks[1], 0);
	assert_int_equal(c->vsw.switches[0].mac_ageing_s, 60);
	assert_int_equal(c->vsw.switches[1].mac_ageing_s, 300);
	assert_int_equal(c->vsw.portgroups[0].vswitch, 1);
	assert_int_equal(c->vsw.portgroups[1].vlan, 20);
	assert_true(c->vsw.portgroups[1].policy.forged_transmits && !c->vsw.portgroups[1].policy.mac_changes);
	assert_int_equal(c->net.vmknics[0].address, 0x0a00020f);
	assert_int_equal(c->net.vmknics[0].prefix, 24);
	assert_int_equal(c->net.vmknics[0].gateway, 0x0a000202);
	assert_int_equal(c->net.vmknics[0].portgroup, 1);
	assert_int_equal(c->net.vmknics[0].mtu, 1500);
	free(c);
}

static void reads_storage(void **state)
{
	struct config *c = accepts(full);
	assert_int_equal(c->datastore_count, 3);
	assert_int_equal(c->datastores[0].kind, DATASTORE_NFS);
	assert_int_equal(c->datastores[0].nfs.server, 0x0a000202);
	assert_string_equal(c->datastores[0].nfs.export_path, "/vol1");
	assert_int_equal(c->datastores[0].nfs.version, 3);
	assert_int_equal(c->datastores[0].nfs.nfs_port, 12049);
	assert_int_equal(c->datastores[0].nfs.mount_port, 12050);
	assert_int_equal(c->datastores[0].nfs.uid, 1000);
	assert_int_equal(c->datastores[0].nfs.gid, 0);
	assert_int_equal(c->datastores[1].kind, DATASTORE_ISCSI);
	assert_int_equal(c->datastores[1].iscsi.portal_count, 2);
	assert_int_equal(c->datastores[1].iscsi.portals[0].port, 13260);
	assert_int_equal(c->datastores[1].iscsi.portals[1].address, 0x0a000203);
	assert_int_equal(c->datastores[1].iscsi.portals[1].port, 3260);
	assert_string_equal(c->datastores[1].iscsi.target, "iqn.2026-01.lab:t1");
	assert_string_equal(c->datastores[1].iscsi.initiator, "iqn.2026-01.io.berth:hv1");
	assert_string_equal(c->datastores[1].iscsi.chap_user, "hv1");
	assert_string_equal(c->datastores[1].iscsi.chap_secret, "abcdefghijklmn");
	assert_int_equal(c->datastores[2].kind, DATASTORE_RAM);
	assert_int_equal(c->datastores[2].ram.size_bytes, 64 << 20);
	assert_true(c->datastores[2].fault.enabled && !c->datastores[1].fault.enabled);
	assert_int_equal(c->datastores[2].fault.delay_us, 500);
	assert_int_equal(c->datastores[2].fault.error_every, 3);
	free(c);
}

static void reads_vms(void **state)
{
	struct config *c = accepts(full);
	struct config_vm *vm = &c->vms[0];
	assert_int_equal(c->vm_count, 2);
	assert_int_equal(vm->cpus, 1);
	assert_int_equal(vm->memory_bytes, 256 << 20);
	assert_int_equal(vm->boot, CONFIG_BOOT_LINUX);
	assert_true(vm->kernel.present && !vm->kernel.is_module && vm->initrd.is_module);
	assert_int_equal(vm->kernel.datastore, 0);
	assert_string_equal(vm->kernel.path, "web1/vmlinuz");
	assert_string_equal(vm->initrd.path, "initrd");
	assert_string_equal(vm->cmdline, "console=ttyS0");
	assert_int_equal(vm->disk_count, 2);
	assert_int_equal(vm->disks[0].datastore, 1);
	assert_string_equal(vm->disks[0].file, "");
	assert_int_equal(vm->disks[1].size_bytes, 1 << 20);
	assert_true(vm->disks[1].read_only && !vm->disks[0].read_only);
	assert_int_equal(vm->nics[0].portgroup, 1);
	assert_true(!vm->nics[0].has_mac && vm->nics[1].has_mac);
	assert_memory_equal(vm->nics[1].mac, "\x52\x54\x00\xaa\x00\x01", 6);
	vm = &c->vms[1];
	assert_int_equal(vm->boot, CONFIG_BOOT_MULTIBOOT);
	assert_int_equal(vm->cpus, 2);
	assert_int_equal(vm->module_count, 2);
	assert_string_equal(vm->modules[1].path, "b");
	assert_true(vm->debug_exit && !vm->initrd.present);
	free(c);
}

/* NICs without a MAC address get one: unicast, local, the same each time, different from all others. */
static void derives_macs(void **state)
{
	struct config *a = accepts(full), *b = accepts(full);
	uint8_t expected[6];
	config_derive_mac("hv1", "web1", 0, 0, expected);
	assert_memory_equal(a->vms[0].nics[0].mac, expected, 6);
	assert_memory_equal(a->vms[0].nics[0].mac, b->vms[0].nics[0].mac, 6);
	config_derive_mac("hv1", "vmk0", 0, 0, expected);
	assert_memory_equal(a->net.vmknics[0].mac, expected, 6);
	assert_int_equal(expected[0] & 3, 2);
	free(a);
	free(b);
}

/* An address that is taken already is not derived again, but the next salt's. */
static void derives_around_collisions(void **state)
{
	uint8_t mac[6], next[6];
	char json[512];
	config_derive_mac("h", "b", 0, 0, mac);
	config_derive_mac("h", "b", 0, 1, next);
	snprintf(json, sizeof(json),
		"{'host':{'name':'h'},'vswitches':[{'name':'s'}],'portgroups':[{'name':'p','vswitch':'s'}],'vms':["
		"{'name':'b','memory':'2MiB','boot':{'multiboot':'module:k'},'nics':[{'portgroup':'p'}]},"
		"{'name':'c','memory':'2MiB','boot':{'multiboot':'module:k'},'nics':[{'portgroup':'p','mac':'%02x:%02x:%02x:%02x:%02x:%02x'"
		"}]}]}",
		mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	struct config *c = accepts(json);
	assert_memory_equal(c->vms[0].nics[0].mac, next, 6);
	free(c);
}

static void refuses_syntax(void **state)
{
	refuses("", "error : the JSON is not valid: input length is 0 at byte 0 (make it with: berth compile HOST.yaml -o HOST.json)\n");
	refuses("{",
		"error : the JSON is not valid: unexpected end of data at byte 1 (make it with: berth compile HOST.yaml -o HOST.json)\n");
	refuses("[]", "error : the configuration must be a mapping (key: value), not a list ()\n");
	refuses("7", "error : the configuration must be a mapping (key: value), not the number 7 ()\n");
	refuses("{}", "error : the configuration needs the key \"host\" (add: host: {name: hv1})\n");
}

static void refuses_keys(void **state)
{
	refuses("{'host':{'name':'h','nmae':1}}", "error host.nmae@: the host has no key \"nmae\" (did you mean \"name\"?)\n");
	refuses("{'host':{'name':'h'},'host':{}}", "error host@: \"host\" is given twice (keep one of them)\n");
	refuses("{'host':{'name':'h','io_cores':null}}",
		"error host.io_cores@: \"io_cores\" has no value (give it a value or take the key out)\n");
	refuses("{'host':{'name':'h','a\\u0000b':1}}",
		"error host.a?b@: the host has no key \"a\" (its keys are name, io_cores, initiator, power_off_when_idle)\n");
	refuses("{'host':{'name':'h'},'datastores':[{'name':'d','ram':{'size':'1MiB'},'nfs':{'server':'1.2.3.4','export':'/'}}]}",
		"error datastores[0]: a datastore needs exactly one of \"nfs\", \"iscsi\", \"ram\", not several (keep one of them)\n");
}

static void refuses_values(void **state)
{
	refuses("{'host':{'name':''}}", "error host.name: name is empty ()\n");
	refuses("{'host':{'name':'a\\u0000b'}}", "error host.name: name \"a\" contains a NUL character ()\n");
	refuses("{'host':{'name':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}",
		"error host.name: name \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" is 64 characters long; at most 63 are "
		"allowed ()\n");
	refuses("{'host':{'name':'a','io_cores':18446744073709551615}}",
		"error host.io_cores: io_cores must be 1 for now, not the number 18446744073709551615 ()\n");
	refuses("{'host':{'name':'a','io_cores':1.0}}", "error host.io_cores: io_cores must be a whole number, not a fraction ()\n");
	refuses("{'host':{'name':'a','power_off_when_idle':'yes'}}", "error host.power_off_when_idle: power_off_when_idle must be true or "
								     "false, not the text \"yes\" (write true, without quotes)\n");
	refuses("{'host':{'name':'a\\u001b[2J'}}", "error host.name: name \"a?[2J\" is not a valid name (use letters, digits, '.', '_' and "
						   "'-'; begin with a letter or digit)\n");
}

static void refuses_lists(void **state)
{
	char json[4096];
	size_t n = (size_t)snprintf(json, sizeof(json), "{'host':{'name':'h'},'uplinks':[");
	for (unsigned i = 0; i < 9; i++)
		n += (size_t)snprintf(json + n, sizeof(json) - n, "%s{'name':'u%u','match':{'pci':'0000:00:0%u.0'}}", i ? "," : "", i, i);
	snprintf(json + n, sizeof(json) - n, "]}");
	refuses(json, "error uplinks: \"uplinks\" has 9 elements; at most 8 are supported ()\n");
	refuses("{'host':{'name':'h'},'vms':{}}",
		"error vms: vms must be a list, not a mapping (write it in brackets, [ ... ], or as lines that begin with \"- \")\n");
	refuses("{'host':{'name':'h'},'datastores':[{'name':'d','iscsi':{'portals':[],'target':'iqn.2026-01.a:b'}}]}",
		"error datastores[0].iscsi.portals: \"portals\" needs at least 1 element ()\n");
	refuses("{'host':{'name':'h'},'vswitches':[{'name':'s'}],'portgroups':[{'name':'p','vswitch':'s','trunk':[]}]}",
		"error portgroups[0].trunk: \"trunk\" needs at least 1 element ()\n");
	refuses("{'host':{'name':'h'},'uplinks':[{'name':'u','match':{'pci':'0000:00:02.0'},'vlans':[]}]}",
		"error uplinks[0].vlans: \"vlans\" needs at least 1 element ()\n");
}

#define SAN(secret)                                                                                                                        \
	"{'host':{'name':'h'},'datastores':[{'name':'d','iscsi':{'portals':['1.2.3.4'],'target':'iqn.2026-01.a:b','chap':{'user':'u','"    \
	"secret':" secret "}}}]}"

static void secrets(void **state)
{
	refuses(SAN("'module:none'"), "error datastores[0].iscsi.chap.secret: there is no secret \"none\" "
				      "(add it as a boot module of that name (berth compile --list-files says which are needed))\n");
	refuses(SAN("'module:empty'"), "error datastores[0].iscsi.chap.secret: the secret \"empty\" is empty ()\n");
	refuses(SAN("'swordfish-123'"), "error datastores[0].iscsi.chap.secret: secret must name a file; it never stands here itself "
					"(put the secret into a file and write: secret: file:NAME)\n");
	refuses(SAN("123456789012"), "error datastores[0].iscsi.chap.secret: secret must name a file; it never stands here itself "
				     "(put the secret into a file and write: secret: file:NAME)\n");
	struct config *c = accepts(SAN("'module:later'"));
	assert_string_equal(c->datastores[0].iscsi.chap_secret, "");
	free(c);
}

/* Every prefix of a good configuration, and every single-byte change of it, is read or refused without a crash. */
static void survives_damage(void **state)
{
	size_t len = strlen(full);
	int result;
	char *json = malloc(len + 1);
	for (size_t cut = 0; cut < len; cut += 3) {
		snprintf(json, len + 1, "%.*s", (int)cut, full);
		free(collect_read(json, &problems, &result));
		assert_int_equal(result, -EINVAL);
	}
	for (size_t i = 0; i < len; i += 2) {
		memcpy(json, full, len + 1);
		json[i] ^= 0x11;
		if (!json[i])
			continue;
		struct config *c = collect_read(json, &problems, &result);
		assert_true(result == 0 ? !problems.errors : problems.errors > 0);
		free(c);
	}
	free(json);
}

static void finds_positions(void **state)
{
	char at[CONFIG_POSITION_MAX + 1];
	struct config *c =
		accepts("{'positions':{'file':'host.yaml','lines':{'host':1,'portgroups[0]':7,'portgroups[0].policy':9,'uplinks':3,"
			"'portgroups[1]':11}},'host':{'name':'h'}}");
	assert_string_equal(config_position(c, "portgroups[0].policy", at), "host.yaml:9");
	assert_string_equal(config_position(c, "portgroups[0].policy.promiscuous", at), "host.yaml:9");
	assert_string_equal(config_position(c, "portgroups[0].vlan", at), "host.yaml:7");
	assert_string_equal(config_position(c, "portgroups[1].policy", at), "host.yaml:11");
	assert_string_equal(config_position(c, "uplinks[0].match.mac", at), "host.yaml:3");
	assert_string_equal(config_position(c, "portgroups[2].vlan", at), "");
	assert_string_equal(config_position(c, "", at), "");
	assert_int_equal(config_line(c, "host.name"), 1);
	free(c);
	c = accepts("{'host':{'name':'h'}}");
	assert_string_equal(config_position(c, "host.name", at), "");
	free(c);
}

static void positions_may_be_hostile(void **state)
{
	char at[CONFIG_POSITION_MAX + 1], *json = malloc(200000);
	size_t n;
	int result;
	refuses("{'host':{'name':'h'},'positions':3}", "error positions: \"positions\" is not {file, lines} "
						       "(make it with: berth compile HOST.yaml -o HOST.json)\n");
	refuses("{'host':{'name':'h'},'positions':{'file':'f','lines':{'a':-1}}}",
		"error positions: a line of \"positions\" is no number "
		"(make it with: berth compile HOST.yaml -o HOST.json)\n");
	refuses("{'host':{'name':'h'},'positions':{'file':'f','lines':{'a':1048576}}}",
		"error positions: a line of \"positions\" is no number (make it with: berth compile HOST.yaml -o HOST.json)\n");
	/* A long name is cut, control characters do not survive, and more places than there is room for are left out. */
	n = (size_t)sprintf(json, "{'host':{'name':'h'},'positions':{'file':'\\u0007%0100d','lines':{'host':5", 0);
	for (unsigned i = 0; i < CONFIG_MAX_POSITIONS + 100; i++)
		n += (size_t)sprintf(json + n, ",'x[%u]':%u", i, i + 1);
	sprintf(json + n, "}}}");
	struct config *c = accepts(json);
	assert_int_equal(c->positions.count, CONFIG_MAX_POSITIONS);
	assert_int_equal(strlen(c->positions.file), CONFIG_FILE_NAME_MAX);
	assert_int_equal(c->positions.file[0], '?');
	assert_int_equal(config_line(c, "host"), 5);
	assert_int_equal(config_line(c, "x[4000]"), 4001);
	assert_int_equal(config_line(c, "x[4150]"), 0);
	assert_int_equal(strlen(config_position(c, "x[4000]", at)), CONFIG_FILE_NAME_MAX + 5);
	free(c);
	free(collect_read("{'positions':{'file':'f','lines':{'hst':8}},'hst':3}", &problems, &result));
	assert_int_equal(result, -EINVAL);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_network),
		cmocka_unit_test(reads_storage),
		cmocka_unit_test(reads_vms),
		cmocka_unit_test(derives_macs),
		cmocka_unit_test(derives_around_collisions),
		cmocka_unit_test(refuses_syntax),
		cmocka_unit_test(refuses_keys),
		cmocka_unit_test(refuses_values),
		cmocka_unit_test(refuses_lists),
		cmocka_unit_test(secrets),
		cmocka_unit_test(finds_positions),
		cmocka_unit_test(positions_may_be_hostile),
		cmocka_unit_test(survives_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
