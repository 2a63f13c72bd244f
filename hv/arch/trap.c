/* The interrupt descriptor table (SDM vol. 3, 6.10-6.15) and the first C code of every exception. */
#include "arch/trap.h"
#include "arch/cpu.h"
#include "arch/percpu.h"
#include <hv/log.h>

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
#define GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off on entry */
#define STUB_BYTES 16

extern char trap_stubs[];
static struct gate idt[256];

void trap_handle(struct trap_frame *f);

static const char *const names[32] = {
	"#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound", "#UD invalid opcode", "#NM device not available",
	"#DF double fault", "coprocessor overrun", "#TS invalid TSS", "#NP segment not present", "#SS stack fault", "#GP general protection",
	"#PF page fault", "vector 15", "#MF x87 error", "#AC alignment check", "#MC machine check", "#XM SIMD error", "#VE virtualisation",
	"#CP control protection", "vector 22", "vector 23", "vector 24", "vector 25", "vector 26", "vector 27", "#HV", "#VC", "#SX", "vector 31",
};

void trap_init(void)
{
	static const uint8_t ist[256] = {[VECTOR_NMI] = IST_NMI, [VECTOR_DF] = IST_DOUBLE_FAULT, [VECTOR_MC] = IST_MACHINE_CHECK};

	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)trap_stubs + i * STUB_BYTES;

		idt[i] = (struct gate){(uint16_t)stub, SEL_CODE, ist[i], GATE_INTERRUPT, (uint16_t)(stub >> 16), (uint32_t)(stub >> 32), 0};
	}
	trap_init_core();
}

void trap_init_core(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
	cpu_set_cr4(cpu_cr4() | CR4_MCE); /* a machine check is reported; without this it would reset the machine (SDM vol. 3, 15.10) */
}

static void handle_nmi(const struct trap_frame *f)
{
	while (panic_in_progress()) {
		cpu_irq_off();
		cpu_halt();
	}
	panic_trap(f, "NMI: hardware failure"); /* nothing else of ours sends one */
}

void trap_handle(struct trap_frame *f)
{
	struct percpu *p = percpu_self();

	if (f->vector >= 32) {
		irq_handle((unsigned)f->vector);
		return;
	}
	if (f->vector == VECTOR_NMI) {
		handle_nmi(f);
		return;
	}
	if (f->vector == VECTOR_GP && p->fault_resume) {
		f->rip = p->fault_resume;
		p->fault_resume = 0;
		return;
	}
	panic_trap(f, names[f->vector]);
}
