/*
 * Several receive queues of one port, flows spread over them by RSS. The peer sends datagrams in FLOWS flows, which differ in their source
 * ports; a datagram's payload is its flow's number. Each queue has a poller of its own, which arms its own interrupt: when only flows of
 * one queue are sent, nothing else wakes the core.
 */
#include "checks.h"

#include <hv/core.h>
#include <hv/log.h>
#include <nic/nic.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <string.h>

#define QUEUES 4u
#define FLOWS 64u
#define MBUFS 4095u
#define SECOND 1000000000ull

static const struct nic *nic;
static struct hv_fiber *waiting;
static int queue_of_flow[FLOWS]; /* -1: none seen */
static unsigned flows_seen, flows_moved, frames;

static struct queue {
	struct hv_poller poller;
	uint16_t index;
	unsigned frames, arms;
} queues[QUEUES];

static void count_frame(struct queue *q, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	uint32_t flow;

	if (m->data_len < sizeof(struct rte_ether_hdr) + sizeof(*ip) + sizeof(*udp) + sizeof(flow) || ip->next_proto_id != IPPROTO_UDP)
		return;
	memcpy(&flow, udp + 1, sizeof(flow));
	if (flow >= FLOWS)
		return;
	frames++;
	q->frames++;
	if (queue_of_flow[flow] < 0) {
		queue_of_flow[flow] = q->index;
		flows_seen++;
	} else {
		flows_moved += queue_of_flow[flow] != q->index;
	}
}

static unsigned receive(struct queue *q)
{
	struct rte_mbuf *m[32];
	uint16_t n = rte_eth_rx_burst(nic->port, q->index, m, HV_ARRAY_LEN(m));

	for (uint16_t i = 0; i < n; i++)
		count_frame(q, m[i]);
	rte_pktmbuf_free_bulk(m, n);
	if (n && waiting)
		hv_fiber_wake(waiting);
	return n;
}

static unsigned poll(struct hv_poller *p)
{
	return receive(hv_container_of(p, struct queue, poller));
}

static bool arm(struct hv_poller *p, bool on)
{
	struct queue *q = hv_container_of(p, struct queue, poller);

	nic_rx_arm((void *)nic, q->index, on);
	q->arms += on;
	return on && receive(q) > 0;
}

static int start(struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {.rxmode = {.mtu = 1500, .mq_mode = RTE_ETH_MQ_RX_RSS}, .intr_conf.rxq = 1};
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(nic->port, &info);

	conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	if (!err)
		err = rte_eth_dev_configure(nic->port, QUEUES, 1, &conf);
	for (uint16_t q = 0; !err && q < QUEUES; q++)
		err = rte_eth_rx_queue_setup(nic->port, q, 256, SOCKET_ID_ANY, NULL, pool);
	if (!err)
		err = rte_eth_tx_queue_setup(nic->port, 0, 256, SOCKET_ID_ANY, NULL);
	return err ? err : rte_eth_dev_start(nic->port);
}

/* Asks the peer for a datagram of each of these flows and waits for them; the core may sleep between two. A core that nothing wakes sleeps
 * to the end. */
static bool flows_arrive(const char *which, unsigned count)
{
	uint64_t end = hv_now_ns() + 20 * SECOND;

	frames = 0;
	log_info("test.request", "send flows%s", which);
	waiting = hv_fiber_self();
	while (frames < count && hv_now_ns() < end)
		hv_fiber_park(end);
	waiting = NULL;
	return frames == count;
}

/*
 * Does a frame of this queue wake the core? One that sleeps on wakes all the same when the timer's longest interval ends (4.3 s for 32 bits
 * of nanoseconds) and then sees the frames, each time; a slow machine is not that slow each time.
 */
static bool queue_wakes(const struct queue *q)
{
	char which[FLOWS * 3 + 1] = "";
	unsigned count = 0;
	size_t at = 0;

	for (unsigned flow = 0; flow < FLOWS; flow++) {
		if (queue_of_flow[flow] != q->index)
			continue;
		at += (size_t)hv_snprintf(which + at, sizeof(which) - at, " %u", flow);
		count++;
	}
	for (unsigned i = 0; i < 5; i++) {
		uint64_t start = hv_now_ns();

		if (flows_arrive(which, count) && hv_now_ns() - start < 2 * SECOND)
			return true;
	}
	return false;
}

void check_queues(const struct nic *n)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create("queues", MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	unsigned used = 0;

	nic = n;
	CHECK(nic->rx_queues_max >= QUEUES && pool != NULL);
	memset(queue_of_flow, 0xff, sizeof(queue_of_flow));
	if (nic->rx_queues_max < QUEUES || !pool || start(pool)) {
		check_line(false, "the port starts with several queues", __FILE__, __LINE__);
		return;
	}
	for (uint16_t q = 0; q < QUEUES; q++) {
		queues[q] = (struct queue){.poller = {.poll = poll, .arm = arm, .name = "queue"}, .index = q};
		hv_poller_add(&queues[q].poller);
	}
	CHECK(flows_arrive("", FLOWS));
	CHECK(flows_arrive("", FLOWS));
	for (unsigned q = 0; q < QUEUES; q++)
		CHECK(queue_wakes(&queues[q]));
	for (unsigned q = 0; q < QUEUES; q++) {
		log_info("test.queue", "queue %u: %u frames, armed %u times", q, queues[q].frames, queues[q].arms);
		used += queues[q].frames > 0 && queues[q].arms > 0;
		hv_poller_remove(&queues[q].poller);
	}
	CHECK(used == QUEUES);
	CHECK(flows_seen == FLOWS && flows_moved == 0);
	CHECK(rte_eth_dev_stop(nic->port) == 0);
	CHECK(rte_eth_dev_close(nic->port) == 0);
	CHECK(rte_mempool_avail_count(pool) == MBUFS);
}
