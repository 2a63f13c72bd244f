/* config/value.c, path.c, suggest.c, mac.c: what is taken, what is refused, to the last digit. */
#include "test.h"

#include "value.h"

#include <config/config.h>
#include <config/path.h>
#include <config/suggest.h>
#include <stdio.h>

static const char *hint;

static void macs(void **state)
{
	static const char *const bad[] = {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:56:78", "52:54:00:12:34:5g",
		"525400123456", "52-54:00:12:34:56", " 52:54:00:12:34:56", "01:00:5e:00:00:01", "00:00:00:00:00:00", "52:54:00:12:34:56 "};
	uint8_t mac[6];
	assert_null(value_mac("aB:cD:eF:01:23:45", mac, &hint) ? NULL : "aB has bit 0 set");
	assert_null(value_mac("aA:cD:eF:01:23:45", mac, &hint));
	assert_memory_equal(mac, "\xaa\xcd\xef\x01\x23\x45", 6);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(value_mac(bad[i], mac, &hint));
}

static void prefixes(void **state)
{
	static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "10.0.0.0/", "10.0.0.0/8x", "1.2.3.4 ", "256.0.0.0",
		":", ":1", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "12345::", "g::", "fe80::/129",
		"fe80::1/10", "1:", "::1:", "fe80::/-1"};
	static const struct {
		const char *text;
		uint8_t family, length, bytes[16];
	} good[] = {
		{"10.0.0.0/8", 4, 8, {10}},
		{"192.0.2.1", 4, 32, {192, 0, 2, 1}},
		{"0.0.0.0/0", 4, 0, {0}},
		{"::", 6, 128, {0}},
		{"::/0", 6, 0, {0}},
		{"::1", 6, 128, {[15] = 1}},
		{"fe80::/10", 6, 10, {0xfe, 0x80}},
		{"2001:DB8::7:0/112", 6, 112, {0x20, 1, 0xd, 0xb8, [13] = 7}},
		{"1:2:3:4:5:6:7:8", 6, 128, {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
		{"1:2:3:4:5:6:7::", 6, 128, {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7}},
	};
	struct vsw_prefix prefix;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_prefix(bad[i], &prefix, &hint))
			fail_msg("\"%s\" was taken", bad[i]);
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (value_prefix(good[i].text, &prefix, &hint))
			fail_msg("\"%s\" was refused", good[i].text);
		assert_int_equal(prefix.family, good[i].family);
		assert_int_equal(prefix.length, good[i].length);
		assert_memory_equal(prefix.bytes, good[i].bytes, 16);
	}
}

static void addresses(void **state)
{
	static const char *const bad[] = {"", "1.2.3", "1.2.3.256", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", "a.b.c.d", "1..2.3", "-1.2.3.4",
		"1.2.3.4/24", "4294967296.0.0.0"};
	static const char *const bad_cidr[] = {"1.2.3.4", "1.2.3.4/", "1.2.3.4/0", "1.2.3.4/33", "1.2.3.4/024", "1.2.3.4/24x", "1.2.3/24"};
	static const char *const bad_portal[] = {
		"1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:03260", "nas:3260", "1.2.3.4:1,1", "[::1]:3260"};
	struct storage_portal portal;
	uint32_t address;
	uint8_t prefix;
	assert_null(value_ipv4("255.0.10.1", &address, &hint));
	assert_int_equal(address, 0xff000a01);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(value_ipv4(bad[i], &address, &hint));
	assert_null(value_cidr("10.0.2.15/32", &address, &prefix, &hint));
	assert_int_equal(prefix, 32);
	for (unsigned i = 0; i < sizeof(bad_cidr) / sizeof(bad_cidr[0]); i++)
		assert_non_null(value_cidr(bad_cidr[i], &address, &prefix, &hint));
	assert_null(value_portal("10.0.2.2:65535", &portal, &hint));
	assert_int_equal(portal.port, 65535);
	for (unsigned i = 0; i < sizeof(bad_portal) / sizeof(bad_portal[0]); i++)
		assert_non_null(value_portal(bad_portal[i], &portal, &hint));
}

static void pci(void **state)
{
	static const char *const bad[] = {
		"", "00:02.0", "0000:00:20.0", "0000:00:02.8", "0000:00:02", "0000:00:02.00", "0000-00-02.0", "00000:00:02.0"};
	struct vsw_uplink_config uplink;
	assert_null(value_pci("00a1:fF:1f.7", &uplink, &hint));
	assert_int_equal(uplink.pci_segment, 0xa1);
	assert_int_equal(uplink.pci_bus, 0xff);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(value_pci(bad[i], &uplink, &hint));
}

static void sizes(void **state)
{
	static const char *const bad[] = {
		"", "1", "MiB", "1mib", "1MB", "-1MiB", "1.5GiB", "1  MiB", "01MiB", "99999999999999999999B", "16777216TiB", "1MiB "};
	uint64_t bytes;
	assert_null(value_bytes("0B", &bytes, &hint));
	assert_int_equal(bytes, 0);
	assert_null(value_bytes("3 KiB", &bytes, &hint));
	assert_int_equal(bytes, 3072);
	assert_null(value_bytes("16777215TiB", &bytes, &hint));
	assert_true(bytes == 16777215ULL << 40);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(value_bytes(bad[i], &bytes, &hint));
}

static void names(void **state)
{
	assert_null(value_name("a-B_c.9", false, &hint));
	assert_null(value_name("VM Network 2", true, &hint));
	assert_non_null(value_name("VM Network", false, &hint));
	assert_non_null(value_name("-a", false, &hint));
	assert_non_null(value_name("a ", true, &hint));
	assert_non_null(value_name(" a", true, &hint));
	assert_non_null(value_name("a  b", true, &hint));
	assert_non_null(value_name("a/b", false, &hint));
	assert_non_null(value_name("a:b", false, &hint));
	assert_non_null(value_name("\xc3\xbc", false, &hint));
}

static void paths(void **state)
{
	static const char *const bad[] = {"/a", "a//b", "a/", ".", "..", "a/../b", "./a", "a\nb"};
	assert_null(value_path("a", &hint));
	assert_null(value_path("a/.b/..c/d e", &hint));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(value_path(bad[i], &hint));
}

static void derived_macs(void **state)
{
	uint8_t a[6], b[6];
	config_derive_mac("hv1", "web1", 0, 0, a);
	assert_memory_equal(a, "\xb6\x5a\x85\x44\xcb\xd3", 6); /* must never change: guests' addresses would */
	config_derive_mac("hv1", "web1", 1, 0, b);
	assert_memory_not_equal(a, b, 6);
	config_derive_mac("hv1w", "eb1", 0, 0, b);
	assert_memory_not_equal(a, b, 6);
	for (unsigned i = 0; i < 10000; i++) {
		config_derive_mac("hv1", "web1", i, 7, a);
		assert_int_equal(a[0] & 3, 2);
	}
}

static void path_text(void **state)
{
	struct config_path path = {.len = 0};
	char shown[16];
	config_path_push_key(&path, "vms", 3);
	config_path_push_index(&path, 12);
	size_t mark = config_path_push_key(&path,
		"a\x01\xc3\xbc"
		"b",
		5);
	assert_string_equal(path.text, "vms[12].a??b");
	config_path_pop(&path, mark);
	assert_string_equal(path.text, "vms[12]");
	for (unsigned i = 0; i < 300; i++)
		config_path_push_key(&path, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", 52);
	assert_int_equal(strlen(path.text), CONFIG_PATH_MAX);
	assert_string_equal(config_printable(shown, 4, "abcdef", 6), "abcd...");
	assert_string_equal(config_printable(shown, 4, "abcd", 4), "abcd");
}

static const char *suggest(const char *word, const char *const *candidates)
{
	struct config_suggest s;
	config_suggest_begin(&s, word);
	for (; *candidates; candidates++)
		config_suggest_offer(&s, *candidates);
	return s.best;
}

static void suggestions(void **state)
{
	static const char *const words[] = {"memory", "cpus", "name", "vlan", "web", NULL};
	assert_string_equal(suggest("memroy", words), "memory");
	assert_string_equal(suggest("Memory", words), "memory");
	assert_string_equal(suggest("cpu", words), "cpus");
	assert_string_equal(suggest("wbe", words), "web");
	assert_string_equal(suggest("nam", words), "name");
	assert_null(suggest("disk", words));
	assert_null(suggest("", words));
	assert_null(suggest("a-very-long-word-that-nobody-could-have-meant-by-any-of-them", words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macs),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(addresses),
		cmocka_unit_test(pci),
		cmocka_unit_test(sizes),
		cmocka_unit_test(names),
		cmocka_unit_test(paths),
		cmocka_unit_test(derived_macs),
		cmocka_unit_test(path_text),
		cmocka_unit_test(suggestions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
