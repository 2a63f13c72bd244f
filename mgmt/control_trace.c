/*
 * `trace PORT HEX [LENGTH]` on the control console: the frame of these bytes (and zeros up to LENGTH) goes through the live switch without
 * being sent (vswitch/frame_trace.h), and each step is shown with the line of the configuration that decided it.
 */
#include "control.h"
#include "inventory.h"

#include <config/config.h>
#include <errno.h>
#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <stdlib.h>
#include <string.h>
#include <vswitch/frame_trace.h>

#define FRAME_MAX 9216u

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "HEX [LENGTH]" into frame, FRAME_MAX zeros. False: not that. */
static bool read_frame(const char *text, uint8_t *frame, uint32_t *len)
{
	unsigned long whole;
	char *end;

	for (*len = 0; digit(text[0]) >= 0; text += 2) {
		if (digit(text[1]) < 0 || *len == FRAME_MAX)
			return false;
		frame[(*len)++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
	}
	if (*text != ' ')
		return !*text && *len;
	whole = strtoul(text + 1, &end, 10);
	if (*end || whole < *len || whole > FRAME_MAX)
		return false;
	*len = (uint32_t)whole;
	return true;
}

static void add_step(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct config *config, const struct vsw_trace_step *s)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
	char at[CONFIG_POSITION_MAX + 1], path[sizeof(s->path) + 32];
	unsigned vm, nic;

	hv_snprintf(path, sizeof(path), "%s", s->path);
	if (s->nic[0] && machine_port_nic(config, s->nic, &vm, &nic))
		hv_snprintf(path, sizeof(path), "vms[%u].nics[%u].%s", vm, nic, s->path);
	yyjson_mut_obj_add_str(doc, o, "stage", s->stage);
	yyjson_mut_obj_add_strcpy(doc, o, "text", s->text);
	yyjson_mut_obj_add_strcpy(doc, o, "path", path);
	yyjson_mut_obj_add_strcpy(doc, o, "at", path[0] ? config_position(config, path, at) : "");
}

static void add_delivery(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct vsw_trace_delivery *d)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);

	yyjson_mut_obj_add_strcpy(doc, o, "port", d->port);
	yyjson_mut_obj_add_uint(doc, o, "vlan", d->vlan);
	yyjson_mut_obj_add_bool(doc, o, "tagged", d->tagged);
	if (d->refused != VSW_DROP_COUNT)
		yyjson_mut_obj_add_str(doc, o, "refused", vsw_drop_name(d->refused));
}

static yyjson_mut_doc *answer(const struct inventory *inv, const char *port, const struct vsw_trace *t)
{
	yyjson_mut_doc *doc = control_event_new("trace");
	yyjson_mut_val *root = doc ? yyjson_mut_doc_get_root(doc) : NULL, *list;

	if (!root)
		return doc;
	yyjson_mut_obj_add_strcpy(doc, root, "port", port);
	yyjson_mut_obj_add_str(doc, root, "result", t->dropped != VSW_DROP_COUNT ? "dropped" : t->control ? "read" : "delivered");
	if (t->dropped != VSW_DROP_COUNT)
		yyjson_mut_obj_add_str(doc, root, "drop", vsw_drop_name(t->dropped));
	yyjson_mut_obj_add_uint(doc, root, "delivery_count", t->delivery_count);
	list = yyjson_mut_obj_add_arr(doc, root, "deliveries");
	for (unsigned i = 0; i < HV_MIN(t->delivery_count, VSW_TRACE_DELIVERIES); i++)
		add_delivery(doc, list, &t->deliveries[i]);
	list = yyjson_mut_obj_add_arr(doc, root, "steps");
	for (unsigned i = 0; i < t->step_count; i++)
		add_step(doc, list, inv->parts.config, &t->steps[i]);
	return doc;
}

void control_switch_trace(const struct inventory *inv, const char *args)
{
	size_t name_len = strcspn(args, " ");
	struct vsw_trace *t = malloc(sizeof(*t));
	uint8_t *frame = calloc(1, FRAME_MAX);
	char port[VSW_PORT_NAME_MAX + 1];
	uint32_t len = 0;

	if (!t || !frame) {
		control_event_error("error", "no memory for a trace");
	} else if (!inv->parts.vsw || !name_len || name_len > VSW_PORT_NAME_MAX || !args[name_len] ||
		   !read_frame(args + name_len + 1, frame, &len)) {
		control_event_error("error", "trace PORT HEX [LENGTH]: a frame of at most 9216 bytes from a port that `stats` shows");
	} else {
		int err;

		memcpy(port, args, name_len);
		port[name_len] = '\0';
		err = vsw_trace(inv->parts.vsw, port, frame, len, t);
		if (err)
			control_event_error("error", err == -ENOENT ? "no port of this name; `stats` shows them" : "no memory for a trace");
		else
			control_send(answer(inv, port, t));
	}
	free(frame);
	free(t);
}
