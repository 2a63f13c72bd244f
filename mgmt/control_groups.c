/* The control console's `groups`: multicast groups, their members, and in which VLANs a querier asks for them. */
#include "control.h"

#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <vswitch/groups.h>

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
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l);
	char text[48] = "router";

	if (!info->router)
		address(info, text);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_uint(l->doc, o, "vlan", info->vlan);
	yyjson_mut_obj_add_strcpy(l->doc, o, "group", text);
	yyjson_mut_obj_add_strcpy(l->doc, o, "port", info->port);
	yyjson_mut_obj_add_uint(l->doc, o, "expires_s", info->expires_s);
}

static void vlan_add(void *arg, const struct vsw_querier_info *info)
{
	struct control_listing *l = arg;
	yyjson_mut_val *o = control_listing_add(l);

	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_uint(l->doc, o, "vlan", info->vlan);
	yyjson_mut_obj_add_str(l->doc, o, "protocol", info->v6 ? "mld" : "igmp");
	yyjson_mut_obj_add_uint(l->doc, o, "querier_s", info->querier_s);
	yyjson_mut_obj_add_bool(l->doc, o, "filtering", info->filtering);
}

void control_switch_groups(const struct inventory *inv)
{
	struct control_listing l;

	if (!control_listing_begin(&l, inv, "groups"))
		return;
	control_listing_list(&l, "groups");
	vsw_group_foreach(inv->parts.vsw, group_add, &l);
	control_listing_list(&l, "vlans");
	vsw_querier_foreach(inv->parts.vsw, vlan_add, &l);
	control_send(l.doc);
}
