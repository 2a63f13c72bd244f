/*
 * Fuzzes the virtual switch with frames and changes in any order: guests send frames of any bytes with any offload request, the wires bring
 * any frames, drivers change MAC, filter and features, links go up and down, uplinks are teamed otherwise, guests are unplugged.
 *
 * Checked after each frame: it reached only ports of its own VLAN, and the wire only with that VLAN's tag; a unicast frame reached at most
 * one port unless a port may be promiscuous; every drop has a reason; a delivered frame is as long as its segments. At the end no mbuf is
 * missing.
 *
 * fuzz: hv/arch/context.S hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c hv/kern/sched.c hv/kern/slab.c
 * fuzz: hv/kern/timer.c tests/native/native.c vswitch/
 * fuzz-flags: -Ivswitch -Ivswitch/include -I/usr/include/dpdk -I/usr/include/x86_64-linux-gnu/dpdk -include rte_config.h
 * fuzz-libraries: -lrte_gro -lrte_gso -lrte_net_ring -lrte_ethdev -lrte_net -lrte_mbuf -lrte_mempool -lrte_ring -lrte_eal
 */
#include "native.h"
#include "switch.h"

#include <hv/netport.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GUESTS = 4, WIRES = 2, FRAME_MAX = 70000, OPS_MAX = 200 };

#define CHECK(cond) ((cond) ? (void)0 : failed(#cond, __LINE__))

static _Noreturn void failed(const char *what, int line)
{
	fprintf(stderr, "vswitch fuzz, line %d: not so: %s\n", line, what);
	abort();
}

static const struct vsw_config config = {
	.uplink_count = 2,
	.uplinks = {{.name = "up0", .mtu = 1500}, {.name = "up1", .mtu = 1500}},
	.switch_count = 1,
	.switches = {{.name = "vSwitch0", .uplink_count = 2, .uplinks = {0, 1}, .mac_ageing_s = 8}},
	.portgroup_count = 3,
	.portgroups = {{.name = "web", .vlan = 20}, {.name = "plain"}, {.name = "open", .vlan = 20, .policy = {true, true, true}}},
};
static const uint8_t group_of[GUESTS] = {0, 1, 2, 0};

static struct vsw *v;
static struct rte_mempool *wire_pool;
static struct rte_ring *rx[WIRES], *tx[WIRES];
static uint16_t wire_port[WIRES];
static struct {
	struct netport *np;
	unsigned room, got; /* frames since the last look */
} guests[GUESTS];

static struct {
	const uint8_t *at, *end;
} in;

static uint8_t byte(void)
{
	return in.at < in.end ? *in.at++ : 0;
}

static uint16_t word(void)
{
	uint16_t low = byte();

	return (uint16_t)(low | byte() << 8);
}

static unsigned guest_rx(void *arg, const netport_rx_frame *frames, unsigned n)
{
	unsigned g = (unsigned)(uintptr_t)arg, taken = HV_MIN(n, guests[g].room);
	static uint8_t sink;

	for (unsigned i = 0; i < taken; i++) {
		uint32_t len = 0;

		for (unsigned s = 0; s < frames[i].nsegs; s++) {
			len += frames[i].segs[s].len;
			if (frames[i].segs[s].len)
				sink ^= ((const uint8_t *)frames[i].segs[s].base)[frames[i].segs[s].len - 1];
		}
		CHECK(len == frames[i].len && len >= 14);
		CHECK(!frames[i].off.needs_csum || frames[i].off.csum_start + frames[i].off.csum_offset + 2u <= len);
	}
	guests[g].room -= taken;
	guests[g].got += taken;
	return taken;
}

static void plug(unsigned g)
{
	uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, (uint8_t)(1 + g)};
	static struct netport_client clients[GUESTS];

	if (vsw_guest_port_create(v, group_of[g], "guest", mac, &guests[g].np)) {
		guests[g].np = NULL; /* another took its MAC */
		return;
	}
	clients[g] = (struct netport_client){.rx_burst = guest_rx, .arg = (void *)(uintptr_t)g};
	guests[g].np->ops->set_client(guests[g].np, &clients[g]);
	guests[g].np->ops->set_features(guests[g].np, g & 1 ? 0 : ~0u);
	guests[g].room = 1000;
}

static void unplug(unsigned g)
{
	if (guests[g].np)
		vsw_guest_port_destroy(guests[g].np);
	guests[g].np = NULL;
}

static void start(void)
{
	char *argv[] = {"fuzz", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};
	static const char *const names[WIRES][3] = {{"rx0", "tx0", "wire0"}, {"rx1", "tx1", "wire1"}};

	if (v)
		return;
	CHECK(rte_eal_init(HV_ARRAY_LEN(argv), argv) >= 0);
	native_start(1);
	wire_pool = rte_pktmbuf_pool_create("wire", 255, 0, VSW_MBUF_PRIVATE, 9216 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	CHECK(wire_pool && !vsw_create(&config, 0, &v));
	for (unsigned i = 0; i < WIRES; i++) {
		int port;

		rx[i] = rte_ring_create(names[i][0], 64, SOCKET_ID_ANY, 0);
		tx[i] = rte_ring_create(names[i][1], 64, SOCKET_ID_ANY, 0); /* short: the backlog is used */
		port = rte_eth_from_rings(names[i][2], &rx[i], 1, &tx[i], 1, 0);
		CHECK(port >= 0);
		wire_port[i] = (uint16_t)port;
		CHECK(!vsw_uplink_attach(v, i, &(struct vsw_uplink_dev){.ethdev_port = wire_port[i]}));
	}
}

/* ---- a frame ---- */

/* Bytes of a frame: addresses of our ports or others, then TCP over IPv4 or IPv6 or anything, then some bytes changed. */
static uint32_t build(uint8_t *f, unsigned from)
{
	uint8_t kind = byte();
	uint32_t len = 14 + (kind & 0x40 ? word() : word() % 1600u), l3 = kind & 1 ? 40 : 20;

	memset(f, kind, len + 100);
	memcpy(f, (uint8_t[]){0x52, 0x54, 0, 0, 0, (uint8_t)(1 + byte() % 8), 0x52, 0x54, 0, 0, 0, (uint8_t)(1 + from)}, 12);
	if (kind & 2)
		memset(f, 0xff, 6);
	if (kind & 4)
		f[11] = byte();
	f[12] = kind & 1 ? 0x86 : 0x08;
	f[13] = kind & 1 ? 0xdd : 0x00;
	f[14] = kind & 1 ? 0x60 : 0x45;
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	if (kind & 1) {
		f[18] = (uint8_t)((len - 54) >> 8);
		f[19] = (uint8_t)(len - 54);
	} else {
		memset(f + 20, 0, 2);
	}
	f[kind & 1 ? 20 : 23] = kind & 8 ? 17 : 6;
	f[14 + l3 + 12] = 0x50;
	if (kind & 16) {
		memmove(f + 16, f + 12, len - 12);
		memcpy(f + 12, (uint8_t[]){0x81, 0, 0, byte()}, 4);
		len += 4;
	}
	for (uint8_t n = byte() % 8; n; n--)
		f[word() % (len < 128 ? len : 128)] = byte();
	return HV_MIN(len, FRAME_MAX - 100u);
}

static struct netport_offload offload(uint8_t how)
{
	struct netport_offload off = {0};

	if (!(how & 3))
		return off;
	off = (struct netport_offload){.needs_csum = true, .csum_start = how & 4 ? 54 : 34, .csum_offset = how & 8 ? 6 : 16};
	if (how & 2) {
		off.gso = how & 4 ? NETPORT_GSO_TCPV6 : NETPORT_GSO_TCPV4;
		off.gso_size = (uint16_t)(256 + word() % 1300);
	}
	if (how & 16) {
		off.gso = byte();
		off.gso_size = word();
		off.csum_start = word();
		off.csum_offset = word();
		off.hdr_len = word();
	}
	return off;
}

/* ---- what came of it ---- */

static bool wire_frame_is(const struct rte_mbuf *m, uint16_t vlan)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	bool tagged = f[12] == 0x81 && f[13] == 0;

	return vlan ? tagged && ((f[14] & 15) << 8 | f[15]) == vlan : true;
}

static unsigned drain(unsigned wire, uint16_t vlan, bool check)
{
	struct rte_mbuf *m;
	unsigned n = 0;

	for (; !rte_ring_dequeue(tx[wire], (void **)&m); n++) {
		CHECK(m->pkt_len >= 60 && m->pkt_len <= 1518); /* in chains, too: the wire takes them */
		CHECK(!check || wire_frame_is(m, vlan));
		rte_pktmbuf_free(m);
	}
	return n;
}

static bool promiscuous_possible(void)
{
	for (unsigned d = 1; d <= v->domain_count; d++) {
		if (v->domains[d]->promisc_count)
			return true;
	}
	return false;
}

static void check_outcome(uint16_t vlan, bool unicast)
{
	unsigned receivers = 0;

	for (unsigned g = 0; g < GUESTS; g++) {
		CHECK(!guests[g].got || config.portgroups[group_of[g]].vlan == vlan);
		receivers += guests[g].got != 0;
		guests[g].got = 0;
	}
	for (unsigned w = 0; w < WIRES; w++) {
		bool sent = false;

		while (drain(w, vlan, true)) { /* and what waited for room */
			sent = true;
			native_core_step();
		}
		receivers += sent;
	}
	CHECK(!unicast || receivers <= 1 || promiscuous_possible());
	for (unsigned i = 0; i < v->port_count; i++) {
		uint64_t sum = 0;

		for (unsigned r = 0; v->ports[i] && r < VSW_DROP_COUNT; r++)
			sum += v->ports[i]->count.drop[r];
		CHECK(!v->ports[i] || sum == v->ports[i]->count.drops);
	}
}

static void guest_sends(unsigned g)
{
	static uint8_t f[FRAME_MAX + 200];
	struct hv_seg segs[300];
	uint32_t len = build(f, g), step = 64 + word() % 4096u, at = 0;
	struct netport_frame frame = {.segs = segs, .len = len, .off = offload(byte())};

	if (!guests[g].np)
		return;
	for (; at < len && frame.nsegs < HV_ARRAY_LEN(segs); at += step)
		segs[frame.nsegs++] = (struct hv_seg){f + at, HV_MIN(step, len - at)};
	guests[g].np->ops->tx_burst(guests[g].np, &frame, 1);
	guests[g].np->ops->tx_flush(guests[g].np);
	check_outcome(config.portgroups[group_of[g]].vlan, !(f[0] & 1));
}

static void wire_brings(unsigned w)
{
	static uint8_t f[FRAME_MAX + 200];
	static const uint64_t notes[4] = {0, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_NONE};
	uint32_t built = build(f, 7), len = HV_MIN(built, 9000u);
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);
	bool tagged = f[12] == 0x81 && f[13] == 0 && len >= 18;
	uint16_t vlan = tagged ? (uint16_t)((f[14] & 15) << 8 | f[15]) : 0;

	if (byte() & 1)
		len = len % 80 + 1;
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), f, len);
	m->ol_flags = notes[byte() % 4];
	CHECK(!rte_ring_enqueue(rx[w], m));
	native_core_step();
	check_outcome(vlan, !(f[0] & 1));
}

/* Another teaming for the vSwitch or a port group, LACP or not, on the running switch. */
static void change_teaming(void)
{
	uint8_t how = byte(), lists = byte(), group = byte() % (uint8_t)config.portgroup_count;
	struct vsw_teaming_config t = {.has_load_balancing = how & 1,
		.load_balancing = how >> 1 & 3,
		.has_failure_detection = true,
		.failure_detection = how >> 3 & 1,
		.has_failback = how >> 4 & 1,
		.has_failback_delay = true,
		.failback_delay_s = how >> 5};

	t.active_count = lists & 1;
	t.active[0] = lists >> 1 & 1;
	t.standby_count = lists >> 2 & 1;
	t.standby[0] = lists >> 3 & 1;
	t.unused_count = lists >> 4 & 1;
	t.unused[0] = lists >> 5 & 1;
	if (lists & 0x40)
		v->config.portgroups[group].teaming = t;
	else
		v->config.switches[0].teaming = t;
	v->config.switches[0].has_lacp = (lists & 0x81) == 0x80;
	vsw_teams_apply(v);
}

static void teaming_reset(void)
{
	v->config.switches[0] = config.switches[0];
	for (unsigned i = 0; i < config.portgroup_count; i++)
		v->config.portgroups[i].teaming = config.portgroups[i].teaming;
	vsw_teams_apply(v);
}

static void change(unsigned g)
{
	struct netport *np = guests[g].np;

	switch (byte() % 9) {
	case 8:
		change_teaming();
		break;
	case 0:
		native_time_advance(1000000000ull * (byte() % 12));
		native_core_step();
		break;
	case 1:
		(byte() & 1 ? rte_eth_dev_set_link_up : rte_eth_dev_set_link_down)(wire_port[g % WIRES]);
		native_time_advance(1100000000);
		native_core_step();
		break;
	case 2:
		unplug(g);
		plug(g);
		break;
	case 3:
		guests[g].room = byte();
		break;
	case 4:
		if (np)
			np->ops->set_mac(np, (uint8_t[]){byte() & 3, 0x54, 0, 0, 0, byte() % 8});
		break;
	case 5:
		if (np)
			np->ops->set_filter(np, byte() & 1, false);
		break;
	case 6:
		if (np)
			np->ops->set_features(np, byte());
		break;
	default:
		if (np && byte() % 8 == 0)
			np->ops->set_client(np, NULL);
	}
	check_outcome(0, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	teaming_reset();
	in.at = data;
	in.end = data + size;
	for (unsigned g = 0; g < GUESTS; g++)
		plug(g);
	for (unsigned op = 0; op < OPS_MAX && in.at < in.end; op++) {
		uint8_t what = byte();

		if (what % 8 < 4)
			guest_sends(what % GUESTS);
		else if (what % 8 < 6)
			wire_brings(what % WIRES);
		else
			change(what / 8 % GUESTS);
	}
	for (unsigned g = 0; g < GUESTS; g++)
		unplug(g);
	for (unsigned i = 0; i < 64; i++) { /* the backlog empties */
		native_core_step();
		for (unsigned w = 0; w < WIRES; w++)
			drain(w, 0, false);
	}
	CHECK(!rte_mempool_in_use_count(v->guest_pool) && !rte_mempool_in_use_count(v->vmk_pool) && !rte_mempool_in_use_count(wire_pool));
	CHECK(!rte_mempool_in_use_count(v->gso_headers) && !rte_mempool_in_use_count(v->gso_payloads));
	return 0;
}
