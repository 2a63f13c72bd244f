/*
 * Mirror sessions on the control console: `mirrors` shows them, `capture SESSION SEQUENCE OFFSET` hands out captured frames, a bounded
 * piece with each answer. The host keeps nothing about a reader: it asks for what comes next, as often as it likes.
 */
#include "control.h"

#include <hv/log.h>
#include <mgmt/mgmt.h>
#include <stdlib.h>
#include <string.h>
#include <vswitch/mirrors.h>

#define PIECE_BYTES 2304u /* of frames, in one answer; the line is a third longer */

struct piece {
	struct control_listing frames;
	uint64_t sequence; /* asked for */
	uint32_t offset;   /* in that frame */
	size_t room;
};

/* RFC 4648 section 4. out has room for 4 * ((len + 2) / 3) + 1. */
static void base64(char *out, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t b1 = i + 1 < len ? bytes[i + 1] : 0, b2 = i + 2 < len ? bytes[i + 2] : 0;
		uint32_t group = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;

		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < len ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[group & 63] : '=';
	}
	*out = '\0';
}

/* A frame as a whole, or a piece of it when it is the first. */
static bool frame_add(void *arg, const struct vsw_captured *f)
{
	struct piece *p = arg;
	struct control_listing *l = &p->frames;
	uint32_t offset = f->sequence == p->sequence ? HV_MIN(p->offset, f->len) : 0;
	uint32_t len = HV_MIN(f->len - offset, PIECE_BYTES);
	char text[4 * ((PIECE_BYTES + 2) / 3) + 1];
	yyjson_mut_val *o;

	if (len > p->room)
		return false;
	o = control_listing_add(l);
	base64(text, f->bytes + offset, len);
	yyjson_mut_obj_add_uint(l->doc, o, "sequence", f->sequence);
	yyjson_mut_obj_add_uint(l->doc, o, "time_ns", f->time_ns);
	yyjson_mut_obj_add_strcpy(l->doc, o, "port", f->port);
	yyjson_mut_obj_add_str(l->doc, o, "direction", f->direction == VSW_MIRROR_IN ? "in" : "out");
	yyjson_mut_obj_add_uint(l->doc, o, "frame_bytes", f->frame_bytes);
	yyjson_mut_obj_add_uint(l->doc, o, "captured_bytes", f->len);
	yyjson_mut_obj_add_uint(l->doc, o, "offset", offset);
	yyjson_mut_obj_add_strcpy(l->doc, o, "data", text);
	p->room -= len;
	return offset + len == f->len;
}

static void state_add(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct vsw_capture_state *s)
{
	yyjson_mut_obj_add_uint(doc, o, "first", s->first);
	yyjson_mut_obj_add_uint(doc, o, "next", s->next);
	yyjson_mut_obj_add_uint(doc, o, "overwritten", s->overwritten);
}

struct find {
	const char *name;
	bool found;
	struct vsw_capture_state state;
};

static void find_session(void *arg, const struct vsw_mirror_info *info)
{
	struct find *f = arg;

	if (info->captures && !strcmp(info->name, f->name)) {
		f->found = true;
		f->state = info->capture;
	}
}

/* "SESSION [SEQUENCE [OFFSET]]" */
void control_switch_capture(const struct inventory *inv, const char *args)
{
	struct piece p = {.room = PIECE_BYTES};
	struct find find = {0};
	char name[VSW_NAME_MAX + 1], *end;
	size_t len = strcspn(args, " ");
	yyjson_mut_val *root;
	int err;

	if (!inv->parts.vsw || !len || len > VSW_NAME_MAX) {
		control_event_error("error", "capture SESSION [SEQUENCE [OFFSET]]; `mirrors` shows the sessions");
		return;
	}
	memcpy(name, args, len);
	name[len] = '\0';
	p.sequence = strtoull(args + len, &end, 10);
	p.offset = (uint32_t)strtoul(end, NULL, 10);
	find.name = name;
	vsw_mirror_foreach(inv->parts.vsw, find_session, &find);
	if (!find.found) {
		control_event_error("error", "no mirror session of this name captures; `mirrors` shows them");
		return;
	}
	if (!control_listing_begin(&p.frames, inv, "capture"))
		return;
	root = yyjson_mut_doc_get_root(p.frames.doc);
	yyjson_mut_obj_add_strcpy(p.frames.doc, root, "session", name);
	yyjson_mut_obj_add_uint(p.frames.doc, root, "now_ns", hv_now_ns());
	state_add(p.frames.doc, root, &find.state);
	control_listing_list(&p.frames, "frames");
	err = vsw_mirror_read(inv->parts.vsw, name, p.sequence, frame_add, &p);
	hv_assert(!err); /* found above */
	control_send(p.frames.doc);
}

/* ---- sessions ---- */

static void session_add(void *arg, const struct vsw_mirror_info *info)
{
	struct control_listing *l = arg;
	const struct vsw_mirror_counters *c = info->counters;
	yyjson_mut_val *o = control_listing_add(l), *drops;

	yyjson_mut_obj_add_strcpy(l->doc, o, "name", info->name);
	yyjson_mut_obj_add_strcpy(l->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_bool(l->doc, o, "captures", info->captures);
	if (info->captures)
		state_add(l->doc, o, &info->capture);
	else
		yyjson_mut_obj_add_strcpy(l->doc, o, "destination", info->destination);
	yyjson_mut_obj_add_uint(l->doc, o, "matched", c->matched);
	yyjson_mut_obj_add_uint(l->doc, o, "frames", c->frames);
	yyjson_mut_obj_add_uint(l->doc, o, "bytes", c->bytes);
	yyjson_mut_obj_add_uint(l->doc, o, "dropped", c->dropped);
	drops = yyjson_mut_obj_add_obj(l->doc, o, "drops");
	yyjson_mut_obj_add_uint(l->doc, drops, "no-mbuf", c->no_mbuf);
	yyjson_mut_obj_add_uint(l->doc, drops, "unplugged", c->unplugged);
	yyjson_mut_obj_add_uint(l->doc, drops, "too-large", c->too_large);
	yyjson_mut_obj_add_uint(l->doc, drops, "refused", c->refused);
}

void control_switch_mirrors(const struct inventory *inv)
{
	struct control_listing l;

	if (!control_listing_begin(&l, inv, "mirrors"))
		return;
	control_listing_list(&l, "mirrors");
	vsw_mirror_foreach(inv->parts.vsw, session_add, &l);
	control_send(l.doc);
}
