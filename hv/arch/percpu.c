/*
 * Per-core blocks, descriptor tables, thread-local storage. The array is filled at boot and constant after that.
 *
 * Thread-local data (System V ABI, variant II): the thread pointer points at itself; the block lies right below it, laid out by the linker as
 * .tdata then .tbss, aligned to 64.
 */
#include "arch/percpu.h"
#include "arch/arch.h"
#include "arch/cpu.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>

#define IST_STACK_BYTES 16384u
#define LOOP_STACK_BYTES (256u << 10)

_Static_assert(offsetof(struct percpu, index) == 8, "hv_core_self");
_Static_assert(offsetof(struct percpu, fault_resume) == 24, "traps.S");
_Static_assert(sizeof(struct tss) == 104, "SDM vol. 3, figure 7-11");

extern char __tdata_start[], __tdata_end[];
extern char __tls_bytes[]; /* its address is the size */

/* Gives .tdata its alignment (image.ld asserts it) and lets each core check its block. */
#define TLS_MARK 0x6265727468ull
static _Thread_local volatile uint64_t tls_mark __attribute__((aligned(64))) = TLS_MARK;

static struct percpu first;
static struct percpu *cores[HV_MAX_CORES];
static unsigned core_count;
static char first_ist[IST_COUNT][IST_STACK_BYTES] __attribute__((aligned(16)));

unsigned hv_core_self(void)
{
	unsigned index;

	__asm__ volatile("mov %%gs:8, %0" : "=r"(index));
	return index;
}

unsigned hv_core_count(void)
{
	return core_count;
}

struct percpu *percpu_get(unsigned index)
{
	return index < core_count ? cores[index] : NULL;
}

static void fill_tables(struct percpu *p)
{
	uint64_t tss = (uint64_t)&p->tss, limit = sizeof(p->tss) - 1;

	p->gdt[0] = 0;
	p->gdt[SEL_CODE / 8] = 0x00af9b000000ffffull;
	p->gdt[SEL_DATA / 8] = 0x00cf93000000ffffull;
	p->gdt[SEL_TSS / 8] = limit | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
	p->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	p->tss.iomap_base = sizeof(p->tss);
}

void percpu_init_first(void)
{
	first.self = &first;
	fill_tables(&first);
	for (unsigned i = 0; i < IST_COUNT; i++)
		first.tss.ist[i] = (uint64_t)first_ist[i] + IST_STACK_BYTES;
	cores[0] = &first;
	core_count = 1;
	percpu_load(&first);
}

int percpu_add(uint32_t apic_id)
{
	struct percpu *p;
	int err;

	if (core_count == HV_MAX_CORES)
		return trace_error(-ENOSPC);
	p = hv_contig_alloc(sizeof(*p), HV_PAGE_SIZE);
	if (!p)
		return trace_error(-ENOMEM);
	p->self = p;
	p->index = core_count;
	p->apic_id = apic_id;
	fill_tables(p);
	err = percpu_alloc_stacks(p);
	if (!err)
		err = percpu_alloc_tls(p);
	if (err)
		return err; /* the block stays: without memory for a core the host is not going to need it */
	cores[core_count] = p;
	__atomic_store_n(&core_count, core_count + 1, __ATOMIC_RELEASE);
	return (int)p->index;
}

void percpu_drop_last(void)
{
	core_count--;
	cores[core_count] = NULL;
}

int percpu_alloc_stacks(struct percpu *p)
{
	void *base;
	size_t size;
	int err = arch_stack_alloc(LOOP_STACK_BYTES, &base, &size);

	if (err)
		return err;
	p->stack_base = base;
	p->stack_top = (char *)base + size;
	for (unsigned i = 0; i < IST_COUNT; i++) {
		err = arch_stack_alloc(IST_STACK_BYTES, &base, &size);
		if (err)
			return err;
		p->tss.ist[i] = (uint64_t)base + size;
	}
	return 0;
}

int percpu_alloc_tls(struct percpu *p)
{
	size_t bytes = (size_t)__tls_bytes;
	char *block = hv_contig_alloc(bytes + sizeof(uint64_t), HV_PAGE_SIZE);
	uint64_t *thread_pointer = (uint64_t *)(block + bytes);

	if (!block)
		return trace_error(-ENOMEM);
	__builtin_memcpy(block, __tdata_start, (size_t)(__tdata_end - __tdata_start));
	*thread_pointer = (uint64_t)thread_pointer;
	p->fs_base = (uint64_t)thread_pointer;
	return 0;
}

void percpu_load(struct percpu *p)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {sizeof(p->gdt) - 1, (uint64_t)p->gdt};

	p->gdt[SEL_TSS / 8] &= ~(0x02ull << 40); /* available: LTR wants it so and marks it busy */
	__asm__ volatile("lgdt %0\n\t"
			 "push %1\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\tmov %w2, %%ds\n\t"
			 "mov %w2, %%es\n\t"
			 "mov %w2, %%ss\n\t"
			 "xor %%eax, %%eax\n\t"
			 "mov %%eax, %%fs\n\t"
			 "mov %%eax, %%gs\n\t"
			 "ltr %w3"
			 :
			 : "m"(gdtr), "i"(SEL_CODE), "r"(SEL_DATA), "r"(SEL_TSS)
			 : "rax", "memory");
	cpu_wrmsr(MSR_GS_BASE, (uint64_t)p);
	cpu_wrmsr(MSR_FS_BASE, p->fs_base);
	if (p->fs_base)
		hv_assert(tls_mark == TLS_MARK);
}
