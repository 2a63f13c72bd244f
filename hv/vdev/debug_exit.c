/*
 * Port 0xf4: a write ends the VM, its value (8, 16 or 32 bits) becomes the VM's exit code. Port 0x80: POST codes, and what guests write to for a
 * short delay; it answers so that such a write is not counted as an access to nothing.
 *
 * The mixer and the page have no purpose but to show how an access arrived: the mixer's number depends on every write and read of it with
 * size, value, port and order; the page is memory of which every byte is touched by an exit. Any vCPU may use them at any time; what two make of
 * them at once is up to their order, as on a bus.
 */
#include "vdev/debug_exit.h"
#include "vm/vm_impl.h"

static void access_exit(struct io_region *r, struct io_access *a)
{
	struct debug_exit *d = r->arg;
	if (a->write)
		vm_ended(d->vm, VM_END_DEBUG_EXIT, (unsigned)a->value, NULL);
	else
		a->value = 0;
}

static void access_post(struct io_region *r, struct io_access *a)
{
	struct debug_exit *d = r->arg;
	if (a->write)
		d->post_code = (uint8_t)a->value;
	else
		a->value = d->post_code;
}

static void access_mixer(struct io_region *r, struct io_access *a)
{
	struct debug_exit *d = r->arg;
	if (a->offset >= 4) {
		d->mixed = a->write ? (uint32_t)a->value : d->mixed;
		a->value = d->mixed;
		return;
	}
	uint32_t x = d->mixed * 1664525u + 1013904223u;
	if (a->write)
		x ^= (uint32_t)a->value;
	else
		a->value = x >> 3;
	d->mixed = x + ((uint32_t)a->offset << 8) + a->size;
}

static void access_page(struct io_region *r, struct io_access *a)
{
	struct debug_exit *d = r->arg;
	if (!a->write)
		a->value = 0;
	for (unsigned i = 0; i < a->size; i++) {
		if (a->write)
			d->bytes[a->offset + i] = (uint8_t)(a->value >> 8 * i);
		else
			a->value |= (uint64_t)d->bytes[a->offset + i] << 8 * i;
	}
}

int debug_exit_init(struct debug_exit *d, struct vm *vm)
{
	d->vm = vm;
	d->exit = (struct io_region){.start = 0xf4, .bytes = 4, .access = access_exit, .name = "debug-exit", .arg = d};
	d->post = (struct io_region){.start = 0x80, .bytes = 1, .access = access_post, .name = "post", .arg = d};
	d->mixer = (struct io_region){.start = 0xe0, .bytes = 8, .access = access_mixer, .name = "test-mixer", .arg = d};
	d->page = (struct io_region){.start = DEBUG_EXIT_PAGE, .bytes = DEBUG_EXIT_PAGE_BYTES, .access = access_page, .name = "test-page", .arg = d};
	int err = iobus_attach(vm, IO_PORT, &d->post);
	if (!err && vm->config.debug_exit)
		err = iobus_attach(vm, IO_PORT, &d->exit);
	if (!err && vm->config.debug_exit)
		err = iobus_attach(vm, IO_PORT, &d->mixer);
	if (!err && vm->config.debug_exit)
		err = iobus_attach(vm, IO_MMIO, &d->page);
	return err;
}

void debug_exit_fini(struct debug_exit *d)
{
	if (d->exit.attached)
		iobus_detach(d->vm, IO_PORT, &d->exit);
	if (d->mixer.attached)
		iobus_detach(d->vm, IO_PORT, &d->mixer);
	if (d->page.attached)
		iobus_detach(d->vm, IO_MMIO, &d->page);
	if (d->post.attached)
		iobus_detach(d->vm, IO_PORT, &d->post);
}
