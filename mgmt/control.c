/*
 * The control console. A line is a command; every answer and event is one line of JSON. It is wired to a serial port that no network
 * reaches; its bytes are still checked: a line that is too long or unknown gets an error event and nothing else.
 *
 * Who must know which answer is to which question says `ask ID COMMAND`: what the command answers carries the number, the CRC of the line
 * as it arrived, and its own CRC in front.
 */
#include "control.h"
#include "inventory.h"
#include "transfer.h"

#include <hv/host.h>
#include <hv/log.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONTROL_LINE_MAX 1024
#define CRC_FORMAT "{\"crc\":\"%08x\","
#define CRC_MEMBER "{\"crc\":\"01234567\",\n"

static struct {
	struct hv_poller poller;
	struct inventory *inv;
	char line[CONTROL_LINE_MAX];
	size_t len;
	bool overlong;
	bool asked; /* an `ask` is carried out: */
	uint32_t id, request;
} control;

/* text: a whole line, or NULL */
static void write_line(const char *text, size_t len)
{
	if (text)
		hv_control_write(text, len); /* whole or not at all */
	else
		log_error("control.answer", "an answer on the control console is lost: no memory, or its text is no UTF-8");
}

void control_answer(yyjson_mut_doc *doc, uint32_t request)
{
	yyjson_mut_val *root = doc ? yyjson_mut_doc_get_root(doc) : NULL;
	char hex[9], *text, *line = NULL;
	size_t len = 0;

	hv_snprintf(hex, sizeof(hex), "%08x", request);
	if (root)
		yyjson_mut_obj_add_strcpy(doc, root, "request", hex);
	text = doc ? yyjson_mut_write(doc, YYJSON_WRITE_NOFLAG, &len) : NULL;
	if (text)
		line = malloc(len + sizeof(CRC_MEMBER));
	if (line)
		len = (size_t)hv_snprintf(
			line, len + sizeof(CRC_MEMBER), CRC_FORMAT "%s\n", transfer_crc32(0, (const uint8_t *)text + 1, len - 1), text + 1);
	write_line(line, len);
	free(line);
	free(text);
	yyjson_mut_doc_free(doc);
}

void control_send(yyjson_mut_doc *doc)
{
	size_t len = 0;
	char *text;

	if (control.asked) {
		if (doc)
			yyjson_mut_obj_add_uint(doc, yyjson_mut_doc_get_root(doc), "id", control.id);
		control_answer(doc, control.request);
		return;
	}
	text = doc ? yyjson_mut_write(doc, YYJSON_WRITE_NEWLINE_AT_END, &len) : NULL;
	write_line(text, len);
	free(text);
	yyjson_mut_doc_free(doc);
}

yyjson_mut_doc *control_event_new(const char *name)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;

	if (!root)
		return NULL;
	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_strcpy(doc, root, "event", name);
	return doc;
}

void control_event_vm_ended(const char *vm, const char *how, unsigned value, const char *reason)
{
	yyjson_mut_doc *doc = control_event_new("vm-ended");
	yyjson_mut_val *root = doc ? yyjson_mut_doc_get_root(doc) : NULL;

	if (root) {
		yyjson_mut_obj_add_strcpy(doc, root, "vm", vm);
		yyjson_mut_obj_add_strcpy(doc, root, "how", how);
		yyjson_mut_obj_add_uint(doc, root, "value", value);
		text_add(doc, root, "reason", reason ? reason : "");
	}
	control_send(doc);
}

void control_event_error(const char *event, const char *text)
{
	yyjson_mut_doc *doc = control_event_new(event);

	if (doc)
		text_add(doc, yyjson_mut_doc_get_root(doc), "text", text);
	control_send(doc);
}

void control_event_stats(struct inventory *inv)
{
	control_send(stats_host(inv));
}

static void command_list(const char *args)
{
	yyjson_mut_doc *doc = control_event_new("vms");
	yyjson_mut_val *list = doc ? yyjson_mut_arr(doc) : NULL;

	for (unsigned i = 0; list && i < control.inv->count; i++) {
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);

		yyjson_mut_obj_add_strcpy(doc, o, "name", control.inv->machines[i]->config->name);
		yyjson_mut_obj_add_str(doc, o, "state", machine_state_name(control.inv->machines[i]->state));
	}
	if (list)
		yyjson_mut_obj_add_val(doc, yyjson_mut_doc_get_root(doc), "vms", list);
	control_send(doc);
}

static void command_stats(const char *args)
{
	control_event_stats(control.inv);
}

/* The machine that the first word of args names; *rest is what follows it. Reports when there is none. */
static struct machine *machine_named(const char *args, const char **rest)
{
	size_t len = strcspn(args, " ");
	struct machine *m = inventory_find(control.inv, args, len);

	*rest = args[len] ? args + len + 1 : args + len;
	if (!m || !m->vm) {
		control_event_error("error", m ? "this VM is not running" : "no VM of this name; `list` shows them");
		return NULL;
	}
	return m;
}

static void command_input(const char *args)
{
	const char *text;
	struct machine *m = machine_named(args, &text);
	size_t len;

	if (!m)
		return;
	len = strlen(text);
	if (vm_console_input(m->vm, text, len) != len || vm_console_input(m->vm, "\n", 1) != 1)
		control_event_error("error", "the VM's serial port did not take all of it; try again");
}

static void command_stop(const char *args)
{
	const char *rest;
	struct machine *m = machine_named(args, &rest);

	if (m)
		vm_stop(m->vm);
}

static void command_start(const char *args)
{
	struct machine *m = inventory_find(control.inv, args, strlen(args));

	if (!m)
		control_event_error("error", "no VM of this name; `list` shows them");
	else if (m->active)
		control_event_error("error", "this VM has not ended");
	else
		machine_start(m);
}

static void command_config(const char *args)
{
	control_config(control.inv, args);
}

static void command_dirty(const char *args)
{
	const char *rest;
	struct machine *m = machine_named(args, &rest);

	if (m)
		control_dirty(m, rest);
}

/* ---- the switch (control_switch.c) ---- */

static void command_macs(const char *args)
{
	control_switch_macs(control.inv);
}

static void command_groups(const char *args)
{
	control_switch_groups(control.inv);
}

static void command_neighbors(const char *args)
{
	control_switch_neighbors(control.inv);
}

static void command_drops(const char *args)
{
	control_switch_drops(control.inv);
}

static void command_mirrors(const char *args)
{
	control_switch_mirrors(control.inv);
}

static void command_capture(const char *args)
{
	control_switch_capture(control.inv, args);
}

static void command_uplinks(const char *args)
{
	control_switch_uplinks(control.inv);
}

static void command_trace(const char *args)
{
	control_switch_trace(control.inv, args);
}

static void command_ask(const char *args);
static void command_help(const char *args);

static const struct {
	const char *name, *help;
	void (*run)(const char *args);
	bool needs_inventory;
} commands[] = {
	{"stats", "stats: the host's counters", command_stats, true},
	{"list", "list: the VMs and their states", command_list, true},
	{"input", "input VM TEXT: types a line at the VM's serial console", command_input, true},
	{"stop", "stop VM: ends a VM at once", command_stop, true},
	{"start", "start VM: starts a VM that has ended", command_start, true},
	{"config", "config begin|part|data|check|apply|abort ...: another configuration for the host (berth apply)", command_config, true},
	{"dirty", "dirty VM start|read|stop: which pages of its memory a VM writes", command_dirty, true},
	{"macs", "macs: the switch's MAC table", command_macs, true},
	{"groups", "groups: multicast groups and their members, as IGMP and MLD snooping knows them", command_groups, true},
	{"neighbors", "neighbors: who is at the other end of the uplinks (LLDP, CDP)", command_neighbors, true},
	{"drops", "drops: frames that the switch dropped, by reason and port", command_drops, true},
	{"mirrors", "mirrors: mirror sessions and their counters", command_mirrors, true},
	{"capture", "capture SESSION [SEQUENCE [OFFSET]]: captured frames of a mirror session", command_capture, true},
	{"uplinks", "uplinks: links, beacons, LACP, and who sends by which uplink", command_uplinks, true},
	{"trace", "trace PORT HEX [LENGTH]: what would become of a frame from a port", command_trace, true},
	{"ask", "ask ID COMMAND: the command, its answers marked with this number", command_ask, false},
	{"help", "help: this list", command_help, false},
};

static void command_help(const char *args)
{
	for (size_t i = 0; i < HV_ARRAY_LEN(commands); i++)
		control_event_error("help", commands[i].help);
}

static void control_run(const char *line)
{
	size_t len = strcspn(line, " ");

	if (len == 0)
		return;
	for (size_t i = 0; i < HV_ARRAY_LEN(commands); i++) {
		if (strlen(commands[i].name) != len || memcmp(commands[i].name, line, len) != 0)
			continue;
		if (commands[i].needs_inventory && !control.inv)
			control_event_error("error", "the host has no valid configuration");
		else
			commands[i].run(line[len] ? line + len + 1 : line + len);
		return;
	}
	control_event_error("error", "unknown command; `help` lists them");
}

/* "ID COMMAND ..."; @pre all of the line */
static void command_ask(const char *args)
{
	char *end;
	unsigned long id = strtoul(args, &end, 10);

	if (control.asked || end == args || *end != ' ' || args[0] < '0' || args[0] > '9' || id > UINT32_MAX) {
		control_event_error("error", "ask ID COMMAND; `help` lists the commands");
		return;
	}
	control.asked = true;
	control.id = (uint32_t)id;
	control.request = transfer_crc32(0, (const uint8_t *)args, strlen(args));
	control_run(end + 1);
	control.asked = false;
}

static void control_byte(char c)
{
	if (c == '\r')
		return;
	if (c != '\n') {
		if (control.len == sizeof(control.line) - 1)
			control.overlong = true;
		else
			control.line[control.len++] = c;
		return;
	}
	control.line[control.len] = '\0';
	if (control.overlong)
		control_event_error("error", "the line is too long (1023 bytes)");
	else if (strlen(control.line) == control.len)
		control_run(control.line);
	explicit_bzero(control.line, control.len); /* it may have been part of a secret */
	control.len = 0;
	control.overlong = false;
}

static unsigned control_poll(struct hv_poller *p)
{
	char buf[64];
	size_t n = hv_control_read(buf, sizeof(buf));

	for (size_t i = 0; i < n; i++)
		control_byte(buf[i]);
	return (unsigned)n;
}

void control_start(struct inventory *inv)
{
	control.inv = inv;
	if (control.poller.attached)
		return;
	control.poller = (struct hv_poller){.poll = control_poll, .name = "control"};
	hv_poller_add(&control.poller);
}

void control_stop(void)
{
	hv_poller_remove(&control.poller);
	control_config_stop();
	control.inv = NULL;
	control.len = 0;
	control.overlong = false;
}
