/* Interrupt controllers' start-up. Bare metal only. */
#ifndef HV_ARCH_IRQ_H
#define HV_ARCH_IRQ_H

#include <hv/types.h>

void irq_disable_pic(void);
void irq_mask_ioapic(uint64_t base);

#endif
