/*
 * `config ...` on the control console: a configuration arrives (transfer.c) and is checked or applied (apply.c). Each line is answered by
 * one line of JSON with the sender's id and the CRC of the line, so that a late answer to an earlier line is not taken for the answer to
 * this one, and with its own CRC in front. The result of the last `apply` is kept: when its answer was lost, the line comes again and gets
 * it again. A transfer on which nothing happens for 30 seconds is forgotten. Contents are never logged.
 *
 * Owner: the core of the control console.
 */
#include "apply.h"
#include "control.h"

#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <stdlib.h>
#include <string.h>

static struct {
	struct transfer transfer;
	struct hv_timer idle;
	uint32_t request;       /* CRC of the line that is answered */
	uint32_t result_id;     /* of the transfer that was last applied or refused ... */
	yyjson_mut_doc *result; /* ... and what came of it; NULL: none, or no memory to keep it */
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
	control_answer(doc, config.request);
}

static void forget(struct hv_timer *t)
{
	transfer_discard(&config.transfer);
}

static void keep_result(uint32_t id, yyjson_mut_doc *doc)
{
	yyjson_mut_doc_free(config.result);
	config.result = doc ? yyjson_mut_doc_mut_copy(doc, NULL) : NULL;
	config.result_id = id;
}

/* "check ID" or "apply ID". */
static void finish(struct inventory *inv, const char *line, bool only_check)
{
	struct transfer_answer a = {.state = "error", .text = "config check ID, config apply ID"};
	uint32_t id = 0;

	if (!transfer_number(&line, UINT32_MAX, &id) || *line) {
		answer(0, &a);
	} else if (!config.transfer.open && config.result && id == config.result_id) {
		control_answer(yyjson_mut_doc_mut_copy(config.result, NULL), config.request);
	} else if (!transfer_complete(&config.transfer, id)) {
		a.text = "the transfer of this number is not complete";
		answer(id, &a);
	} else {
		yyjson_mut_doc *doc = apply_configuration(inv, &config.transfer, only_check);

		if (!only_check) {
			keep_result(id, doc);
			transfer_discard(&config.transfer);
		}
		control_answer(doc, config.request);
	}
}

void control_config_stop(void)
{
	hv_timer_cancel(&config.idle);
	transfer_discard(&config.transfer);
	keep_result(0, NULL);
}

void control_config(struct inventory *inv, const char *line)
{
	struct transfer_answer a;

	config.request = transfer_crc32(0, (const uint8_t *)line, strlen(line));
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
