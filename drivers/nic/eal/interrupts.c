/*
 * Device interrupts. Each device a driver claims has a source here; the driver's rte_intr_handle names it by index (its "dev_fd").
 *
 * MSI-X source, as DPDK lays vectors out: entry 0 is for events (link), its handler posts a message that runs the registered callbacks in
 * loop context; entry 1+q is for receive queue q, its handler only wakes the core, whose poller then finds the packets.
 *
 * Line source, for a device without MSI-X and for drivers that cannot program one: no interrupt is taken. After a receive interrupt is
 * enabled (rte_intr_ack is then the driver's last step) a timer wakes the core in LINE_RX_NS to poll once more. So an idle host sleeps with
 * these devices too, in short naps. They have no events: nic_init takes link-change interrupts from their capabilities, and users ask for
 * the link.
 *
 * Everything belongs to the core that enabled the source: the one that started the device and polls it.
 *
 * States of a source: free -> bound (eal_intr_bind) -> enabled <-> disabled.
 */
#include "eal/eal.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/pci.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <string.h>

#include <bus_pci_driver.h>

#define SOURCES RTE_MAX_ETHPORTS
#define CALLBACKS 4u
#define EVENT_ENTRY 0u
#define FIRST_RX_ENTRY 1u
#define LINE_RX_NS 500000ull

struct callback {
	rte_intr_callback_fn fn; /* NULL: free */
	void *arg;
};

struct source {
	struct hv_pci_dev *dev; /* NULL: free */
	bool msix, enabled;
	unsigned core;
	unsigned routed; /* MSI-X entries that have a handler: 0 .. routed-1 */
	struct callback callbacks[CALLBACKS];
	struct hv_msg event;
	struct hv_timer line_rx;
};

static struct source sources[SOURCES];

/*
 * Drivers that use a device's line (or a single MSI) although it has MSI-X: e1000's em part serves the 82574 (e1000e), whose interrupt
 * causes must be assigned to MSI-X entries by the IVAR register; it never writes that. Nor can it share the line with link events: its
 * disabling of receive interrupts reads the cause register, which clears a link change that nobody has seen.
 */
static const char *const line_drivers[] = {"net_e1000_em"};

static struct source *source_of(const struct rte_intr_handle *handle)
{
	int i = rte_intr_dev_fd_get(handle);

	if (i < 0 || i >= (int)SOURCES || !sources[i].dev)
		return NULL;
	return &sources[i];
}

/* ---- events ---- */

static void run_callbacks(struct source *s)
{
	for (unsigned i = 0; i < CALLBACKS; i++) {
		struct callback c = s->callbacks[i];

		if (c.fn)
			c.fn(c.arg);
	}
}

static void event_message(struct hv_msg *m)
{
	struct source *s = hv_container_of(m, struct source, event);

	if (s->enabled)
		run_callbacks(s);
}

static void on_event_interrupt(void *arg)
{
	struct source *s = arg;

	hv_msg_post(s->core, &s->event); /* false: already on its way, one run serves both */
}

static void on_rx_interrupt(void *arg)
{
	hv_core_wake(((struct source *)arg)->core);
}

/* Having expired is all: the core's loop polls after its timers. */
static void line_rx_expired(struct hv_timer *t)
{
}

/* ---- binding ---- */

static bool driver_uses_line(const struct rte_pci_device *d)
{
	for (unsigned i = 0; d->driver && i < HV_ARRAY_LEN(line_drivers); i++) {
		if (!strcmp(d->driver->driver.name, line_drivers[i]))
			return true;
	}
	return false;
}

static struct source *claim(struct hv_pci_dev *dev)
{
	struct source *free_one = NULL;

	for (unsigned i = 0; i < SOURCES; i++) {
		if (sources[i].dev == dev)
			return &sources[i];
		if (!sources[i].dev && !free_one)
			free_one = &sources[i];
	}
	if (free_one) {
		*free_one = (struct source){.dev = dev, .event.fn = event_message};
		free_one->line_rx.fn = line_rx_expired;
	}
	return free_one;
}

int eal_intr_bind(struct rte_pci_device *d, struct hv_pci_dev *dev)
{
	struct source *s = claim(dev);
	int err;

	if (!s) {
		log_error("nic.interrupt.full", "%s: more than %u network devices", d->name, (unsigned)SOURCES);
		return trace_error(-ENOSPC);
	}
	s->msix = dev->msix_vectors && !driver_uses_line(d);
	err = rte_intr_dev_fd_set(d->intr_handle, (int)(s - sources));
	return err ? err : rte_intr_type_set(d->intr_handle, s->msix ? RTE_INTR_HANDLE_VFIO_MSIX : RTE_INTR_HANDLE_UIO);
}

bool eal_intr_is_msix(const struct rte_pci_device *d)
{
	return rte_intr_type_get(d->intr_handle) == RTE_INTR_HANDLE_VFIO_MSIX;
}

int rte_intr_callback_register(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg)
{
	struct source *s = source_of(handle);

	if (!s || !fn)
		return -EINVAL;
	for (unsigned i = 0; i < CALLBACKS; i++) {
		if (s->callbacks[i].fn == fn && s->callbacks[i].arg == arg)
			return 0;
	}
	for (unsigned i = 0; i < CALLBACKS; i++) {
		if (!s->callbacks[i].fn) {
			s->callbacks[i] = (struct callback){fn, arg};
			return 0;
		}
	}
	return trace_error(-ENOMEM);
}

/* Number removed, or -errno. From inside a callback too: the slot is simply empty when its turn comes. */
int rte_intr_callback_unregister(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg)
{
	struct source *s = source_of(handle);
	int removed = 0;

	if (!s || !fn)
		return -EINVAL;
	for (unsigned i = 0; i < CALLBACKS; i++) {
		struct callback *c = &s->callbacks[i];

		if (c->fn != fn || (arg != (void *)-1 && c->arg != arg))
			continue;
		c->fn = NULL;
		removed++;
	}
	return removed ? removed : -ENOENT;
}

/* ---- on and off ---- */

static int enable_msix(struct source *s, unsigned entries)
{
	entries = HV_MIN(entries, s->dev->msix_vectors);
	if (s->routed && s->core != hv_core_self()) {
		log_error("nic.interrupt.core", "a device's interrupts stay on core %u, which enabled them first", s->core);
		return trace_error(-EBUSY);
	}
	s->core = hv_core_self();
	for (unsigned i = 0; i < s->routed; i++)
		hv_pci_msix_mask(s->dev, i, i >= entries);
	while (s->routed < entries) {
		int err = hv_pci_msix_set(s->dev, s->routed, s->core, s->routed == EVENT_ENTRY ? on_event_interrupt : on_rx_interrupt, s);

		if (err)
			return trace_error(err);
		s->routed++;
	}
	return 0;
}

int rte_intr_enable(const struct rte_intr_handle *handle)
{
	struct source *s = source_of(handle);

	if (!s)
		return -EINVAL;
	if (s->msix) {
		int err = enable_msix(s, FIRST_RX_ENTRY + (unsigned)rte_intr_nb_efd_get(handle));

		if (err)
			return err;
	}
	s->enabled = true;
	return 0;
}

int rte_intr_disable(const struct rte_intr_handle *handle)
{
	struct source *s = source_of(handle);

	if (!s)
		return -EINVAL;
	for (unsigned i = 0; s->msix && i < s->routed; i++)
		hv_pci_msix_mask(s->dev, i, true);
	hv_timer_cancel(&s->line_rx);
	s->enabled = false;
	return 0;
}

/* MSI-X needs no acknowledgement. A line driver's receive interrupt is enabled by this: a nap begins. */
int rte_intr_ack(const struct rte_intr_handle *handle)
{
	struct source *s = source_of(handle);

	if (!s)
		return -EINVAL;
	if (!s->msix)
		hv_timer_arm(&s->line_rx, hv_now_ns() + LINE_RX_NS);
	return 0;
}

/* ---- what a handle can do, and how many receive vectors it has ---- */

int rte_intr_cap_multiple(struct rte_intr_handle *handle)
{
	return rte_intr_type_get(handle) == RTE_INTR_HANDLE_VFIO_MSIX;
}

int rte_intr_dp_is_en(struct rte_intr_handle *handle)
{
	return rte_intr_nb_efd_get(handle) > 0;
}

/* May events be had beside receive interrupts? With MSI-X: they have an entry of their own. */
int rte_intr_allow_others(struct rte_intr_handle *handle)
{
	return rte_intr_cap_multiple(handle);
}

int rte_intr_efd_enable(struct rte_intr_handle *handle, uint32_t queues)
{
	struct source *s = source_of(handle);
	uint32_t most;
	int err;

	if (!s)
		return -EINVAL;
	most = s->msix ? HV_MAX(s->dev->msix_vectors, FIRST_RX_ENTRY) - FIRST_RX_ENTRY : 1;
	if (queues > most) {
		log_warn("nic.interrupt.vectors", "%02x:%02x.%u: %u receive queues, interrupts for %u", s->dev->bus, s->dev->dev,
			s->dev->fn, queues, most);
		return trace_error(-ENOSPC);
	}
	for (uint32_t i = 0; i < queues; i++) {
		err = rte_intr_efds_index_set(handle, (int)i, (int)(FIRST_RX_ENTRY + i));
		if (err)
			return err;
	}
	err = rte_intr_nb_efd_set(handle, (int)queues);
	return err ? err : rte_intr_max_intr_set(handle, (int)(FIRST_RX_ENTRY + queues));
}

void rte_intr_efd_disable(struct rte_intr_handle *handle)
{
	/* Fail only for a NULL handle. */
	(void)rte_intr_nb_efd_set(handle, 0);
	(void)rte_intr_max_intr_set(handle, 0);
}
