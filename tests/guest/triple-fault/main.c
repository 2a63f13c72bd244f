/*
 * A triple fault ends the VM as a crash with that reason; the host and its other VMs live on.
 * Expect: crash
 */
#include "guest.h"

int main(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none = {0, 0};
	__asm__ volatile("lidt %0; int3" : : "m"(none));
	return 1;
}
