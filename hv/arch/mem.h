/* Host memory behind hv/mem.h: start-up. Bare metal only. */
#ifndef HV_ARCH_MEM_H
#define HV_ARCH_MEM_H

#include "boot/boot.h"

/* Own page tables, direct map, page allocator over all RAM that is not the image or `info->keep`. Core 0, boot page tables active. */
void host_mem_init(const struct boot_info *info);

#endif
