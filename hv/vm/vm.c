/*
 * A VM's life cycle (<hv/vm.h>; vm_impl.h draws the states). Everything here runs on config.io_core, except vm_ended, which is called
 * wherever the end comes from. Creation is one visible array of steps, undone in reverse.
 *
 * End: the first vm_ended sets `ending` and wakes every vCPU; each leaves on its own core and takes itself off `vcpus_in`; the last one
 * posts ended_msg to the I/O core, which tells the owner. A vCPU that leaves never runs again, so devices can be freed afterwards.
 */
#include "vm/vm_impl.h"

#include "vdev/pci.h"
#include "vdev/platform.h"
#include "vdev/virtio/virtio.h"
#include "virt/dirty.h"
#include "virt/gmem_impl.h"
#include "virt/iobus_impl.h"
#include "virt/vcpu_impl.h"
#include "vm/load.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define REMOVE_POLL_NS 1000000ull

/* ---- the end ---- */

static void wake_all(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hv_task_wake(&vm->vcpus[i]->task);
}

static void on_ended(struct hv_msg *m)
{
	struct vm *vm = hv_container_of(m, struct vm, ended_msg);
	atomic_store(&vm->state, VM_ENDED);
	platform_console_flush(vm);
	if (vm->config.ended)
		vm->config.ended(vm->config.arg, vm->end_how, vm->end_value, vm->end_reason[0] ? vm->end_reason : NULL);
}

void vm_ended(struct vm *vm, enum vm_end how, unsigned value, const char *reason)
{
	uint8_t state = atomic_load(&vm->state);
	do {
		if (state == VM_ENDING || state == VM_ENDED)
			return;
	} while (!atomic_compare_exchange_weak(&vm->state, &state, VM_ENDING));
	vm->end_how = how;
	vm->end_value = value;
	size_t len = reason ? strnlen(reason, VM_REASON_MAX - 1) : 0;
	memcpy(vm->end_reason, reason ? reason : "", len);
	vm->end_reason[len] = 0;
	atomic_store(&vm->ending, true);
	wake_all(vm);
}

void vm_reset(struct vm *vm)
{
	vm_ended(vm, VM_END_RESET, 0, NULL);
}

void vm_stop(struct vm *vm)
{
	vm_ended(vm, VM_END_STOPPED, 0, NULL);
}

/* ---- running ---- */

static void change_state(struct vm *vm, enum vm_state from, enum vm_state to)
{
	uint8_t expected = (uint8_t)from;
	if (atomic_compare_exchange_strong(&vm->state, &expected, (uint8_t)to))
		wake_all(vm);
}

void vm_start(struct vm *vm)
{
	change_state(vm, VM_CREATED, VM_RUNNING);
}

void vm_pause(struct vm *vm)
{
	change_state(vm, VM_RUNNING, VM_PAUSED);
}

void vm_resume(struct vm *vm)
{
	change_state(vm, VM_PAUSED, VM_RUNNING);
}

size_t vm_console_input(struct vm *vm, const char *bytes, size_t len)
{
	return platform_console_input(vm, bytes, len);
}

/* ---- making ---- */

static int refuse(const struct vm_config *c, const char *why)
{
	log_error("vm.config", "vm %s: %s", c->name ? c->name : "(no name)", why);
	return -EINVAL;
}

static int check_config(const struct vm_config *c)
{
	uint64_t all = hv_core_count() >= 64 ? ~0ull : (1ull << hv_core_count()) - 1;
	if (!c->name || !c->name[0] || strlen(c->name) > VM_NAME_MAX)
		return refuse(c, "a name of 1 to 63 characters is needed");
	if (c->cpus == 0 || c->cpus > VM_MAX_CPUS)
		return refuse(c, "cpus must be 1 to 32");
	if (c->memory_bytes == 0 || c->memory_bytes % GMEM_UNIT || c->memory_bytes > GMEM_MAX_BYTES)
		return refuse(c, "memory must be a multiple of 2 MiB, at most 1 TiB");
	if (c->io_core >= hv_core_count())
		return refuse(c, "io_core does not exist");
	if (!(c->vcpu_core_mask & all))
		return refuse(c, "no core of vcpu_core_mask exists");
	if (c->disk_count > VM_MAX_DISKS || c->nic_count > VM_MAX_NICS || c->module_count > VM_MAX_MODULES)
		return refuse(c, "too many disks, NICs or modules");
	return 0;
}

static uint16_t vcpus_on_core[HV_MAX_CORES];

/* The core of the mask that has the fewest vCPUs. */
static unsigned pick_core(uint64_t mask)
{
	unsigned best = HV_MAX_CORES;
	for (unsigned i = 0; i < hv_core_count(); i++)
		if (mask >> i & 1 && (best == HV_MAX_CORES || vcpus_on_core[i] < vcpus_on_core[best]))
			best = i;
	return best;
}

static int make_gmem(struct vm *vm)
{
	int ret = gmem_create(vm->config.memory_bytes, &vm->gmem);
	if (ret == -ENOMEM) {
		uint64_t total, unused;
		hv_mem_usage(&total, &unused);
		log_error("vm.memory", "vm %s: does not fit: it wants %llu MiB, of the host's %llu MiB %llu MiB are free", vm->name,
			(unsigned long long)(vm->config.memory_bytes >> 20), (unsigned long long)(total >> 20),
			(unsigned long long)(unused >> 20));
	}
	return ret;
}

static void free_gmem(struct vm *vm)
{
	gmem_destroy(vm->gmem);
}

static int make_iobus(struct vm *vm)
{
	vm->iobus = iobus_create();
	return vm->iobus ? 0 : -ENOMEM;
}

static void free_iobus(struct vm *vm)
{
	iobus_destroy(vm->iobus);
}

static int make_virt(struct vm *vm)
{
	vm->tsc_offset = -(int64_t)x86_rdtsc();
	return virt_ops->vm_init(vm);
}

static void free_virt(struct vm *vm)
{
	dirty_destroy(vm);
	virt_ops->vm_free(vm);
}

static void free_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		vcpus_on_core[vcpu_core(vm->vcpus[i])]--;
		vcpu_destroy(vm->vcpus[i]);
	}
	vm->cpu_count = 0;
}

static int make_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->config.cpus; i++) {
		unsigned core = pick_core(vm->config.vcpu_core_mask);
		int ret = vcpu_create(vm, i, core, &vm->vcpus[i]);
		if (ret) {
			free_vcpus(vm);
			return ret;
		}
		vcpus_on_core[core]++;
		vm->cpu_count = i + 1;
	}
	atomic_store(&vm->vcpus_in, vm->cpu_count);
	return 0;
}

static int load_kernel(struct vm *vm)
{
	struct vcpu_start start = {0};
	int ret = vm->config.boot == VM_BOOT_LINUX ? load_linux(vm, &start) : load_multiboot(vm, &start);
	if (ret == 0)
		vcpu_set_start(vm->vcpus[0], &start);
	return ret;
}

struct step {
	const char *what;
	int (*make)(struct vm *vm);
	void (*undo)(struct vm *vm);
};

static const struct step steps[] = {
	{"guest memory", make_gmem, free_gmem},
	{"I/O bus", make_iobus, free_iobus},
	{"nested paging", make_virt, free_virt},
	{"vCPUs", make_vcpus, free_vcpus},
	{"platform devices", platform_create, platform_destroy},
	{"PCI host bridge", vpci_create, vpci_destroy},
	{"virtio devices", virtio_attach_all, virtio_detach_all},
	{"kernel", load_kernel, NULL},
};

static void undo_steps(struct vm *vm, unsigned done)
{
	while (done-- > 0)
		if (steps[done].undo)
			steps[done].undo(vm);
	hv_contig_free(vm, sizeof(*vm));
}

int vm_create(const struct vm_config *config, struct vm **out)
{
	int ret = check_config(config);
	if (!ret)
		ret = virt_init();
	if (ret)
		return ret;
	struct vm *vm = hv_contig_alloc(sizeof(*vm), HV_PAGE_SIZE);
	if (!vm)
		return -ENOMEM;
	memset(vm, 0, sizeof(*vm));
	memcpy(vm->name, config->name, strlen(config->name) + 1);
	vm->config = *config;
	vm->config.name = vm->name;
	vm->ended_msg.fn = on_ended;
	for (unsigned i = 0; i < HV_ARRAY_LEN(steps); i++) {
		ret = steps[i].make(vm);
		if (ret) {
			log_error("vm.create", "vm %s: cannot make its %s: error %d", vm->name, steps[i].what, -ret);
			undo_steps(vm, i);
			return ret;
		}
	}
	log_info("vm.created", "vm %s: %u vCPUs, %llu MiB", vm->name, vm->cpu_count, (unsigned long long)(config->memory_bytes >> 20));
	*out = vm;
	return 0;
}

/* ---- unmaking ---- */

struct remover {
	struct hv_msg msg;
	struct vcpu *vcpu;
	_Atomic bool done;
};

static void on_remove(struct hv_msg *m)
{
	struct remover *r = hv_container_of(m, struct remover, msg);
	hv_task_remove(&r->vcpu->task);
	atomic_store(&r->done, true);
}

/* Takes a vCPU's task off its core, which only that core may do. */
static void remove_task(struct vcpu *v)
{
	struct remover r = {.msg = {.fn = on_remove}, .vcpu = v};
	hv_msg_post(v->core, &r.msg);
	while (!atomic_load(&r.done))
		hv_fiber_park(hv_now_ns() + REMOVE_POLL_NS);
}

void vm_destroy(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		remove_task(vm->vcpus[i]);
	undo_steps(vm, HV_ARRAY_LEN(steps));
}

/* ---- numbers ---- */

static void report_exits(struct vm *vm, struct vm_stats_sink *sink)
{
	for (unsigned reason = 0; reason < VEXIT_COUNT; reason++) {
		char name[48] = "exits.";
		uint64_t sum = 0;
		for (unsigned i = 0; i < vm->cpu_count; i++)
			sum += vm->vcpus[i]->counters.exits[reason];
		const char *text = virt_exit_name(reason);
		memcpy(name + 6, text, strlen(text) + 1);
		if (sum)
			sink->counter(sink, name, sum);
	}
}

static void report_vcpus(struct vm *vm, struct vm_stats_sink *sink)
{
	struct vcpu_counters sum = {0};
	uint64_t exits = 0, run_ns = 0, notifications = 0;
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		const struct vcpu_counters *c = &vm->vcpus[i]->counters;
		for (unsigned r = 0; r < VEXIT_COUNT; r++)
			exits += c->exits[r];
		sum.irqs += c->irqs;
		sum.nmis += c->nmis;
		sum.exceptions += c->exceptions;
		sum.emulated += c->emulated;
		sum.msr_unknown += c->msr_unknown;
		sum.halts += c->halts;
		run_ns += vm->vcpus[i]->task.run_ns;
		notifications += atomic_load_explicit(&vm->vcpus[i]->notifications, memory_order_relaxed);
	}
	sink->counter(sink, "exits", exits);
	sink->counter(sink, "irq.injected", sum.irqs);
	if (notifications)
		sink->counter(sink, "irq.notifications", notifications);
	sink->counter(sink, "nmi.injected", sum.nmis);
	sink->counter(sink, "exceptions.injected", sum.exceptions);
	sink->counter(sink, "instructions.emulated", sum.emulated);
	sink->counter(sink, "msr.unknown", sum.msr_unknown);
	sink->counter(sink, "halts", sum.halts);
	sink->counter(sink, "run_ns", run_ns);
	sink->counter(sink, "io.unclaimed", atomic_load(&vm->io_unclaimed));
}

void vm_stats(struct vm *vm, struct vm_stats_sink *sink)
{
	report_vcpus(vm, sink);
	report_exits(vm, sink);
	platform_stats(vm, sink);
	virtio_stats(vm, sink);
}

uint64_t vm_memory_bytes(const struct vm *vm)
{
	uint64_t tables = HV_ALIGN_UP(gmem_bytes(vm->gmem) / GMEM_UNIT * 8, HV_PAGE_SIZE);
	uint64_t vcpu = HV_ALIGN_UP(sizeof(struct vcpu), HV_PAGE_SIZE) + HV_ALIGN_UP(virt_xsave_bytes(), HV_PAGE_SIZE) + 2 * HV_PAGE_SIZE;
	return gmem_bytes(vm->gmem) + tables + vm->cpu_count * vcpu + HV_ALIGN_UP(sizeof(*vm), HV_PAGE_SIZE);
}
