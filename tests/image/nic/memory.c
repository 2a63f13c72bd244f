/* Memory, memory zones, mempools on several cores, alarms. */
#include "checks.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <nic/nic.h>
#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

static bool contiguous(const char *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += HV_PAGE_SIZE) {
		if (rte_mem_virt2iova(p + at) != rte_mem_virt2iova(p) + at)
			return false;
	}
	return true;
}

static void check_zones(void)
{
	const struct rte_memzone *z = rte_memzone_reserve_aligned("test", 5u << 20, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG, 65536);

	CHECK(z && z->iova % 65536 == 0 && contiguous(z->addr, z->len));
	CHECK(rte_memzone_lookup("test") == z);
	CHECK(!rte_memzone_reserve("test", 100, SOCKET_ID_ANY, 0) && rte_errno == EEXIST);
	CHECK(rte_memzone_free(z) == 0);
	CHECK(rte_memzone_free(z) == -EINVAL);
	CHECK(!rte_memzone_lookup("test"));
}

void check_memory(void)
{
	char *p = rte_zmalloc("test", 3u << 20, 4096), *q;

	CHECK(p && (uintptr_t)p % 4096 == 0 && contiguous(p, 3u << 20));
	CHECK(p && hv_phys_to_virt(HPA(rte_mem_virt2iova(p))) == p);
	if (p)
		p[1000] = 77;
	q = rte_realloc(p, 5u << 20, 0);
	CHECK(q && q[1000] == 77 && contiguous(q, 5u << 20));
	rte_free(q);
	check_zones();
}

/* ---- alarms ---- */

static unsigned rings;
static uint64_t rang_at;

static void ring(void *arg)
{
	rings += (unsigned)(uintptr_t)arg;
	rang_at = hv_now_ns();
}

void check_alarms(void)
{
	uint64_t start = hv_now_ns();

	CHECK(rte_eal_alarm_set(5000, ring, (void *)1) == 0);
	CHECK(rte_eal_alarm_set(1000, ring, (void *)16) == 0);
	CHECK(rte_eal_alarm_set(1000, ring, (void *)16) == 0);
	CHECK(rte_eal_alarm_cancel(ring, (void *)16) == 2);
	CHECK(rte_eal_alarm_cancel(ring, (void *)16) == -ENOENT);
	CHECK(rte_eal_alarm_set(0, ring, NULL) == -EINVAL);
	sleep_ns(100000000);
	CHECK(rings == 1 && rang_at - start >= 5000000 && rang_at - start < 95000000);
	CHECK(rte_get_tsc_hz() > hv_tsc_hz() / 100 * 98 && rte_get_tsc_hz() < hv_tsc_hz() / 100 * 102);
}

/* ---- mempools from every core at once ---- */

#define POOL_MBUFS 4095u
#define ROUNDS 3000u

static struct rte_mempool *pool;
static unsigned done, spoiled;
static struct hv_msg jobs[HV_MAX_CORES];

/* Takes and returns bursts, marking each mbuf as its own meanwhile: one mbuf given to two cores would show. */
static void exercise(void)
{
	struct rte_mbuf *m[32];
	uint32_t me = hv_core_self() + 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		if (rte_pktmbuf_alloc_bulk(pool, m, HV_ARRAY_LEN(m)))
			continue;
		for (unsigned i = 0; i < HV_ARRAY_LEN(m); i++)
			m[i]->hash.rss = me;
		for (unsigned i = 0; i < HV_ARRAY_LEN(m); i++) {
			if (m[i]->hash.rss != me)
				__atomic_fetch_add(&spoiled, 1, __ATOMIC_RELAXED);
		}
		rte_pktmbuf_free_bulk(m, HV_ARRAY_LEN(m));
	}
	__atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
}

/* The last core never joins: it must work without a cache. */
static void job(struct hv_msg *m)
{
	if (hv_core_self() != hv_core_count() - 1)
		nic_core_join();
	exercise();
}

void check_cores(void)
{
	pool = rte_pktmbuf_pool_create("cores", POOL_MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	CHECK(pool != NULL);
	if (!pool)
		return;
	CHECK(rte_lcore_id() == hv_core_self());
	for (unsigned core = 1; core < hv_core_count(); core++) {
		jobs[core].fn = job;
		hv_msg_post(core, &jobs[core]);
	}
	exercise();
	for (unsigned i = 0; i < 1000 && __atomic_load_n(&done, __ATOMIC_ACQUIRE) < hv_core_count(); i++)
		sleep_ns(10000000);
	CHECK(done == hv_core_count());
	CHECK(spoiled == 0);
	CHECK(rte_mempool_avail_count(pool) == POOL_MBUFS);
	rte_mempool_free(pool);
	CHECK(rte_mempool_lookup("cores") == NULL);
}
