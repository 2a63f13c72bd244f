/* config/diff.c: what differs, in words, whom it touches, and what may be done while the host runs. */
#include "test.h"

#include "collect.h"

#include <config/diff.h>
#include <stdio.h>
#include <stdlib.h>

static const char base[] =
	"{'host':{'name':'hv1'},'uplinks':[{'name':'u0','match':{'mac':'52:54:00:12:34:56'}},{'name':'u1','match':{'pci':'0000:00:02.0'}}],"
	"'vswitches':[{'name':'s0','uplinks':['u0']},{'name':'s1','uplinks':['u1']}],"
	"'portgroups':[{'name':'storage','vswitch':'s0'},{'name':'web','vswitch':'s1','vlan':20},{'name':'t','vswitch':'s1','trunk':[10,'"
	"12-14']}],"
	"'vmknics':[{'name':'vmk0','portgroup':'storage','address':'10.0.2.15/24'}],"
	"'datastores':[{'name':'nas1','nfs':{'server':'10.0.2.2','export':'/vol1'}},"
	"{'name':'san1','iscsi':{'portals':['10.0.2.2'],'target':'iqn.2026-01.lab:t1','chap':{'user':'hv1','secret':'module:good'}}},"
	"{'name':'ram','ram':{'size':'64MiB'}}],"
	"'vms':[{'name':'a','memory':'256MiB','boot':{'linux':'nas1:vmlinuz','cmdline':'quiet'},'disks':[{'datastore':'san1'}],"
	"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01'},{'portgroup':'t'}]},"
	"{'name':'b','memory':'2MiB','boot':{'multiboot':'module:k'},'nics':[{'portgroup':'storage'}]}]}";

static char text[8192];

static void collect(void *arg, const struct config_difference *d)
{
	static const char *const live[] = {"live", "off", "restart"};
	char one[512];
	size_t n = strlen(text);
	snprintf(text + n, sizeof(text) - n, "%s %llu %s @%s\n", live[d->live], (unsigned long long)d->vms,
		config_difference_text(d, one, sizeof(one)), d->path);
}

static struct config *read(const char *json)
{
	struct collected problems;
	int result;
	struct config *c = collect_read(json, &problems, &result);
	assert_string_equal(problems.text, "");
	return c;
}

/* The differences between base and base with `from` replaced by `to`. */
static const char *diff(const char *from, const char *to)
{
	const char *at = strstr(base, from);
	char *json = malloc(sizeof(base) + strlen(to));
	assert_non_null(at);
	sprintf(json, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
	struct config *a = read(base), *b = read(json);
	unsigned count, lines = 0;
	text[0] = 0;
	count = config_diff(a, b, collect, NULL);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(count, lines);
	free(a);
	free(b);
	free(json);
	return text;
}

static const struct {
	const char *from, *to, *expected;
} cases[] = {
	{"hv1", "hv1", ""},
	{"'vlan':20", "'vlan':30", "live 1 port group \"web\": vlan changes from 20 to 30 @portgroups[1].vlan\n"},
	{"'name':'storage','vswitch':'s0'", "'name':'storage','vswitch':'s0','vlan':0", ""},
	{"[10,'12-14']", "[10,'12-15',20],'native':0",
		"live 1 port group \"t\": trunk changes from [10, 12-14] to [10, 12-15, 20] @portgroups[2].trunk\n"
		"live 1 port group \"t\": native changes from nothing to 0 @portgroups[2].native\n"},
	{"'vlan':20", "'vlan':20,'policy':{'promiscuous':true}",
		"live 1 port group \"web\": policy.promiscuous changes from false to true @portgroups[1].policy.promiscuous\n"},
	/* Another order and an element before the others are no change of the others. */
	{"'portgroups':[{'name':'storage','vswitch':'s0'},{'name':'web','vswitch':'s1','vlan':20}",
		"'portgroups':[{'name':'new','vswitch':'s0'},{'name':'web','vswitch':'s1','vlan':20},{'name':'storage','vswitch':'s0'}",
		"live 0 port group \"new\" is added @portgroups[0]\n"},
	{"'uplinks':['u1']", "'uplinks':['u1'],'mac_ageing':60",
		"live 1 vSwitch \"s1\": mac_ageing changes from 300 to 60 @vswitches[1].mac_ageing\n"},
	{"'uplinks':['u1']", "'uplinks':[]", "live 1 vSwitch \"s1\": uplinks changes from [u1] to nothing @vswitches[1].uplinks\n"},
	{"'pci':'0000:00:02.0'", "'pci':'0000:00:03.0'",
		"live 1 uplink \"u1\": match.pci changes from 0000:00:02.0 to 0000:00:03.0 @uplinks[1].match.pci\n"},
	{"10.0.2.15/24", "10.0.2.16/24",
		"restart 1 VMkernel NIC \"vmk0\": address changes from 10.0.2.15/24 to 10.0.2.16/24 @vmknics[0].address\n"},
	{"'address':'10.0.2.15/24'", "'address':'10.0.2.15/24','mac':'52:54:00:00:00:01'", "restart 1 VMkernel NIC \"vmk0\": mac changes"},
	{"'/vol1'", "'/vol2'", "restart 1 datastore \"nas1\": nfs.export changes from /vol1 to /vol2 @datastores[0].nfs.export\n"},
	{"'module:good'", "'module:later'",
		"restart 1 datastore \"san1\": iscsi.chap.secret changes from a secret to a secret @datastores[1].iscsi.chap.secret\n"},
	{"'ram':{'size':'64MiB'}", "'ram':{'size':'64MiB'},'fault':{'delay_us':1}",
		"restart 0 datastore \"ram\": fault changes from nothing to given @datastores[2].fault\n"},
	{",{'name':'ram','ram':{'size':'64MiB'}}", "", "live 0 datastore \"ram\" is removed @datastores[2]\n"},
	{"'256MiB'", "'512MiB'", "off 1 VM \"a\": memory changes from 256MiB to 512MiB @vms[0].memory\n"},
	{"'cmdline':'quiet'", "'cmdline':'quiet splash'",
		"off 1 VM \"a\": boot.cmdline changes from quiet to quiet splash @vms[0].boot.cmdline\n"},
	{"{'portgroup':'t'}", "{'portgroup':'web'}",
		"live 1 VM \"a\": nics[1].portgroup changes from t to web @vms[0].nics[1].portgroup\n"},
	{",{'portgroup':'t'}", "", "off 1 VM \"a\": nics changes from 2 entries to 1 entry @vms[0].nics\n"},
	{"52:54:00:aa:00:01", "52:54:00:aa:00:02",
		"off 1 VM \"a\": nics[0].mac changes from 52:54:00:aa:00:01 to 52:54:00:aa:00:02 @vms[0].nics[0].mac\n"},
	{"{'multiboot':'module:k'}", "{'linux':'module:k'}",
		"off 2 VM \"b\": boot.linux changes from nothing to module:k @vms[1].boot.linux\n"
		"off 2 VM \"b\": boot.multiboot changes from module:k to nothing @vms[1].boot.multiboot\n"},
	{"'name':'b'", "'name':'c'", "off 2 VM \"b\" is removed @vms[1]\nlive 0 VM \"c\" is added @vms[1]\n"},
	{"'host':{'name':'hv1'}", "'host':{'name':'hv2'}", "restart 0 host: name changes from hv1 to hv2 @host.name\n"},
	{"'host':{'name':'hv1'}", "'host':{'name':'hv1','power_off_when_idle':false}",
		"live 0 host: power_off_when_idle changes from true to false @host.power_off_when_idle\n"},
};

static void differences_in_words(void **state)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = diff(cases[i].from, cases[i].to);
		/* A vmk's or VM's derived addresses follow the host's name: the first line counts there. */
		if (strncmp(got, cases[i].expected, strlen(cases[i].expected)) != 0 || (!cases[i].expected[0] && got[0]))
			fail_msg("case %u (%s -> %s):\nexpected %s\ngot %s", i, cases[i].from, cases[i].to, cases[i].expected, got);
	}
}

/* What is shown of a text is cut, what is compared is not. */
static void long_texts_differ_at_their_end(void **state)
{
	struct config *a, *b;
	a = read("{'host':{'name':'h'},'vms':[{'name':'a','memory':'2MiB','boot':{'linux':'module:k','cmdline':'x'}}]}");
	b = read("{'host':{'name':'h'},'vms':[{'name':'a','memory':'2MiB','boot':{'linux':'module:k','cmdline':'x'}}]}");
	memset(a->vms[0].cmdline, 'x', 1000);
	memset(b->vms[0].cmdline, 'x', 1001);
	text[0] = 0;
	assert_int_equal(config_diff(a, b, collect, NULL), 1);
	memset(a->vms[0].kernel.path, 'x', 400);
	memset(b->vms[0].kernel.path, 'x', 401);
	assert_int_equal(config_diff(a, b, collect, NULL), 2);
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differences_in_words),
		cmocka_unit_test(long_texts_differ_at_their_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
