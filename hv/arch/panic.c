/*
 * The end of a host that found itself broken: registers, backtrace, then all cores stop. Uses neither locks nor memory, so that it works wherever the
 * fault was; a second core that panics meanwhile just stops.
 */
#include "arch/apic.h"
#include "arch/console.h"
#include "arch/cpu.h"
#include "arch/layout.h"
#include "arch/paging.h"
#include "arch/percpu.h"
#include "arch/trap.h"
#include <hv/core.h>
#include <hv/log.h>
#include <stdatomic.h>

#define BACKTRACE_MAX 32

static atomic_bool panicking;

bool panic_in_progress(void)
{
	return atomic_load(&panicking);
}

static void HV_PRINTF(1, 2) print(const char *fmt, ...)
{
	char line[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = hv_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_write_unlocked(line, HV_MIN((size_t)n, sizeof(line) - 1));
}

static _Noreturn void stop(void)
{
	for (;;) {
		cpu_irq_off();
		cpu_halt();
	}
}

static void begin(void)
{
	cpu_irq_off();
	if (atomic_exchange(&panicking, true))
		stop();
	apic_stop_others();
}

static bool readable(uint64_t va)
{
	uint64_t pa;

	return va >= HV_DIRECT_BASE && paging_root() != 0 - HV_DIRECT_BASE && paging_lookup(va, &pa) && paging_lookup(va + 15, &pa);
}

static void backtrace(uint64_t rbp)
{
	for (unsigned i = 0; i < BACKTRACE_MAX && rbp % 8 == 0 && readable(rbp); i++) {
		const uint64_t *frame = (const uint64_t *)rbp;

		if (!frame[1])
			break;
		print("[host] panic:   called from %016lx\n", (unsigned long)frame[1]);
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
}

_Noreturn void hv_panic(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	begin();
	va_start(ap, fmt);
	hv_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print("[host] panic: core %u: %s\n", hv_core_self(), text);
	backtrace((uint64_t)__builtin_frame_address(0));
	stop();
}

_Noreturn void hv_stop(const char *fmt, ...)
{
	char text[300];
	va_list ap;

	console_drain(); /* the control console has been told, too */
	begin();
	va_start(ap, fmt);
	hv_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print("[host] stopped: %s\n", text);
	stop();
}

_Noreturn void panic_trap(const struct trap_frame *f, const char *name)
{
	begin();
	print("[host] panic: core %u: %s, error %lx, cr2 %lx, cr3 %lx\n", hv_core_self(), name, (unsigned long)f->error,
		(unsigned long)cpu_cr2(), (unsigned long)cpu_cr3());
	print("[host] panic: rip %04lx:%016lx rsp %016lx rflags %lx\n", (unsigned long)f->cs, (unsigned long)f->rip, (unsigned long)f->rsp,
		(unsigned long)f->rflags);
	print("[host] panic: rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", (unsigned long)f->rax, (unsigned long)f->rbx,
		(unsigned long)f->rcx, (unsigned long)f->rdx);
	print("[host] panic: rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", (unsigned long)f->rsi, (unsigned long)f->rdi,
		(unsigned long)f->rbp, (unsigned long)f->r8);
	print("[host] panic: r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", (unsigned long)f->r9, (unsigned long)f->r10,
		(unsigned long)f->r11, (unsigned long)f->r12);
	print("[host] panic: r13 %016lx r14 %016lx r15 %016lx\n", (unsigned long)f->r13, (unsigned long)f->r14, (unsigned long)f->r15);
	backtrace(f->rbp);
	stop();
}
