/* Answers of the control console that are lists: what all questions about the switch begin with. */
#include "control.h"

#include <mgmt/mgmt.h>

bool control_listing_begin(struct control_listing *l, const struct inventory *inv, const char *event)
{
	*l = (struct control_listing){0};
	if (!inv->parts.vsw) {
		control_event_error("error", "the configuration has no vSwitch");
		return false;
	}
	l->doc = control_event_new(event);
	if (!l->doc)
		control_send(NULL); /* reports it */
	return l->doc;
}

void control_listing_list(struct control_listing *l, const char *name)
{
	l->list = yyjson_mut_obj_add_arr(l->doc, yyjson_mut_doc_get_root(l->doc), name);
}

yyjson_mut_val *control_listing_add(struct control_listing *l)
{
	return yyjson_mut_arr_add_obj(l->doc, l->list);
}
