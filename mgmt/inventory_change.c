/*
 * Live change of the inventory: VMs and datastores that are new are made, those that are gone are given up, the others go on. What cannot
 * be done to a running VM has been refused before (config/diff.c, apply.c). prepare may fail and changes nothing; commit cannot.
 *
 * Owner: the I/O core.
 */
#include "inventory.h"

#include <datastore/datastore.h>
#include <errno.h>
#include <hv/host.h>
#include <hv/log.h>
#include <stdlib.h>
#include <string.h>

static int refuse(
	struct inventory_refusal *why, int err, const char *hint, const char *path, unsigned index, const char *fmt, const char *name)
{
	hv_snprintf(why->path, sizeof(why->path), path, index);
	hv_snprintf(why->text, sizeof(why->text), fmt, name, strerror(-err));
	why->hint = hint;
	return err;
}

/* ---- datastores ---- */

static struct datastore *datastore_named(const struct inventory *inv, const char *name)
{
	for (unsigned i = 0; i < inv->parts.config->datastore_count; i++) {
		if (!strcmp(inv->parts.config->datastores[i].name, name))
			return inv->datastores[i];
	}
	return NULL;
}

static int prepare_datastores(struct inventory_change *c, struct inventory_refusal *why)
{
	for (unsigned i = 0; i < c->to->datastore_count; i++) {
		const struct datastore_config *config = &c->to->datastores[i];
		int err;

		c->datastores[i] = datastore_named(c->inv, config->name);
		if (c->datastores[i])
			continue;
		err = datastore_open(config, &c->datastores[i]);
		if (err)
			return refuse(why, err, "", "datastores[%u]", i, "datastore \"%s\" cannot be opened: %s", config->name);
		c->opened[i] = true;
	}
	return 0;
}

/* ---- machines ---- */

static int check_module(const struct config_file_ref *ref, unsigned vm, const char *path, struct inventory_refusal *why)
{
	if (!ref->present || !ref->is_module || hv_module_find(ref->path))
		return 0;
	return refuse(why, -ENOENT, "a host has the boot modules that it was started with; use a file on a datastore", path, vm,
		"the host has no boot module \"%s\"", ref->path);
}

static int check_modules(const struct config_vm *vm, unsigned index, struct inventory_refusal *why)
{
	const char *kernel = vm->boot == CONFIG_BOOT_LINUX ? "vms[%u].boot.linux" : "vms[%u].boot.multiboot";
	int err = check_module(&vm->kernel, index, kernel, why);

	if (!err)
		err = check_module(&vm->initrd, index, "vms[%u].boot.initrd", why);
	for (unsigned i = 0; i < vm->module_count && !err; i++)
		err = check_module(&vm->modules[i], index, "vms[%u].boot.modules", why);
	return err;
}

static int prepare_machines(struct inventory_change *c, struct inventory_refusal *why)
{
	for (unsigned i = 0; i < c->to->vm_count; i++) {
		const struct config_vm *vm = &c->to->vms[i];
		int err;

		c->machines[i] = inventory_find(c->inv, vm->name, strlen(vm->name));
		if (c->machines[i])
			continue;
		err = check_modules(vm, i, why);
		if (err)
			return err;
		c->machines[i] = machine_new(c->inv, vm);
		c->made[i] = c->machines[i] != NULL;
		if (!c->made[i])
			return refuse(why, -ENOMEM, "", "vms[%u]", i, "VM \"%s\": %s", vm->name);
	}
	return 0;
}

int inventory_change_prepare(struct inventory *inv, const struct config *to, struct inventory_change *c, struct inventory_refusal *why)
{
	int err;

	*c = (struct inventory_change){.inv = inv, .to = to, .before_datastores = inv->parts.config->datastore_count};
	err = prepare_datastores(c, why);
	if (!err)
		err = prepare_machines(c, why);
	if (err)
		inventory_change_abort(c);
	return err;
}

void inventory_change_abort(struct inventory_change *c)
{
	for (unsigned i = 0; i < c->to->vm_count; i++) {
		if (c->made[i])
			machine_free(c->machines[i]);
	}
	for (unsigned i = 0; i < c->to->datastore_count; i++) {
		if (c->opened[i])
			datastore_close(c->datastores[i]);
	}
}

/* ---- commit ---- */

static void close_unused(struct inventory_change *c)
{
	struct inventory *inv = c->inv;

	for (unsigned i = 0; i < c->before_datastores; i++) {
		bool kept = false;

		for (unsigned k = 0; k < c->to->datastore_count; k++)
			kept |= c->datastores[k] == inv->datastores[i];
		if (!kept)
			datastore_close(inv->datastores[i]);
	}
	memcpy(inv->datastores, c->datastores, sizeof(inv->datastores));
}

static void replace_machines(struct inventory_change *c)
{
	struct inventory *inv = c->inv;

	for (unsigned i = 0; i < inv->count; i++) {
		bool kept = false;

		for (unsigned k = 0; k < c->to->vm_count; k++)
			kept |= c->machines[k] == inv->machines[i];
		if (!kept)
			machine_free(inv->machines[i]);
	}
	memcpy(inv->machines, c->machines, sizeof(inv->machines));
	inv->count = c->to->vm_count;
	for (unsigned i = 0; i < inv->count; i++)
		*inv->machines[i]->config = c->to->vms[i]; /* of a running VM: other indexes, port groups of its NICs */
}

void inventory_change_commit(struct inventory_change *c)
{
	replace_machines(c);
	close_unused(c);
	for (unsigned i = 0; i < c->inv->count; i++) {
		if (c->made[i])
			machine_start(c->inv->machines[i]);
	}
}
