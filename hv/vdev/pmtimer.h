/* ACPI fixed hardware: PM1a event and control blocks, PM timer (pmtimer.c). Ports 0x600-0x60b; the interrupt (SCI) is GSI 9. */
#ifndef HV_VDEV_PMTIMER_H
#define HV_VDEV_PMTIMER_H

#include "vdev/host_timer.h"
#include "vdev/lock.h"
#include "virt/iobus.h"

struct vm;
struct state_writer;
struct state_reader;

#define PM_PORT_BASE 0x600u
#define PM1_EVENT_PORT (PM_PORT_BASE + 0)
#define PM1_EVENT_BYTES 4u
#define PM1_CONTROL_PORT (PM_PORT_BASE + 4)
#define PM1_CONTROL_BYTES 2u
#define PM_TIMER_PORT (PM_PORT_BASE + 8)
#define PM_TIMER_BYTES 4u
#define PM_TIMER_HZ 3579545u
#define PM_SCI_GSI 9u
#define PM_SLP_TYP_S5 5u /* what \_S5 in the DSDT says */

struct pm_state {
	uint16_t status, enable, control;
	uint64_t start_ns; /* when the timer was 0 */
	uint64_t seen_ns;  /* carries up to here are in status */
};

struct pm {
	struct vdev_lock lock;
	struct pm_state s;
	struct vm *vm;
	struct vdev_timer timer;
	struct io_region region;
};

int pm_init(struct pm *p, struct vm *vm) HV_MUST_CHECK;
void pm_fini(struct pm *p);
void pm_reset(struct pm *p);
/* The fixed power button. Any core. */
void pm_press_power_button(struct pm *p);
void pm_save(struct pm *p, struct state_writer *w);
int pm_decode(struct pm_state *s, struct state_reader *r) HV_MUST_CHECK;
void pm_apply(struct pm *p, const struct pm_state *s);

#endif
