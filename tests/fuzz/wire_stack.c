/*
 * A hostile machine on the storage network: frames of any bytes, ARP, ICMP and TCP with fields of the input's choice and right checksums,
 * whole and in pieces, to a VMkernel NIC whose socket connects, sends, receives and closes meanwhile. Nothing may crash or hang, and at the
 * end no packet buffer is missing.
 *
 * fuzz: hv/arch/context.S hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c hv/kern/sched.c
 * fuzz: hv/kern/slab.c hv/kern/timer.c hv/kern/chacha.c tests/native/native.c vswitch/ net/frame.c net/memory.c net/net.c
 * fuzz: net/option.c net/socket.c net/transfer.c net/vmk.c subprojects/lwip/src/core/def.c
 * fuzz: subprojects/lwip/src/core/inet_chksum.c subprojects/lwip/src/core/init.c subprojects/lwip/src/core/ip.c
 * fuzz: subprojects/lwip/src/core/mem.c subprojects/lwip/src/core/memp.c subprojects/lwip/src/core/netif.c
 * fuzz: subprojects/lwip/src/core/pbuf.c subprojects/lwip/src/core/stats.c subprojects/lwip/src/core/tcp.c
 * fuzz: subprojects/lwip/src/core/tcp_in.c subprojects/lwip/src/core/tcp_out.c subprojects/lwip/src/core/timeouts.c
 * fuzz: subprojects/lwip/src/core/ipv4/etharp.c subprojects/lwip/src/core/ipv4/icmp.c subprojects/lwip/src/core/ipv4/ip4.c
 * fuzz: subprojects/lwip/src/core/ipv4/ip4_addr.c subprojects/lwip/src/netif/ethernet.c
 * fuzz-flags: -Ivswitch/include -Inet -Inet/include -Isubprojects/lwip/src/include -Isubprojects/lwip/berth -DALLOW_EXPERIMENTAL_API
 * fuzz-flags: -I/usr/include/dpdk -I/usr/include/x86_64-linux-gnu/dpdk -include rte_config.h
 * fuzz-libraries: -lrte_gro -lrte_gso -lrte_net_ring -lrte_ethdev -lrte_net -lrte_mbuf -lrte_mempool -lrte_ring -lrte_eal
 */
#include "native.h"
#include <arpa/inet.h>
#include <errno.h>
#include <hv/core.h>
#include <net/net.h>
#include <net/socket.h>
#include <poll.h>
#include <rte_arp.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_tcp.h>
#include <stdlib.h>
#include <string.h>
#include <vswitch/vswitch.h>

#define MS 1000000ull
#define OWN 0x0a4e0002u
#define PEER 0x0a4e0001u
enum { PORT = 3260, OPS_MOST = 64, BODY_MOST = 1600 };

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};
static struct rte_mempool *wire_pool;
static struct rte_ring *rx, *tx;
static uint16_t wire_port;
static uint8_t own_mac[6];
static uint16_t own_port;
static uint32_t own_next, peer_next; /* sequence numbers */

static const uint8_t *input;
static size_t left;

static uint8_t take(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static uint16_t take16(void)
{
	uint8_t low = take();
	return (uint16_t)(low | take() << 8);
}

/* ---- frames to the host ---- */

/* In one piece, or cut where the input says. */
static void put(const uint8_t *bytes, size_t len, bool cut)
{
	size_t first = cut && len > 1 ? 1 + take16() % (len - 1) : len;
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool), *rest = cut ? rte_pktmbuf_alloc(wire_pool) : NULL;
	if (!m || (cut && !rest)) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)first), bytes, first);
	if (rest) {
		memcpy(rte_pktmbuf_append(rest, (uint16_t)(len - first)), bytes + first, len - first);
		if (rte_pktmbuf_chain(m, rest))
			abort();
	}
	if (rte_ring_enqueue(rx, m))
		rte_pktmbuf_free(m);
}

static size_t ethernet(uint8_t *f, uint16_t type)
{
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	return 14;
}

static size_t body(uint8_t *at, size_t most)
{
	size_t n = take16() % (most + 1), known = HV_MIN(n, left);
	memset(at, 0x5a, n);
	memcpy(at, input, known);
	input += known;
	left -= known;
	return n;
}

static void patch(uint8_t *at, size_t len, unsigned times)
{
	for (; times; times--) {
		size_t where = take16() % len;
		at[where] = take();
	}
}

static void send_raw(void)
{
	uint8_t f[BODY_MOST];
	size_t n = ethernet(f, take() & 1 ? take16() : 0x0800);
	put(f, n + body(f + n, sizeof(f) - n), take() & 1);
}

static void send_arp(void)
{
	uint8_t f[64] = {0};
	struct rte_arp_hdr *a = (void *)(f + ethernet(f, 0x0806));
	*a = (struct rte_arp_hdr){.arp_hardware = htons(1),
		.arp_protocol = htons(0x0800),
		.arp_hlen = 6,
		.arp_plen = 4,
		.arp_opcode = htons(take() & 1 ? RTE_ARP_OP_REPLY : RTE_ARP_OP_REQUEST),
		.arp_data = {.arp_sip = htonl(PEER), .arp_tip = htonl(OWN)}};
	memcpy(a->arp_data.arp_sha.addr_bytes, peer_mac, 6);
	patch((uint8_t *)a, sizeof(*a), take() & 3);
	put(f, 60 - take() % 20, take() & 1);
}

static struct rte_ipv4_hdr *ip_header(uint8_t *f, uint8_t proto, size_t bytes)
{
	struct rte_ipv4_hdr *ip = (void *)(f + ethernet(f, 0x0800));
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
		.total_length = htons((uint16_t)(20 + bytes)),
		.time_to_live = 64,
		.next_proto_id = proto,
		.src_addr = htonl(PEER),
		.dst_addr = htonl(OWN)};
	return ip;
}

/* The header's fields may be wrong; its checksum is right all the same, if it has the usual length. */
static void send_ip(uint8_t *f, struct rte_ipv4_hdr *ip, size_t bytes)
{
	uint8_t how = take();
	patch((uint8_t *)ip, 20, how >> 2 & 3);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, 20);
	put(f, 14 + 20 + bytes, how & 1);
}

static void send_icmp(void)
{
	uint8_t f[BODY_MOST] = {0};
	size_t n = body(f + 14 + 20 + 8, 1400);
	struct rte_ipv4_hdr *ip = ip_header(f, IPPROTO_ICMP, 8 + n);
	struct rte_icmp_hdr *icmp = (void *)(ip + 1);
	icmp->icmp_type = take() & 1 ? take() : RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, 8 + n);
	send_ip(f, ip, 8 + n);
}

/* A segment near what the connection expects: sequence numbers off by little, options and data of any bytes. */
static void send_tcp(uint8_t flags, int16_t seq_off, int16_t ack_off)
{
	uint8_t f[BODY_MOST] = {0}, how = take();
	size_t options = (how & 3) * 4u + (flags & RTE_TCP_SYN_FLAG ? 4 : 0), n;
	struct rte_tcp_hdr *tcp = (void *)(f + 34);
	uint8_t *at = f + 54;
	if (flags & RTE_TCP_SYN_FLAG)
		memcpy(at, (const uint8_t[]){2, 4, 5, 0xb4}, 4);
	for (size_t i = flags & RTE_TCP_SYN_FLAG ? 4 : 0; i < options; i++)
		at[i] = take();
	n = how & 4 ? body(at + options, 1400) : 0;
	struct rte_ipv4_hdr *ip = ip_header(f, IPPROTO_TCP, 20 + options + n);
	*tcp = (struct rte_tcp_hdr){.src_port = htons(PORT),
		.dst_port = htons(own_port),
		.sent_seq = htonl(peer_next + (uint32_t)seq_off),
		.recv_ack = htonl(own_next + (uint32_t)ack_off),
		.data_off = (uint8_t)((20 + options) / 4 << 4),
		.tcp_flags = flags,
		.rx_win = htons(how & 8 ? take16() : 60000)};
	patch((uint8_t *)tcp, 20, how >> 4 & 1);
	tcp->cksum = 0;
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	if (!seq_off)
		peer_next += (uint32_t)n + !!(flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG));
	send_ip(f, ip, 20 + options + n);
}

/* ---- frames from the host ---- */

static void receive(struct rte_mbuf *m)
{
	uint8_t f[2048];
	const uint8_t *p = m->pkt_len <= sizeof(f) ? rte_pktmbuf_read(m, 0, m->pkt_len, f) : NULL;
	if (!p || m->pkt_len < 60)
		abort(); /* the switch pads, and no frame is longer than the MTU allows */
	memcpy(own_mac, p + 6, 6);
	const struct rte_ipv4_hdr *ip = (const void *)(p + 14);
	const struct rte_tcp_hdr *tcp = (const void *)(p + 34);
	if (p[12] == 8 && p[13] == 0 && ip->next_proto_id == IPPROTO_TCP) {
		own_port = ntohs(tcp->src_port);
		own_next = ntohl(tcp->sent_seq) + ntohs(ip->total_length) - 20u - (tcp->data_off >> 4) * 4u + !!(tcp->tcp_flags & 3);
	}
	rte_pktmbuf_free(m);
}

static void run(unsigned ms)
{
	void *m;
	for (unsigned i = 0; i <= ms; i++) {
		native_core_step();
		while (!rte_ring_dequeue(tx, &m))
			receive(m);
		native_time_advance(MS);
	}
}

/* ---- the host ---- */

static void eal_start(void)
{
	char *argv[] = {"fuzz", "--no-huge", "-m", "128", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};
	if (wire_pool)
		return;
	if (rte_eal_init(HV_ARRAY_LEN(argv), argv) < 0)
		abort();
	wire_pool = rte_pktmbuf_pool_create("wire", 511, 0, VSW_MBUF_PRIVATE, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	rx = rte_ring_create("rx", 256, SOCKET_ID_ANY, 0);
	tx = rte_ring_create("tx", 256, SOCKET_ID_ANY, 0);
	int port = rte_eth_from_rings("wire", &rx, 1, &tx, 1, 0);
	if (!wire_pool || !rx || !tx || port < 0)
		abort();
	wire_port = (uint16_t)port;
}

static int open_socket(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(PEER)};
	int fd = net_socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && net_connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		abort(); /* it cannot stand at once */
	return fd;
}

static void use_socket(int *fd)
{
	static uint8_t buf[65536];
	ssize_t n;
	switch (take() & 7) {
	case 0:
	case 1:
		n = net_send(*fd, buf, take16(), 0);
		break;
	case 2:
		net_shutdown(*fd, SHUT_WR);
		return;
	case 3:
		net_close(*fd);
		*fd = open_socket();
		return;
	default:
		n = net_recv(*fd, buf, 1u + take16(), 0);
		break;
	}
	if (n > (ssize_t)sizeof(buf) || n < -1)
		abort();
}

/* As a good peer would begin, so that inputs get to a connection that stands. */
static void handshake(void)
{
	uint8_t f[64] = {0};
	struct rte_arp_hdr *a = (void *)(f + ethernet(f, 0x0806));
	*a = (struct rte_arp_hdr){.arp_hardware = htons(1),
		.arp_protocol = htons(0x0800),
		.arp_hlen = 6,
		.arp_plen = 4,
		.arp_opcode = htons(RTE_ARP_OP_REPLY),
		.arp_data = {.arp_sip = htonl(PEER), .arp_tip = htonl(OWN)}};
	memcpy(a->arp_data.arp_sha.addr_bytes, peer_mac, 6);
	put(f, 60, false);
	run(2);
	peer_next = 77000;
	send_tcp(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 0, 0);
	run(2);
}

static void operate(int *fd)
{
	switch (take() & 7) {
	case 0:
		send_raw();
		break;
	case 1:
		send_arp();
		break;
	case 2:
		send_icmp();
		break;
	case 3:
		use_socket(fd);
		break;
	case 4:
		run(take() * 4u);
		break;
	case 5: {
		uint8_t flags = take();
		int16_t seq_off = (int16_t)take16();
		send_tcp(flags, seq_off, (int16_t)take16());
		break;
	}
	default:
		send_tcp(RTE_TCP_ACK_FLAG, (int8_t)take() / 64, 0);
		break;
	}
	run(1);
}

static void find_vmk_pool(struct rte_mempool *pool, void *arg)
{
	if (strstr(pool->name, "vmk"))
		*(struct rte_mempool **)arg = pool;
}

/* Made once, for speed. */
static struct vsw *the_switch(void)
{
	static const struct vsw_config config = {.uplink_count = 1,
		.uplinks = {{.name = "uplink0", .mtu = 1500}},
		.switch_count = 1,
		.switches = {{.name = "vSwitch0", .uplink_count = 1}},
		.portgroup_count = 1,
		.portgroups = {{.name = "storage"}}};
	static struct vsw *vsw;
	if (vsw)
		return vsw;
	eal_start();
	struct vsw_uplink_dev dev = {.ethdev_port = wire_port};
	native_start(1);
	if (vsw_create(&config, 0, &vsw) || vsw_uplink_attach(vsw, 0, &dev))
		abort();
	return vsw;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_vmknic_config vmk = {.name = "vmk0", .address = OWN, .prefix = 24};
	struct rte_mempool *pool = NULL;
	struct vsw *vsw = the_switch();
	void *m;

	if (net_init(0) || net_vmk_create(&vmk, vsw))
		abort();
	input = data;
	left = 0;
	run(2);
	int fd = open_socket();
	run(2);
	handshake();
	left = size;
	for (unsigned i = 0; i < OPS_MOST && left; i++)
		operate(&fd);
	left = 0;
	if (fd >= 0)
		net_close(fd);
	run(5);
	net_stop();
	run(5);
	while (!rte_ring_dequeue(tx, &m) || !rte_ring_dequeue(rx, &m))
		rte_pktmbuf_free(m);
	rte_mempool_walk(find_vmk_pool, &pool);
	if (!pool || rte_mempool_in_use_count(pool) || rte_mempool_in_use_count(wire_pool))
		abort();
	return 0;
}
