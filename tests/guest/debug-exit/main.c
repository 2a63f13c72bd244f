/*
 * The smallest guest: a write to the debug-exit port ends the VM, and its value is the VM's exit code.
 * Expect: debug-exit 42
 */
#include "guest.h"

int main(void)
{
	guest_print("hello\n");
	return 42;
}
