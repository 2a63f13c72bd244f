/*
 * The one file that may see everything: plugs the layers together, in order, when the machine's cores run their loops.
 * All of it runs in one fiber on core 0, the I/O core. Nothing here waits for storage or for the network: those attach by themselves.
 */
#include <config/config.h>
#include <datastore/datastore.h>
#include <errno.h>
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <hv/vm.h>
#include <mgmt/mgmt.h>
#include <net/net.h>
#include <nic/nic.h>
#include <stdlib.h>
#include <string.h>
#include <vswitch/vswitch.h>

#define CONFIG_MODULE "config.json"
#define IO_CORE 0

static struct {
	struct config *config;
	struct vsw *vsw;
	struct datastore *datastores[DATASTORE_MAX];
	struct inventory *inventory;
	uint64_t base_memory_bytes;
} host;

/* ---- configuration ---- */

static void config_report(void *arg, const struct config_problem *p)
{
	char at[CONFIG_POSITION_MAX + 1];

	config_position(host.config, p->path, at);
	hv_log(p->severity == CONFIG_ERROR ? HV_LOG_ERROR : HV_LOG_WARN, "config.problem", "%s%s%s%s%s%s%s", at, at[0] ? ": " : "", p->path,
		p->path[0] ? ": " : "", p->message, p->hint[0] ? "; " : "", p->hint);
}

static int start_config(void)
{
	static const struct config_sink sink = {.report = config_report};
	/* They travel as boot modules beside the configuration, never inside it. */
	static const struct config_secrets secrets = {.secret = mgmt_module_secret};
	const struct hv_module *m = hv_module_find(CONFIG_MODULE);
	int err;

	if (!m) {
		log_error("config.missing",
			"no boot module named " CONFIG_MODULE ": make it with `berth compile HOST.yaml -o " CONFIG_MODULE "`");
		return -ENOENT;
	}
	host.config = calloc(1, sizeof(*host.config));
	if (!host.config)
		return trace_error(-ENOMEM);
	err = config_read_json(m->data, m->bytes, host.config, &secrets, &sink);
	return err ? err : config_check(host.config, &sink);
}

/* ---- network ---- */

static int start_nics(void)
{
	return nic_init(IO_CORE);
}

static const struct nic *uplink_nic(const struct vsw_uplink_config *u)
{
	char pci[16];

	if (u->has_mac)
		return nic_find_mac(u->mac);
	hv_snprintf(pci, sizeof(pci), "%04x:%02x:%02x.%u", u->pci_segment, u->pci_bus, u->pci_dev, u->pci_fn);
	return nic_find_pci(pci);
}

/* An uplink without its NIC is a fault of this host, not of its configuration: everything else runs on. */
static void attach_uplink(unsigned i)
{
	const struct vsw_uplink_config *u = &host.config->vsw.uplinks[i];
	const struct nic *n = uplink_nic(u);
	struct vsw_uplink_dev dev;
	int err;

	if (!n) {
		log_error("uplink.missing", "%s: this machine has no NIC that matches; the NICs are listed above as nic.found", u->name);
		return;
	}
	dev = (struct vsw_uplink_dev){.ethdev_port = n->port, .arm = nic_rx_arm, .arg = (void *)n, .queues = n->rx_queues_max};
	err = vsw_uplink_attach(host.vsw, i, &dev);
	if (err)
		log_error("uplink.failed", "%s on %s: error %d", u->name, n->pci, -err);
}

/* A live change: uplinks that are new, or whose NIC is another now, get their device. */
static void configured(struct config *config)
{
	host.config = config;
	for (unsigned i = 0; i < config->vsw.uplink_count; i++) {
		if (!vsw_uplink_attached(host.vsw, i))
			attach_uplink(i);
	}
}

static int start_switch(void)
{
	int err = vsw_create(&host.config->vsw, IO_CORE, &host.vsw);

	if (err)
		return err;
	for (unsigned i = 0; i < host.config->vsw.uplink_count; i++)
		attach_uplink(i);
	return 0;
}

static int start_net(void)
{
	int err = net_init(IO_CORE);

	for (unsigned i = 0; !err && i < host.config->net.vmknic_count; i++) {
		struct net_vmknic_config vmk = host.config->net.vmknics[i];

		vmk.has_mac = true; /* reading the configuration derived one, from the host's name too, where none is given */
		err = net_vmk_create(&vmk, host.vsw);
	}
	return err;
}

/* ---- storage and VMs ---- */

static int start_datastores(void)
{
	int err = 0;

	for (unsigned i = 0; !err && i < host.config->datastore_count; i++)
		err = datastore_open(&host.config->datastores[i], &host.datastores[i]);
	return err;
}

/* The I/O core keeps to itself unless it is the only one. */
static uint64_t vcpu_cores(void)
{
	unsigned n = hv_core_count();

	return n == 1 ? 1u << IO_CORE : (n >= 64 ? ~0ull : (1ull << n) - 1) & ~(1ull << IO_CORE);
}

static int start_vms(void)
{
	struct mgmt_parts parts = {
		.config = host.config,
		.vsw = host.vsw,
		.datastores = host.datastores,
		.vcpu_core_mask = vcpu_cores(),
		.io_core = IO_CORE,
		.configured = configured,
	};
	uint64_t total, free_bytes;

	hv_mem_usage(&total, &free_bytes);
	parts.base_memory_bytes = total - free_bytes;
	return inventory_start(&parts, &host.inventory);
}

/* What cannot run VMs runs nothing: it stays on with its reason on the screen. */
static int check_machine(void)
{
	const char *why = vm_refused_by_machine();

	if (why) {
		control_event_error("host-failed", why);
		hv_stop("this machine cannot run virtual machines: %s", why);
	}
	return 0;
}

/* In this order; a step that fails stops the host with a message: a host without its switch or its configuration has nothing to run. */
static const struct {
	const char *what;
	int (*start)(void);
} steps[] = {
	{"processor", check_machine},
	{"configuration", start_config},
	{"network cards", start_nics},
	{"virtual switch", start_switch},
	{"TCP/IP", start_net},
	{"datastores", start_datastores},
	{"virtual machines", start_vms},
};

void host_main(void)
{
	for (size_t i = 0; i < HV_ARRAY_LEN(steps); i++) {
		int err = steps[i].start();

		if (!err)
			continue;
		log_error("host.start", "%s: error %d (%s); the lines above say why. Powering off.", steps[i].what, -err, strerror(-err));
		control_event_error("host-failed", steps[i].what);
		hv_power_off(1);
	}
	log_info("host.ready", "%s: %u cores, %u datastores, %u VMs", host.config->host.name, hv_core_count(), host.config->datastore_count,
		host.config->vm_count);
}
