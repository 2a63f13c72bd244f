/* Task switches by TSS or task gate, for a vendor whose machine does not do them (task.c). */
#ifndef HV_VIRT_TASK_H
#define HV_VIRT_TASK_H

#include "virt/virt.h"

/* Does what VEXIT_TASK_SWITCH says: the vCPU is in the new task, or gets a fault in the old or new one. Exit context. */
void vcpu_task_switch(struct vcpu *v, const struct virt_task *t);

#endif
