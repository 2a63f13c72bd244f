/* vswitch/guard.c, packet.c: who may be a DHCP server, a router, the owner of an address; and nothing hides it. */
#include "kit.h"

#include "filter.h"
#include "packet.h"

static struct guest *a, *b;
static uint8_t frame[2000];

static int setup(void **state)
{
	kit_setup(state);
	kit_vsw->config.portgroups[PG_WEB].guard = (struct vsw_guard_config){.servers = true, .arp = true};
	kit_vsw->config.portgroups[PG_TRUNK].guard = (struct vsw_guard_config){.servers = true, .arp = true};
	kit_uplink(0);
	a = kit_guest(PG_WEB, mac_a, 0);
	b = kit_guest(PG_OPEN, mac_b, 0);
	return 0;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* IPv4 + UDP between two ports; options: bytes of IP options (a multiple of 4). */
static uint32_t udp4(uint8_t *f, const uint8_t src[6], unsigned options, uint16_t fragment, uint16_t from, uint16_t to, uint32_t payload)
{
	uint32_t header = 20 + options, len = kit_eth(f, mac_b, src, 0x0800, header + 8 + payload);
	uint8_t *ip = f + 14;

	memset(ip, 1, header); /* options: no-operation */
	ip[0] = (uint8_t)(0x40 | header / 4);
	put16(ip + 2, header + 8 + payload);
	put16(ip + 6, fragment);
	ip[8] = 64;
	ip[9] = 17;
	put16(ip + header, from);
	put16(ip + header + 2, to);
	put16(ip + header + 4, 8 + payload);
	return len;
}

/* IPv6 whose next header is `next`, behind it `len` bytes. */
static uint32_t ip6(uint8_t *f, uint8_t next, const uint8_t *bytes, uint32_t len)
{
	uint32_t all = kit_eth(f, mac_b, mac_a, 0x86dd, 40 + len);

	memset(f + 14, 0, 40);
	f[14] = 0x60;
	put16(f + 18, len);
	f[20] = next;
	f[21] = 255;
	memcpy(f + 54, bytes, len);
	return all;
}

#define expect(g, len, reason) expect_at(g, len, reason, __LINE__)
static void expect_at(struct guest *g, uint32_t len, enum vsw_drop reason, int line)
{
	uint64_t before = kit_port(g)->count.drops, of_reason = reason < VSW_DROP_COUNT ? kit_drops(g, reason) : 0;
	unsigned got = b->count;

	kit_send(g, frame, len, len, NULL);
	_assert_int_equal(kit_port(g)->count.drops - before, reason < VSW_DROP_COUNT, __FILE__, line);
	_assert_int_equal(b->count - got, reason == VSW_DROP_COUNT, __FILE__, line);
	if (reason < VSW_DROP_COUNT)
		_assert_int_equal(kit_drops(g, reason) - of_reason, 1, __FILE__, line);
	kit_guest_forget(b);
}

#define PASSES VSW_DROP_COUNT

static void dhcp_servers(void **state)
{
	struct vsw_port_config trusted = {.trusted = true};

	expect(a, udp4(frame, mac_a, 0, 0, 68, 67, 300), PASSES); /* a client asks */
	expect(a, udp4(frame, mac_a, 0, 0, 67, 68, 300), VSW_DROP_DHCP_SERVER);
	expect(a, udp4(frame, mac_a, 0, 0, 67, 67, 300), VSW_DROP_DHCP_SERVER); /* to a relay */
	expect(a, udp4(frame, mac_a, 40, 0, 67, 68, 300), VSW_DROP_DHCP_SERVER);
	expect(a, udp4(frame, mac_a, 0, 0x2000, 67, 68, 304), VSW_DROP_DHCP_SERVER); /* first fragment */
	expect(a, udp4(frame, mac_a, 0, 0x4000, 67, 68, 304), VSW_DROP_DHCP_SERVER); /* may not be fragmented */
	expect(a, ip6(frame, 17, (uint8_t[16]){2, 0x23, 2, 0x22, 0, 16}, 16), VSW_DROP_DHCP_SERVER);
	expect(a, ip6(frame, 17, (uint8_t[16]){2, 0x22, 2, 0x23, 0, 16}, 16), PASSES);
	vsw_guest_port_apply(a->np, &trusted);
	expect(a, udp4(frame, mac_a, 0, 0, 67, 68, 300), PASSES);
	assert_int_equal(kit_port(a)->filters_in, 0);
	/* From outside anybody may answer. */
	kit_wire_in(0, frame, kit_tag(frame, udp4(frame, mac_x, 0, 0, 67, 68, 300), 20), 0);
	assert_int_equal(b->count, 1);
}

static void routers(void **state)
{
	static const uint8_t options[32] = {58, 0, 1, 4, 0, 0, 0, 0, 134}; /* one header in front of a router advertisement */
	uint8_t chain[80] = {0};

	expect(a, ip6(frame, 58, (uint8_t[16]){134}, 16), VSW_DROP_ROUTER_ADVERT);
	expect(a, ip6(frame, 58, (uint8_t[40]){137}, 40), VSW_DROP_ROUTER_ADVERT);
	expect(a, ip6(frame, 58, (uint8_t[16]){133}, 16), PASSES); /* solicitation */
	expect(a, ip6(frame, 0, options, sizeof(options)), VSW_DROP_ROUTER_ADVERT);
	expect(a, ip6(frame, 60, options, sizeof(options)), VSW_DROP_ROUTER_ADVERT);
	/* RFC 6980, 7113: a fragment header in front, and more headers than anybody needs. */
	expect(a, ip6(frame, 44, (uint8_t[24]){58, 0, 0, 1, 1, 2, 3, 4, 134}, 24), VSW_DROP_ROUTER_ADVERT);
	for (unsigned i = 0; i < 9; i++)
		chain[i * 8] = i < 8 ? 60 : 58;
	chain[72] = 134;
	expect(a, ip6(frame, 60, chain, sizeof(chain)), VSW_DROP_HIDDEN_HEADER);
}

static void nothing_hides(void **state)
{
	uint32_t len;

	/* The first fragment without all of the UDP header. */
	len = udp4(frame, mac_a, 0, 0x2000, 67, 68, 20);
	put16(frame + 16, 24);
	expect(a, 14 + 24, VSW_DROP_HIDDEN_HEADER);
	assert_true(len > 38);
	/* A header whose extension reaches beyond the first fragment. */
	expect(a, ip6(frame, 44, (uint8_t[24]){60, 0, 0, 1, 1, 2, 3, 4, 58, 10}, 24), VSW_DROP_HIDDEN_HEADER);
	/* Lengths that do not fit. */
	len = udp4(frame, mac_a, 0, 0, 67, 68, 100);
	put16(frame + 16, 1000);
	expect(a, len, VSW_DROP_HIDDEN_HEADER);
	len = udp4(frame, mac_a, 0, 0, 67, 68, 100);
	frame[14] = 0x44;
	expect(a, len, VSW_DROP_HIDDEN_HEADER);
	/* Later fragments are harmless. */
	expect(a, udp4(frame, mac_a, 0, 0x0004, 67, 68, 100), PASSES);
	/* IP in SNAP. */
	len = udp4(frame, mac_a, 0, 0, 67, 68, 100);
	memmove(frame + 22, frame + 14, len - 14);
	memcpy(frame + 12, (uint8_t[]){0, 136, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, 10);
	expect(a, len + 8, VSW_DROP_DHCP_SERVER);
}

static void in_a_trunks_vlan(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_c, 0);
	uint32_t len = kit_tag(frame, udp4(frame, mac_c, 0, 0, 67, 68, 300), 20);

	expect(t, len, VSW_DROP_DHCP_SERVER);
	len = kit_tag(frame, udp4(frame, mac_c, 0, 0, 67, 68, 300), 20);
	expect(t, kit_tag(frame, len, 20), VSW_DROP_DOUBLE_TAG);
	expect(t, kit_tag(frame, udp4(frame, mac_c, 0, 0, 68, 67, 300), 20), PASSES);
}

/* ---- ARP ---- */

static uint32_t arp(const uint8_t hw[6], uint32_t sender)
{
	uint32_t len = kit_eth(frame, mac_broadcast, mac_a, 0x0806, 46);

	memset(frame + 14, 0, 46);
	memcpy(frame + 14, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
	memcpy(frame + 22, hw, 6);
	put16(frame + 28, sender >> 16);
	put16(frame + 30, sender & 0xffff);
	return len;
}

#define ADDRESS 0x0a000214u

static void arp_with_configured_addresses(void **state)
{
	struct vsw_port_config own = {.addresses = {0x0a000213, ADDRESS}, .address_count = 2};

	expect(a, arp(mac_a, ADDRESS), VSW_DROP_ARP_SPOOF);
	expect(a, arp(mac_a, 0), PASSES); /* a probe */
	vsw_guest_port_apply(a->np, &own);
	expect(a, arp(mac_a, ADDRESS), PASSES);
	expect(a, arp(mac_a, ADDRESS + 1), VSW_DROP_ARP_SPOOF);
	expect(a, arp(mac_b, ADDRESS), VSW_DROP_ARP_SPOOF);
	arp(mac_a, ADDRESS);
	frame[18] = 8; /* a hardware address of another length */
	expect(a, 60, VSW_DROP_ARP_SPOOF);
	arp(mac_a, ADDRESS);
	expect(a, 14 + 27, VSW_DROP_ARP_SPOOF);
}

/* A server outside answers the client with hardware address `hw`. */
static void dhcp_reply(uint8_t type, const uint8_t hw[6], uint32_t address, uint32_t lease_s, bool broken)
{
	uint32_t len = udp4(frame, mac_x, 0, 0, 67, 68, 300);
	uint8_t *bootp = frame + 14 + 28;

	memcpy(frame, mac_broadcast, 6);
	memset(bootp, 0, 300);
	bootp[0] = 2;
	bootp[1] = 1;
	bootp[2] = 6;
	put16(bootp + 16, address >> 16);
	put16(bootp + 18, address & 0xffff);
	memcpy(bootp + 28, hw, 6);
	memcpy(bootp + 236,
		(uint8_t[]){0x63, 0x82, 0x53, 0x63, 0, 53, 1, type, 51, 4, 0, 0, (uint8_t)(lease_s >> 8), (uint8_t)lease_s, 255}, 15);
	if (broken)
		bootp[245] = 200, memset(bootp + 246, 0, 54);
	kit_wire_in(0, frame, kit_tag(frame, len, 20), 0);
	kit_guest_forget(a);
	kit_guest_forget(b);
}

static void arp_with_leases(void **state)
{
	dhcp_reply(2, mac_a, ADDRESS, 600, false); /* an offer is no lease */
	expect(a, arp(mac_a, ADDRESS), VSW_DROP_ARP_SPOOF);
	dhcp_reply(5, mac_b, ADDRESS, 600, false); /* another's */
	expect(a, arp(mac_a, ADDRESS), VSW_DROP_ARP_SPOOF);
	dhcp_reply(5, mac_a, ADDRESS, 600, true);
	expect(a, arp(mac_a, ADDRESS), VSW_DROP_ARP_SPOOF);
	dhcp_reply(5, mac_a, ADDRESS, 600, false);
	expect(a, arp(mac_a, ADDRESS), PASSES);
	expect(a, arp(mac_a, ADDRESS + 1), VSW_DROP_ARP_SPOOF);
	native_time_advance(599ull * 1000000000);
	expect(a, arp(mac_a, ADDRESS), PASSES);
	dhcp_reply(5, mac_a, ADDRESS, 600, false); /* renewed */
	native_time_advance(599ull * 1000000000);
	expect(a, arp(mac_a, ADDRESS), PASSES);
	native_time_advance(2ull * 1000000000);
	expect(a, arp(mac_a, ADDRESS), VSW_DROP_ARP_SPOOF); /* run out */
	for (uint32_t i = 0; i < 10; i++)
		dhcp_reply(5, mac_a, ADDRESS + i, 600 + i, false);
	expect(a, arp(mac_a, ADDRESS + 9), PASSES); /* the newest are kept */
	expect(a, arp(mac_a, ADDRESS), VSW_DROP_ARP_SPOOF);
	dhcp_reply(6, mac_a, 0, 0, false); /* NAK: all are gone */
	expect(a, arp(mac_a, ADDRESS + 9), VSW_DROP_ARP_SPOOF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dhcp_servers),
		TEST(routers),
		TEST(nothing_hides),
		TEST(in_a_trunks_vlan),
		TEST(arp_with_configured_addresses),
		TEST(arp_with_leases),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
