/* Brings DPDK up, in an explicit order. See eal.h. */
#include "eal/eal.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_errno.h>

#include <bus_driver.h>
#include <eal_internal_cfg.h>
#include <eal_memcfg.h>
#include <eal_private.h>

static int tail_queues(void)
{
	return rte_eal_tailqs_init() < 0 ? -ENOMEM : 0;
}

static int clock_rate(void)
{
	set_tsc_freq();
	return rte_get_tsc_hz() ? 0 : -EIO;
}

static int scan(void)
{
	return rte_bus_scan() ? -EIO : 0;
}

/* Fails only when every device failed, each with its own log line; a host without a usable NIC still runs. */
static int probe(void)
{
	if (rte_bus_probe())
		log_warn("nic.probe", "no PCI device could be taken by its driver");
	return 0;
}

static int complete(void)
{
	eal_mcfg_complete();
	return 0;
}

static const struct {
	const char *what;
	int (*start)(void);
} steps[] = {{"tail queues", tail_queues}, {"clock", clock_rate}, {"PCI scan", scan}, {"probe", probe}, {"completion", complete}};

int eal_start(void)
{
	struct rte_config *config = rte_eal_get_configuration();

	config->process_type = RTE_PROC_PRIMARY;
	config->main_lcore = hv_core_self();
	config->numa_node_count = 1;
	for (unsigned i = 0; i < RTE_MAX_LCORE; i++)
		config->lcore_role[i] = ROLE_OFF;
	eal_get_internal_configuration()->no_telemetry = 1;
	eal_memory_start();
	eal_lcore_join();
	for (unsigned i = 0; i < HV_ARRAY_LEN(steps); i++) {
		int err = steps[i].start();

		if (err) {
			log_error("nic.start", "DPDK does not start: %s: error %d", steps[i].what, -err);
			return trace_error(err);
		}
	}
	return 0;
}
