/*
 * What leaves a vmk, byte by byte: data goes out from where it lies, and what lies in a device's ring stays what it was when lwIP sends the
 * segment again, lets it go, or uses the memory for something else. The peer is made by hand: it answers ARP and SYN, and acknowledges when
 * told.
 */
#include "test.h"

#include "stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <hv/core.h>
#include <net/net.h>
#include <net/socket.h>
#include <netinet/tcp.h>
#include <rte_arp.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_tcp.h>
#include <stdlib.h>
#include <vswitch/vswitch.h>

#define MS 1000000ull
#define OWN 0x0a4e0002u
#define PEER 0x0a4e0001u
#define PORT 3260
#define MSS 1460u
#define PEER_ISS 77000u
#define HELD 64
#define FRAME_MAX 2048
#define HEADERS (14u + 20u)

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};
static struct rte_mempool *wire_pool;
static struct rte_ring *rx, *tx;
static uint16_t wire_port;
static struct vsw *vsw;
static uint64_t clock_ns = 1000 * MS;

/* Frames that the device has and has not sent yet. */
static struct held {
	struct rte_mbuf *m;
	uint8_t bytes[FRAME_MAX]; /* as they were when they came */
	uint32_t seq, len;        /* of the data */
} held[HELD];
static unsigned held_count;
static uint8_t own_mac[6];
static uint16_t own_port;
static uint32_t own_iss; /* sequence number of the first byte of data */

/* ---- the wire ---- */

static void put(struct rte_mbuf *m)
{
	assert_int_equal(rte_ring_enqueue(rx, m), 0);
}

static struct rte_mbuf *frame_new(uint16_t type, void **body, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);
	struct rte_ether_hdr *eth;

	assert_non_null(m);
	eth = (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*eth) + len));
	memset(eth, 0, sizeof(*eth) + len);
	memcpy(eth->dst_addr.addr_bytes, own_mac, 6);
	memcpy(eth->src_addr.addr_bytes, peer_mac, 6);
	eth->ether_type = htons(type);
	*body = eth + 1;
	return m;
}

static void answer_arp(const uint8_t *frame)
{
	const struct rte_arp_hdr *asked = (const void *)(frame + 14);
	struct rte_arp_hdr *a;
	struct rte_mbuf *m;

	if (ntohs(asked->arp_opcode) != RTE_ARP_OP_REQUEST || ntohl(asked->arp_data.arp_tip) != PEER)
		return;
	memcpy(own_mac, asked->arp_data.arp_sha.addr_bytes, 6);
	m = frame_new(RTE_ETHER_TYPE_ARP, (void **)&a, sizeof(*a));
	*a = *asked;
	a->arp_opcode = htons(RTE_ARP_OP_REPLY);
	memcpy(a->arp_data.arp_sha.addr_bytes, peer_mac, 6);
	a->arp_data.arp_sip = htonl(PEER);
	a->arp_data.arp_tha = asked->arp_data.arp_sha;
	a->arp_data.arp_tip = asked->arp_data.arp_sip;
	put(m);
}

static void send_tcp(uint8_t flags, uint32_t seq, uint32_t ack)
{
	uint16_t options = flags & RTE_TCP_SYN_FLAG ? 4 : 0;
	struct rte_ipv4_hdr *ip;
	struct rte_mbuf *m = frame_new(RTE_ETHER_TYPE_IPV4, (void **)&ip, (uint16_t)(40 + options));
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);

	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
		.total_length = htons((uint16_t)(40 + options)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = htonl(PEER),
		.dst_addr = htonl(OWN)};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*tcp = (struct rte_tcp_hdr){.src_port = htons(PORT),
		.dst_port = htons(own_port),
		.sent_seq = htonl(seq),
		.recv_ack = htonl(ack),
		.data_off = (uint8_t)((20 + options) / 4 << 4),
		.tcp_flags = flags,
		.rx_win = htons(60000)};
	if (options)
		memcpy(tcp + 1, (const uint8_t[]){2, 4, MSS >> 8, MSS & 255}, 4);
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	put(m);
}

/* Takes one frame off the device's ring. Data is kept until the test lets it go; the rest is answered. */
static void take(struct rte_mbuf *m)
{
	struct held *h = &held[held_count];
	const struct rte_ipv4_hdr *ip = (const void *)(h->bytes + 14);
	const struct rte_tcp_hdr *tcp = (const void *)(h->bytes + HEADERS);

	assert_true(held_count < HELD && m->pkt_len <= FRAME_MAX);
	*h = (struct held){.m = m};
	memcpy(h->bytes, rte_pktmbuf_read(m, 0, m->pkt_len, h->bytes), m->pkt_len);
	if (h->bytes[12] == 0x08 && h->bytes[13] == 0x06) {
		answer_arp(h->bytes);
	} else if (ip->next_proto_id == IPPROTO_TCP) {
		h->seq = ntohl(tcp->sent_seq);
		h->len = ntohs(ip->total_length) - 20u - (tcp->data_off >> 4) * 4u;
		if (tcp->tcp_flags & RTE_TCP_SYN_FLAG) {
			own_port = ntohs(tcp->src_port);
			own_iss = h->seq + 1;
			send_tcp(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, PEER_ISS, own_iss);
		}
	}
	if (h->len)
		held_count++;
	else
		rte_pktmbuf_free(m);
}

static void run(unsigned ms)
{
	void *m;

	for (uint64_t end_ns = hv_now_ns() + ms * MS; hv_now_ns() < end_ns; native_time_advance(MS)) {
		for (unsigned i = 0; i < 4; i++)
			native_core_step();
		while (!rte_ring_dequeue(tx, &m))
			take(m);
	}
}

static void let_go(unsigned from)
{
	while (held_count > from)
		rte_pktmbuf_free(held[--held_count].m);
}

/* ---- the host ---- */

static void eal_start(void)
{
	char *argv[] = {"test", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};
	int port;

	if (wire_pool)
		return;
	assert_true(rte_eal_init(HV_ARRAY_LEN(argv), argv) >= 0);
	wire_pool = rte_pktmbuf_pool_create("wire", 1023, 0, VSW_MBUF_PRIVATE, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	rx = rte_ring_create("rx", 256, SOCKET_ID_ANY, 0);
	tx = rte_ring_create("tx", 256, SOCKET_ID_ANY, 0);
	port = rte_eth_from_rings("wire", &rx, 1, &tx, 1, 0);
	assert_true(wire_pool && rx && tx && port >= 0);
	wire_port = (uint16_t)port;
}

static int setup(void **state)
{
	static const struct vsw_config config = {
		.uplink_count = 1,
		.uplinks = {{.name = "uplink0", .mtu = 1500}},
		.switch_count = 1,
		.switches = {{.name = "vSwitch0", .uplink_count = 1}},
		.portgroup_count = 1,
		.portgroups = {{.name = "storage"}},
	};
	struct net_vmknic_config vmk = {.name = "vmk0", .address = OWN, .prefix = 24};
	struct vsw_uplink_dev dev;

	eal_start();
	dev = (struct vsw_uplink_dev){.ethdev_port = wire_port};
	native_start(1);
	native_time_set(clock_ns); /* lwIP's clock never goes back */
	held_count = 0;
	assert_int_equal(vsw_create(&config, 0, &vsw), 0);
	assert_int_equal(vsw_uplink_attach(vsw, 0, &dev), 0);
	assert_int_equal(net_init(0), 0);
	assert_int_equal(net_vmk_create(&vmk, vsw), 0);
	run(5);
	return 0;
}

static void find_vmk_pool(struct rte_mempool *pool, void *arg)
{
	if (strstr(pool->name, "vmk"))
		*(struct rte_mempool **)arg = pool;
}

static struct rte_mempool *vmk_pool(void)
{
	struct rte_mempool *pool = NULL;

	rte_mempool_walk(find_vmk_pool, &pool);
	assert_non_null(pool);
	return pool;
}

static int teardown(void **state)
{
	void *m;

	net_stop();
	run(5);
	let_go(0);
	while (!rte_ring_dequeue(tx, &m) || !rte_ring_dequeue(rx, &m))
		rte_pktmbuf_free(m);
	clock_ns = hv_now_ns();
	assert_int_equal(rte_mempool_in_use_count(vmk_pool()), 0);
	assert_int_equal(rte_mempool_in_use_count(wire_pool), 0);
	vsw_destroy(vsw);
	return 0;
}

static int end(void **state)
{
	rte_mempool_free(wire_pool);
	return rte_eal_cleanup();
}

static int connected(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(PEER)};
	struct pollfd p = {net_socket(AF_INET, SOCK_STREAM, 0), POLLOUT, 0};
	int one = 1;

	assert_int_equal(net_connect(p.fd, (struct sockaddr *)&a, sizeof(a)), -1);
	for (unsigned i = 0; i < 50 && !(p.revents & POLLOUT); i++) {
		run(10);
		net_poll(&p, 1, 0);
	}
	assert_int_equal(p.revents, POLLOUT);
	assert_int_equal(net_setsockopt(p.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	return p.fd;
}

static uint8_t pattern(uint32_t at, unsigned kind)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + kind * 101);
}

static void write_pattern(int fd, uint32_t at, uint32_t len, unsigned kind)
{
	uint8_t *data = malloc(len);

	for (uint32_t i = 0; i < len; i++)
		data[i] = pattern(at + i, kind);
	assert_int_equal(net_send(fd, data, len, 0), len);
	memset(data, 0xee, len); /* the caller's buffer is its own again */
	free(data);
}

/* The frame in the ring is what it was when it came, its data is the pattern, and its checksum is right. */
static void check_held(const struct held *h, unsigned kind)
{
	uint8_t now[FRAME_MAX];
	const uint8_t *bytes = rte_pktmbuf_read(h->m, 0, h->m->pkt_len, now);
	struct rte_tcp_hdr *tcp;
	uint16_t sum;
	uint32_t data = h->m->pkt_len - h->len;

	assert_memory_equal(bytes, h->bytes, h->m->pkt_len);
	for (uint32_t i = 0; i < h->len; i++)
		assert_int_equal(bytes[data + i], pattern(h->seq - own_iss + i, kind));
	memcpy(now, bytes, h->m->pkt_len);
	tcp = (void *)(now + HEADERS);
	sum = tcp->cksum;
	tcp->cksum = 0;
	assert_int_equal(sum, rte_ipv4_udptcp_cksum((const struct rte_ipv4_hdr *)(now + 14), tcp));
}

static void check_all(unsigned from, unsigned to, unsigned kind)
{
	for (unsigned i = from; i < to; i++)
		check_held(&held[i], kind);
}

static uint32_t held_bytes(unsigned from)
{
	uint32_t sum = 0;

	for (unsigned i = from; i < held_count; i++)
		sum += held[i].len;
	return sum;
}

static void vmk_counts(void *arg, const struct net_vmk_info *info)
{
	*(struct net_vmk_info *)arg = *info;
}

static struct net_vmk_info vmk_info(void)
{
	struct net_vmk_info info;

	net_vmk_foreach(vmk_counts, &info);
	return info;
}

/* ---- tests ---- */

static void data_goes_out_from_where_it_lies(void **state)
{
	int fd = connected();
	uint64_t before = vmk_info().tx_referenced;

	write_pattern(fd, 0, 2 * MSS + 700, 0);
	run(5);
	assert_int_equal(held_count, 3);
	assert_int_equal(held_bytes(0), 2 * MSS + 700);
	for (unsigned i = 0; i < held_count; i++) {
		assert_true(held[i].m->nb_segs >= 2 && !RTE_MBUF_HAS_EXTBUF(held[i].m)); /* headers of its own ... */
		assert_true(RTE_MBUF_HAS_EXTBUF(held[i].m->next));                       /* ... and data of the stack's */
	}
	assert_int_equal(vmk_info().tx_referenced - before, 3);
	check_all(0, 3, 0);
	send_tcp(RTE_TCP_ACK_FLAG, PEER_ISS + 1, own_iss + 2 * MSS + 700);
	run(5);
	write_pattern(fd, 2 * MSS + 700, 40, 0); /* what is small is copied */
	run(5);
	assert_int_equal(held_count, 4);
	assert_int_equal(held[3].m->nb_segs, 1);
	assert_int_equal(vmk_info().tx_referenced - before, 3);
	check_all(0, 4, 0);
	net_close(fd);
}

/* Written in pieces while nothing can leave: lwIP fills up the last segment, in its room or with a further pbuf. */
static void pieces_make_whole_segments(void **state)
{
	static const uint32_t pieces[] = {1, 300, 7, 1459, 1460, 1461, 3, 900, 48, 256, 5000};
	int fd = connected();
	uint32_t at = 0;

	for (unsigned i = 0; i < HV_ARRAY_LEN(pieces); i++) {
		write_pattern(fd, at, pieces[i], 0);
		at += pieces[i];
	}
	for (unsigned i = 0; i < 20 && held_bytes(0) < at; i++) {
		run(5);
		send_tcp(RTE_TCP_ACK_FLAG, PEER_ISS + 1, own_iss + held_bytes(0));
	}
	assert_int_equal(held_bytes(0), at);
	check_all(0, held_count, 0);
	net_close(fd);
}

static void a_retransmission_leaves_the_first_frame_alone(void **state)
{
	int fd = connected();
	unsigned first;

	write_pattern(fd, 0, 3 * MSS, 0);
	run(5);
	first = held_count;
	assert_int_equal(first, 3); /* the initial window */
	/* Nothing is acknowledged, and the device has sent nothing yet: what it holds is not what keeps lwIP from trying again. */
	run(4000);
	assert_true(held_count > first);
	assert_int_equal(held[first].seq, own_iss);
	/* An acknowledgement of a part: the rest follows, with other header fields. */
	send_tcp(RTE_TCP_ACK_FLAG, PEER_ISS + 1, own_iss + MSS);
	run(4000);
	check_all(0, held_count, 0);
	let_go(0);
	run(6000);
	assert_true(held_count > 0); /* and again, when the device is done with them */
	check_all(0, held_count, 0);
	net_close(fd);
}

static void a_frame_outlives_its_acknowledgement(void **state)
{
	int fd = connected();
	unsigned first, used = net_memory_in_use();
	uint32_t at = 8 * MSS;

	write_pattern(fd, 0, at, 0);
	for (unsigned i = 0; i < 20 && held_bytes(0) < at; i++) {
		run(2);
		send_tcp(RTE_TCP_ACK_FLAG, PEER_ISS + 1, own_iss + held_bytes(0));
	}
	run(20);
	first = held_count;
	assert_true(first >= 8);
	assert_true(net_memory_in_use() > used); /* lwIP has let go, the device has not */
	/* The memory would be used again at once. */
	for (unsigned round = 0; round < 4; round++) {
		unsigned from = held_count;

		write_pattern(fd, at, 2 * MSS, 1);
		run(5);
		check_all(from, held_count, 1);
		at += held_bytes(from);
		send_tcp(RTE_TCP_ACK_FLAG, PEER_ISS + 1, own_iss + at);
		run(5);
	}
	check_all(0, first, 0);
	let_go(0);
	run(5);
	assert_int_equal(net_memory_in_use(), used);
	net_close(fd);
}

/* A reset takes the connection and all its segments away; what the device holds is still whole, and is free after it. */
static void a_frame_outlives_its_connection(void **state)
{
	unsigned used = net_memory_in_use();
	int fd = connected();

	write_pattern(fd, 0, 4 * MSS, 0);
	run(5);
	send_tcp(RTE_TCP_RST_FLAG, PEER_ISS + 1, 0);
	run(5);
	net_close(fd);
	fd = connected();
	own_iss -= 4 * MSS;
	write_pattern(fd, 4 * MSS, MSS, 1);
	run(5);
	own_iss += 4 * MSS;
	send_tcp(RTE_TCP_RST_FLAG, PEER_ISS + 1, 0);
	run(5);
	net_close(fd);
	for (unsigned i = 0; i < 4; i++)
		assert_memory_equal(rte_pktmbuf_mtod(held[i].m, uint8_t *), held[i].bytes, held[i].m->data_len);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t now[FRAME_MAX];

		assert_memory_equal(rte_pktmbuf_read(held[i].m, 0, held[i].m->pkt_len, now), held[i].bytes, held[i].m->pkt_len);
	}
	let_go(0);
	run(5);
	assert_in_range(net_memory_in_use(), 0, used + 2); /* a timer or an ARP entry */
}

/* No mbuf, or only one where two are needed: the frame is lost and counted, nothing else; TCP sends it later. */
static void without_mbufs_nothing_is_lost_for_good(void **state)
{
	struct rte_mempool *pool = vmk_pool();
	int fd = connected();
	struct rte_mbuf **all = calloc(pool->size, sizeof(*all));

	for (unsigned leave = 0; leave < 2; leave++) {
		uint64_t refused = vmk_info().tx_refused;
		unsigned n = 0, from = held_count;

		while (rte_mempool_avail_count(pool) > leave)
			assert_non_null(all[n++] = rte_pktmbuf_alloc(pool));
		write_pattern(fd, leave * MSS, MSS, 0);
		run(5);
		assert_int_equal(held_count, from);
		assert_true(vmk_info().tx_refused > refused);
		assert_int_equal(rte_mempool_avail_count(pool), leave);
		while (n)
			rte_pktmbuf_free(all[--n]);
		run(4000);
		assert_true(held_count > from);
		send_tcp(RTE_TCP_ACK_FLAG, PEER_ISS + 1, own_iss + (leave + 1) * MSS);
		run(5);
	}
	check_all(0, held_count, 0);
	free(all);
	net_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(data_goes_out_from_where_it_lies),
		T(pieces_make_whole_segments),
		T(a_retransmission_leaves_the_first_frame_alone),
		T(a_frame_outlives_its_acknowledgement),
		T(a_frame_outlives_its_connection),
		T(without_mbufs_nothing_is_lost_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
