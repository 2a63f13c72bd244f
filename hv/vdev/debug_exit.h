/*
 * For whoever writes test guests (debug_exit.c). Port 0x80 takes POST codes; the rest only with config.debug_exit: port 0xf4 ends the VM with a
 * value; ports 0xe0 to 0xe3 mix what is written into one number and make each read from it, port 0xe4 is that number;
 * a page of device memory keeps what is written.
 */
#ifndef HV_VDEV_DEBUG_EXIT_H
#define HV_VDEV_DEBUG_EXIT_H

#include "virt/iobus.h"

struct vm;

#define DEBUG_EXIT_PAGE 0xfed80000ull
#define DEBUG_EXIT_PAGE_BYTES 0x1000

struct debug_exit {
	struct vm *vm;
	struct io_region exit, post, mixer, page;
	_Atomic uint8_t post_code;
	_Atomic uint32_t mixed;
	_Atomic uint8_t bytes[DEBUG_EXIT_PAGE_BYTES];
};

int debug_exit_init(struct debug_exit *d, struct vm *vm) HV_MUST_CHECK;
void debug_exit_fini(struct debug_exit *d);

#endif
