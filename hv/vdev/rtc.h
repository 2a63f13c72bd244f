/* The MC146818 real-time clock and 128 bytes of CMOS memory at ports 0x70/0x71, ISA IRQ 8 (rtc.c). */
#ifndef HV_VDEV_RTC_H
#define HV_VDEV_RTC_H

#include "vdev/host_timer.h"
#include "vdev/lock.h"
#include "virt/iobus.h"

struct vm;
struct state_writer;
struct state_reader;

#define RTC_BYTES 128u

struct rtc_state {
	int64_t offset_ns; /* the guest's clock - the host's wall clock */
	int64_t seen_ns;   /* events up to this instant of the guest's clock are in register C */
	uint8_t index;
	uint8_t ram[RTC_BYTES]; /* registers A, B, C and the alarm live at their addresses; the time only while it is stopped */
};

struct rtc {
	struct vdev_lock lock;
	struct rtc_state s;
	struct vm *vm;
	struct vdev_timer timer;
	struct io_region region;
};

int rtc_init(struct rtc *r, struct vm *vm) HV_MUST_CHECK;
void rtc_fini(struct rtc *r);
/* Power-on: the battery keeps time and CMOS memory; interrupts are off. */
void rtc_reset(struct rtc *r);
void rtc_save(struct rtc *r, struct state_writer *w);
int rtc_decode(struct rtc_state *s, struct state_reader *r) HV_MUST_CHECK;
void rtc_apply(struct rtc *r, const struct rtc_state *s);

#endif
