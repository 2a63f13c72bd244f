/*
 * `config ...` on the control console: a configuration arrives (transfer.c) and is checked or applied (apply.c). Each line is answered by
 * one line of JSON with the sender's id. A transfer on which nothing happens for 30 seconds is forgotten. Contents are never logged.
 */
#include "apply.h"
#include "control.h"

#include <hv/core.h>
#include <string.h>

static struct {
	struct transfer transfer;
	struct hv_timer idle;
	uint32_t done_id; /* of the last one applied or refused: the answer may have been lost and be asked for again */
	const char *done;
} config;

static void answer(uint32_t id, const struct transfer_answer *a)
{
	yyjson_mut_doc *doc = control_event_new("config");
	yyjson_mut_val *root = doc ? yyjson_mut_doc_get_root(doc) : NULL;

	if (root) {
		yyjson_mut_obj_add_uint(doc, root, "id", id);
		yyjson_mut_obj_add_str(doc, root, "state", a->state);
		yyjson_mut_obj_add_uint(doc, root, "offset", a->offset);
		yyjson_mut_obj_add_str(doc, root, "text", a->text);
	}
	control_send(doc);
}

static void forget(struct hv_timer *t)
{
	transfer_discard(&config.transfer);
}

/* "check ID" or "apply ID". */
static void finish(struct inventory *inv, const char *line, bool only_check)
{
	struct transfer_answer a = {.state = "error", .text = "config check ID, config apply ID"};
	yyjson_mut_doc *doc;
	uint32_t id = 0;

	if (!transfer_number(&line, UINT32_MAX, &id) || *line) {
		answer(0, &a);
	} else if (!config.transfer.open && config.done && id == config.done_id) {
		a = (struct transfer_answer){.state = config.done, .text = "already: its answer was sent before"};
		answer(id, &a);
	} else if (!transfer_complete(&config.transfer, id)) {
		a.text = "the transfer of this number is not complete";
		answer(id, &a);
	} else {
		doc = apply_configuration(inv, &config.transfer, only_check);
		if (!only_check) {
			config.done_id = id;
			config.done =
				doc && !strcmp(yyjson_mut_get_str(yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "state")), "applied")
					? "applied"
					: "refused";
			transfer_discard(&config.transfer);
		}
		control_send(doc);
	}
}

void control_config_stop(void)
{
	hv_timer_cancel(&config.idle);
	transfer_discard(&config.transfer);
	config.done = NULL;
}

void control_config(struct inventory *inv, const char *line)
{
	struct transfer_answer a;

	config.idle.fn = forget;
	hv_timer_arm(&config.idle, hv_now_ns() + TRANSFER_IDLE_NS);
	if (!strncmp(line, "check ", 6)) {
		finish(inv, line + 6, true);
	} else if (!strncmp(line, "apply ", 6)) {
		finish(inv, line + 6, false);
	} else {
		const char *number = strchr(line, ' ');
		uint32_t id = 0;

		transfer_line(&config.transfer, line, &a);
		if (!number || (number++, !transfer_number(&number, UINT32_MAX, &id)))
			id = 0;
		answer(id, &a);
	}
}
