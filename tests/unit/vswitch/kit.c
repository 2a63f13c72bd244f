#include "kit.h"

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_ring.h>
#include <stdlib.h>

struct vsw *kit_vsw;

const uint8_t mac_a[6] = {0x52, 0x54, 0, 0, 0, 0xa}, mac_b[6] = {0x52, 0x54, 0, 0, 0, 0xb}, mac_c[6] = {0x52, 0x54, 0, 0, 0, 0xc};
const uint8_t mac_x[6] = {0x52, 0x54, 0, 1, 0, 1}, mac_y[6] = {0x52, 0x54, 0, 1, 0, 2};
const uint8_t mac_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct wire {
	struct rte_ring *rx, *tx;
	int port;
} wires[KIT_UPLINKS];

static struct guest *guests[16];
static unsigned guest_count;
static struct rte_mempool *wire_pool;

static void eal_start(void)
{
	static bool done;
	char *argv[] = {"test", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};

	if (done)
		return;
	assert_true(rte_eal_init(HV_ARRAY_LEN(argv), argv) >= 0);
	wire_pool = rte_pktmbuf_pool_create("wire", 4095, 0, VSW_MBUF_PRIVATE, 9216 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	assert_non_null(wire_pool);
	done = true;
}

static const struct vsw_config config = {
	.uplink_count = KIT_UPLINKS,
	.uplinks = {{.name = "up0", .mtu = 1500}, {.name = "up1", .mtu = 1500}, {.name = "up2", .mtu = 1500}},
	.switch_count = 1,
	.switches = {{.name = "vSwitch0",
		.uplink_count = KIT_UPLINKS,
		.uplinks = {0, 1, 2},
		.mac_ageing_s = 8,
		.teaming = {.has_load_balancing = true,
			.load_balancing = VSW_BALANCE_EXPLICIT,
			.has_failback = true,
			.has_notify_switches = true},
		.private_vlans = {{.primary = 100,
			.has_isolated = true,
			.isolated = 101,
			.communities = {{110, 111}, {120, 120}},
			.community_count = 2}},
		.private_vlan_count = 1}},
	.portgroup_count = 12,
	.portgroups = {{.name = "web", .vlan = 20}, {.name = "db", .vlan = 30}, {.name = "plain"},
		{.name = "open", .vlan = 20, .policy = {true, true, true}},
		{.name = "trunk", .trunk = {{20, 29}, {40, 40}}, .trunk_count = 2, .has_native = true, .native_vlan = 30},
		{.name = "strict", .trunk = {{20, 20}, {30, 30}}, .trunk_count = 2}, {.name = "small", .vlan = 20, .mtu = 1400},
		{.name = "promiscuous", .has_private_vlan = true, .private_vlan = 100},
		{.name = "isolated", .has_private_vlan = true, .private_vlan = 101},
		{.name = "blue", .has_private_vlan = true, .private_vlan = 110},
		{.name = "green", .has_private_vlan = true, .private_vlan = 120},
		{.name = "nested", .has_private_vlan = true, .private_vlan = 100, .policy = {true, true, true}}},
};

int kit_setup(void **state)
{
	eal_start();
	native_start(1);
	guest_count = 0;
	assert_int_equal(vsw_create(&config, 0, &kit_vsw), 0);
	return 0;
}

static void wire_drain(struct wire *w)
{
	void *m;

	while (w->rx && !rte_ring_dequeue(w->rx, &m))
		rte_pktmbuf_free(m);
	while (w->tx && !rte_ring_dequeue(w->tx, &m))
		rte_pktmbuf_free(m);
}

int kit_teardown(void **state)
{
	for (unsigned i = 0; i < guest_count; i++) {
		kit_guest_forget(guests[i]);
		vsw_guest_port_destroy(guests[i]->np);
		free(guests[i]);
	}
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		if (kit_vsw->uplinks[i])
			vsw_uplink_detach(kit_vsw->uplinks[i]);
		wire_drain(&wires[i]);
	}
	assert_int_equal(rte_mempool_in_use_count(kit_vsw->guest_pool), 0);
	assert_int_equal(rte_mempool_in_use_count(kit_vsw->vmk_pool), 0);
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++)
		assert_int_equal(kit_vsw->rx_pools[i] ? rte_mempool_in_use_count(kit_vsw->rx_pools[i]) : 0, 0);
	assert_int_equal(rte_mempool_in_use_count(kit_vsw->gso_headers), 0);
	assert_int_equal(rte_mempool_in_use_count(kit_vsw->gso_payloads), 0);
	assert_int_equal(rte_mempool_in_use_count(wire_pool), 0);
	vsw_destroy(kit_vsw);
	return 0;
}

int kit_end(void **state)
{
	rte_mempool_free(wire_pool);
	return rte_eal_cleanup();
}

/* ---- guests ---- */

static struct received *receive(struct guest *g, uint32_t len)
{
	struct received *r = &g->in[g->count++];

	g->room--;
	*r = (struct received){.bytes = malloc(len), .len = len};
	return r;
}

static unsigned guest_rx(void *arg, const netport_rx_frame *frames, unsigned n)
{
	struct guest *g = arg;
	unsigned i;

	for (i = 0; i < n && g->room && g->count < INBOX; i++) {
		struct received *r = receive(g, frames[i].len);
		uint32_t at = 0;

		r->off = frames[i].off;
		for (unsigned s = 0; s < frames[i].nsegs; s++) {
			assert_true(at + frames[i].segs[s].len <= r->len);
			memcpy(r->bytes + at, frames[i].segs[s].base, frames[i].segs[s].len);
			at += frames[i].segs[s].len;
		}
		assert_int_equal(at, r->len);
	}
	return i;
}

static unsigned guest_rx_direct(void *arg, const struct netport_direct *frames, unsigned n)
{
	struct guest *g = arg;
	unsigned i;

	for (i = 0; i < n && g->room && g->count < INBOX; i++) {
		const struct netport_direct *f = &frames[i];
		struct received *r = receive(g, f->bytes);

		assert_true(f->bytes >= NETPORT_HEAD && f->head_bytes <= NETPORT_HEAD);
		memcpy(r->bytes, f->head, f->head_bytes);
		memcpy(r->bytes + f->head_bytes, f->rest, f->bytes - f->head_bytes);
		g->direct++;
	}
	return i;
}

static void guest_flush(void *arg)
{
	((struct guest *)arg)->flushes++;
}

struct guest *kit_guest(unsigned portgroup, const uint8_t mac[6], uint32_t features)
{
	struct guest *g = calloc(1, sizeof(*g));
	char name[16];

	g->room = 100000;
	g->client = (struct netport_client){.rx_burst = guest_rx, .rx_direct = guest_rx_direct, .rx_flush = guest_flush, .arg = g};
	snprintf(name, sizeof(name), "guest%u", guest_count);
	assert_int_equal(vsw_guest_port_create(kit_vsw, portgroup, name, mac, &g->np), 0);
	g->np->ops->set_client(g->np, &g->client);
	g->np->ops->set_features(g->np, features);
	guests[guest_count++] = g;
	return g;
}

void kit_guest_forget(struct guest *g)
{
	for (unsigned i = 0; i < g->count; i++)
		free(g->in[i].bytes);
	g->count = 0;
}

struct vsw_port *kit_port(const struct guest *g)
{
	for (unsigned i = 0; i < kit_vsw->port_count; i++) {
		if (kit_vsw->ports[i] && kit_vsw->ports[i]->name == g->np->name)
			return kit_vsw->ports[i];
	}
	fail();
	return NULL;
}

uint64_t kit_drops(const struct guest *g, enum vsw_drop reason)
{
	return kit_port(g)->count.drop[reason];
}

void kit_send(struct guest *g, const uint8_t *frame, uint32_t len, uint32_t seg_len, const struct netport_offload *off)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct hv_seg segs[512];
	struct netport_frame f = {.segs = segs, .len = len};

	memcpy(copy, frame, len);
	for (uint32_t at = 0; at < len; at += seg_len) {
		assert_true(f.nsegs < HV_ARRAY_LEN(segs));
		segs[f.nsegs++] = (struct hv_seg){copy + at, HV_MIN(seg_len, len - at)};
	}
	if (off)
		f.off = *off;
	if (f.nsegs == 1 && !off && len >= NETPORT_PLAIN_MIN)
		assert_int_equal(g->np->ops->tx_plain(g->np, segs, 1), 1);
	else
		assert_int_equal(g->np->ops->tx_burst(g->np, &f, 1), 1);
	memset(copy, 0xee, len); /* the guest overwrites its buffer at once */
	free(copy);
	g->np->ops->tx_flush(g->np);
}

/* ---- wires ---- */

static struct rte_ring *ring(const char *what, unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "%s%u", what, i);
	return rte_ring_create(name, 1024, SOCKET_ID_ANY, 0);
}

void kit_teaming(const struct vsw_teaming_config *t)
{
	kit_vsw->config.switches[0].teaming = *t;
	vsw_teams_apply(kit_vsw);
}

void kit_uplink(unsigned i)
{
	struct wire *w = &wires[i];
	struct vsw_uplink_dev dev = {0};
	char name[16];

	snprintf(name, sizeof(name), "wire%u", i);
	if (w->rx) /* the device stays for the next test */
		goto attach;
	w->rx = ring("rx", i);
	w->tx = ring("tx", i);
	assert_non_null(w->rx);
	assert_non_null(w->tx);
	w->port = rte_eth_from_rings(name, &w->rx, 1, &w->tx, 1, 0);
	assert_true(w->port >= 0);
attach:
	dev.ethdev_port = (uint16_t)w->port;
	assert_int_equal(vsw_uplink_attach(kit_vsw, i, &dev), 0);
	/* a ring has no address */
	memcpy(vsw_uplink_port(kit_vsw->uplinks[i])->uplink_mac, ((uint8_t[]){2, 0, 0, 0, 1, (uint8_t)i}), 6);
}

void kit_link_set(unsigned i, bool up)
{
	assert_int_equal(up ? rte_eth_dev_set_link_up((uint16_t)wires[i].port) : rte_eth_dev_set_link_down((uint16_t)wires[i].port), 0);
}

void kit_link(unsigned i, bool up)
{
	kit_link_set(i, up);
	native_time_advance(1100000000);
	native_core_step();
}

void kit_wire_put(unsigned uplink, const uint8_t *frame, uint32_t len, uint64_t rx_flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	m->ol_flags = rx_flags;
	assert_int_equal(rte_ring_enqueue(wires[uplink].rx, m), 0);
}

void kit_wire_in(unsigned uplink, const uint8_t *frame, uint32_t len, uint64_t rx_flags)
{
	kit_wire_put(uplink, frame, len, rx_flags);
	native_core_step();
}

uint32_t kit_wire_out(unsigned uplink, uint8_t *frame)
{
	struct rte_mbuf *m;
	uint32_t len;

	if (!wires[uplink].tx || rte_ring_dequeue(wires[uplink].tx, (void **)&m))
		return 0;
	len = m->pkt_len;
	if (len)
		memcpy(frame, rte_pktmbuf_read(m, 0, len, frame), m->nb_segs == 1 ? len : 0);
	assert_int_equal(m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG), 0);
	rte_pktmbuf_free(m);
	return len;
}

uint64_t kit_uplink_drops(unsigned i, enum vsw_drop reason)
{
	return vsw_uplink_port(kit_vsw->uplinks[i])->count.drop[reason];
}

/* ---- frames ---- */

uint32_t kit_eth(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6], uint16_t type, uint32_t payload)
{
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	for (uint32_t i = 0; i < payload; i++)
		frame[14 + i] = (uint8_t)(i * 7 + i / 251);
	return 14 + payload;
}

uint32_t kit_tag(uint8_t *frame, uint32_t len, uint16_t vlan)
{
	memmove(frame + 16, frame + 12, len - 12);
	frame[12] = 0x81;
	frame[13] = 0;
	frame[14] = (uint8_t)(vlan >> 8);
	frame[15] = (uint8_t)vlan;
	return len + 4;
}

static uint32_t sum16(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t pseudo(const uint8_t *ip, bool ipv6, uint32_t l4_len)
{
	uint32_t sum = ipv6 ? sum16(ip + 8, 32, 0) : sum16(ip + 12, 8, 0);

	return sum16((uint8_t[]){(uint8_t)(l4_len >> 24), (uint8_t)(l4_len >> 16), (uint8_t)(l4_len >> 8), (uint8_t)l4_len, 0, 6}, 6, sum);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

uint32_t kit_tcp(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6], bool ipv6, uint32_t payload, bool partial)
{
	uint32_t l3 = ipv6 ? 40 : 20, l4_len = 20 + payload, len = kit_eth(frame, dst, src, ipv6 ? 0x86dd : 0x800, l3 + l4_len);
	uint8_t *ip = frame + 14, *tcp = ip + l3;
	uint32_t sum;

	memset(ip, 0, l3 + 20);
	if (ipv6) {
		ip[0] = 0x60;
		put16(ip + 4, l4_len);
		ip[6] = 6;
		ip[7] = 64;
		ip[23] = 1;
		ip[39] = 2;
	} else {
		memcpy(ip, (uint8_t[]){0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, 20);
		put16(ip + 2, 20 + l4_len);
		put16(ip + 10, ~sum16(ip, 20, 0));
	}
	memcpy(tcp, (uint8_t[]){0x10, 0, 0x20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x99, 0x20, 0}, 16); /* CWR PSH ACK FIN */
	sum = pseudo(ip, ipv6, l4_len);
	put16(tcp + 16, sum);
	if (!partial) {
		put16(tcp + 16, 0);
		put16(tcp + 16, ~sum16(tcp, l4_len, sum));
	}
	return len;
}

bool kit_checksums_good(const uint8_t *frame, uint32_t len)
{
	bool ipv6 = frame[12] == 0x86;
	const uint8_t *ip = frame + 14;
	uint32_t l3 = ipv6 ? 40 : 20, total = ipv6 ? (uint32_t)(ip[4] << 8 | ip[5]) + 40 : (uint32_t)(ip[2] << 8 | ip[3]);

	if (total > len - 14 || (!ipv6 && sum16(ip, 20, 0) != 0xffff))
		return false;
	return sum16(ip + l3, total - l3, pseudo(ip, ipv6, total - l3)) == 0xffff;
}
