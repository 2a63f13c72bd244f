/* Rules on VMs: what they boot from, their memory, and that a disk which can be written has one user. */
#include "check.h"

#include <string.h>

static const char *kind_name(enum datastore_kind kind)
{
	return kind == DATASTORE_ISCSI ? "an iSCSI datastore" : kind == DATASTORE_RAM ? "a RAM datastore" : "an NFS datastore";
}

/* ---- boot ---- */

static void check_file_ref(struct checker *c, const struct config_file_ref *ref)
{
	if (!ref->present || ref->is_module)
		return;
	const struct datastore_config *ds = &c->config->datastores[ref->datastore];
	if (ds->kind == DATASTORE_ISCSI)
		report_error(&c->report, "put the file on an NFS datastore, or give it as a boot module: module:NAME",
			"\"%s\" is a logical unit (iSCSI): it has no files", ds->name);
	if (ds->kind == DATASTORE_RAM)
		report_error(&c->report, "put the file on an NFS datastore, or give it as a boot module: module:NAME",
			"\"%s\" is a RAM datastore: it is empty when the host starts", ds->name);
}

static void check_boot(struct checker *c, unsigned v)
{
	const struct config_vm *vm = &c->config->vms[v];
	bool linux_boot = vm->boot == CONFIG_BOOT_LINUX;
	report_at(&c->report, "vms[%u].boot.%s", v, linux_boot ? "linux" : "multiboot");
	check_file_ref(c, &vm->kernel);
	report_at(&c->report, "vms[%u].boot.initrd", v);
	check_file_ref(c, &vm->initrd);
	if (vm->initrd.present && !linux_boot)
		report_error(&c->report, "a Multiboot kernel takes files as \"modules\"", "an initrd belongs to a Linux kernel");
	for (unsigned m = 0; m < vm->module_count; m++) {
		report_at(&c->report, "vms[%u].boot.modules[%u]", v, m);
		check_file_ref(c, &vm->modules[m]);
	}
	report_at(&c->report, "vms[%u].boot.modules", v);
	if (vm->module_count && linux_boot)
		report_error(&c->report, "a Linux kernel takes one file as \"initrd\"", "modules belong to a Multiboot kernel");
}

/* ---- disks ---- */

static void check_disk(struct checker *c, unsigned v, unsigned d)
{
	const struct config_vm_disk *disk = &c->config->vms[v].disks[d];
	const struct datastore_config *ds = &c->config->datastores[disk->datastore];
	report_at(&c->report, "vms[%u].disks[%u].file", v, d);
	if (ds->kind == DATASTORE_ISCSI && disk->file[0])
		report_error(&c->report, "take \"file\" out: the disk is the whole logical unit",
			"\"%s\" is a logical unit (iSCSI): it has no files", ds->name);
	report_at(&c->report, "vms[%u].disks[%u]", v, d);
	if (ds->kind == DATASTORE_NFS && !disk->file[0])
		report_error(&c->report, "add: file: PATH", "a disk on NFS datastore \"%s\" needs the key \"file\"", ds->name);
	if (ds->kind == DATASTORE_RAM && disk->file[0] && !disk->size_bytes)
		report_error(&c->report, "add: size: 64MiB", "a file on RAM datastore \"%s\" needs the key \"size\"", ds->name);
	report_at(&c->report, "vms[%u].disks[%u].size", v, d);
	if (disk->size_bytes && (ds->kind != DATASTORE_RAM || !disk->file[0]))
		report_error(&c->report, "take \"size\" out; it is for files on RAM datastores, which are made at start",
			"a disk on %s is as large as it is found",
			ds->kind == DATASTORE_RAM ? "the whole of a RAM datastore" : kind_name(ds->kind));
	else if (disk->size_bytes % 4096)
		report_error(&c->report, NULL, "the size is not a multiple of 4KiB");
}

/* The same bytes: the same file of a datastore, or one of them is the whole datastore. */
static bool same_disk(const struct config_vm_disk *a, const struct config_vm_disk *b)
{
	return a->datastore == b->datastore && (!a->file[0] || !b->file[0] || !strcmp(a->file, b->file));
}

static void check_disk_pair(struct checker *c, unsigned v, unsigned d, unsigned w, unsigned e)
{
	const struct config_vm *a = &c->config->vms[w], *b = &c->config->vms[v];
	if (!same_disk(&a->disks[e], &b->disks[d]) || (a->disks[e].read_only && b->disks[d].read_only && v != w))
		return;
	report_at(&c->report, "vms[%u].disks[%u]", v, d);
	if (v == w)
		report_error(&c->report, "name each disk once", "VM \"%s\" has this disk already (disks[%u])", b->name, e);
	else
		report_error(&c->report, "give each VM its own disk, or make it read_only in all of them",
			"the disk is also VM \"%s\"'s; two writers would destroy it", a->name);
}

static void check_disks(struct checker *c, unsigned v)
{
	for (unsigned d = 0; d < c->config->vms[v].disk_count; d++) {
		check_disk(c, v, d);
		for (unsigned e = 0; e < d; e++)
			check_disk_pair(c, v, d, v, e);
		for (unsigned w = 0; w < v; w++)
			for (unsigned e = 0; e < c->config->vms[w].disk_count; e++)
				check_disk_pair(c, v, d, w, e);
	}
}

/* Is the file of this disk one that an earlier disk has brought (a shared read-only disk is stored once)? */
static bool counted(const struct config *config, unsigned v, unsigned d)
{
	for (unsigned w = 0; w <= v; w++)
		for (unsigned e = 0; e < (w == v ? d : config->vms[w].disk_count); e++)
			if (same_disk(&config->vms[w].disks[e], &config->vms[v].disks[d]))
				return true;
	return false;
}

static void check_ram_space(struct checker *c, unsigned ds)
{
	const struct config *config = c->config;
	uint64_t left = config->datastores[ds].ram.size_bytes;
	for (unsigned v = 0; v < config->vm_count; v++) {
		for (unsigned d = 0; d < config->vms[v].disk_count; d++) {
			const struct config_vm_disk *disk = &config->vms[v].disks[d];
			if (disk->datastore != ds || counted(config, v, d))
				continue;
			if (disk->size_bytes > left) {
				report_at(&c->report, "vms[%u].disks[%u].size", v, d);
				report_error(&c->report, "make the disks smaller or the datastore larger",
					"the disks on RAM datastore \"%s\" need more than its %llu MiB", config->datastores[ds].name,
					(unsigned long long)(config->datastores[ds].ram.size_bytes >> 20));
				return;
			}
			left -= disk->size_bytes;
		}
	}
}

void check_vms(struct checker *c)
{
	const struct config *config = c->config;
	check_unique_names(c, "vms", "VMs", config->vms, sizeof(config->vms[0]), config->vm_count);
	for (unsigned v = 0; v < config->vm_count; v++) {
		if (config->vms[v].memory_bytes % (2ULL << 20)) {
			report_at(&c->report, "vms[%u].memory", v);
			unsigned long long mib = (config->vms[v].memory_bytes >> 20) & ~1ULL;
			report_error(&c->report, report_hint(&c->report, "write %lluMiB or %lluMiB", mib ? mib : 2, mib + 2),
				"the memory of \"%s\" is not a multiple of 2MiB", config->vms[v].name);
		}
		check_boot(c, v);
		check_disks(c, v);
	}
	for (unsigned i = 0; i < config->datastore_count; i++)
		if (config->datastores[i].kind == DATASTORE_RAM)
			check_ram_space(c, i);
	if (!config->vm_count) {
		report_at(&c->report, "%s", "");
		report_warning(&c->report, "add one under \"vms\"", "the host has no VM");
	}
}
