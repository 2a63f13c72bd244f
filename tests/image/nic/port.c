/* A started port: link, ARP with a peer, sleep until a packet comes, frames larger than a buffer, link events. */
#include "checks.h"

#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <nic/nic.h>
#include <rte_arp.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdlib.h>
#include <string.h>

#define MBUFS 8191u
#define BURST 32u
#define OUR_IP RTE_IPV4(10, 0, 2, 15)
#define SECOND 1000000000ull

static const struct nic *nic;
static struct rte_mempool *pool;
static uint32_t peer_ip;
static struct rte_ether_addr peer_mac;
static struct hv_fiber *waiting;
static unsigned replies, large_frames, large_bad, arms;
static uint64_t rounds;
static bool link_interrupts;

/* ---- the poller ---- */

static void count_frame(struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);

	if (m->pkt_len > 4000) {
		uint8_t copy;
		const uint8_t *last = rte_pktmbuf_read(m, m->pkt_len - 1, 1, &copy);

		large_frames++;
		large_bad += m->nb_segs < 2 || !last || *last != 'z';
		return;
	}
	if (m->data_len < sizeof(*eth) + sizeof(*arp) || eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP))
		return;
	if (arp->arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REPLY) || arp->arp_data.arp_sip != rte_cpu_to_be_32(peer_ip))
		return;
	peer_mac = arp->arp_data.arp_sha;
	replies++;
}

static unsigned receive(void)
{
	struct rte_mbuf *m[BURST];
	uint16_t n = rte_eth_rx_burst(nic->port, 0, m, BURST);

	for (uint16_t i = 0; i < n; i++)
		count_frame(m[i]);
	rte_pktmbuf_free_bulk(m, n);
	if (n && waiting)
		hv_fiber_wake(waiting);
	return n;
}

static unsigned poll(struct hv_poller *p)
{
	rounds++;
	return receive();
}

static bool arm(struct hv_poller *p, bool on)
{
	nic_rx_arm((void *)nic, 0, on);
	arms += on;
	return on && receive() > 0;
}

static struct hv_poller poller = {.poll = poll, .arm = arm, .name = "test"};

/* Waits for *counter to reach `least`; false after `ns`. */
static bool wait_for(const unsigned *counter, unsigned least, uint64_t ns)
{
	uint64_t end = hv_now_ns() + ns;

	waiting = hv_fiber_self();
	while (*counter < least && hv_now_ns() < end)
		hv_fiber_park(end);
	waiting = NULL;
	return *counter >= least;
}

/* ---- frames ---- */

static struct rte_mbuf *arp_request(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth;
	struct rte_arp_hdr *arp;

	if (!m)
		return NULL;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 60);
	memset(eth, 0, 60);
	memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	memcpy(&eth->src_addr, nic->mac, sizeof(eth->src_addr));
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
	arp = (struct rte_arp_hdr *)(eth + 1);
	arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = 6;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REQUEST);
	memcpy(&arp->arp_data.arp_sha, nic->mac, sizeof(arp->arp_data.arp_sha));
	arp->arp_data.arp_sip = rte_cpu_to_be_32(OUR_IP);
	arp->arp_data.arp_tip = rte_cpu_to_be_32(peer_ip);
	return m;
}

static bool send(struct rte_mbuf *m)
{
	uint64_t end = hv_now_ns() + SECOND;

	if (!m)
		return false;
	while (hv_now_ns() < end) {
		if (rte_eth_tx_burst(nic->port, 0, &m, 1) == 1)
			return true;
		hv_fiber_yield();
	}
	rte_pktmbuf_free(m);
	return false;
}

/* ---- start and stop ---- */

static void choose(struct rte_eth_conf *conf)
{
	conf->intr_conf.rxq = 1;
	if (nic->tx_checksum)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	if (nic->tso)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if (nic->tx_chains)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (nic->rx_checksum)
		conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	if (option("jumbo")) {
		conf->rxmode.mtu = 9000;
		conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	}
}

static int start(void)
{
	struct rte_eth_conf conf = {.rxmode.mtu = 1500};
	struct rte_eth_dev_info info;
	uint16_t rx = 512, tx = 512;
	int err = rte_eth_dev_info_get(nic->port, &info);

	choose(&conf);
	link_interrupts = *info.dev_flags & RTE_ETH_DEV_INTR_LSC && !option("ask-link");
	conf.intr_conf.lsc = link_interrupts;
	if (!err)
		err = rte_eth_dev_configure(nic->port, 1, 1, &conf);
	if (!err)
		err = rte_eth_dev_adjust_nb_rx_tx_desc(nic->port, &rx, &tx);
	if (!err)
		err = rte_eth_rx_queue_setup(nic->port, 0, rx, SOCKET_ID_ANY, NULL, pool);
	if (!err)
		err = rte_eth_tx_queue_setup(nic->port, 0, tx, SOCKET_ID_ANY, NULL);
	if (!err)
		err = rte_eth_dev_start(nic->port);
	return err;
}

static uint32_t option_ip(const char *name)
{
	const char *p = strstr(hv_cmdline(), name);
	unsigned part[4] = {0};

	p = p ? p + strlen(name) : "";
	for (unsigned i = 0; i < 4; i++) {
		char *end;

		part[i] = (unsigned)strtoul(p, &end, 10);
		p = *end ? end + 1 : end;
	}
	return RTE_IPV4(part[0], part[1], part[2], part[3]);
}

bool port_start(const struct nic *n)
{
	int err;

	nic = n;
	peer_ip = option_ip("peer=");
	pool = rte_pktmbuf_pool_create("port", MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	CHECK(pool != NULL);
	err = pool ? start() : -1;
	CHECK(err == 0);
	if (err)
		return false;
	hv_poller_add(&poller);
	return true;
}

void port_stop(void)
{
	hv_poller_remove(&poller);
	CHECK(rte_eth_dev_stop(nic->port) == 0);
	CHECK(rte_eth_dev_close(nic->port) == 0);
	CHECK(rte_mempool_avail_count(pool) == MBUFS);
}

/* ---- checks ---- */

static bool link_is(bool up)
{
	struct nic_link link;

	for (unsigned i = 0; i < 500; i++) {
		if (nic_link(nic, &link) == 0 && link.up == up)
			return true;
		sleep_ns(10000000);
	}
	return false;
}

void check_link(void)
{
	struct nic_link link = {0};

	CHECK(link_is(true));
	CHECK(nic_link(nic, &link) == 0);
	log_info("test.link", "%s, %u Mb/s, %s duplex", link.up ? "up" : "down", link.mbps, link.full_duplex ? "full" : "half");
}

/* Many requests in bursts: every one is answered, none vanishes. */
void check_traffic(void)
{
	enum { REQUESTS = 2000 };
	unsigned sent = 0;

	/* An e1000 of QEMU holds what comes in its first second: begin when it answers. */
	for (unsigned i = 0; i < 50 && !replies; i++) {
		send(arp_request());
		wait_for(&replies, 1, SECOND / 10);
	}
	CHECK(replies > 0);
	sleep_ns(SECOND * 3 / 2);
	replies = 0;
	for (unsigned i = 0; i < REQUESTS; i++) {
		sent += send(arp_request());
		if (i % 16 == 15)
			wait_for(&replies, sent, SECOND);
	}
	CHECK(sent == REQUESTS);
	CHECK(wait_for(&replies, REQUESTS, 5 * SECOND));
	CHECK(replies == REQUESTS);
}

/* The core sleeps between packets and each wakes it: few poll rounds, an arm for each, and no reply is late. */
void check_sleep(void)
{
	enum { TIMES = 20 };
	uint64_t latest = 0;
	unsigned got = 0;

	sleep_ns(SECOND / 2);
	rounds = 0;
	arms = 0;
	sleep_ns(SECOND);
	log_info("test.idle", "one idle second: %llu poll rounds, armed %u times", (unsigned long long)rounds, arms);
	CHECK(!nic->interrupt_driven || rounds < 5000);
	CHECK(rounds < 500000 && arms > 0);
	for (unsigned i = 0; i < TIMES; i++) {
		uint64_t start;

		replies = 0;
		sleep_ns(20000000);
		start = hv_now_ns();
		send(arp_request());
		got += wait_for(&replies, 1, SECOND);
		latest = HV_MAX(latest, hv_now_ns() - start);
	}
	CHECK(got == TIMES);
	CHECK(latest < 100000000);
	log_info("test.wake", "slowest of %u replies to a sleeping core: %llu us", (unsigned)TIMES, (unsigned long long)latest / 1000);
}

/* The peer sends UDP datagrams of 8000 bytes ending in 'z', each one frame; and we send it a TCP segment for the device to cut or carry. */
static struct rte_mbuf *large_tcp(void)
{
	enum { PAYLOAD = 6000, PIECE = 1500 };
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 54);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

	memset(eth, 0, 54);
	eth->dst_addr = peer_mac;
	memcpy(&eth->src_addr, nic->mac, 6);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16(40 + PAYLOAD),
		.time_to_live = 64,
		.next_proto_id = 6,
		.src_addr = rte_cpu_to_be_32(OUR_IP),
		.dst_addr = rte_cpu_to_be_32(peer_ip)};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*tcp = (struct rte_tcp_hdr){.src_port = rte_cpu_to_be_16(7777),
		.dst_port = rte_cpu_to_be_16(8888),
		.data_off = 5 << 4,
		.tcp_flags = RTE_TCP_ACK_FLAG,
		.rx_win = 0xffff};
	for (unsigned left = PAYLOAD; left; left -= PIECE) {
		struct rte_mbuf *more = rte_pktmbuf_alloc(pool);

		memset(rte_pktmbuf_append(more, PIECE), 'y', PIECE);
		if (rte_pktmbuf_chain(m, more))
			return NULL;
	}
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 20;
	m->tso_segsz = 1460;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	tcp->cksum = rte_ipv4_phdr_cksum(ip, m->ol_flags);
	return m;
}

void check_large_frames(void)
{
	struct rte_mbuf *m;

	log_info("test.request", "send large frames");
	CHECK(wait_for(&large_frames, 20, 20 * SECOND));
	CHECK(large_bad == 0);
	if (!nic->tso)
		return;
	m = large_tcp();
	CHECK(rte_eth_tx_prepare(nic->port, 0, &m, 1) == 1);
	CHECK(send(m));
	log_info("test.request", "expect a large segment");
	sleep_ns(SECOND);
}

static unsigned link_events;

static int on_link_event(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	link_events++;
	return 0;
}

void check_link_events(void)
{
	CHECK(rte_eth_dev_callback_register(nic->port, RTE_ETH_EVENT_INTR_LSC, on_link_event, NULL) == 0);
	log_info("test.request", "link down");
	CHECK(link_is(false));
	CHECK(!link_interrupts || wait_for(&link_events, 1, SECOND));
	log_info("test.request", "link up");
	CHECK(link_is(true));
	CHECK(!link_interrupts || wait_for(&link_events, 2, SECOND));
	CHECK(link_interrupts == (nic->interrupt_driven && !option("ask-link")));
}

void port_bench(void)
{
	hv_poller_remove(&poller);
	nic_rx_arm((void *)nic, 0, false);
	bench(nic->port, pool, arp_request);
	hv_poller_add(&poller);
}
