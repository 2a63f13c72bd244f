/*
 * The inventory: each VM of the configuration, run by a fiber of its own from "waiting for its datastores" to "ended, everything released".
 * Owner: the I/O core. A VM that cannot be started is reported like a crash, with the reason, and delays nothing else.
 */
#include "inventory.h"

#include <datastore/datastore.h>
#include <errno.h>
#include <hv/host.h>
#include <hv/log.h>
#include <stdlib.h>
#include <string.h>
#include <vswitch/neighbor.h>
#include <vswitch/vswitch.h>

/* A kernel or initrd larger than this is refused before any memory is taken. */
#define BOOT_FILE_MAX_BYTES (1UL << 30)
/* How long the host stays on for the last writes of its VMs, and how often it looks. */
#define SETTLE_NS (10 * 1000000000ull)
#define SETTLE_LOOK_NS 20000000ull

static const char *const end_names[] = {
	[VM_END_POWER_OFF] = "power-off",
	[VM_END_RESET] = "reset",
	[VM_END_DEBUG_EXIT] = "debug-exit",
	[VM_END_CRASH] = "crash",
	[VM_END_STOPPED] = "stopped",
};

const char *machine_state_name(enum machine_state s)
{
	static const char *const names[] = {"waiting", "preparing", "running", "ended", "failed"};

	return names[s];
}

struct machine *inventory_find(struct inventory *inv, const char *name, size_t len)
{
	for (unsigned i = 0; i < inv->count; i++) {
		const char *n = inv->machines[i]->config->name;

		if (strlen(n) == len && memcmp(n, name, len) == 0)
			return inv->machines[i];
	}
	return NULL;
}

/* ---- callbacks of hv ---- */

static void machine_on_console(void *arg, const char *bytes, size_t len)
{
	machine_console(arg, bytes, len);
}

static void machine_on_ended(void *arg, enum vm_end how, unsigned value, const char *reason)
{
	struct machine *m = arg;

	m->how = how;
	m->value = value;
	hv_snprintf(m->reason, sizeof(m->reason), "%s", reason ? reason : "");
	m->ended = true;
	hv_fiber_wake(m->fiber);
}

/* ---- getting ready ---- */

static int machine_fail(struct machine *m, int err, const char *what, const char *which)
{
	hv_snprintf(m->reason, sizeof(m->reason), "not started: %s %s: %s", what, which, strerror(-err));
	return err;
}

static int machine_wait_datastore(struct machine *m, unsigned index)
{
	struct datastore *ds = m->inv->datastores[index];
	int err;

	if (datastore_state(ds) != DATASTORE_ONLINE) {
		m->state = MACHINE_WAITING;
		log_info("vm.waiting", "%s waits for datastore %s", m->config->name, m->inv->parts.config->datastores[index].name);
	}
	err = datastore_wait(ds, 0);
	m->state = MACHINE_PREPARING;
	return err;
}

static int machine_open_disks(struct machine *m)
{
	for (unsigned i = 0; i < m->config->disk_count; i++) {
		const struct config_vm_disk *d = &m->config->disks[i];
		struct datastore *ds = m->inv->datastores[d->datastore];
		const struct datastore_disk_options options = {.size_bytes = d->size_bytes, .read_only = d->read_only};
		int err = machine_wait_datastore(m, d->datastore);

		if (!err)
			err = datastore_disk_open(ds, d->file, &options, &m->disks[i]);
		if (err)
			return machine_fail(m, err, "disk", d->file[0] ? d->file : m->inv->parts.config->datastores[d->datastore].name);
	}
	return 0;
}

/* A boot file: a host's boot module in place, or read whole from a datastore. */
static int machine_boot_file(struct machine *m, const struct config_file_ref *ref, struct machine_file *loaded, struct vm_blob *blob)
{
	const struct hv_module *module;
	int err;

	if (!ref->present)
		return 0;
	if (ref->is_module) {
		module = hv_module_find(ref->path);
		if (!module)
			return machine_fail(m, -ENOENT, "boot module", ref->path);
		*blob = (struct vm_blob){.data = module->data, .bytes = module->bytes, .name = ref->path};
		return 0;
	}
	err = machine_wait_datastore(m, ref->datastore);
	if (!err)
		err = datastore_file_load(
			m->inv->datastores[ref->datastore], ref->path, BOOT_FILE_MAX_BYTES, &loaded->data, &loaded->bytes, 0);
	if (err)
		return machine_fail(m, err, "boot file", ref->path);
	*blob = (struct vm_blob){.data = loaded->data, .bytes = loaded->bytes, .name = ref->path};
	return 0;
}

static int machine_boot_files(struct machine *m, struct vm_config *vc)
{
	int err = machine_boot_file(m, &m->config->kernel, &m->loaded[0], &vc->kernel);

	if (!err)
		err = machine_boot_file(m, &m->config->initrd, &m->loaded[1], &vc->initrd);
	for (unsigned i = 0; !err && i < m->config->module_count; i++)
		err = machine_boot_file(m, &m->config->modules[i], &m->loaded[2 + i], &vc->modules[i]);
	vc->module_count = m->config->module_count;
	return err;
}

void machine_port_name(char *out, size_t size, const char *vm, unsigned nic)
{
	hv_snprintf(out, size, "%s.nic%u", vm, nic);
}

bool machine_port_nic(const struct config *c, const char *port, unsigned *vm, unsigned *nic)
{
	char name[CONFIG_NAME_MAX + 16];

	for (*vm = 0; *vm < c->vm_count; ++*vm) {
		for (*nic = 0; *nic < c->vms[*vm].nic_count; ++*nic) {
			machine_port_name(name, sizeof(name), c->vms[*vm].name, *nic);
			if (!strcmp(name, port))
				return true;
		}
	}
	return false;
}

static int machine_open_ports(struct machine *m)
{
	char name[CONFIG_NAME_MAX + 16];
	int err;

	for (unsigned i = 0; i < m->config->nic_count; i++) {
		const struct config_vm_nic *nic = &m->config->nics[i];

		machine_port_name(name, sizeof(name), m->config->name, i);
		err = vsw_guest_port_create(m->inv->parts.vsw, nic->portgroup, name, nic->mac, &m->ports[i]);
		if (err)
			return machine_fail(m, err, "switch port", name);
		vsw_guest_port_apply(m->ports[i], &nic->own);
	}
	return 0;
}

static void machine_free_boot_files(struct machine *m)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(m->loaded); i++) {
		if (m->loaded[i].data)
			datastore_file_unload(m->loaded[i].data, m->loaded[i].bytes);
		m->loaded[i] = (struct machine_file){NULL, 0};
	}
}

static int machine_create(struct machine *m)
{
	const struct config_vm *c = m->config;
	struct vm_config vc = {
		.name = c->name,
		.cpus = c->cpus,
		.memory_bytes = c->memory_bytes,
		.boot = c->boot == CONFIG_BOOT_LINUX ? VM_BOOT_LINUX : VM_BOOT_MULTIBOOT,
		.cmdline = c->cmdline,
		.debug_exit = c->debug_exit,
		.io_core = m->inv->parts.io_core,
		.vcpu_core_mask = m->inv->parts.vcpu_core_mask,
		.disk_count = c->disk_count,
		.nic_count = c->nic_count,
		.console = machine_on_console,
		.ended = machine_on_ended,
		.arg = m,
	};
	int err;

	m->state = MACHINE_PREPARING;
	err = machine_open_disks(m);
	if (!err)
		err = machine_boot_files(m, &vc);
	if (!err)
		err = machine_open_ports(m);
	for (unsigned i = 0; i < c->disk_count; i++)
		vc.disks[i] = (struct vm_disk_config){.dev = m->disks[i], .serial = c->disks[i].file};
	for (unsigned i = 0; i < c->nic_count; i++)
		vc.nics[i] = (struct vm_nic_config){.port = m->ports[i], .queue_pairs = c->nics[i].queues};
	if (!err) {
		err = vm_create(&vc, &m->vm);
		if (err)
			machine_fail(m, err, "creating the machine:", "see the log above");
	}
	machine_free_boot_files(m);
	return err;
}

/* ---- the end ---- */

/* Numbers are taken where they are final, then what they are of is released. */
static void machine_release(struct machine *m)
{
	yyjson_mut_doc *final = stats_final_vm(m);

	while (m->dirty_busy)
		hv_fiber_yield();
	m->dirty_on = false;
	if (m->vm)
		vm_destroy(m->vm);
	m->vm = NULL;
	stats_final_devices(final, m);
	m->final = final;
	for (unsigned i = 0; i < m->config->nic_count; i++) {
		if (m->ports[i])
			vsw_guest_port_destroy(m->ports[i]);
		m->ports[i] = NULL;
	}
	for (unsigned i = 0; i < m->config->disk_count; i++) {
		if (m->disks[i])
			datastore_disk_close(m->inv->datastores[m->config->disks[i].datastore], m->disks[i]);
		m->disks[i] = NULL;
	}
}

static void machine_report_end(struct machine *m)
{
	machine_console_flush(m);
	log_info("vm.ended", "%s: %s%s%s", m->config->name, end_names[m->how], m->reason[0] ? ": " : "", m->reason);
	control_event_vm_ended(m->config->name, end_names[m->how], m->value, m->reason);
}

static const struct datastore *datastore_that_settles(void)
{
	for (unsigned i = 0; i < datastore_count(); i++)
		if (datastore_settling(datastore_get(i)))
			return datastore_get(i);
	return NULL;
}

static void inventory_settle(uint64_t deadline_ns)
{
	const struct datastore *ds;

	while ((ds = datastore_that_settles()) != NULL && hv_now_ns() < deadline_ns)
		(void)hv_fiber_park(HV_MIN(hv_now_ns() + SETTLE_LOOK_NS, deadline_ns)); /* its end is what is waited for */
	if (ds)
		log_error("datastore.unstable", "%s: the host ends before the last writes of its VMs are stable on it", datastore_name(ds));
}

static void inventory_last_ended(struct inventory *inv)
{
	control_event_stats(inv);
	if (!inv->parts.config->host.power_off_when_idle)
		return;
	inventory_settle(hv_now_ns() + SETTLE_NS);
	if (inv->running)
		return; /* one was started meanwhile */
	log_info("host.idle", "all VMs have ended: powering off");
	if (inv->parts.vsw)
		vsw_discovery_leave(inv->parts.vsw);
	hv_power_off(0);
}

static void machine_main(void *arg)
{
	struct machine *m = arg;
	struct inventory *inv = m->inv;
	int err;

	m->fiber = hv_fiber_self();
	err = machine_create(m);
	if (!err) {
		m->state = MACHINE_RUNNING;
		log_info("vm.started", "%s: %u CPUs, %lu MiB", m->config->name, m->config->cpus,
			(unsigned long)(m->config->memory_bytes >> 20));
		vm_start(m->vm);
		while (!m->ended)
			hv_fiber_park(0);
	} else {
		m->how = VM_END_CRASH;
	}
	m->state = err ? MACHINE_FAILED : MACHINE_ENDED;
	machine_release(m);
	machine_report_end(m);
	m->active = false; /* it may be started again or freed */
	if (--inv->running == 0)
		inventory_last_ended(inv);
}

struct machine *machine_new(struct inventory *inv, const struct config_vm *config)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->config = malloc(sizeof(*m->config));
	if (!m->config) {
		free(m);
		return NULL;
	}
	*m->config = *config;
	m->inv = inv;
	return m;
}

void machine_free(struct machine *m)
{
	hv_assert(!m->active);
	yyjson_mut_doc_free(m->final);
	free(m->config);
	free(m);
}

void machine_start(struct machine *m)
{
	hv_assert(!m->active);
	yyjson_mut_doc_free(m->final);
	*m = (struct machine){.inv = m->inv, .config = m->config, .active = true};
	m->inv->running++;
	if (!hv_fiber_spawn(m->config->name, machine_main, m, 0))
		return;
	m->active = false;
	m->inv->running--;
	m->state = MACHINE_FAILED;
	m->how = VM_END_CRASH;
	machine_fail(m, -ENOMEM, "running", "it");
	machine_report_end(m);
}

static void inventory_free(struct inventory *inv)
{
	for (unsigned i = 0; i < inv->count; i++)
		machine_free(inv->machines[i]);
	free(inv);
}

int inventory_start(const struct mgmt_parts *parts, struct inventory **out)
{
	struct inventory *inv = calloc(1, sizeof(*inv));

	if (!inv)
		return trace_error(-ENOMEM);
	inv->parts = *parts;
	memcpy(inv->datastores, parts->datastores, parts->config->datastore_count * sizeof(inv->datastores[0]));
	for (; inv->count < parts->config->vm_count; inv->count++) {
		inv->machines[inv->count] = machine_new(inv, &parts->config->vms[inv->count]);
		if (!inv->machines[inv->count]) {
			inventory_free(inv);
			return trace_error(-ENOMEM);
		}
	}
	*out = inv;
	control_start(inv);
	for (unsigned i = 0; i < inv->count; i++)
		machine_start(inv->machines[i]);
	if (inv->count == 0)
		inventory_last_ended(inv);
	return 0;
}
