/* The checks of a working machine. */
#ifndef BOOT_CASES_H
#define BOOT_CASES_H

#include <hv/log.h>

/* Panics at the first check that fails. Fiber on core 0. */
void check_machine(void);

#define CHECK(cond) ((cond) ? (void)0 : hv_panic("test.failed %s:%d: %s", __FILE__, __LINE__, #cond))

#endif
