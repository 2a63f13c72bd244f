/*
 * Structured log. One line an event: a stable event id ("iscsi.login.refused"), then text a person can act on. Lines go to the host's console
 * as "[host] <seconds> <level> <event>: text" and into a ring in memory. Any core and any context (also exits and interrupts) may log;
 * formatting is hv's own and uses no FPU. Conversions: %d %i %u %x %X %c %s %p %% with flags 0 and -, width, precision, l ll z h hh.
 */
#ifndef HV_LOG_H
#define HV_LOG_H

#include <hv/types.h>
#include <stdarg.h>

enum hv_log_level { HV_LOG_ERROR, HV_LOG_WARN, HV_LOG_INFO, HV_LOG_DEBUG };

void hv_log(enum hv_log_level level, const char *event, const char *fmt, ...) HV_PRINTF(3, 4);
void hv_vlog(enum hv_log_level level, const char *event, const char *fmt, va_list ap);
void hv_log_set_level(enum hv_log_level level);

#define log_error(event, ...) hv_log(HV_LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) hv_log(HV_LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) hv_log(HV_LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) hv_log(HV_LOG_DEBUG, event, __VA_ARGS__)

/* hv's own snprintf (no FPU): same result as C's for the conversions above. Any context. */
int hv_snprintf(char *buf, size_t size, const char *fmt, ...) HV_PRINTF(3, 4);
int hv_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/* Wraps an error where it is born: logs file:line once at debug level and gives it back. `return trace_error(-EINVAL);` */
int hv_trace_error(int err, const char *file, int line);
#define trace_error(err) hv_trace_error((err), __FILE__, __LINE__)

/* A broken invariant of the host itself: prints registers and a backtrace on the console, stops all cores. Never for outside input. */
/* All cores halt after a line on console and screen: for a machine that is good for nothing else, which is no fault of ours. Any context. */
_Noreturn void hv_stop(const char *fmt, ...) HV_PRINTF(1, 2);
_Noreturn void hv_panic(const char *fmt, ...) HV_PRINTF(1, 2);
#define hv_assert(cond) ((cond) ? (void)0 : hv_panic("%s:%d: %s", __FILE__, __LINE__, #cond))

#endif
