/* The 8254 interval timer, channels 0 (ISA IRQ 0) and 2 (speaker, gated by port 0x61) (pit.c). */
#ifndef HV_VDEV_PIT_H
#define HV_VDEV_PIT_H

#include "vdev/host_timer.h"
#include "vdev/lock.h"
#include "virt/iobus.h"

struct vm;
struct state_writer;
struct state_reader;

#define PIT_HZ 1193182u

struct pit_channel {
	uint32_t count;    /* reload value 1..65536 (or 10000 in BCD); 0: not loaded since the control word */
	uint64_t start_ns; /* when counting began */
	uint8_t mode;      /* 0..5 */
	uint8_t access;    /* 1 low byte, 2 high byte, 3 low then high */
	uint8_t latched_status, write_low;
	uint16_t latch;
	uint8_t latch_bytes; /* bytes of the latch still to be read */
	bool bcd, gate, status_latched, read_high, write_high, triggered;
};

struct pit_state {
	struct pit_channel channel[3];
	bool speaker;
};

struct pit {
	struct vdev_lock lock;
	struct pit_state s;
	uint64_t edge_ns; /* rising edge of OUT0 last reported, as time on its own scale */
	struct vm *vm;
	struct vdev_timer timer;
	struct io_region regions[2];
	uint64_t n_ticks;
};

int pit_init(struct pit *p, struct vm *vm) HV_MUST_CHECK;
void pit_fini(struct pit *p);
void pit_reset(struct pit *p);
void pit_save(struct pit *p, struct state_writer *w);
int pit_decode(struct pit_state *s, struct state_reader *r) HV_MUST_CHECK;
void pit_apply(struct pit *p, const struct pit_state *s);

#endif
