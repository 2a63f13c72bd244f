/* The control console's `uplinks`: links, beacons, LACP, which port groups use which uplink, and which port sends by which. */
#include "control.h"

#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <vswitch/uplinks.h>

struct answer {
	yyjson_mut_doc *doc;
	yyjson_mut_val *uplinks, *teams, *ports;
};

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
	struct answer *a = arg;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->uplinks), *queues;

	yyjson_mut_obj_add_strcpy(a->doc, o, "name", info->name);
	yyjson_mut_obj_add_strcpy(a->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_str(a->doc, o, "link", !info->present ? "missing" : info->link_up ? "up" : "down");
	yyjson_mut_obj_add_uint(a->doc, o, "up_s", info->link_up_s);
	queues = yyjson_mut_obj_add_arr(a->doc, o, "queues");
	for (unsigned i = 0; i < info->queue_count; i++)
		yyjson_mut_arr_add_uint(a->doc, queues, info->queue_frames[i]);
	if (info->probed)
		yyjson_mut_obj_add_str(a->doc, o, "beacon", info->cut_off ? "cut-off" : "good");
	if (info->has_lacp)
		lacp_add(a->doc, o, &info->lacp);
}

static void team_add(void *arg, const struct vsw_team_info *info)
{
	struct answer *a = arg;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->teams), *in_use;

	yyjson_mut_obj_add_strcpy(a->doc, o, "portgroup", info->portgroup);
	yyjson_mut_obj_add_strcpy(a->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_str(a->doc, o, "load_balancing", info->load_balancing);
	yyjson_mut_obj_add_str(a->doc, o, "failure_detection", info->failure_detection);
	in_use = yyjson_mut_obj_add_arr(a->doc, o, "in_use");
	for (unsigned i = 0; i < HV_ARRAY_LEN(info->in_use) && info->in_use[i]; i++)
		yyjson_mut_arr_add_strcpy(a->doc, in_use, info->in_use[i]);
}

static void port_add(void *arg, const struct vsw_uplink_user *user)
{
	struct answer *a = arg;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->ports);

	yyjson_mut_obj_add_strcpy(a->doc, o, "port", user->port);
	yyjson_mut_obj_add_strcpy(a->doc, o, "portgroup", user->portgroup);
	yyjson_mut_obj_add_strcpy(a->doc, o, "uplink", user->uplink);
}

void control_switch_uplinks(const struct inventory *inv)
{
	struct answer a = {.doc = inv->parts.vsw ? control_event_new("uplinks") : NULL};
	yyjson_mut_val *root;

	if (!inv->parts.vsw) {
		control_event_error("error", "the configuration has no vSwitch");
		return;
	}
	if (!a.doc) {
		control_send(NULL); /* reports it */
		return;
	}
	root = yyjson_mut_doc_get_root(a.doc);
	a.uplinks = yyjson_mut_obj_add_arr(a.doc, root, "uplinks");
	a.teams = yyjson_mut_obj_add_arr(a.doc, root, "teams");
	a.ports = yyjson_mut_obj_add_arr(a.doc, root, "ports");
	vsw_uplink_foreach(inv->parts.vsw, uplink_add, &a);
	vsw_team_foreach(inv->parts.vsw, team_add, &a);
	vsw_uplink_user_foreach(inv->parts.vsw, port_add, &a);
	control_send(a.doc);
}
