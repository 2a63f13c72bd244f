/* The keyboard controller without a keyboard, and port 0x92: what is left of them is A20 and the CPU's reset line (i8042.c). */
#ifndef HV_VDEV_I8042_H
#define HV_VDEV_I8042_H

#include "vdev/lock.h"
#include "virt/iobus.h"

struct vm;
struct state_writer;
struct state_reader;

struct i8042_state {
	uint8_t output, configuration;
	uint8_t command; /* waits for its data byte, 0: none */
	bool full;       /* output holds a byte */
	bool a20;
};

struct i8042 {
	struct vdev_lock lock;
	struct i8042_state s;
	struct vm *vm;
	struct io_region regions[3];
};

int i8042_init(struct i8042 *k, struct vm *vm) HV_MUST_CHECK;
void i8042_fini(struct i8042 *k);
void i8042_reset(struct i8042 *k);
void i8042_save(struct i8042 *k, struct state_writer *w);
int i8042_decode(struct i8042_state *s, struct state_reader *r) HV_MUST_CHECK;
void i8042_apply(struct i8042 *k, const struct i8042_state *s);

#endif
