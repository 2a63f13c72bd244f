/* Counters by port and the MAC table as others see them. Owner: the switch's core. */
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
