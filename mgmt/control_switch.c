/* The control console's questions about the switch: MAC table, neighbours, drops. Each answers with one line of JSON. */
#include "control.h"

#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <vswitch/neighbor.h>
#include <vswitch/vswitch.h>

/* ---- MAC table ---- */

static void mac_add(void *arg, const struct vsw_fdb_info *info)
{
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l);
	const uint8_t *m = info->mac;
	char mac[18];

	hv_snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	yyjson_mut_obj_add_strcpy(l->doc, o, "mac", mac);
	yyjson_mut_obj_add_uint(l->doc, o, "vlan", info->vlan);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_strcpy(l->doc, o, "port", info->port);
	yyjson_mut_obj_add_bool(l->doc, o, "static", info->is_static);
	yyjson_mut_obj_add_uint(l->doc, o, "age_s", info->age_s);
}

void control_switch_macs(const struct inventory *inv)
{
	struct control_listing l;

	if (!control_listing_begin(&l, inv, "macs"))
		return;
	control_listing_list(&l, "macs");
	vsw_fdb_foreach(inv->parts.vsw, mac_add, &l);
	control_send(l.doc);
}

/* ---- neighbours ---- */

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const char *text)
{
	if (text[0])
		yyjson_mut_obj_add(o, yyjson_mut_str(doc, key), yyjson_mut_strcpy(doc, text));
}

static void add_number(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, uint64_t value)
{
	if (value)
		yyjson_mut_obj_add(o, yyjson_mut_str(doc, key), yyjson_mut_uint(doc, value));
}

static void neighbor_lists(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct vsw_neighbor *n)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "vlans");

	for (unsigned i = 0; i < n->vlan_count; i++)
		yyjson_mut_arr_add_uint(doc, list, n->vlans[i]);
	list = yyjson_mut_obj_add_arr(doc, o, "capabilities");
	for (unsigned i = 0; i < VSW_CAPABILITY_COUNT; i++) {
		if (n->capabilities >> i & 1)
			yyjson_mut_arr_add_str(doc, list, vsw_capability_name(i));
	}
}

static void neighbor_add(void *arg, const struct vsw_neighbor_info *info)
{
	struct control_listing *l = arg;
	const struct vsw_neighbor *n = info->neighbor;
	yyjson_mut_val *o = control_listing_add(l);

	yyjson_mut_obj_add_strcpy(l->doc, o, "uplink", info->uplink);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_str(l->doc, o, "protocol", vsw_discovery_protocol_name(n->protocol));
	yyjson_mut_obj_add_strcpy(l->doc, o, "chassis", n->chassis);
	yyjson_mut_obj_add_strcpy(l->doc, o, "port", n->port);
	add_text(l->doc, o, "port_description", n->port_description);
	add_text(l->doc, o, "system_name", n->system_name);
	add_text(l->doc, o, "platform", n->platform);
	add_text(l->doc, o, "address", n->address);
	if (n->has_vlan)
		yyjson_mut_obj_add_uint(l->doc, o, "vlan", n->vlan);
	neighbor_lists(l->doc, o, n);
	add_number(l->doc, o, "max_frame_bytes", n->max_frame_bytes);
	add_number(l->doc, o, "mtu_bytes", n->mtu_bytes);
	yyjson_mut_obj_add_bool(l->doc, o, "mtu_too_small", info->mtu_too_small);
	yyjson_mut_obj_add_bool(l->doc, o, "aggregated", n->aggregated);
	yyjson_mut_obj_add_uint(l->doc, o, "ttl_s", n->ttl_s);
	yyjson_mut_obj_add_uint(l->doc, o, "age_s", info->age_s);
	yyjson_mut_obj_add_uint(l->doc, o, "expires_s", info->expires_s);
}

static void discovery_add(void *arg, const struct vsw_discovery_info *info)
{
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l);

	yyjson_mut_obj_add_strcpy(l->doc, o, "uplink", info->uplink);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_bool(l->doc, o, "listens", info->listens);
	yyjson_mut_obj_add_bool(l->doc, o, "advertises", info->advertises);
	yyjson_mut_obj_add_uint(l->doc, o, "sent", info->counters->sent);
	yyjson_mut_obj_add_uint(l->doc, o, "received_lldp", info->counters->received_lldp);
	yyjson_mut_obj_add_uint(l->doc, o, "received_cdp", info->counters->received_cdp);
	yyjson_mut_obj_add_uint(l->doc, o, "malformed", info->counters->malformed);
	yyjson_mut_obj_add_uint(l->doc, o, "expired", info->counters->expired);
	yyjson_mut_obj_add_uint(l->doc, o, "refused", info->counters->refused);
}

void control_switch_neighbors(const struct inventory *inv)
{
	struct control_listing l;

	if (!control_listing_begin(&l, inv, "neighbors"))
		return;
	control_listing_list(&l, "neighbors");
	vsw_neighbor_foreach(inv->parts.vsw, neighbor_add, &l);
	control_listing_list(&l, "uplinks");
	vsw_discovery_foreach(inv->parts.vsw, discovery_add, &l);
	control_send(l.doc);
}

/* ---- drops ---- */

struct drop_walk {
	struct control_listing ports; /* of one reason */
	enum vsw_drop reason;
};

static void drop_port_add(void *arg, const struct vsw_port_info *info)
{
	struct drop_walk *w = arg;
	yyjson_mut_val *o;

	if (!info->counters->drop[w->reason])
		return;
	o = control_listing_add(&w->ports);
	yyjson_mut_obj_add_strcpy(w->ports.doc, o, "port", info->name);
	yyjson_mut_obj_add_strcpy(w->ports.doc, o, "portgroup", info->portgroup);
	yyjson_mut_obj_add_uint(w->ports.doc, o, "count", info->counters->drop[w->reason]);
}

static void drop_add(struct control_listing *l, const struct vsw *v, enum vsw_drop reason, uint64_t count)
{
	yyjson_mut_val *o = control_listing_add(l);
	struct drop_walk w = {.ports.doc = l->doc, .reason = reason};

	yyjson_mut_obj_add_str(l->doc, o, "reason", vsw_drop_name(reason));
	yyjson_mut_obj_add_str(l->doc, o, "text", vsw_drop_text(reason));
	yyjson_mut_obj_add_uint(l->doc, o, "count", count);
	w.ports.list = yyjson_mut_obj_add_arr(l->doc, o, "ports");
	vsw_port_foreach(v, drop_port_add, &w);
}

void control_switch_drops(const struct inventory *inv)
{
	struct vsw_counters total;
	struct control_listing l;

	if (!control_listing_begin(&l, inv, "drops"))
		return;
	vsw_total(inv->parts.vsw, &total);
	control_listing_list(&l, "drops");
	yyjson_mut_obj_add_uint(l.doc, yyjson_mut_doc_get_root(l.doc), "dropped", total.drops);
	for (unsigned reason = 0; reason < VSW_DROP_COUNT; reason++) {
		if (total.drop[reason])
			drop_add(&l, inv->parts.vsw, (enum vsw_drop)reason, total.drop[reason]);
	}
	control_send(l.doc);
}
