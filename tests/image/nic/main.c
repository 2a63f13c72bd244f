/*
 * A host image with the layers up to drivers/nic and no guests: shows that DPDK and its drivers work on the bare machine.
 *
 * The NIC is given by the runner (./run) on QEMU's command line; the kernel command line says what to expect of it: "peer=A.B.C.D" (an
 * address that answers ARP), "offloads" (checksum and TSO must be there), "msix" (MSI-X must be used), "link" (the runner takes the link
 * down and up when it reads the request line), "ask-link" (without link events), "jumbo" (frames larger than a buffer, both ways),
 * "two-cards" (a second one is there), "queues" (only several receive queues are looked at). Prints one line a check and powers off with status 0 when all passed.
 */
#include "checks.h"

#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <nic/nic.h>
#include <string.h>

static unsigned failed;

void check_line(bool ok, const char *what, const char *file, int line)
{
	if (ok) {
		log_info("test.ok", "%s", what);
	} else {
		failed++;
		log_error("test.failed", "%s:%d: %s", file, line, what);
	}
}

bool option(const char *name)
{
	return strstr(hv_cmdline(), name) != NULL;
}

void sleep_ns(uint64_t ns)
{
	uint64_t end = hv_now_ns() + ns;

	while (hv_now_ns() < end)
		hv_fiber_park(end);
}

static void check_descriptions(void)
{
	const struct nic *n = nic_get(0);
	unsigned cards = option("two-cards") ? 2 : 1;

	CHECK(nic_count() == cards);
	CHECK(nic_get(cards) == NULL);
	CHECK(cards == 1 || (memcmp(nic_get(1)->mac, n->mac, sizeof(n->mac)) && nic_get(1)->port != n->port));
	CHECK(nic_find_mac(n->mac) == n);
	CHECK(nic_find_pci(n->pci) == n);
	CHECK(nic_find_pci("ffff:ff:1f.7") == NULL);
	CHECK(n->mtu_max >= 1500);
	CHECK(!option("msix") || n->interrupt_driven);
	CHECK(!option("offloads") || (n->tx_checksum && n->tso && n->rx_checksum && n->rx_chains && n->tx_chains));
}

static void run_checks(void)
{
	CHECK(nic_init(hv_core_self()) == 0);
	CHECK(nic_init(hv_core_self()) < 0);
	if (nic_count() == 0) {
		check_line(false, "a NIC was found", __FILE__, __LINE__);
		return;
	}
	check_descriptions();
	check_memory();
	check_alarms();
	check_cores();
	if (option("queues")) {
		check_queues(nic_get(0));
		return;
	}
	if (!port_start(nic_get(0)))
		return;
	check_link();
	check_traffic();
	if (option("bench"))
		port_bench();
	check_sleep();
	if (option("jumbo"))
		check_large_frames();
	if (option("link"))
		check_link_events();
	port_stop();
}

void host_main(void)
{
	run_checks();
	log_info("test.end", failed ? "%u checks failed" : "all checks passed", failed);
	hv_power_off(failed ? 1 : 0);
}
