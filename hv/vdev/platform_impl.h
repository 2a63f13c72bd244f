/* All fixed devices of one VM in one piece of memory. platform.c makes it; ioapic.c needs it to find the interrupt controllers. */
#ifndef HV_VDEV_PLATFORM_IMPL_H
#define HV_VDEV_PLATFORM_IMPL_H

#include "vdev/debug_exit.h"
#include "vdev/i8042.h"
#include "vdev/ioapic.h"
#include "vdev/lapic_impl.h"
#include "vdev/pic.h"
#include "vdev/pit.h"
#include "vdev/platform.h"
#include "vdev/pmtimer.h"
#include "vdev/rtc.h"
#include "vdev/uart.h"

struct platform {
	struct vm *vm;
	size_t bytes; /* of this allocation */
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	struct rtc rtc;
	struct pm pm;
	struct i8042 i8042;
	struct uart uart;
	struct debug_exit debug_exit;
	struct io_region lapic_region;
	unsigned lapic_count; /* made so far */
	struct lapic lapics[];
};

#endif
