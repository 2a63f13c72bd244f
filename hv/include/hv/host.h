/* The machine as the layers above see it: what it was started with, its consoles, and how it ends. */
#ifndef HV_HOST_H
#define HV_HOST_H

#include <hv/types.h>

/* A file given at boot (an entry of the boot archive, or a multiboot2 module). Memory stays valid and read-only. */
struct hv_module {
	const char *name;
	const void *data;
	size_t bytes;
};
/* NULL when there is none of that name. */
const struct hv_module *hv_module_find(const char *name);
unsigned hv_module_count(void);
const struct hv_module *hv_module_get(unsigned i);
const char *hv_cmdline(void);

/*
 * Defined by the layer that plugs the modules together (config/builtin.c): called once, in a fiber on core 0, when all cores run their
 * loops.
 */
void host_main(void);

/*
 * Console (first serial port, host's screen): writes whole lines, atomically between cores. Nobody waits for the port: a line that finds no
 * room in the buffer before it is dropped, counted, and reported later. Any context.
 */
void hv_console_write(const char *text, size_t len);
/* The same for what guests say: leaves room for the host's own lines. False: dropped. */
bool hv_console_offer(const char *text, size_t len) HV_MUST_CHECK;
/* Control console (second serial port, not reachable from any network). Loop context. read returns bytes available, 0 = none. */
void hv_control_write(const char *text, size_t len);
size_t hv_control_read(char *buf, size_t size);

struct hv_console_stats {
	uint64_t bytes; /* written through the buffer */
	uint64_t dropped_lines;
};
/* Any context. */
void hv_console_stats(struct hv_console_stats *console, struct hv_console_stats *control);

/* Powers the machine off through ACPI (and QEMU's debug-exit port when there); never returns. */
_Noreturn void hv_power_off(int status);
_Noreturn void hv_reboot(void);

#endif
