/* Stack protector (stack_guard.c). */
#ifndef HV_ARCH_STACK_GUARD_H
#define HV_ARCH_STACK_GUARD_H

#include <stdint.h>

extern uintptr_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);
/* Takes a random value. @pre only this core runs, and no function that is active now returns */
void stack_guard_init(void);

#endif
