/*
 * Cost of a packet through the driver, for ./run bench: QEMU counts instructions as nanoseconds there (-icount shift=0), so time
 * differences are instruction counts. Bursts of 32 frames of 60 bytes; the mbuf pool's part (allocate, free) is measured alone and is
 * contained in the other two: the receive side refills its ring, the transmit side frees what was sent.
 */
#include "checks.h"

#include <hv/core.h>
#include <hv/log.h>
#include <nic/nic.h>
#include <rte_ethdev.h>

enum { BURST = 32, BURSTS = 300 };

struct cost {
	uint64_t ns, packets;
};

static void add(struct cost *c, uint64_t start, unsigned packets)
{
	c->ns += hv_now_ns() - start;
	c->packets += packets;
}

static void tell(const char *what, const struct cost *c, uint64_t clock_ns)
{
	uint64_t ns = c->ns - clock_ns;

	log_info("bench", "%s: %llu instructions per packet (%llu packets)", what, (unsigned long long)(c->packets ? ns / c->packets : 0),
		(unsigned long long)c->packets);
}

static void receive(uint16_t port, struct cost *rx, struct cost *idle)
{
	struct rte_mbuf *m[BURST];
	uint64_t start = hv_now_ns();
	uint16_t n = rte_eth_rx_burst(port, 0, m, BURST);

	add(n ? rx : idle, start, n ? n : 1);
	rte_pktmbuf_free_bulk(m, n);
}

static void transmit(uint16_t port, struct rte_mbuf *(*make)(void), struct cost *tx)
{
	struct rte_mbuf *m[BURST];
	unsigned made = 0;
	uint64_t start;
	uint16_t sent;

	while (made < BURST && (m[made] = make()))
		made++;
	start = hv_now_ns();
	sent = rte_eth_tx_burst(port, 0, m, (uint16_t)made);
	add(tx, start, sent);
	rte_pktmbuf_free_bulk(m + sent, made - sent);
}

static uint64_t clock_cost(void)
{
	uint64_t start = hv_now_ns();

	for (unsigned i = 0; i < 99; i++)
		hv_now_ns();
	return (hv_now_ns() - start) / 100;
}

void bench(uint16_t port, struct rte_mempool *pool, struct rte_mbuf *(*make)(void))
{
	struct cost tx = {0}, rx = {0}, idle = {0}, pool_cost = {0};
	struct rte_mbuf *m[BURST];

	for (unsigned i = 0; i < BURSTS; i++) {
		uint64_t start = hv_now_ns();

		if (!rte_pktmbuf_alloc_bulk(pool, m, BURST)) {
			rte_pktmbuf_free_bulk(m, BURST);
			add(&pool_cost, start, BURST);
		}
		transmit(port, make, &tx);
		sleep_ns(1000000);
		for (unsigned k = 0; k < 4; k++)
			receive(port, &rx, &idle);
	}
	log_info("bench", "reading the clock: %llu instructions", (unsigned long long)clock_cost());
	tell("mbuf allocate and free", &pool_cost, BURSTS * clock_cost());
	tell("transmit", &tx, BURSTS * clock_cost());
	tell("receive", &rx, rx.packets / BURST * clock_cost());
	tell("poll of an empty queue", &idle, idle.packets * clock_cost());
}
