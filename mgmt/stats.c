/* The host's counters as JSON: the document of `stats` and of the end of a run. Field names are stable (docs/user-guide.md). */
#include "inventory.h"

#include <datastore/datastore.h>
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>
#include <vswitch/vswitch.h>

/* ---- one VM ---- */

struct counter_sink {
	struct vm_stats_sink sink;
	yyjson_mut_doc *doc;
	yyjson_mut_val *exits, *counters;
	uint64_t interrupts;
};

static void add_counter(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *name, uint64_t value)
{
	yyjson_mut_obj_add(obj, yyjson_mut_strcpy(doc, name), yyjson_mut_uint(doc, value));
}

/* hv's counters by name: "exits.<reason>" get an object of their own; "irq.injected" is the one everybody asks for. */
static void counter_take(struct vm_stats_sink *sink, const char *name, uint64_t value)
{
	struct counter_sink *c = hv_container_of(sink, struct counter_sink, sink);

	if (strncmp(name, "exits.", 6) == 0) {
		if (value)
			add_counter(c->doc, c->exits, name + 6, value);
		return;
	}
	if (strcmp(name, "irq.injected") == 0)
		c->interrupts = value;
	add_counter(c->doc, c->counters, name, value);
}

static void stats_vm(yyjson_mut_doc *doc, yyjson_mut_val *vms, struct machine *m)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, vms);
	struct counter_sink c = {.sink = {.counter = counter_take}, .doc = doc};

	yyjson_mut_obj_add_strcpy(doc, o, "name", m->config->name);
	yyjson_mut_obj_add_str(doc, o, "state", machine_state_name(m->state));
	yyjson_mut_obj_add_uint(doc, o, "memory_bytes", m->vm ? vm_memory_bytes(m->vm) : 0);
	c.exits = yyjson_mut_obj_add_obj(doc, o, "exits");
	c.counters = yyjson_mut_obj_add_obj(doc, o, "counters");
	if (m->vm)
		vm_stats(m->vm, &c.sink);
	yyjson_mut_obj_add_uint(doc, o, "interrupts", c.interrupts);
	yyjson_mut_obj_add_uint(doc, o, "console_dropped", m->console_dropped);
}

static void stats_by_op(yyjson_mut_doc *doc, yyjson_mut_val *disk, const char *name, const uint64_t *values)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, disk, name);

	for (unsigned op = 0; op < BLK_OP_COUNT; op++)
		yyjson_mut_obj_add_uint(doc, o, blk_op_name(op), values[op]);
}

static void stats_disk(yyjson_mut_doc *doc, yyjson_mut_val *disks, struct machine *m, unsigned index)
{
	const struct blk_dev *dev = m->disks[index];
	const struct config *config = m->inv->parts.config;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, disks), *latency;
	const char letter[] = {'v', 'd', (char)('a' + index), '\0'};

	yyjson_mut_obj_add_strcpy(doc, o, "vm", m->config->name);
	yyjson_mut_obj_add_strcpy(doc, o, "disk", letter);
	yyjson_mut_obj_add_strcpy(doc, o, "datastore", config->datastores[m->config->disks[index].datastore].name);
	yyjson_mut_obj_add_uint(doc, o, "size_bytes", dev->size_bytes);
	stats_by_op(doc, o, "ios", dev->stats.ios);
	stats_by_op(doc, o, "bytes", dev->stats.bytes);
	stats_by_op(doc, o, "errors", dev->stats.errors);
	yyjson_mut_obj_add_uint(doc, o, "in_flight", dev->stats.in_flight);
	yyjson_mut_obj_add_uint(doc, o, "again", dev->stats.again);
	latency = yyjson_mut_obj_add_arr(doc, o, "latency_log2");
	for (unsigned i = 0; i < BLK_LATENCY_BUCKETS; i++)
		yyjson_mut_arr_add_uint(doc, latency, dev->stats.latency[i]);
}

/* ---- switch ports ---- */

struct port_walk {
	yyjson_mut_doc *doc;
	yyjson_mut_val *ports;
	const struct inventory *inv;
	const struct machine *only; /* ports of this machine; NULL: those of no machine */
};

/* The machine whose NIC this is: guest ports are named "<vm>.nic<i>" by the inventory. */
static const struct machine *port_machine(const struct inventory *inv, const struct vsw_port_info *info)
{
	const char *dot = info->kind == VSW_PORT_GUEST ? strrchr(info->name, '.') : NULL;

	for (unsigned i = 0; dot && i < inv->count; i++) {
		const char *n = inv->machines[i]->config->name;

		if (strlen(n) == (size_t)(dot - info->name) && memcmp(n, info->name, strlen(n)) == 0)
			return inv->machines[i];
	}
	return NULL;
}

static void stats_drops(yyjson_mut_doc *doc, yyjson_mut_val *port, const struct vsw_counters *c)
{
	yyjson_mut_val *drops;

	yyjson_mut_obj_add_uint(doc, port, "dropped", c->drops);
	drops = yyjson_mut_obj_add_obj(doc, port, "drops");
	for (unsigned r = 0; r < VSW_DROP_COUNT; r++)
		if (c->drop[r])
			yyjson_mut_obj_add_uint(doc, drops, vsw_drop_name(r), c->drop[r]);
}

/* rx and tx as the owner of the port sees them: tx = into the switch. */
static void stats_counters(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct vsw_counters *c)
{
	yyjson_mut_obj_add_uint(doc, o, "tx_packets", c->in_frames);
	yyjson_mut_obj_add_uint(doc, o, "tx_bytes", c->in_bytes);
	yyjson_mut_obj_add_uint(doc, o, "rx_packets", c->out_frames);
	yyjson_mut_obj_add_uint(doc, o, "rx_bytes", c->out_bytes);
	yyjson_mut_obj_add_uint(doc, o, "segmented", c->out_segmented);
	yyjson_mut_obj_add_uint(doc, o, "checksummed", c->out_checksummed);
	yyjson_mut_obj_add_uint(doc, o, "coalesced", c->out_coalesced);
	yyjson_mut_obj_add_uint(doc, o, "control_packets", c->in_control);
	yyjson_mut_obj_add_uint(doc, o, "tx_shaped", c->in_shaped);
	yyjson_mut_obj_add_uint(doc, o, "rx_shaped", c->out_shaped);
	yyjson_mut_obj_add_uint(doc, o, "mac_change_rejected", c->mac_change_rejected);
	stats_drops(doc, o, c);
}

static void stats_port(void *arg, const struct vsw_port_info *info)
{
	struct port_walk *w = arg;
	const struct machine *m = port_machine(w->inv, info);
	yyjson_mut_val *o;

	if (m != w->only)
		return;
	o = yyjson_mut_arr_add_obj(w->doc, w->ports);
	yyjson_mut_obj_add_strcpy(w->doc, o, "name", info->name);
	yyjson_mut_obj_add_str(w->doc, o, "kind", vsw_port_kind_name(info->kind));
	if (m)
		yyjson_mut_obj_add_strcpy(w->doc, o, "vm", m->config->name);
	yyjson_mut_obj_add_strcpy(w->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_strcpy(w->doc, o, "portgroup", info->portgroup);
	yyjson_mut_obj_add_uint(w->doc, o, "vlan", info->vlan);
	yyjson_mut_obj_add_bool(w->doc, o, "link_up", info->link_up);
	stats_counters(w->doc, o, info->counters);
}

static void stats_ports(yyjson_mut_doc *doc, yyjson_mut_val *ports, struct inventory *inv, const struct machine *only)
{
	struct port_walk w = {.doc = doc, .ports = ports, .inv = inv, .only = only};

	if (inv->parts.vsw)
		vsw_port_foreach(inv->parts.vsw, stats_port, &w);
}

static void stats_portgroup(void *arg, const struct vsw_portgroup_info *info)
{
	struct port_walk *w = arg;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(w->doc, w->ports);

	yyjson_mut_obj_add_strcpy(w->doc, o, "name", info->name);
	yyjson_mut_obj_add_strcpy(w->doc, o, "vswitch", info->vswitch);
	yyjson_mut_obj_add_uint(w->doc, o, "ports", info->ports);
	stats_counters(w->doc, o, &info->counters);
}

static void stats_portgroups(yyjson_mut_doc *doc, yyjson_mut_val *root, struct inventory *inv)
{
	struct port_walk w = {.doc = doc, .ports = yyjson_mut_obj_add_arr(doc, root, "portgroups"), .inv = inv};

	if (inv->parts.vsw)
		vsw_portgroup_foreach(inv->parts.vsw, stats_portgroup, &w);
}

/* ---- a machine, the host ---- */

static void stats_disks(yyjson_mut_doc *doc, yyjson_mut_val *disks, struct machine *m)
{
	for (unsigned i = 0; i < m->config->disk_count; i++)
		if (m->disks[i])
			stats_disk(doc, disks, m, i);
}

void stats_machine(yyjson_mut_doc *doc, yyjson_mut_val *vms, yyjson_mut_val *disks, yyjson_mut_val *ports, struct machine *m)
{
	if (m->final) {
		yyjson_mut_val *root = yyjson_mut_doc_get_root(m->final), *v;
		size_t i, n;

		yyjson_mut_arr_append(vms, yyjson_mut_val_mut_copy(doc, yyjson_mut_obj_get(root, "vm")));
		yyjson_mut_arr_foreach(yyjson_mut_obj_get(root, "disks"), i, n, v)
			yyjson_mut_arr_append(disks, yyjson_mut_val_mut_copy(doc, v));
		yyjson_mut_arr_foreach(yyjson_mut_obj_get(root, "ports"), i, n, v)
			yyjson_mut_arr_append(ports, yyjson_mut_val_mut_copy(doc, v));
		return;
	}
	stats_vm(doc, vms, m);
	stats_disks(doc, disks, m);
	stats_ports(doc, ports, m->inv, m);
}

yyjson_mut_doc *stats_final_vm(struct machine *m)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL, *vms;

	if (!root)
		return NULL;
	yyjson_mut_doc_set_root(doc, root);
	vms = yyjson_mut_arr(doc);
	stats_vm(doc, vms, m);
	yyjson_mut_obj_add_val(doc, root, "vm", yyjson_mut_arr_remove_first(vms));
	return doc;
}

void stats_final_devices(yyjson_mut_doc *doc, struct machine *m)
{
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);

	if (!root)
		return;
	stats_disks(doc, yyjson_mut_obj_add_arr(doc, root, "disks"), m);
	stats_ports(doc, yyjson_mut_obj_add_arr(doc, root, "ports"), m->inv, m);
}

static void stats_memory(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct inventory *inv)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "memory");
	uint64_t total, free_bytes;

	hv_mem_usage(&total, &free_bytes);
	yyjson_mut_obj_add_uint(doc, o, "total_bytes", total);
	yyjson_mut_obj_add_uint(doc, o, "free_bytes", free_bytes);
	yyjson_mut_obj_add_uint(doc, o, "base_bytes", inv->parts.base_memory_bytes);
}

static void stats_console(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *name, const struct hv_console_stats *s)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, name);

	yyjson_mut_obj_add_uint(doc, o, "bytes", s->bytes);
	yyjson_mut_obj_add_uint(doc, o, "dropped_lines", s->dropped_lines);
}

static void stats_consoles(yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	struct hv_console_stats console, control;

	hv_console_stats(&console, &control);
	stats_console(doc, root, "console", &console);
	stats_console(doc, root, "control_console", &control);
}

static void stats_cores(yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "cores");

	for (unsigned i = 0; i < hv_core_count(); i++) {
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
		struct hv_core_stats s;

		hv_core_stats(i, &s);
		yyjson_mut_obj_add_uint(doc, o, "rounds", s.rounds);
		yyjson_mut_obj_add_uint(doc, o, "busy_rounds", s.busy_rounds);
		yyjson_mut_obj_add_uint(doc, o, "sleeps", s.sleeps);
		yyjson_mut_obj_add_uint(doc, o, "sleep_ns", s.sleep_ns);
		yyjson_mut_obj_add_uint(doc, o, "slices", s.task_slices);
		yyjson_mut_obj_add_uint(doc, o, "run_ns", s.task_ns);
	}
}

static void stats_datastores(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct inventory *inv)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "datastores");

	for (unsigned i = 0; i < inv->parts.config->datastore_count; i++) {
		const struct datastore *ds = inv->datastores[i];
		struct datastore_stats s;
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);

		datastore_stats(ds, &s);
		yyjson_mut_obj_add_strcpy(doc, o, "name", inv->parts.config->datastores[i].name);
		yyjson_mut_obj_add_strcpy(doc, o, "state", datastore_state_text(s.state));
		yyjson_mut_obj_add_uint(doc, o, "reads", s.io.ios[BLK_READ]);
		yyjson_mut_obj_add_uint(doc, o, "writes", s.io.ios[BLK_WRITE]);
		yyjson_mut_obj_add_uint(doc, o, "read_bytes", s.io.bytes[BLK_READ]);
		yyjson_mut_obj_add_uint(doc, o, "written_bytes", s.io.bytes[BLK_WRITE]);
		text_add(doc, o, "reason", s.reason);
		yyjson_mut_obj_add_uint(doc, o, "waiting_ns", s.waiting_ns);
		yyjson_mut_obj_add_uint(doc, o, "losses", s.link.losses);
		yyjson_mut_obj_add_uint(doc, o, "replayed", s.link.replayed);
		yyjson_mut_obj_add_uint(doc, o, "resent", s.resent);
	}
}

yyjson_mut_doc *stats_host(struct inventory *inv)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL, *vms, *disks, *ports;

	if (!root)
		return NULL;
	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_str(doc, root, "event", "stats");
	yyjson_mut_obj_add_uint(doc, root, "time_ns", hv_now_ns());
	vms = yyjson_mut_obj_add_arr(doc, root, "vms");
	disks = yyjson_mut_obj_add_arr(doc, root, "disks");
	ports = yyjson_mut_obj_add_arr(doc, root, "ports");
	stats_ports(doc, ports, inv, NULL);
	for (unsigned i = 0; i < inv->count; i++)
		stats_machine(doc, vms, disks, ports, inv->machines[i]);
	stats_portgroups(doc, root, inv);
	stats_datastores(doc, root, inv);
	stats_memory(doc, root, inv);
	stats_cores(doc, root);
	stats_consoles(doc, root);
	return doc;
}
