/*
 * Fuzzes the virtual switch with frames and changes in any order: guests and a vmk send frames of any bytes with any offload request, the
 * wires bring any frames, drivers change MAC, filter and features, links go up and down, guests are unplugged, and the configuration
 * changes while it runs: VLANs of all kinds, private ones too, policies, shaping, storm limits, guards, teams, LACP, uplinks, mirroring,
 * places of NICs (vswitch_change.c).
 *
 * What must hold is in vswitch_model.c. At the end no mbuf is missing.
 *
 * fuzz: hv/arch/context.S hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c hv/kern/sched.c hv/kern/slab.c
 * fuzz: hv/kern/timer.c tests/native/native.c vswitch/ tests/fuzz/vswitch_model.c tests/fuzz/vswitch_change.c
 * fuzz-flags: -Ivswitch -Ivswitch/include -I/usr/include/dpdk -I/usr/include/x86_64-linux-gnu/dpdk -include rte_config.h
 * fuzz-flags: -fno-sanitize-coverage=trace-cmp
 * fuzz-libraries: -lrte_gro -lrte_gso -lrte_net_ring -lrte_ethdev -lrte_net -lrte_mbuf -lrte_mempool
 * fuzz-libraries: -lrte_ring -lrte_eal
 */
#include "native.h"
#include "vswitch_model.h"

#include <hv/netport.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAME_MAX = 70000, OPS_MAX = 200, BURST_MAX = 4, SETTLE_MAX = 1000 };

static const uint8_t group_at_first[NICS] = {0, 3, 2, 5, 0, 7};

static struct vsw *v;
static struct rte_mempool *wire_pool;
static struct rte_ring *rx[WIRES], *tx[WIRES];
static uint16_t wire_port[WIRES];
static struct {
	struct netport *np;
	unsigned room; /* frames that it takes in all */
} guests[GUESTS];
static struct vsw_vmk_port *vmk;

static struct {
	const uint8_t *at, *end;
} in;

uint8_t input_byte(void)
{
	return in.at < in.end ? *in.at++ : 0;
}

uint16_t input_word(void)
{
	uint16_t low = input_byte();

	return (uint16_t)(low | input_byte() << 8);
}

/* ---- ports ---- */

static unsigned guest_rx(void *arg, const netport_rx_frame *frames, unsigned n)
{
	unsigned g = (unsigned)(uintptr_t)arg, taken = HV_MIN(n, guests[g].room);
	static uint8_t copy[FRAME_MAX];

	for (unsigned i = 0; i < taken; i++) {
		uint32_t len = 0;

		for (unsigned s = 0; s < frames[i].nsegs; s++) {
			CHECK(frames[i].segs[s].len <= sizeof(copy) - len);
			memcpy(copy + len, frames[i].segs[s].base, frames[i].segs[s].len);
			len += frames[i].segs[s].len;
		}
		CHECK(len == frames[i].len);
		CHECK(!frames[i].off.needs_csum || frames[i].off.csum_start + frames[i].off.csum_offset + 2u <= len);
		model_received(g, copy, len, frames[i].off.gso);
	}
	guests[g].room -= taken;
	return taken;
}

static unsigned guest_rx_direct(void *arg, const struct netport_direct *frames, unsigned n)
{
	unsigned g = (unsigned)(uintptr_t)arg, taken = HV_MIN(n, guests[g].room);
	static uint8_t copy[FRAME_MAX];

	for (unsigned i = 0; i < taken; i++) {
		const struct netport_direct *f = &frames[i];

		CHECK(f->head_bytes >= 14 && f->head_bytes <= NETPORT_HEAD && f->bytes >= NETPORT_HEAD && f->bytes <= sizeof(copy));
		memcpy(copy, f->head, f->head_bytes);
		memcpy(copy + f->head_bytes, f->rest, f->bytes - f->head_bytes);
		model_received(g, copy, f->bytes, false);
	}
	guests[g].room -= taken;
	return taken;
}

static uint32_t copy_out(const struct rte_mbuf *m, uint8_t *to, uint32_t room)
{
	const uint8_t *bytes = rte_pktmbuf_read(m, 0, m->pkt_len, to);

	CHECK(m->pkt_len <= room && bytes);
	if (bytes != to)
		memcpy(to, bytes, m->pkt_len);
	return m->pkt_len;
}

static unsigned vmk_rx(void *arg, struct rte_mbuf **frames, unsigned n)
{
	static uint8_t copy[FRAME_MAX];

	for (unsigned i = 0; i < n; i++) {
		CHECK(rte_mbuf_refcnt_read(frames[i]) == 1);
		model_received(VMK, copy, copy_out(frames[i], copy, sizeof(copy)), false);
		rte_pktmbuf_free(frames[i]);
	}
	return n;
}

static void name_of(unsigned nic, char name[8])
{
	snprintf(name, 8, "nic%u", nic);
}

static void plug(unsigned nic, unsigned group)
{
	uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, (uint8_t)(1 + nic)};
	static struct netport_client clients[GUESTS];
	static const struct vsw_vmk_client vmk_client = {.rx = vmk_rx};
	char name[8];
	int err;

	name_of(nic, name);
	err = nic == VMK ? vsw_vmk_port_create(v, group, name, mac, &vmk_client, &vmk)
			 : vsw_guest_port_create(v, group, name, mac, &guests[nic].np);
	CHECK(!err || err == -EEXIST || (nic == VMK && err == -EINVAL)); /* another took its MAC; a trunk */
	if (err)
		return;
	model_plugged(nic, group, vsw_load_mac(mac));
	if (nic == VMK)
		return;
	clients[nic] = (struct netport_client){
		.rx_burst = guest_rx, .rx_direct = nic % 3 == 2 ? NULL : guest_rx_direct, .arg = (void *)(uintptr_t)nic};
	guests[nic].room = 1000;
	guests[nic].np->ops->set_client(guests[nic].np, &clients[nic]);
	guests[nic].np->ops->set_features(guests[nic].np, nic & 1 ? 0 : ~0u);
}

static void unplug(unsigned nic)
{
	if (!model.nics[nic].plugged)
		return;
	if (nic == VMK)
		vsw_vmk_port_destroy(vmk);
	else
		vsw_guest_port_destroy(guests[nic].np);
	model.nics[nic].plugged = false;
	model.nics[nic].mac = 0;
}

static void start(void)
{
	char *argv[] = {"fuzz", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};
	static const char *const names[WIRES][3] = {{"rx0", "tx0", "wire0"}, {"rx1", "tx1", "wire1"}};

	if (v)
		return;
	CHECK(rte_eal_init(HV_ARRAY_LEN(argv), argv) >= 0);
	native_start(1);
	change_base(&model.config);
	wire_pool = rte_pktmbuf_pool_create("wire", 255, 0, VSW_MBUF_PRIVATE, 9216 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	CHECK(wire_pool && !vsw_create(&model.config, 0, &v));
	model.v = v;
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

static uint32_t add_tag(uint8_t *f, uint32_t len)
{
	static const uint8_t vlans[] = {0, 20, 25, 30, 40, 100, 101, 110, 120, 29};
	uint8_t how = input_byte();

	memmove(f + 16, f + 12, len - 12);
	memcpy(f + 12, (uint8_t[]){0x81, 0, (uint8_t)(how & 0xe0), how & 16 ? input_byte() : vlans[how % HV_ARRAY_LEN(vlans)]}, 4);
	return len + 4;
}

/* What guards look at: DHCP from a server, a router's advertisement, ARP. `at`: the Ethernet type. */
static void make_special(uint8_t *f, uint32_t at, bool ipv6, uint8_t how)
{
	uint8_t *ip = f + at + 2;

	if (ipv6) {
		ip[6] = 58;
		ip[7] = 255;
		ip[40] = how & 1 ? 134 : 137;
	} else if (how & 2) {
		f[at + 1] = 6; /* 0x0806 */
		memcpy(ip, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, how & 4 ? 2 : 1}, 8);
		memcpy(ip + 8, f + 6, 6);
		memcpy(ip + 14, (uint8_t[]){10, 0, 0, (uint8_t)(how >> 3)}, 4);
	} else {
		memcpy(ip + 6, (uint8_t[]){0, 0, 64, 17}, 4);
		memcpy(ip + 20, (uint8_t[]){0, how & 1 ? 67 : 68, 0, 68}, 4);
	}
}

/*
 * Bytes of a frame from `from`, at least 14: addresses of our ports or others, then TCP over IPv4 or IPv6 or anything, a mark as payload,
 * then some bytes of the first ones changed.
 */
static uint32_t build(uint8_t *f, unsigned from)
{
	uint8_t kind = input_byte(), mac;
	uint32_t len = 14 + (kind & 0x40 ? input_word() : input_word() % 1600u), l3 = kind & 1 ? 40 : 20;

	memset(f, 0, 128);
	mac = (uint8_t)(1 + input_byte() % 10);
	memcpy(f, (uint8_t[]){0x52, 0x54, 0, 0, 0, mac, 0x52, 0x54, 0, 0, 0, (uint8_t)(1 + from)}, 12);
	if (from < NICS && model.nics[from].plugged)
		vsw_store_mac(f + 6, model.nics[from].mac);
	if (kind & 2)
		memset(f, 0xff, 6);
	if ((kind & 4) || from >= FROM_WIRE)
		f[11] = (uint8_t)(1 + input_byte() % 24);
	f[12] = kind & 1 ? 0x86 : 0x08;
	f[13] = kind & 1 ? 0xdd : 0x00;
	f[14] = kind & 1 ? 0x60 : 0x45;
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	if (kind & 1) {
		f[18] = (uint8_t)((len - 54) >> 8);
		f[19] = (uint8_t)(len - 54);
	}
	f[kind & 1 ? 20 : 23] = kind & 8 ? 17 : 6;
	f[14 + l3 + 12] = 0x50;
	model_mark(f, 14 + l3 + 20, len);
	if (kind & 32)
		make_special(f, 12, kind & 1, input_byte());
	if (kind & 16 && from != VMK)
		len = add_tag(f, len);
	for (uint8_t n = input_byte() % 8; n > 3; n--) {
		uint16_t at = input_word();
		uint32_t room = len < 128 ? len : 128;

		f[at % room] = input_byte();
	}
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
		off.gso_size = (uint16_t)(256 + input_word() % 1300);
	}
	if (how & 16) {
		off.gso = input_byte();
		off.gso_size = input_word();
		off.csum_start = input_word();
		off.csum_offset = input_word();
		off.hdr_len = input_word();
	}
	return off;
}

/* ---- what came of it ---- */

/* What left by the wire; how many frames. */
static unsigned drain(unsigned wire, bool judge)
{
	static uint8_t copy[FRAME_MAX];
	struct rte_mbuf *m;
	unsigned n = 0;

	for (; !rte_ring_dequeue(tx[wire], (void **)&m); n++) {
		if (judge)
			model_left(wire, copy, copy_out(m, copy, sizeof(copy)));
		rte_pktmbuf_free(m);
	}
	return n;
}

/* Until nothing happens any more at this moment. */
static void settle(void)
{
	for (unsigned i = 0; i < SETTLE_MAX; i++) {
		bool awake = native_core_step();
		unsigned left = drain(0, true) + drain(1, true);

		if (!awake && !left)
			return;
	}
}

static void end(unsigned sent, bool tables)
{
	settle();
	model_end(sent);
	model_check(tables);
}

static bool is_plain(const struct netport_frame *f)
{
	return f->nsegs == 1 && !f->off.needs_csum && !f->off.gso && f->len >= NETPORT_PLAIN_MIN;
}

/* Sends the frames from the first on that are plain as it is, or are not. Returns how many. */
static unsigned send_run(struct netport *np, const struct netport_frame *frames, unsigned n)
{
	bool plain = is_plain(&frames[0]);
	struct hv_seg segs[BURST_MAX];
	unsigned run = 0;

	for (; run < n && is_plain(&frames[run]) == plain; run++)
		segs[run] = frames[run].segs[0];
	CHECK((plain ? np->ops->tx_plain(np, segs, run) : np->ops->tx_burst(np, frames, run)) == run);
	return run;
}

static void guest_sends(unsigned g)
{
	static uint8_t frames_bytes[BURST_MAX][FRAME_MAX + 200];
	static struct hv_seg segs[BURST_MAX][300];
	struct netport_frame frames[BURST_MAX];
	unsigned n = 1 + input_byte() % BURST_MAX;

	if (!model.nics[g].plugged)
		return;
	model_begin();
	for (unsigned i = 0; i < n; i++) {
		uint8_t *f = frames_bytes[i];
		uint32_t len = build(f, g), step = 64 + input_word() % 4096u, at = 0;

		frames[i] = (struct netport_frame){.segs = segs[i], .len = len, .off = offload(input_byte())};
		for (; at < len && frames[i].nsegs < HV_ARRAY_LEN(segs[i]); at += step)
			segs[i][frames[i].nsegs++] = (struct hv_seg){f + at, HV_MIN(step, len - at)};
		model_sent(g, f, len, frames[i].off.gso);
	}
	for (unsigned i = 0, run; i < n; i += run)
		run = send_run(guests[g].np, frames + i, n - i);
	guests[g].np->ops->tx_flush(guests[g].np);
	end(n, false);
}

/* The hypervisor's own frames are well formed: untagged, no longer than its MTU. */
static void vmk_sends(void)
{
	static uint8_t f[FRAME_MAX + 200];
	struct rte_mbuf *m;
	uint32_t len;

	if (!model.nics[VMK].plugged)
		return;
	model_begin();
	len = build(f, VMK);
	len = HV_MIN(len, 14u + HV_MIN(vsw_vmk_mtu(vmk), 1500u));
	if (f[12] & 0x80)
		f[12] = 8;
	m = rte_pktmbuf_alloc(vsw_vmk_pool(vmk));
	CHECK(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), f, len);
	model_sent(VMK, f, len, false);
	vsw_vmk_tx(vmk, &m, 1);
	end(1, false);
}

static void wire_brings(unsigned w)
{
	static uint8_t f[FRAME_MAX + 200];
	static const uint64_t notes[4] = {0, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_NONE};
	unsigned n = 1 + input_byte() % BURST_MAX;

	model_begin();
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);
		uint32_t built = build(f, FROM_WIRE + w), len = HV_MIN(built, 9000u);

		CHECK(m);
		if (input_byte() % 8 == 1)
			len = len % 80 + 1;
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), f, len);
		m->ol_flags = notes[input_byte() % 4];
		if (len >= 14)
			model_sent(FROM_WIRE + w, f, len, false);
		CHECK(!rte_ring_enqueue(rx[w], m));
	}
	end(n, false);
}

static void driver_changes(unsigned g)
{
	struct netport *np = guests[g].np;
	uint8_t mac[6];

	if (!model.nics[g].plugged)
		return;
	switch (input_byte() % 5) {
	case 0:
		guests[g].room = input_byte();
		break;
	case 1:
		memcpy(mac, (uint8_t[]){(uint8_t)(input_byte() & 3), 0x54, 0, 0, 0, (uint8_t)(input_byte() % 8)}, 6);
		if (model.nics[g].mac_count == MACS_MAX)
			break;
		np->ops->set_mac(np, mac);
		if (!memcmp(np->mac, mac, 6)) {
			CHECK(model_policy(g).mac_changes || vsw_load_mac(mac) == model.nics[g].mac);
			model.nics[g].mac = vsw_load_mac(mac);
		}
		break;
	case 2:
		model.nics[g].wants_promisc = input_byte() & 1;
		np->ops->set_filter(np, model.nics[g].wants_promisc, false);
		break;
	case 3:
		np->ops->set_features(np, input_byte());
		break;
	default:
		if (input_byte() % 8 == 0)
			np->ops->set_client(np, NULL);
	}
	model_refresh();
}

static void change(unsigned nic)
{
	static const uint64_t steps_ns[] = {100000, 20000000, 1100000000, 9000000000};
	uint8_t what = input_byte() % 16;

	model_begin();
	if (what < 2) {
		native_time_advance(steps_ns[input_byte() % HV_ARRAY_LEN(steps_ns)]);
	} else if (what == 2) {
		(input_byte() & 1 ? rte_eth_dev_set_link_up : rte_eth_dev_set_link_down)(wire_port[nic % WIRES]);
		native_time_advance(1100000000);
	} else if (what == 3) {
		unplug(nic);
		plug(nic, input_byte() % model.config.portgroup_count);
	} else if (what < 8) {
		driver_changes(nic % GUESTS);
	} else {
		change_configuration();
	}
	end(0, what >= 3);
}

/* The switch as it began, empty. */
static void finish(void)
{
	struct vsw_config base;

	for (unsigned i = 0; i < NICS; i++)
		unplug(i);
	for (unsigned w = 0; w < WIRES; w++)
		rte_eth_dev_set_link_up(wire_port[w]);
	change_base(&base);
	CHECK(!vsw_apply(v, &base, NULL));
	model.config = base;
	for (unsigned i = 0; i < 64; i++) { /* the backlog empties */
		native_core_step();
		for (unsigned w = 0; w < WIRES; w++)
			drain(w, false);
	}
	CHECK(!v->shaped_mbufs);
	CHECK(!rte_mempool_in_use_count(v->guest_pool) && !rte_mempool_in_use_count(v->vmk_pool) && !rte_mempool_in_use_count(wire_pool));
	CHECK(!rte_mempool_in_use_count(v->gso_headers) && !rte_mempool_in_use_count(v->gso_payloads));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	model_reset();
	in.at = data;
	in.end = data + size;
	for (unsigned i = 0; i < NICS; i++)
		plug(i, group_at_first[i]);
	for (unsigned op = 0; op < OPS_MAX && in.at < in.end; op++) {
		uint8_t what = input_byte();

		if (what % 8 < 4)
			what / 8 % NICS == VMK ? vmk_sends() : guest_sends(what / 8 % NICS);
		else if (what % 8 < 6)
			wire_brings(what % WIRES);
		else
			change(what / 8 % NICS);
	}
	model_check(true);
	finish();
	return 0;
}
