/*
 * Port 0xf4: a write ends the VM, its value (8, 16 or 32 bits) becomes the VM's exit code; only with config.debug_exit. Port 0x80: POST
 * codes, and what guests write to for a short delay; it answers so that such a write is not counted as an access to nothing.
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

int debug_exit_init(struct debug_exit *d, struct vm *vm)
{
	d->vm = vm;
	d->exit = (struct io_region){.start = 0xf4, .bytes = 4, .access = access_exit, .name = "debug-exit", .arg = d};
	d->post = (struct io_region){.start = 0x80, .bytes = 1, .access = access_post, .name = "post", .arg = d};
	int err = iobus_attach(vm, IO_PORT, &d->post);
	if (!err && vm->config.debug_exit)
		err = iobus_attach(vm, IO_PORT, &d->exit);
	return err;
}

void debug_exit_fini(struct debug_exit *d)
{
	if (d->exit.attached)
		iobus_detach(d->vm, IO_PORT, &d->exit);
	if (d->post.attached)
		iobus_detach(d->vm, IO_PORT, &d->post);
}
