/*
 * The machine under hv/kern for tests: a Linux process whose logical cores are stepped by hand, one after the other, on one thread.
 * Nothing runs by itself: a test posts, steps, looks. Sleep and interrupts only note that they happened.
 */
#ifndef NATIVE_H
#define NATIVE_H

#include <hv/types.h>

/* (Re)starts with n cores, empty loops, clock at 1 s, core 0 selected. Anything armed or posted before is forgotten, not freed. */
void native_start(unsigned cores);
/* Following calls run on this logical core. */
void native_core_select(unsigned core);
/* One turn of the selected core's loop. Returns true when it did not go to sleep. */
bool native_core_step(void);
/* Steps all cores in turn until a round in which all of them sleep, or max_rounds; true when all sleep. */
bool native_run(unsigned max_rounds);

/* Manual clock (the default), nanoseconds. */
void native_time_set(uint64_t now_ns);
void native_time_advance(uint64_t ns);
/* Follow the machine's monotonic clock instead (for tests with real sockets). */
void native_time_real(bool on);

/* What the arch interface was asked for. */
unsigned native_notifies(unsigned core); /* hv_core_notify */
unsigned native_kicks(unsigned core);    /* wake interrupts sent to it */
unsigned native_sleeps(unsigned core);   /* times it halted */
uint64_t native_hw_timer(unsigned core); /* its hardware timer, UINT64_MAX = off */

/* The n-th page or stack allocation from now on fails once (1 = the next); 0 = none. */
void native_fail_alloc(unsigned n);
/* What hv_cmdline() says; the text must stay. */
void native_set_cmdline(const char *text);
/* Log lines go to stderr only when on (default: environment NATIVE_LOG). */
void native_log(bool on);
/* Text of all log lines since native_start, for tests that look for an event. */
const char *native_log_text(void);

/* Guests' lines find no room on the console. */
void native_console_full(bool full);
/* What was written to the control console since native_start, and what hv_control_read gives next; the bytes stay the caller's. */
const char *native_control_text(void);
void native_control_type(const char *bytes, size_t len);

/* Makes hv_module_find give this; data stays the caller's. Forgotten by native_start. */
void native_module_add(const char *name, const void *data, size_t bytes);

#endif
