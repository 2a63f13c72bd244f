/*
 * A set of vSwitches made from configuration: their port groups, domains, mbuf pools, the once-a-second tick and the poller that ends each
 * round of the core.
 *
 * Owner: the core given to vsw_create. mbuf pools are apart by who can hold buffers: guests' frames (and copies of flooded ones), vmks'
 * frames, and uplink receive rings; so a guest that floods, or a full uplink, leaves the hypervisor's own storage traffic its buffers.
 */
#include "switch.h"

#include "beacon.h"
#include "discovery.h"
#include "filter.h"
#include "gro.h"
#include "lacp_switch.h"
#include "mirror.h"
#include "snoop.h"

#include <errno.h>
#include <hv/mem.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#define GUEST_MBUFS 4095u
#define VMK_MBUFS 4095u
#define GSO_MBUFS 2047u /* an uplink's transmit ring and backlog */
#define TICK_NS 1000000000ull

static void pools_free(struct vsw *v)
{
	rte_mempool_free(v->guest_pool);
	rte_mempool_free(v->vmk_pool);
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++)
		rte_mempool_free(v->rx_pools[i]);
	rte_mempool_free(v->gso_headers);
	rte_mempool_free(v->gso_payloads);
}

static struct rte_mempool *pool_create(const char *what, unsigned core, unsigned count, uint16_t private, uint16_t room)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	hv_snprintf(name, sizeof(name), "vsw%u-%s", core, what);
	return rte_pktmbuf_pool_create(name, count, VSW_MBUF_CACHE, private, room, SOCKET_ID_ANY);
}

static int pools_create(struct vsw *v)
{
	v->guest_pool = pool_create("guest", v->core, GUEST_MBUFS, VSW_MBUF_PRIVATE, RTE_MBUF_DEFAULT_BUF_SIZE);
	v->vmk_pool = pool_create("vmk", v->core, VMK_MBUFS, VSW_MBUF_PRIVATE, RTE_MBUF_DEFAULT_BUF_SIZE);
	v->gso_headers = pool_create("gso-headers", v->core, GSO_MBUFS, 0, 2 * RTE_PKTMBUF_HEADROOM);
	v->gso_payloads = pool_create("gso-payloads", v->core, 2 * GSO_MBUFS, 0, 0);
	if (v->guest_pool && v->vmk_pool && v->gso_headers && v->gso_payloads)
		return 0;
	log_error("vswitch.memory", "no memory for packet buffers: %s", rte_strerror(rte_errno));
	pools_free(v);
	return trace_error(-ENOMEM);
}

/* The smallest MTU of its uplinks: what every frame of the switch can leave by. */
uint16_t vsw_switch_mtu(const struct vsw *v, const struct vsw_switch_config *c)
{
	uint16_t mtu = 0;

	for (unsigned i = 0; i < c->uplink_count; i++) {
		uint16_t one = v->config.uplinks[c->uplinks[i]].mtu;

		if (one && (!mtu || one < mtu))
			mtu = one;
	}
	return mtu ? mtu : VSW_MTU_DEFAULT;
}

static bool list_in_range(const struct vsw_config *c, const uint8_t *list, unsigned count)
{
	if (count > VSW_MAX_UPLINKS)
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (list[i] >= c->uplink_count)
			return false;
	}
	return true;
}

static bool teaming_in_range(const struct vsw_config *c, const struct vsw_teaming_config *t)
{
	return list_in_range(c, t->active, t->active_count) && list_in_range(c, t->standby, t->standby_count) &&
	       list_in_range(c, t->unused, t->unused_count) && t->load_balancing <= VSW_BALANCE_EXPLICIT &&
	       t->failure_detection <= VSW_DETECT_BEACON;
}

bool vsw_config_in_range(const struct vsw_config *c)
{
	if (c->uplink_count > VSW_MAX_UPLINKS || c->switch_count > VSW_MAX_SWITCHES || c->portgroup_count > VSW_MAX_PORTGROUPS)
		return false;
	for (unsigned i = 0; i < c->switch_count; i++) {
		if (!list_in_range(c, c->switches[i].uplinks, c->switches[i].uplink_count) ||
			!teaming_in_range(c, &c->switches[i].teaming) || c->switches[i].beacon.vlan > VSW_VLAN_MAX)
			return false;
	}
	for (unsigned i = 0; i < c->switch_count; i++) {
		if (c->switches[i].private_vlan_count > VSW_MAX_PRIVATE_VLANS)
			return false;
		for (unsigned k = 0; k < c->switches[i].private_vlan_count; k++) {
			if (!vsw_private_in_range(&c->switches[i].private_vlans[k]))
				return false;
		}
	}
	for (unsigned i = 0; i < c->portgroup_count; i++) {
		if (c->portgroups[i].vswitch >= c->switch_count || c->portgroups[i].vlan > VSW_VLAN_MAX ||
			c->portgroups[i].private_vlan > VSW_VLAN_MAX || c->portgroups[i].native_vlan > VSW_VLAN_MAX ||
			c->portgroups[i].trunk_count > VSW_MAX_VLAN_RANGES || !teaming_in_range(c, &c->portgroups[i].teaming))
			return false;
	}
	return vsw_mirrors_in_range(c);
}

struct vsw_switch *vsw_switch_new(struct vsw *v)
{
	struct vsw_switch *sw = hv_contig_alloc(sizeof(*sw), HV_PAGE_SIZE);

	if (!sw)
		return NULL;
	sw->v = v;
	if (!fdb_create(&sw->fdb)) {
		sw->fdb.elsewhere = vsw_trunk_elsewhere;
		return sw;
	}
	hv_contig_free(sw, sizeof(*sw));
	return NULL;
}

void vsw_switch_free(struct vsw_switch *sw)
{
	fdb_destroy(&sw->fdb);
	hv_contig_free(sw, sizeof(*sw));
}

static void switches_free(struct vsw *v)
{
	for (unsigned i = 1; i <= v->domain_count; i++) {
		if (v->domains[i])
			hv_contig_free(v->domains[i], sizeof(*v->domains[i]));
	}
	for (unsigned i = 0; i < v->config.portgroup_count; i++)
		hv_contig_free(v->portgroups[i], sizeof(*v->portgroups[i]));
	for (unsigned i = 0; i < v->config.switch_count; i++)
		vsw_switch_free(v->switches[i]);
}

static void tick(struct hv_timer *t)
{
	struct vsw *v = hv_container_of(t, struct vsw, tick);

	for (unsigned i = 0; i < v->config.switch_count; i++)
		fdb_tick(&v->switches[i]->fdb,
			v->config.switches[i].mac_ageing_s ? v->config.switches[i].mac_ageing_s : VSW_AGEING_DEFAULT_S);
	vsw_discovery_tick(v);
	vsw_snoop_tick(v);
	for (unsigned i = 0; i < v->port_count; i++) {
		if (v->ports[i])
			vsw_filters_tick(v->ports[i]);
	}
	vsw_team_update(v); /* failback delays end */
	hv_timer_arm(t, hv_now_ns() + TICK_NS);
}

static void watch(struct hv_timer *t)
{
	struct vsw *v = hv_container_of(t, struct vsw, watch);
	bool changed = false;

	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		if (v->uplinks[i])
			vsw_uplink_watch(v->uplinks[i]);
	}
	for (unsigned i = 0; i < v->config.switch_count; i++)
		changed |= vsw_lacp_step(v->switches[i]) | vsw_beacon_step(v->switches[i]);
	if (changed)
		vsw_team_update(v);
	hv_timer_arm(t, hv_now_ns() + VSW_WATCH_NS);
}

/* Frames that a port's driver left staged (no tx_flush) do not wait longer than a round. */
static unsigned poll_leftovers(struct hv_poller *poller)
{
	struct vsw *v = hv_container_of(poller, struct vsw, poller);
	unsigned n = v->dirty.count;

	if (n)
		vsw_flush(v);
	return n;
}

/* Frames staged by a fiber or a message after this round's polling keep the core awake. */
static bool arm_leftovers(struct hv_poller *poller, bool on)
{
	return on && hv_container_of(poller, struct vsw, poller)->dirty.count;
}

int vsw_create(const struct vsw_config *config, unsigned core, struct vsw **out)
{
	struct vsw *v;
	int err;

	hv_assert(hv_core_self() == core);
	if (!vsw_config_in_range(config))
		return trace_error(-EINVAL);
	v = hv_contig_alloc(sizeof(*v), HV_PAGE_SIZE);
	if (!v)
		return trace_error(-ENOMEM);
	v->core = core;
	for (unsigned i = 0; i < HV_ARRAY_LEN(v->local.out); i++) {
		v->local.out[i] = &v->nowhere;
		for (unsigned k = 0; k < VSW_MAX_UPLINKS; k++)
			v->from_uplink[k].out[i] = &v->nowhere;
	}
	err = pools_create(v);
	if (err)
		goto free_vsw;
	err = vsw_gro_create(v);
	if (err)
		goto free_pools;
	vsw_notify_init(v);
	vsw_snoop_init(v);
	err = vsw_apply(v, config, NULL); /* from nothing */
	if (err)
		goto free_gro;
	v->tick.fn = tick;
	hv_timer_arm(&v->tick, hv_now_ns() + TICK_NS);
	v->watch.fn = watch;
	hv_timer_arm(&v->watch, hv_now_ns() + VSW_WATCH_NS);
	v->poller = (struct hv_poller){.poll = poll_leftovers, .arm = arm_leftovers, .name = "vswitch"};
	hv_poller_add(&v->poller);
	*out = v;
	return 0;
free_gro:
	vsw_gro_destroy(v);
free_pools:
	pools_free(v);
free_vsw:
	hv_contig_free(v, sizeof(*v));
	return err;
}

void vsw_destroy(struct vsw *v)
{
	hv_poller_remove(&v->poller);
	hv_poller_remove(&v->puller);
	hv_timer_cancel(&v->tick);
	hv_timer_cancel(&v->watch);
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		if (v->uplinks[i])
			vsw_uplink_detach(v->uplinks[i]);
	}
	hv_timer_cancel(&v->notify); /* a detached uplink makes another the active one, which begins to notify */
	vsw_mirrors_free(v);
	switches_free(v);
	vsw_gro_destroy(v);
	pools_free(v);
	hv_contig_free(v, sizeof(*v));
}

unsigned vsw_core(const struct vsw *v)
{
	return v->core;
}
