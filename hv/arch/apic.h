/* Local APIC, xAPIC or x2APIC (SDM vol. 3, ch. 10). Bare metal only. */
#ifndef HV_ARCH_APIC_H
#define HV_ARCH_APIC_H

#include <hv/types.h>

/* Finds the mode, maps registers, measures the timer. Core 0, after time_init. */
void apic_init(uint64_t xapic_base);
/* Enables the calling core's APIC: spurious vector, timer. */
void apic_init_core(void);
uint32_t apic_id(void);
void apic_eoi(void);
/* INIT, and SIPI at page << 12. */
void apic_send_init(uint32_t apic_id);
void apic_send_sipi(uint32_t apic_id, uint8_t page);
/* NMI to all other cores, for a panic; works before apic_init (does nothing). */
void apic_stop_others(void);
/* The timer interrupt came. */
void apic_timer_fired(void);

#endif
