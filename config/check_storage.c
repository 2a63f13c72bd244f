/* Rules on datastores: what an initiator could not log in to or mount, or would reach twice under two names. */
#include "check.h"

#include <string.h>

static uint32_t mask_of(const struct net_vmknic_config *vmk)
{
	return vmk->prefix ? 0xffffffffu << (32 - vmk->prefix) : 0;
}

/* A server must be reachable from some VMkernel NIC. The path is set to where the server stands. */
static void check_server(struct checker *c, uint32_t server)
{
	const struct net_config *net = &c->config->net;
	char text[CHECK_IPV4_TEXT];
	const char *problem = check_host_address(server);
	check_ipv4_text(text, server);
	if (problem) {
		report_error(&c->report, "write the server's address as this host reaches it", "%s %s", text, problem);
		return;
	}
	if (!net->vmknic_count) {
		report_error(&c->report, "add a VMkernel NIC under \"vmknics\"", "the host has no VMkernel NIC to reach %s from", text);
		return;
	}
	for (unsigned i = 0; i < net->vmknic_count; i++) {
		const struct net_vmknic_config *vmk = &net->vmknics[i];
		if (vmk->address == server) {
			report_error(&c->report, "write the server's address", "%s is this host's own address (\"%s\")", text, vmk->name);
			return;
		}
		if (vmk->gateway || (vmk->address & mask_of(vmk)) == (server & mask_of(vmk)))
			return;
	}
	report_error(&c->report, "correct the address, or give a VMkernel NIC a gateway",
		"%s is in no subnet of a VMkernel NIC, and none has a gateway", text);
}

static void check_nfs(struct checker *c, unsigned i, const struct nfs_config *nfs)
{
	report_at(&c->report, "datastores[%u].nfs.server", i);
	check_server(c, nfs->server);
	report_at(&c->report, "datastores[%u].nfs.export", i);
	if (nfs->export_path[0] != '/')
		report_error(&c->report, "write the path as the server exports it: /vol1", "the export \"%.100s\" does not begin with '/'",
			nfs->export_path);
	if (!nfs->nfs_port != !nfs->mount_port) {
		report_at(&c->report, "datastores[%u].nfs", i);
		report_warning(&c->report,
			report_hint(&c->report, "add %s too, and the portmapper is not needed", nfs->nfs_port ? "mount_port" : "nfs_port"),
			"only one of nfs_port and mount_port is given");
	}
}

/* RFC 7143 section 12.1.4: a CHAP secret has at least 96 bits; more than 16 bytes are refused by widespread targets. */
static void check_chap(struct checker *c, unsigned i, const struct iscsi_config *iscsi)
{
	size_t len = strlen(iscsi->chap_secret);
	if (!iscsi->chap_user[0] || !len) /* none, or not looked up (config_secrets) */
		return;
	report_at(&c->report, "datastores[%u].iscsi.chap.secret", i);
	if (len < 12 || len > 16)
		report_error(&c->report, "choose 12 to 16 random characters, and set them at the target too",
			"the CHAP secret has %lu characters; 12 to 16 are allowed", (unsigned long)len);
}

static void check_iscsi(struct checker *c, unsigned i, const struct iscsi_config *iscsi)
{
	const char *problem = check_iscsi_name(iscsi->target);
	if (problem) {
		report_at(&c->report, "datastores[%u].iscsi.target", i);
		report_error(&c->report, "write it as the target shows it: iqn.2026-01.com.example:disks", "the iSCSI name \"%.223s\" %s",
			iscsi->target, problem);
	}
	for (unsigned p = 0; p < iscsi->portal_count; p++) {
		report_at(&c->report, "datastores[%u].iscsi.portals[%u]", i, p);
		check_server(c, iscsi->portals[p].address);
		for (unsigned q = 0; q < p; q++)
			if (iscsi->portals[p].address == iscsi->portals[q].address && iscsi->portals[p].port == iscsi->portals[q].port)
				report_error(&c->report, "name each portal once", "the portal is listed twice");
	}
	check_chap(c, i, iscsi);
}

/* Two datastores for the same storage would defeat the rule that a disk has one user. */
static void check_same_storage(struct checker *c, unsigned i, unsigned j)
{
	const struct datastore_config *a = &c->config->datastores[j], *b = &c->config->datastores[i];
	if (a->kind != b->kind)
		return;
	if (a->kind == DATASTORE_NFS && a->nfs.server == b->nfs.server && a->nfs.nfs_port == b->nfs.nfs_port &&
		!strcmp(a->nfs.export_path, b->nfs.export_path)) {
		report_at(&c->report, "datastores[%u].nfs.export", i);
		report_error(&c->report, "use one datastore", "datastores \"%s\" and \"%s\" are the same export", a->name, b->name);
	}
	if (a->kind == DATASTORE_ISCSI && a->iscsi.lun == b->iscsi.lun && !strcmp(a->iscsi.target, b->iscsi.target)) {
		report_at(&c->report, "datastores[%u].iscsi.lun", i);
		report_error(&c->report, "use one datastore; its portals may be several",
			"datastores \"%s\" and \"%s\" are the same logical unit", a->name, b->name);
	}
}

static void check_used(struct checker *c, unsigned i)
{
	for (unsigned v = 0; v < c->config->vm_count; v++) {
		const struct config_vm *vm = &c->config->vms[v];
		for (unsigned d = 0; d < vm->disk_count; d++)
			if (vm->disks[d].datastore == i)
				return;
		for (unsigned m = 0; m < vm->module_count; m++)
			if (!vm->modules[m].is_module && vm->modules[m].datastore == i)
				return;
		if ((vm->kernel.present && !vm->kernel.is_module && vm->kernel.datastore == i) ||
			(vm->initrd.present && !vm->initrd.is_module && vm->initrd.datastore == i))
			return;
	}
	report_at(&c->report, "datastores[%u]", i);
	report_warning(&c->report, NULL, "no VM uses datastore \"%s\"", c->config->datastores[i].name);
}

void check_storage(struct checker *c)
{
	const struct config *config = c->config;
	check_unique_names(c, "datastores", "datastores", config->datastores, sizeof(config->datastores[0]), config->datastore_count);
	for (unsigned i = 0; i < config->datastore_count; i++) {
		const struct datastore_config *ds = &config->datastores[i];
		if (!strcmp(ds->name, "module")) {
			report_at(&c->report, "datastores[%u].name", i);
			report_error(&c->report, "choose another name",
				"a datastore cannot be called \"module\": module:NAME means a boot module");
		}
		if (ds->kind == DATASTORE_NFS)
			check_nfs(c, i, &ds->nfs);
		if (ds->kind == DATASTORE_ISCSI)
			check_iscsi(c, i, &ds->iscsi);
		if (ds->kind == DATASTORE_RAM && ds->ram.size_bytes % 4096) {
			report_at(&c->report, "datastores[%u].ram.size", i);
			report_error(&c->report, NULL, "the size is not a multiple of 4KiB");
		}
		for (unsigned j = 0; j < i; j++)
			check_same_storage(c, i, j);
		check_used(c, i);
	}
}
