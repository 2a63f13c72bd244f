/* Makes, resets, saves and destroys a VM's fixed devices (platform.h). The order stands in one place for each; destruction is its reverse.
 */
#include "vdev/acpi.h"
#include "vdev/platform_impl.h"
#include "virt/vcpu.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/mem.h>
#include <string.h>

/* The xAPIC page: each vCPU sees its own LAPIC there. */
static void access_lapic_page(struct io_region *r, struct io_access *a)
{
	lapic_mmio(vcpu_lapic(a->vcpu), a);
}

static int make_lapics(struct platform *p)
{
	struct vm *vm = p->vm;
	for (unsigned i = 0; i < vm->cpu_count; i++, p->lapic_count++) {
		lapic_init(&p->lapics[i], vm->vcpus[i], &p->pic, &p->ioapic);
		vcpu_set_lapic(vm->vcpus[i], &p->lapics[i]);
	}
	p->lapic_region =
		(struct io_region){.start = LAPIC_MMIO_BASE, .bytes = 0x1000, .access = access_lapic_page, .name = "lapic", .arg = p};
	return iobus_attach(vm, IO_MMIO, &p->lapic_region);
}

/* The interrupt controllers first: devices raise lines while they are made. */
static int make_devices(struct platform *p)
{
	struct vm *vm = p->vm;
	int err = pic_init(&p->pic, vm);
	if (!err)
		err = ioapic_init(&p->ioapic, vm);
	if (!err)
		err = make_lapics(p);
	if (!err)
		err = pit_init(&p->pit, vm);
	if (!err)
		err = rtc_init(&p->rtc, vm);
	if (!err)
		err = pm_init(&p->pm, vm);
	if (!err)
		err = i8042_init(&p->i8042, vm);
	if (!err)
		err = uart_init(&p->uart, vm);
	if (!err)
		err = debug_exit_init(&p->debug_exit, vm);
	return err;
}

int platform_create(struct vm *vm)
{
	size_t bytes = sizeof(struct platform) + vm->cpu_count * sizeof(struct lapic);
	struct platform *p = hv_contig_alloc(bytes, HV_PAGE_SIZE);
	if (!p)
		return -ENOMEM;
	memset(p, 0, bytes);
	p->vm = vm;
	p->bytes = bytes;
	vm->platform = p;
	int err = make_devices(p);
	if (!err)
		err = acpi_write_tables(vm);
	if (err)
		platform_destroy(vm);
	return err;
}

/* Each LAPIC's timer is cancelled on its own core. */
static void retire_lapics(struct platform *p)
{
	for (unsigned i = 0; i < p->lapic_count; i++) {
		atomic_store(&p->lapics[i].retired, true);
		lapic_timer_sync(&p->lapics[i]);
	}
	for (unsigned i = 0; i < p->lapic_count; i++) {
		struct lapic *l = &p->lapics[i];
		while (!atomic_load_explicit(&l->timer_synced, memory_order_acquire) ||
			__atomic_load_n(&l->timer_msg.posted, __ATOMIC_ACQUIRE))
			hv_fiber_yield();
		vcpu_set_lapic(l->vcpu, NULL);
	}
	if (p->lapic_region.attached)
		iobus_detach(p->vm, IO_MMIO, &p->lapic_region);
}

void platform_destroy(struct vm *vm)
{
	struct platform *p = vm->platform;
	if (!p)
		return;
	debug_exit_fini(&p->debug_exit);
	uart_fini(&p->uart);
	i8042_fini(&p->i8042);
	pm_fini(&p->pm);
	rtc_fini(&p->rtc);
	pit_fini(&p->pit);
	retire_lapics(p);
	ioapic_fini(&p->ioapic);
	pic_fini(&p->pic);
	vm->platform = NULL;
	hv_contig_free(p, p->bytes);
}

void platform_reset(struct vm *vm)
{
	struct platform *p = vm->platform;
	pic_reset(&p->pic);
	ioapic_reset(&p->ioapic);
	for (unsigned i = 0; i < p->lapic_count; i++)
		lapic_power_on(&p->lapics[i]);
	pit_reset(&p->pit);
	rtc_reset(&p->rtc);
	pm_reset(&p->pm);
	i8042_reset(&p->i8042);
	uart_reset(&p->uart);
}

void platform_console_flush(struct vm *vm)
{
	if (vm->platform)
		uart_flush(&vm->platform->uart);
}

size_t platform_console_input(struct vm *vm, const char *bytes, size_t len)
{
	return uart_input(&vm->platform->uart, bytes, len);
}

void platform_power_button(struct vm *vm)
{
	pm_press_power_button(&vm->platform->pm);
}

void platform_stats(struct vm *vm, struct vm_stats_sink *sink)
{
	struct platform *p = vm->platform;
	uint64_t ipi = 0, timer = 0, eoi = 0, pv_eoi = 0, ext = 0;
	for (unsigned i = 0; i < p->lapic_count; i++) {
		ipi += p->lapics[i].n_ipi;
		timer += p->lapics[i].n_timer;
		eoi += p->lapics[i].n_eoi;
		pv_eoi += p->lapics[i].n_pv_eoi;
		ext += p->lapics[i].n_ext;
	}
	sink->counter(sink, "apic.ipi", ipi);
	sink->counter(sink, "apic.timer", timer);
	sink->counter(sink, "apic.eoi", eoi);
	sink->counter(sink, "apic.eoi_without_exit", pv_eoi);
	sink->counter(sink, "apic.pic", ext);
	sink->counter(sink, "ioapic.sent", p->ioapic.n_sent);
	sink->counter(sink, "pit.ticks", p->pit.n_ticks);
	sink->counter(sink, "uart.tx_bytes", p->uart.n_tx);
	sink->counter(sink, "uart.rx_bytes", p->uart.n_rx);
	sink->counter(sink, "uart.tx_overrun", p->uart.n_tx_full);
}

void platform_save(struct vm *vm, struct state_writer *w)
{
	struct platform *p = vm->platform;
	uart_flush(&p->uart);
	pic_save(&p->pic, w);
	ioapic_save(&p->ioapic, w);
	for (unsigned i = 0; i < p->lapic_count; i++)
		lapic_save(&p->lapics[i], w);
	pit_save(&p->pit, w);
	rtc_save(&p->rtc, w);
	pm_save(&p->pm, w);
	i8042_save(&p->i8042, w);
	uart_save(&p->uart, w);
}

/* Everything platform_load decodes before it applies the first of it. */
struct decoded {
	struct pic_state pic;
	struct ioapic_state ioapic;
	struct pit_state pit;
	struct rtc_state rtc;
	struct pm_state pm;
	struct i8042_state i8042;
	struct uart_state uart;
	struct lapic_state lapics[VM_MAX_CPUS];
};

static int decode(struct decoded *d, struct state_reader *r, unsigned lapics)
{
	int err = pic_decode(&d->pic, r);
	if (!err)
		err = ioapic_decode(&d->ioapic, r);
	for (unsigned i = 0; i < lapics && !err; i++)
		err = lapic_decode(&d->lapics[i], r, i);
	if (!err)
		err = pit_decode(&d->pit, r);
	if (!err)
		err = rtc_decode(&d->rtc, r);
	if (!err)
		err = pm_decode(&d->pm, r);
	if (!err)
		err = i8042_decode(&d->i8042, r);
	if (!err)
		err = uart_decode(&d->uart, r);
	return err;
}

static void apply(struct platform *p, const struct decoded *d)
{
	pic_apply(&p->pic, &d->pic);
	ioapic_apply(&p->ioapic, &d->ioapic);
	for (unsigned i = 0; i < p->lapic_count; i++)
		lapic_apply(&p->lapics[i], &d->lapics[i]);
	pit_apply(&p->pit, &d->pit);
	rtc_apply(&p->rtc, &d->rtc);
	pm_apply(&p->pm, &d->pm);
	i8042_apply(&p->i8042, &d->i8042);
	uart_apply(&p->uart, &d->uart);
}

int platform_load(struct vm *vm, struct state_reader *r)
{
	struct decoded *d = hv_contig_alloc(sizeof(*d), HV_PAGE_SIZE);
	if (!d)
		return -ENOMEM;
	memset(d, 0, sizeof(*d));
	int err = decode(d, r, vm->platform->lapic_count);
	if (!err)
		apply(vm->platform, d);
	hv_contig_free(d, sizeof(*d));
	return err;
}
