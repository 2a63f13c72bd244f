/*
 * Stack protector: gcc puts __stack_chk_guard below the return address of functions with arrays on their stack and calls __stack_chk_fail when it has
 * changed. The value is random from boot on; its lowest byte is 0, so that string functions stop there.
 */
#include "arch/stack_guard.h"

#include <hv/log.h>
#include <hv/rand.h>

uintptr_t __stack_chk_guard = 0x5afec0de00;

__attribute__((no_stack_protector)) void stack_guard_init(void)
{
	uintptr_t guard;

	hv_random(&guard, sizeof(guard));
	__stack_chk_guard = guard & ~(uintptr_t)0xff;
}

_Noreturn void __stack_chk_fail(void)
{
	hv_panic("a function wrote beyond an array on its stack");
}
