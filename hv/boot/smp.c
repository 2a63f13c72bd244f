/*
 * Starts the other cores, one after the other (SDM vol. 3, 8.4.4: INIT, then SIPI, SIPI). A core takes its slot once; one that comes too late
 * finds it taken and stops.
 */
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/fpu.h"
#include "arch/layout.h"
#include "arch/paging.h"
#include "arch/percpu.h"
#include "arch/platform.h"
#include "arch/time.h"
#include "arch/trap.h"
#include "boot/boot.h"
#include "kern/loop.h"
#include <hv/core.h>
#include <hv/log.h>

#define TRAMPOLINE_PAGE 8u /* physical 0x8000: conventional memory, never given to the allocator */
#define START_PATIENCE_US 1000000u

struct ap_slot {
	uint64_t root;
	void *stack_top;
	struct percpu *percpu;
};

struct ap_slot boot_ap_slot; /* entry.S */
extern char trampoline_start[], trampoline_end[];

_Noreturn void boot_ap_main(struct percpu *p);

_Noreturn void boot_ap_main(struct percpu *p)
{
	percpu_load(p);
	trap_init_core();
	paging_init_core();
	fpu_init_core();
	apic_init_core();
	hv_assert(apic_id() == p->apic_id);
	p->online = true;
	boot_core_loop();
}

static bool wait_online(const struct percpu *p, uint64_t us)
{
	for (uint64_t waited = 0; waited < us; waited += 100) {
		if (p->online)
			return true;
		time_delay_us(100);
	}
	return false;
}

static void start_core(uint32_t id)
{
	int index = percpu_add(id);
	struct percpu *p;

	if (index < 0) {
		log_error("smp.core", "APIC %u: no memory to start it", id);
		return;
	}
	p = percpu_get((unsigned)index);
	hv_loop_init((unsigned)index);
	boot_ap_slot.root = paging_root();
	boot_ap_slot.percpu = p;
	__atomic_store_n(&boot_ap_slot.stack_top, p->stack_top, __ATOMIC_SEQ_CST);
	apic_send_init(id);
	time_delay_us(10000);
	apic_send_sipi(id, TRAMPOLINE_PAGE);
	if (wait_online(p, 2000))
		return;
	apic_send_sipi(id, TRAMPOLINE_PAGE);
	if (wait_online(p, START_PATIENCE_US))
		return;
	if (!__atomic_exchange_n(&boot_ap_slot.stack_top, NULL, __ATOMIC_SEQ_CST)) {
		/* It has taken its stack: it is alive, only slow. */
		while (!p->online)
			cpu_pause();
		return;
	}
	log_error("smp.core", "APIC %u did not start", id);
	percpu_drop_last();
}

void smp_start(void)
{
	const struct acpi_info *acpi = platform_acpi();
	uint32_t self = apic_id();

	__builtin_memcpy((void *)(HV_DIRECT_BASE + (TRAMPOLINE_PAGE << 12)), trampoline_start, (size_t)(trampoline_end - trampoline_start));
	for (unsigned i = 0; i < acpi->cpu_count; i++)
		if (acpi->cpu_apic_ids[i] != self)
			start_core(acpi->cpu_apic_ids[i]);
	log_info("smp.ready", "%u cores", hv_core_count());
}
