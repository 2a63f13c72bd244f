/* The two serial ports (16550). Bare metal only. */
#ifndef HV_ARCH_CONSOLE_H
#define HV_ARCH_CONSOLE_H

#include <hv/types.h>

/* Sets both ports to 115200 8N1, FIFOs on. First thing at boot. */
void console_init(void);
/* What is written goes through a ring that core 0's loop empties, and input wakes core 0, from now on. On core 0, just before its loop. */
void console_start(void);
/* What waits and then text, at once and without a lock: only for a panic, when the holder may be stopped. */
void console_write_unlocked(const char *text, size_t len);
/* Waits until both ports have sent all they were given; what is written after it waits, too: before the machine goes off. */
void console_drain(void);

#endif
