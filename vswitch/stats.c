/*
 * Counters by port, port group and in total, and the MAC table, as others see them. The path counts at ports only; a port group is the sum
 * of its ports and of what those counted that have left it.
 *
 * Owner: the switch's core.
 */
#include "switch.h"

const char *vsw_drop_name(enum vsw_drop reason)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		VSW_DROPS(X)
#undef X
	};

	return reason < VSW_DROP_COUNT ? names[reason] : "?";
}

const char *vsw_drop_text(enum vsw_drop reason)
{
	static const char *const texts[] = {
#define X(id, name, text) text,
		VSW_DROPS(X)
#undef X
	};

	return reason < VSW_DROP_COUNT ? texts[reason] : "?";
}

const char *vsw_port_kind_name(enum vsw_port_kind kind)
{
	static const char *const names[] = {[VSW_PORT_GUEST] = "guest", [VSW_PORT_VMK] = "vmk", [VSW_PORT_UPLINK] = "uplink"};

	return kind < HV_ARRAY_LEN(names) ? names[kind] : "?";
}

static void port_info(const struct vsw *v, const struct vsw_port *p, struct vsw_port_info *info)
{
	*info = (struct vsw_port_info){
		.name = p->name,
		.vswitch = p->sw->config->name,
		.portgroup = p->portgroup ? p->portgroup->config->name : "",
		.kind = p->kind,
		.vlan = p->portgroup && p->portgroup->domain ? p->portgroup->domain->vlan : 0,
		.trunk = p->flags & VSW_PF_TRUNK,
		.link_up = p->link_up,
		.counters = &p->count,
	};
	if (p->kind != VSW_PORT_UPLINK)
		vsw_store_mac(info->mac, p->mac);
	else
		memcpy(info->mac, p->uplink_mac, sizeof(info->mac));
}

static void foreach_kind(const struct vsw *v, bool uplinks, void (*fn)(void *, const struct vsw_port_info *), void *arg)
{
	struct vsw_port_info info;

	for (unsigned i = 0; i < v->port_count; i++) {
		if (!v->ports[i] || (v->ports[i]->kind == VSW_PORT_UPLINK) != uplinks)
			continue;
		port_info(v, v->ports[i], &info);
		fn(arg, &info);
	}
}

void vsw_port_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_port_info *info), void *arg)
{
	foreach_kind(v, true, fn, arg);
	foreach_kind(v, false, fn, arg);
}

/* ---- sums ---- */

#define COUNTERS (sizeof(struct vsw_counters) / sizeof(uint64_t)) /* nothing else is in it */

/* Adds what `now` has more than `then`. */
static void add(struct vsw_counters *sum, const struct vsw_counters *now, const struct vsw_counters *then)
{
	uint64_t part[3][COUNTERS];

	memcpy(part[0], sum, sizeof(*sum));
	memcpy(part[1], now, sizeof(*now));
	memcpy(part[2], then, sizeof(*then));
	for (unsigned i = 0; i < COUNTERS; i++)
		part[0][i] += part[1][i] - part[2][i];
	memcpy(sum, part[0], sizeof(*sum));
}

void vsw_stats_leave(struct vsw_port *p)
{
	if (!p->portgroup)
		return;
	add(&p->portgroup->past, &p->count, &p->before);
	p->before = p->count;
}

void vsw_stats_gone(const struct vsw_port *p)
{
	static const struct vsw_counters none;

	add(&p->sw->v->past, &p->count, &none);
}

void vsw_portgroup_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_portgroup_info *info), void *arg)
{
	for (unsigned g = 0; g < v->config.portgroup_count; g++) {
		const struct vsw_portgroup *pg = v->portgroups[g];
		struct vsw_portgroup_info info = {.name = pg->config->name, .vswitch = pg->sw->config->name, .counters = pg->past};

		for (unsigned i = 0; i < v->port_count; i++) {
			if (!v->ports[i] || v->ports[i]->portgroup != pg)
				continue;
			add(&info.counters, &v->ports[i]->count, &v->ports[i]->before);
			info.ports++;
		}
		fn(arg, &info);
	}
}

void vsw_total(const struct vsw *v, struct vsw_counters *out)
{
	static const struct vsw_counters none;

	*out = v->past;
	for (unsigned i = 0; i < v->port_count; i++) {
		if (v->ports[i])
			add(out, &v->ports[i]->count, &none);
	}
}

/* ---- the MAC table ---- */

static void fdb_slot_info(const struct vsw_switch *sw, uint32_t slot, struct vsw_fdb_info *info)
{
	const struct vsw *v = sw->v;
	uint64_t key = sw->fdb.key[slot];
	uint16_t domain = (uint16_t)key, port = fdb_slot_port(&sw->fdb, slot);
	bool is_static = fdb_is_static(&sw->fdb, slot);

	*info = (struct vsw_fdb_info){
		.vlan = domain == VSW_DOMAIN_TRUNK ? VSW_VLAN_TRUNK : v->domains[domain]->vlan,
		.vswitch = sw->config->name,
		.port = port == VSW_PORT_OUTSIDE ? "outside" : v->ports[port]->name,
		.is_static = is_static,
		.age_s = is_static ? 0 : sw->fdb.tick - fdb_entry_stamp(sw->fdb.entry[slot]),
	};
	vsw_store_mac(info->mac, key >> 16);
}

void vsw_fdb_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_fdb_info *info), void *arg)
{
	struct vsw_fdb_info info;

	for (unsigned s = 0; s < v->config.switch_count; s++) {
		for (uint32_t slot = 0; slot < FDB_TABLE; slot++) {
			if (!v->switches[s]->fdb.key[slot] || fdb_slot_port(&v->switches[s]->fdb, slot) == VSW_PORT_PRIVATE)
				continue;
			fdb_slot_info(v->switches[s], slot, &info);
			fn(arg, &info);
		}
	}
}

uint64_t vsw_fdb_refused(const struct vsw *v)
{
	uint64_t sum = 0;

	for (unsigned s = 0; s < v->config.switch_count; s++)
		sum += v->switches[s]->fdb.refused;
	return sum;
}
