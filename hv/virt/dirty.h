/*
 * The dirty log of a VM, inside hv/: <hv/vm.h> has what others call. Where the machine logs by itself (PML: SDM vol. 3, 30.3.6) a first
 * write to a page costs nothing but its entry in that log; else pages are write-protected and the first write leaves the guest
 * (VEXIT_MEMORY). While the log is on, all RAM is mapped by 4 KiB entries.
 */
#ifndef HV_VIRT_DIRTY_H
#define HV_VIRT_DIRTY_H

#include <hv/types.h>

struct vm;

/* The guest's write to `gpa` was refused by nested paging. True: for the log's sake, and now it may. Exit context. */
bool dirty_write_fault(struct vm *vm, gpa_t gpa);
/* Frees what vm_dirty_start made. @pre no vCPU runs any more */
void dirty_destroy(struct vm *vm);

#endif
