/* The control console's `uplinks`: links, beacons, LACP, which port groups use which uplink, and which port sends by which. */
#include "control.h"

#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <vswitch/uplinks.h>

static void lacp_side(yyjson_mut_doc *doc, yyjson_mut_val *lacp, const char *who, const struct vsw_lacp_side *s)
{
	static const char *const names[8] = {
		"active", "short-timeout", "aggregatable", "in-sync", "collecting", "distributing", "defaulted", "expired"};
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, lacp, who), *state;
	char system[18];

	hv_snprintf(system, sizeof(system), "%02x:%02x:%02x:%02x:%02x:%02x", s->system[0], s->system[1], s->system[2], s->system[3],
		s->system[4], s->system[5]);
	yyjson_mut_obj_add_strcpy(doc, o, "system", system);
	yyjson_mut_obj_add_uint(doc, o, "system_priority", s->system_priority);
	yyjson_mut_obj_add_uint(doc, o, "key", s->key);
	yyjson_mut_obj_add_uint(doc, o, "port", s->port);
	yyjson_mut_obj_add_uint(doc, o, "port_priority", s->port_priority);
	state = yyjson_mut_obj_add_arr(doc, o, "state");
	for (unsigned i = 0; i < 8; i++) {
		if (s->state >> i & 1)
			yyjson_mut_arr_add_str(doc, state, names[i]);
	}
}

static void lacp_add(yyjson_mut_doc *doc, yyjson_mut_val *uplink, const struct vsw_uplink_lacp *l)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, uplink, "lacp");

	yyjson_mut_obj_add_str(doc, o, "mux", l->mux);
	yyjson_mut_obj_add_str(doc, o, "receive", l->receive);
	yyjson_mut_obj_add_bool(doc, o, "chosen", l->chosen);
	yyjson_mut_obj_add_bool(doc, o, "churn", l->churn);
	lacp_side(doc, o, "actor", &l->actor);
	lacp_side(doc, o, "partner", &l->partner);
	yyjson_mut_obj_add_uint(doc, o, "pdus_in", l->pdus_in);
	yyjson_mut_obj_add_uint(doc, o, "pdus_out", l->pdus_out);
	yyjson_mut_obj_add_uint(doc, o, "pdus_bad", l->pdus_bad);
	yyjson_mut_obj_add_uint(doc, o, "markers", l->markers);
}

static void uplink_add(void *arg, const struct vsw_uplink_info *info)
{
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l), *queues;

	yyjson_mut_obj_add_strcpy(l->doc, o, "name", info->name);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_str(l->doc, o, "link", !info->present ? "missing" : info->link_up ? "up" : "down");
	yyjson_mut_obj_add_uint(l->doc, o, "up_s", info->link_up_s);
	queues = yyjson_mut_obj_add_arr(l->doc, o, "queues");
	for (unsigned i = 0; i < info->queue_count; i++)
		yyjson_mut_arr_add_uint(l->doc, queues, info->queue_frames[i]);
	if (info->probed)
		yyjson_mut_obj_add_str(l->doc, o, "beacon", info->cut_off ? "cut-off" : "good");
	if (info->has_lacp)
		lacp_add(l->doc, o, &info->lacp);
}

static void team_add(void *arg, const struct vsw_team_info *info)
{
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l), *in_use;

	yyjson_mut_obj_add_strcpy(l->doc, o, "portgroup", info->portgroup);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_str(l->doc, o, "load_balancing", info->load_balancing);
	yyjson_mut_obj_add_str(l->doc, o, "failure_detection", info->failure_detection);
	in_use = yyjson_mut_obj_add_arr(l->doc, o, "in_use");
	for (unsigned i = 0; i < HV_ARRAY_LEN(info->in_use) && info->in_use[i]; i++)
		yyjson_mut_arr_add_strcpy(l->doc, in_use, info->in_use[i]);
}

static void port_add(void *arg, const struct vsw_uplink_user *user)
{
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l);

	yyjson_mut_obj_add_strcpy(l->doc, o, "port", user->port);
	yyjson_mut_obj_add_strcpy(l->doc, o, "portgroup", user->portgroup);
	yyjson_mut_obj_add_strcpy(l->doc, o, "uplink", user->uplink);
}

void control_switch_uplinks(const struct inventory *inv)
{
	struct control_listing l;

	if (!control_listing_begin(&l, inv, "uplinks"))
		return;
	control_listing_list(&l, "uplinks");
	vsw_uplink_foreach(inv->parts.vsw, uplink_add, &l);
	control_listing_list(&l, "teams");
	vsw_team_foreach(inv->parts.vsw, team_add, &l);
	control_listing_list(&l, "ports");
	vsw_uplink_user_foreach(inv->parts.vsw, port_add, &l);
	control_send(l.doc);
}
