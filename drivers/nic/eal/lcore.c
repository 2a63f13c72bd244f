/*
 * Cores as DPDK sees them: an lcore is an I/O core of ours, with the same number. A core that never joined has lcore id LCORE_ID_ANY, for
 * which mempools keep no cache and take the shared ring instead, so calling DPDK from it is slow but safe.
 *
 * Each core's id is in its own TLS block (per_lcore__lcore_id). The configuration is written when a core joins, at start-up.
 */
#include "eal/eal.h"

#include <hv/core.h>
#include <hv/log.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include <eal_private.h>

_Static_assert(RTE_MAX_LCORE >= HV_MAX_CORES, "every core has an lcore number");

RTE_DEFINE_PER_LCORE(unsigned int, _lcore_id) = LCORE_ID_ANY;

void eal_lcore_join(void)
{
	struct rte_config *config = rte_eal_get_configuration();
	unsigned self = hv_core_self();

	if (RTE_PER_LCORE(_lcore_id) == self)
		return;
	RTE_PER_LCORE(_lcore_id) = self;
	config->lcore_role[self] = ROLE_RTE;
	__atomic_fetch_add(&config->lcore_count, 1, __ATOMIC_RELAXED);
}

unsigned int rte_get_main_lcore(void)
{
	return rte_eal_get_configuration()->main_lcore;
}

unsigned int rte_lcore_count(void)
{
	return rte_eal_get_configuration()->lcore_count;
}

enum rte_lcore_role_t rte_eal_lcore_role(unsigned int lcore_id)
{
	return lcore_id < RTE_MAX_LCORE ? rte_eal_get_configuration()->lcore_role[lcore_id] : ROLE_OFF;
}

int rte_lcore_is_enabled(unsigned int lcore_id)
{
	return rte_eal_lcore_role(lcore_id) == ROLE_RTE;
}

unsigned int rte_get_next_lcore(unsigned int i, int skip_main, int wrap)
{
	for (i++; i < RTE_MAX_LCORE || wrap; i++) {
		if (i >= RTE_MAX_LCORE) {
			i = 0;
			wrap = 0;
		}
		if (rte_lcore_is_enabled(i) && !(skip_main && i == rte_get_main_lcore()))
			return i;
	}
	return RTE_MAX_LCORE;
}

/* One NUMA node: hv's page allocator knows no other. */
unsigned int rte_socket_count(void)
{
	return 1;
}

int rte_socket_id_by_idx(unsigned int idx)
{
	return idx == 0 ? 0 : -1;
}

unsigned int rte_socket_id(void)
{
	return 0;
}

unsigned int rte_lcore_to_socket_id(unsigned int lcore_id)
{
	return 0;
}
