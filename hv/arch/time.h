/* Clocks of the machine. Bare metal only. */
#ifndef HV_ARCH_TIME_H
#define HV_ARCH_TIME_H

#include <hv/types.h>

/* hv_now_ns starts; before, it is 0. pm_timer_port 0 = none. Core 0. */
void time_init(uint16_t pm_timer_port);
/* Busy wait. */
void time_delay_us(uint64_t us);
uint64_t time_ns_to_tsc(uint64_t ns);

#endif
