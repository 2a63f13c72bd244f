/* Loaders: put a kernel into guest memory and say where the boot vCPU starts. */
#ifndef HV_VM_LOAD_H
#define HV_VM_LOAD_H

#include "virt/vcpu.h"

/* vm->config.kernel/initrd/cmdline/modules -> guest memory, *start. 0, -EINVAL (the log says what is wrong), -ENOSPC (does not fit). */
int load_linux(struct vm *vm, struct vcpu_start *start) HV_MUST_CHECK;
int load_multiboot(struct vm *vm, struct vcpu_start *start) HV_MUST_CHECK;

#endif
