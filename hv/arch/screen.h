/* The machine's screen in VGA text mode, where the loader has left it so. Bare metal only. */
#ifndef HV_ARCH_SCREEN_H
#define HV_ARCH_SCREEN_H

#include "boot/boot.h"

/* Clears it and shows what is written from now on; does nothing without one. @pre paging is the host's own */
void screen_init(const struct boot_screen *screen);
/* Shows text; lines scroll. Any context. */
void screen_write(const char *text, size_t len);
/* For a panic: no lock. */
void screen_write_unlocked(const char *text, size_t len);

#endif
