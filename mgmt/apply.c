/*
 * Live change of the host's configuration. Everything is decoded, checked and prepared before anything changes; what cannot be done is
 * refused with the line of the configuration and the reason, and the old configuration goes on running entirely.
 *
 *   bytes -> config_read_json -> config_check -> config_diff (what a running host cannot do is refused)
 *     -> prepare: inventory (datastores are opened, machines made), switch (last: no frame may come between it and the commit)
 *     -> commit: switch, configuration, inventory, uplinks' NICs, new VMkernel NICs
 *
 * One turn of the loop of the I/O core; guests go on running on theirs.
 */
#include "apply.h"

#include <config/diff.h>
#include <errno.h>
#include <hv/host.h>
#include <hv/log.h>
#include <net/net.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <vswitch/vswitch.h>

#define CONFIG_PART "config.json"

struct apply {
	struct inventory *inv;
	const struct transfer *transfer;
	struct config *to;
	yyjson_mut_doc *doc;
	yyjson_mut_val *changes, *problems;
	unsigned errors;
};

/* ---- the answer ---- */

/* Where: a path of the configuration `c`. */
static void add_problem(struct apply *a, const struct config *c, bool error, const char *path, const char *text, const char *hint)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->problems);
	char at[CONFIG_POSITION_MAX + 1];

	config_position(c, path, at);
	yyjson_mut_obj_add_strcpy(a->doc, o, "at", at);
	yyjson_mut_obj_add_strcpy(a->doc, o, "path", path);
	yyjson_mut_obj_add_str(a->doc, o, "severity", error ? "error" : "warning");
	yyjson_mut_obj_add_strcpy(a->doc, o, "message", text);
	yyjson_mut_obj_add_strcpy(a->doc, o, "hint", hint);
	a->errors += error;
	hv_log(error ? HV_LOG_ERROR : HV_LOG_WARN, "config.problem", "%s%s%s%s%s", at, at[0] ? ": " : "", path, path[0] ? ": " : "", text);
}

static void sink_report(void *arg, const struct config_problem *p)
{
	struct apply *a = arg;

	add_problem(a, a->to, p->severity == CONFIG_ERROR, p->path, p->message, p->hint);
}

static int secret(void *arg, const char *name, char *out, size_t size)
{
	const struct apply *a = arg;
	const struct transfer_part *part = transfer_find(a->transfer, name);

	return part ? mgmt_secret_text(part->bytes, part->got, out, size) : mgmt_module_secret(NULL, name, out, size);
}

/* ---- decode ---- */

static bool decode(struct apply *a)
{
	const struct transfer_part *part = transfer_find(a->transfer, CONFIG_PART);
	const struct config_sink sink = {sink_report, a};
	const struct config_secrets secrets = {secret, a};

	if (!part) {
		add_problem(a, a->to, true, "", "the transfer has no part \"" CONFIG_PART "\"", "");
		return false;
	}
	return !config_read_json((const char *)part->bytes, part->got, a->to, &secrets, &sink) && !config_check(a->to, &sink);
}

/* ---- what differs ---- */

static void difference(void *arg, const struct config_difference *d)
{
	struct apply *a = arg;
	const struct config *c = d->kind == CONFIG_REMOVED ? a->inv->parts.config : a->to;
	const struct machine *m = d->live == CONFIG_LIVE_WHEN_OFF ? inventory_find(a->inv, d->name, strlen(d->name)) : NULL;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(a->doc, a->changes);
	char text[512], why[768], at[CONFIG_POSITION_MAX + 1];

	config_difference_text(d, text, sizeof(text));
	config_position(c, d->path, at);
	yyjson_mut_obj_add_strcpy(a->doc, o, "at", at);
	yyjson_mut_obj_add_strcpy(a->doc, o, "text", text);
	if (d->live != CONFIG_RESTART && !(m && m->active))
		return;
	hv_snprintf(why, sizeof(why), "%s: %s", text, d->reason);
	add_problem(a, c, true, d->path, why,
		d->live == CONFIG_RESTART ? "start the host with the new configuration instead" : "stop the VM first: it is running");
}

static void log_change(void *arg, const struct config_difference *d)
{
	char text[512];

	log_info("config.changed", "%s", config_difference_text(d, text, sizeof(text)));
}

/* ---- the switch ---- */

/* The NIC of a VM that has this port, or NULL. */
static const struct config_vm_nic *nic_of_port(const struct config *c, const char *port)
{
	unsigned vm, nic;

	return machine_port_nic(c, port, &vm, &nic) ? &c->vms[vm].nics[nic] : NULL;
}

static unsigned place(void *arg, enum vsw_port_kind kind, const char *port)
{
	const struct config *c = arg;

	if (kind == VSW_PORT_GUEST) {
		const struct config_vm_nic *nic = nic_of_port(c, port);

		return nic ? nic->portgroup : VSW_PLACE_STAY;
	}
	for (unsigned i = 0; i < c->net.vmknic_count; i++) {
		if (!strcmp(c->net.vmknics[i].name, port))
			return c->net.vmknics[i].portgroup;
	}
	return VSW_PLACE_STAY;
}

static const struct vsw_port_config *own(void *arg, enum vsw_port_kind kind, const char *port)
{
	const struct config_vm_nic *nic = kind == VSW_PORT_GUEST ? nic_of_port(arg, port) : NULL;

	return nic ? &nic->own : NULL;
}

static int prepare_switch(struct apply *a, struct vsw_change **change)
{
	const struct vsw_placement placement = {.portgroup = place, .own = own, .arg = a->to};
	struct vsw_refusal why;
	int err = vsw_change_prepare(a->inv->parts.vsw, &a->to->vsw, &placement, &why, change);

	if (err)
		add_problem(a, a->to, true, why.path, why.text, "");
	return err;
}

/* ---- commit ---- */

static void create_vmknics(struct apply *a, const struct config *before)
{
	for (unsigned i = 0; i < a->to->net.vmknic_count; i++) {
		struct net_vmknic_config vmk = a->to->net.vmknics[i];
		bool exists = false;
		char path[32];
		int err;

		for (unsigned k = 0; k < before->net.vmknic_count; k++)
			exists |= !strcmp(before->net.vmknics[k].name, vmk.name);
		if (exists)
			continue;
		vmk.has_mac = true; /* derived when it was read, if not given */
		err = net_vmk_create(&vmk, a->inv->parts.vsw);
		hv_snprintf(path, sizeof(path), "vmknics[%u]", i);
		if (err)
			add_problem(a, a->to, false, path, "the VMkernel NIC could not be made: the host has no memory for it", "");
	}
}

static void commit(struct apply *a, struct vsw_change *change, struct inventory_change *machines)
{
	struct config *before = a->inv->parts.config;

	config_diff(before, a->to, log_change, NULL);
	vsw_change_commit(change);
	a->inv->parts.config = a->to;
	if (a->inv->parts.configured)
		a->inv->parts.configured(a->to); /* uplinks get their NICs */
	create_vmknics(a, before);
	inventory_change_commit(machines);
	explicit_bzero(before, sizeof(*before)); /* it holds secrets */
	free(before);
	a->to = NULL;
}

/* only_check: all that may fail is tried, and undone. */
static bool change_all(struct apply *a, bool only_check)
{
	struct inventory_change machines;
	struct inventory_refusal why;
	struct vsw_change *change;

	if (inventory_change_prepare(a->inv, a->to, &machines, &why)) {
		add_problem(a, a->to, true, why.path, why.text, why.hint);
		return false;
	}
	if (prepare_switch(a, &change)) {
		inventory_change_abort(&machines);
		return false;
	}
	if (only_check) {
		vsw_change_abort(change);
		inventory_change_abort(&machines);
	} else {
		commit(a, change, &machines);
	}
	return true;
}

static const char *run(struct apply *a, bool only_check)
{
	a->to = calloc(1, sizeof(*a->to));
	if (!a->to) {
		add_problem(a, a->inv->parts.config, true, "", "the host has no memory to read the configuration", "");
		return "refused";
	}
	if (!decode(a))
		return "refused";
	config_diff(a->inv->parts.config, a->to, difference, a);
	if (a->errors)
		return "refused";
	if (!change_all(a, only_check))
		return "refused";
	return only_check ? "checked" : "applied";
}

yyjson_mut_doc *apply_configuration(struct inventory *inv, const struct transfer *t, bool only_check)
{
	struct apply a = {.inv = inv, .transfer = t, .doc = yyjson_mut_doc_new(NULL)};
	yyjson_mut_val *root = a.doc ? yyjson_mut_obj(a.doc) : NULL;
	const char *state;

	if (!root) {
		yyjson_mut_doc_free(a.doc);
		return NULL;
	}
	yyjson_mut_doc_set_root(a.doc, root);
	a.changes = yyjson_mut_arr(a.doc);
	a.problems = yyjson_mut_arr(a.doc);
	state = run(&a, only_check);
	if (a.to)
		explicit_bzero(a.to, sizeof(*a.to));
	free(a.to);
	yyjson_mut_obj_add_str(a.doc, root, "event", "config");
	yyjson_mut_obj_add_uint(a.doc, root, "id", t->id);
	yyjson_mut_obj_add_str(a.doc, root, "state", state);
	yyjson_mut_obj_add_val(a.doc, root, "changes", a.changes);
	yyjson_mut_obj_add_val(a.doc, root, "problems", a.problems);
	log_info("config.result", "the new configuration is %s", state);
	return a.doc;
}
