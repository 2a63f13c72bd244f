/* Ports for whoever writes test guests: 0xf4 ends the VM with a value (config.debug_exit), 0x80 takes POST codes (debug_exit.c). */
#ifndef HV_VDEV_DEBUG_EXIT_H
#define HV_VDEV_DEBUG_EXIT_H

#include "virt/iobus.h"

struct vm;

struct debug_exit {
	struct vm *vm;
	struct io_region exit, post;
	_Atomic uint8_t post_code;
};

int debug_exit_init(struct debug_exit *d, struct vm *vm) HV_MUST_CHECK;
void debug_exit_fini(struct debug_exit *d);

#endif
