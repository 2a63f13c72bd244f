/* The two serial ports (16550). Bare metal only. */
#ifndef HV_ARCH_CONSOLE_H
#define HV_ARCH_CONSOLE_H

#include <hv/types.h>

/* Sets both ports to 115200 8N1, FIFOs on. First thing at boot. */
void console_init(void);
/* Input on the control console wakes core 0 from now on. After the interrupt controllers' start. */
void console_wake_on_input(void);
/* Writes without a lock: only for a panic, when the holder may be stopped. */
void console_write_unlocked(const char *text, size_t len);
/* Waits until both ports have sent all they were given: before the machine goes off. */
void console_drain(void);

#endif
