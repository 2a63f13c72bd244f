/*
 * The start of the host on one screen: each step needs the ones above it. Core 0 runs boot_main on the boot stack, then boot_late on its own; all
 * other cores come through smp.c; then every core runs its loop and core 0 starts host_main in a fiber.
 */
#include "arch/apic.h"
#include "arch/console.h"
#include "arch/fpu.h"
#include "arch/irq.h"
#include "arch/layout.h"
#include "arch/mem.h"
#include "arch/paging.h"
#include "arch/percpu.h"
#include "arch/platform.h"
#include "arch/screen.h"
#include "arch/stack_guard.h"
#include "arch/time.h"
#include "arch/trap.h"
#include "arch/arch.h"
#include "boot/boot.h"
#include "boot/protocol.h"
#include "kern/loop.h"
#include "kern/modules.h"
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>

#define HOST_MAIN_STACK_BYTES (256u << 10)

static struct boot_info info;
extern void (*const __init_array_start[])(void), (*const __init_array_end[])(void);

_Noreturn void boot_main(uint32_t protocol, uint32_t start_info);

const char *hv_cmdline(void)
{
	return info.cmdline;
}

_Noreturn void boot_core_loop(void)
{
	arch_irq_on();
	for (;;)
		hv_loop_turn();
}

static void run_host_main(void *arg)
{
	host_main();
}

static void read_modules(void)
{
	for (unsigned i = 0; i < info.module_count; i++) {
		const struct boot_module *m = &info.modules[i];
		const void *data = (const void *)(HV_DIRECT_BASE + m->address);
		int err = m->name ? modules_add(m->name, data, m->bytes) : modules_read(data, m->bytes);

		if (m->name && err)
			log_error("boot.module", "%s: error %d", m->name, -err);
	}
	log_info("boot.modules", "%u files", hv_module_count());
}

const void *boot_at(uint64_t pa, uint64_t bytes)
{
	if (!pa || pa >= BOOT_MAP_END || bytes > BOOT_MAP_END - pa)
		return NULL;
	return (const void *)(HV_DIRECT_BASE + pa);
}

static void read_start_info(uint32_t protocol, uint32_t start_info)
{
	const char *error = "neither PVH nor Multiboot2";
	bool ok = false;

	if (protocol == BOOT_PVH) {
		ok = pvh_read(start_info, &info, &error);
	} else if (protocol == BOOT_MULTIBOOT2) {
		const uint32_t *total = boot_at(start_info, sizeof(*total));

		error = "it is not below 4 GiB";
		ok = total && boot_at(start_info, *total) && multiboot2_read(total, *total, start_info, &info, &error);
	}
	if (!ok)
		hv_panic("boot information refused: %s", error);
}

/* On core 0's own stack, with own page tables and allocator. */
static void boot_late(void)
{
	stack_guard_init();
	if (percpu_alloc_tls(percpu_get(0)))
		hv_panic("no memory for thread-local data");
	percpu_load(percpu_get(0));
	screen_init(&info.screen);
	irq_disable_pic();
	platform_init(info.rsdp);
	time_init(platform_acpi()->pm_timer_port);
	apic_init(platform_acpi()->lapic_base);
	percpu_get(0)->apic_id = apic_id();
	irq_init_ioapics(platform_acpi());
	pci_init(platform_acpi());
	read_modules();
	for (void (*const *fn)(void) = __init_array_start; fn < __init_array_end; fn++)
		(*fn)(); /* drivers register themselves */
	smp_start();
	console_start();
	if (hv_fiber_spawn("host-main", run_host_main, NULL, HOST_MAIN_STACK_BYTES))
		hv_panic("no memory for the first fiber");
	boot_core_loop();
}

_Noreturn void boot_main(uint32_t protocol, uint32_t start_info)
{
	console_init();
	percpu_init_first();
	trap_init();
	hv_loop_init(0);
	log_info("boot.start", "Berth starts");
	read_start_info(protocol, start_info);
	fpu_init_core();
	host_mem_init(&info);
	if (percpu_alloc_stacks(percpu_get(0)))
		hv_panic("no memory for stacks");
	percpu_get(0)->online = true;
	boot_switch_stack(percpu_get(0)->stack_top, boot_late);
}
