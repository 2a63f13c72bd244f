/*
 * The keyboard controller (Intel 8042 as the PC/AT programmed it) without keyboard or mouse: it passes its self test, says that its ports
 * do not work, and pulses the reset line. The FADT tells guests that there is none; this is for those that look anyway. A20 is never
 * masked: the bit only reads back.
 */
#include "vdev/i8042.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>

#define TAG STATE_TAG('K', 'B', 'D', 'C')

enum { DATA, COMMAND, FAST_A20 };

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM 0x04
#define STATUS_COMMAND 0x08
#define STATUS_UNLOCKED 0x10

enum {
	CMD_READ_CONFIGURATION = 0x20,
	CMD_WRITE_CONFIGURATION = 0x60,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_PORT_TEST = 0xab,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_WRITE_AUX = 0xd4,
	CMD_PULSE = 0xf0, /* ..0xff: pulse output lines whose bit is 0; bit 0 is the CPU's reset */
};

static void answer(struct i8042 *k, uint8_t byte)
{
	k->s.output = byte;
	k->s.full = true;
}

/* Returns true when the reset line is pulsed. */
static bool command(struct i8042 *k, uint8_t cmd)
{
	k->s.command = 0;
	switch (cmd) {
	case CMD_READ_CONFIGURATION:
		answer(k, k->s.configuration);
		return false;
	case CMD_SELF_TEST:
		answer(k, 0x55);
		return false;
	case CMD_AUX_TEST:
	case CMD_PORT_TEST:
		answer(k, 0x01); /* clock line stuck low: nothing is plugged in */
		return false;
	case CMD_READ_OUTPUT:
		answer(k, (uint8_t)(0x01 | k->s.a20 << 1));
		return false;
	case CMD_WRITE_CONFIGURATION:
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_AUX:
		k->s.command = cmd;
		return false;
	default:
		return cmd >= CMD_PULSE && !(cmd & 1);
	}
}

static bool data(struct i8042 *k, uint8_t byte)
{
	uint8_t cmd = k->s.command;
	k->s.command = 0;
	if (cmd == CMD_WRITE_CONFIGURATION)
		k->s.configuration = byte;
	if (cmd != CMD_WRITE_OUTPUT)
		return false; /* bytes for devices go nowhere */
	k->s.a20 = byte >> 1 & 1;
	return !(byte & 1);
}

static uint8_t read_port(struct i8042 *k, unsigned port)
{
	switch (port) {
	case DATA:
		k->s.full = false;
		return k->s.output;
	case COMMAND:
		return (uint8_t)(STATUS_SYSTEM | STATUS_UNLOCKED | (k->s.command ? STATUS_COMMAND : 0) |
				 (k->s.full ? STATUS_OUTPUT_FULL : 0));
	default:
		return (uint8_t)(k->s.a20 << 1);
	}
}

static void access(struct io_region *r, struct io_access *a)
{
	struct i8042 *k = r->arg;
	unsigned port = (unsigned)(r - k->regions);
	bool reset = false;

	vdev_lock(&k->lock);
	if (!a->write) {
		a->value = read_port(k, port);
	} else if (port == DATA) {
		reset = data(k, (uint8_t)a->value);
	} else if (port == COMMAND) {
		reset = command(k, (uint8_t)a->value);
	} else {
		k->s.a20 = a->value >> 1 & 1;
		reset = a->value & 1;
	}
	vdev_unlock(&k->lock);
	if (reset)
		vm_reset(k->vm);
}

void i8042_reset(struct i8042 *k)
{
	vdev_lock(&k->lock);
	k->s = (struct i8042_state){.configuration = STATUS_SYSTEM, .a20 = true};
	vdev_unlock(&k->lock);
}

int i8042_init(struct i8042 *k, struct vm *vm)
{
	k->vm = vm;
	k->regions[DATA] = (struct io_region){.start = 0x60, .bytes = 1, .access = access, .name = "i8042-data", .arg = k};
	k->regions[COMMAND] = (struct io_region){.start = 0x64, .bytes = 1, .access = access, .name = "i8042", .arg = k};
	k->regions[FAST_A20] = (struct io_region){.start = 0x92, .bytes = 1, .access = access, .name = "port92", .arg = k};
	i8042_reset(k);
	int err = 0;
	for (unsigned i = 0; i < HV_ARRAY_LEN(k->regions) && !err; i++)
		err = iobus_attach(vm, IO_PORT, &k->regions[i]);
	return err;
}

void i8042_fini(struct i8042 *k)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(k->regions); i++)
		if (k->regions[i].attached)
			iobus_detach(k->vm, IO_PORT, &k->regions[i]);
}

void i8042_save(struct i8042 *k, struct state_writer *w)
{
	state_begin(w, TAG, 1, 0);
	const uint8_t bytes[] = {k->s.output, k->s.configuration, k->s.command, k->s.full, k->s.a20};
	state_put(w, bytes, sizeof(bytes));
	state_end(w);
}

int i8042_decode(struct i8042_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	uint8_t b[5];
	state_get(r, b, sizeof(b));
	*s = (struct i8042_state){.output = b[0], .configuration = b[1], .command = b[2], .full = b[3], .a20 = b[4]};
	return state_close(r) ? 0 : -EINVAL;
}

void i8042_apply(struct i8042 *k, const struct i8042_state *s)
{
	vdev_lock(&k->lock);
	k->s = *s;
	vdev_unlock(&k->lock);
}
