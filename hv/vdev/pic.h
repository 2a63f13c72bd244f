/* A pair of 8259A interrupt controllers with ELCR (pic.c). Any core, loop or exit context, unless said otherwise. */
#ifndef HV_VDEV_PIC_H
#define HV_VDEV_PIC_H

#include "vdev/lock.h"
#include "virt/iobus.h"
#include <hv/types.h>

struct vm;
struct state_writer;
struct state_reader;

struct pic_chip {
	uint8_t irr, isr, imr, lines, elcr;
	uint8_t base;   /* ICW2: vector of input 0 */
	uint8_t lowest; /* input of lowest priority; 7: input 0 is highest */
	uint8_t icw;    /* next expected initialisation word, 0: ready */
	bool icw4_needed, auto_eoi, rotate_auto, special_mask, special_nested, read_isr, poll;
};

enum { PIC_MASTER, PIC_SLAVE };

struct pic_state {
	struct pic_chip chip[2];
};

struct pic {
	struct vdev_lock lock;
	struct pic_state s;
	_Atomic bool output; /* the master's INT pin */
	struct vm *vm;
	struct io_region regions[3];
};

int pic_init(struct pic *p, struct vm *vm) HV_MUST_CHECK;
void pic_fini(struct pic *p);
void pic_reset(struct pic *p);
/* Input 0..15; input 2 is the cascade and ignored. */
void pic_set_line(struct pic *p, unsigned irq, bool level);
/* The vector the next INTA cycle would give (input 7 when the request has gone: spurious). Boot vCPU's core. */
uint8_t pic_peek(struct pic *p);
/* The INTA cycle. Boot vCPU's core. */
void pic_ack(struct pic *p);
static inline bool pic_output(struct pic *p)
{
	return atomic_load_explicit(&p->output, memory_order_acquire);
}

void pic_save(struct pic *p, struct state_writer *w);
int pic_decode(struct pic_state *s, struct state_reader *r) HV_MUST_CHECK;
void pic_apply(struct pic *p, const struct pic_state *s);

#endif
