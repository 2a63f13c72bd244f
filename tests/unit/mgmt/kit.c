#include "kit.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>
#include <stdlib.h>

struct vm kit_vms[KIT_VMS];
int kit_vm_error;
size_t kit_vm_input_room;
struct inventory *kit_inventory;
struct mgmt_parts kit_parts;

static struct config *config; /* until kit_start; then it is the inventory's */
static struct datastore *datastores[3];
static size_t answered; /* bytes of the control console that a test has seen */

/* ---- machines that are only remembered (hv/vm.h) ---- */

int vm_create(const struct vm_config *c, struct vm **out)
{
	struct vm *vm = kit_vms;

	if (kit_vm_error)
		return kit_vm_error;
	while (vm->used)
		vm++;
	assert_true(vm < kit_vms + KIT_VMS);
	*vm = (struct vm){.used = true, .config = *c};
	strcpy(vm->name, c->name);
	memcpy(vm->kernel, c->kernel.data, HV_MIN(c->kernel.bytes, sizeof(vm->kernel) - 1));
	*out = vm;
	return 0;
}

void vm_start(struct vm *vm)
{
	vm->started = true;
}

void vm_stop(struct vm *vm)
{
	vm->stopped = true;
}

int vm_dirty_start(struct vm *vm)
{
	vm->logged = true;
	return 0;
}

void vm_dirty_stop(struct vm *vm)
{
	vm->logged = false;
}

size_t vm_dirty_words(const struct vm *vm)
{
	return 2;
}

gpa_t vm_dirty_gpa(const struct vm *vm, uint64_t page)
{
	return GPA((page < 64 ? 0 : 0x100000000) + page * HV_PAGE_SIZE);
}

uint64_t vm_dirty_read(struct vm *vm, uint64_t *bits)
{
	bits[0] = 0x8000000000000003;
	bits[1] = 5;
	return 5;
}

void vm_destroy(struct vm *vm)
{
	vm->destroyed = true;
}

size_t vm_console_input(struct vm *vm, const char *bytes, size_t len)
{
	size_t n = HV_MIN(len, kit_vm_input_room);

	assert_true(vm->typed_len + n < sizeof(vm->typed));
	memcpy(vm->typed + vm->typed_len, bytes, n);
	vm->typed_len += n;
	kit_vm_input_room -= n;
	return n;
}

void vm_stats(struct vm *vm, struct vm_stats_sink *sink)
{
	sink->counter(sink, "exits.cpuid", 12);
	sink->counter(sink, "exits.nothing", 0);
	sink->counter(sink, "irq.injected", 34);
	sink->counter(sink, "run_ns", UINT64_MAX);
}

uint64_t vm_memory_bytes(const struct vm *vm)
{
	return vm->config.memory_bytes + 4096;
}

struct vm *kit_vm_find(const char *name)
{
	for (unsigned i = 0; i < KIT_VMS; i++)
		if (kit_vms[i].used && strcmp(kit_vms[i].name, name) == 0)
			return &kit_vms[i];
	return NULL;
}

void kit_vm_end(const char *name, enum vm_end how, unsigned value, const char *reason)
{
	struct vm *vm = kit_vm_find(name);

	assert_non_null(vm);
	vm->config.ended(vm->config.arg, how, value, reason);
	native_run(50);
}

/* ---- the host ---- */

static void open_datastore(unsigned i, const char *name, enum datastore_kind kind)
{
	config->datastores[i] = kit_config(name, kind);
	if (kind == DATASTORE_RAM)
		config->datastores[i].ram.size_bytes = 8u << 20;
	assert_int_equal(datastore_open(&config->datastores[i], &datastores[i]), 0);
}

int kit_mgmt_setup(void **state)
{
	kit_storage_start();
	memset(kit_vms, 0, sizeof(kit_vms));
	config = calloc(1, sizeof(*config));
	assert_non_null(config);
	kit_vm_error = 0;
	kit_vm_input_room = 1000;
	answered = 0;
	kit_inventory = NULL;
	open_datastore(KIT_NAS, "nas1", DATASTORE_NFS);
	open_datastore(KIT_SAN, "san1", DATASTORE_ISCSI);
	open_datastore(KIT_RAM, "ram1", DATASTORE_RAM);
	config->datastore_count = 3;
	strcpy(config->host.name, "hv1");
	native_module_add("guest", "the guest's program", 20);
	kit_parts = (struct mgmt_parts){.config = config, .datastores = datastores, .vcpu_core_mask = 1};
	return 0;
}

/* Everything that was opened for VMs has been closed again: kit_storage_end counts files, and closing a datastore asserts its disks. */
int kit_mgmt_teardown(void **state)
{
	for (unsigned i = 0; i < KIT_VMS; i++)
		if (kit_vms[i].used && !kit_vms[i].destroyed)
			kit_vm_end(kit_vms[i].name, VM_END_POWER_OFF, 0, NULL);
	for (unsigned i = 0; kit_inventory && i < kit_inventory->count; i++) {
		yyjson_mut_doc_free(kit_inventory->machines[i]->final);
		free(kit_inventory->machines[i]->config);
		free(kit_inventory->machines[i]);
	}
	kit_events_checked();
	control_stop();
	free(kit_inventory ? kit_inventory->parts.config : config);
	free(kit_inventory);
	kit_storage_end();
	return 0;
}

struct config_vm *kit_vm(const char *name)
{
	struct config_vm *vm = &config->vms[config->vm_count++];

	strcpy(vm->name, name);
	vm->cpus = 1;
	vm->memory_bytes = 2u << 20;
	vm->boot = CONFIG_BOOT_MULTIBOOT;
	vm->kernel = (struct config_file_ref){.present = true, .is_module = true};
	strcpy(vm->kernel.path, "guest");
	return vm;
}

void kit_disk(struct config_vm *vm, unsigned datastore, const char *file)
{
	struct config_vm_disk *d = &vm->disks[vm->disk_count++];

	d->datastore = (uint8_t)datastore;
	strcpy(d->file, file);
}

static void start(void *arg)
{
	assert_int_equal(inventory_start(&kit_parts, &kit_inventory), 0);
}

void kit_start(void)
{
	assert_int_equal(hv_fiber_spawn("main", start, NULL, 0), 0);
	native_run(50);
	assert_non_null(kit_inventory);
}

enum machine_state kit_state(const char *name)
{
	const struct machine *m = inventory_find(kit_inventory, name, strlen(name));

	assert_non_null(m);
	return m->state;
}

/* ---- the control console ---- */

const char *kit_control(const char *bytes, size_t len)
{
	answered = strlen(native_control_text());
	native_control_type(bytes, len);
	native_run(50 + (unsigned)len / 32);
	return native_control_text() + answered;
}

const char *kit_command(const char *line)
{
	return kit_control(line, strlen(line));
}

static yyjson_doc *line_read(const char *line, size_t len)
{
	yyjson_doc *doc = yyjson_read(line, len, 0);

	assert_non_null(doc);
	assert_true(yyjson_is_str(yyjson_obj_get(yyjson_doc_get_root(doc), "event")));
	return doc;
}

yyjson_doc *kit_event(const char *name)
{
	yyjson_doc *found = NULL;

	for (const char *at = native_control_text(), *end; (end = strchr(at, '\n')); at = end + 1) {
		yyjson_doc *doc = line_read(at, (size_t)(end - at));

		if (!yyjson_equals_str(yyjson_obj_get(yyjson_doc_get_root(doc), "event"), name)) {
			yyjson_doc_free(doc);
			continue;
		}
		yyjson_doc_free(found);
		found = doc;
	}
	return found;
}

unsigned kit_events_checked(void)
{
	unsigned lines = 0;

	for (const char *at = native_control_text(), *end; (end = strchr(at, '\n')); at = end + 1, lines++)
		yyjson_doc_free(line_read(at, (size_t)(end - at)));
	return lines;
}
