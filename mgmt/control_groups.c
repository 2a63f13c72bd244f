/* The control console's `groups`: multicast groups, their members, and in which VLANs a querier asks for them. */
#include "control.h"

#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <vswitch/groups.h>

struct answer {
	yyjson_mut_doc *doc;
	yyjson_mut_val *groups, *vlans;
};

/* RFC 5952 without its shortening: the longest way to write it is unique, too. */
static void address(const struct vsw_group_info *info, char text[48])
{
	const uint8_t *a = info->address;

	if (!info->v6) {
		hv_snprintf(text, 48, "%u.%u.%u.%u", a[12], a[13], a[14], a[15]);
		return;
	}
	for (unsigned i = 0, at = 0; i < 16; i += 2)
		at += (unsigned)hv_snprintf(text + at, 48 - at, i ? ":%x" : "%x", a[i] << 8 | a[i + 1]);
}

static void group_add(void *arg, const struct vsw_group_info *info)
{
	struct answer *a = arg;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->groups);
	char text[48] = "router";

	if (!info->router)
		address(info, text);
	yyjson_mut_obj_add_strcpy(a->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_uint(a->doc, o, "vlan", info->vlan);
	yyjson_mut_obj_add_strcpy(a->doc, o, "group", text);
	yyjson_mut_obj_add_strcpy(a->doc, o, "port", info->port);
	yyjson_mut_obj_add_uint(a->doc, o, "expires_s", info->expires_s);
}

static void vlan_add(void *arg, const struct vsw_querier_info *info)
{
	struct answer *a = arg;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->vlans);

	yyjson_mut_obj_add_strcpy(a->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_uint(a->doc, o, "vlan", info->vlan);
	yyjson_mut_obj_add_str(a->doc, o, "protocol", info->v6 ? "mld" : "igmp");
	yyjson_mut_obj_add_uint(a->doc, o, "querier_s", info->querier_s);
	yyjson_mut_obj_add_bool(a->doc, o, "filtering", info->filtering);
}

void control_switch_groups(const struct inventory *inv)
{
	struct answer a = {.doc = inv->parts.vsw ? control_event_new("groups") : NULL};
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
	a.groups = yyjson_mut_obj_add_arr(a.doc, root, "groups");
	a.vlans = yyjson_mut_obj_add_arr(a.doc, root, "vlans");
	vsw_group_foreach(inv->parts.vsw, group_add, &a);
	vsw_querier_foreach(inv->parts.vsw, vlan_add, &a);
	control_send(a.doc);
}
