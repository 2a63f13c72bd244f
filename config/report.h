/* Reporting of problems, for the decoder and the checker: a current path, a count of errors, a buffer for a formatted hint. */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

#include <config/config.h>
#include <config/path.h>

#define REPORT_TEXT_MAX 511
#define REPORT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

struct report {
	const struct config_sink *sink;
	unsigned errors;
	struct config_path path;
	char hint[REPORT_TEXT_MAX + 1];
};

void report_begin(struct report *report, const struct config_sink *sink);
/* Sets the path at once; for the checker. */
void report_at(struct report *report, const char *fmt, ...) REPORT_PRINTF(2, 3);
/* Formats a hint; valid until the next one. */
const char *report_hint(struct report *report, const char *fmt, ...) REPORT_PRINTF(2, 3);
/* Report the value at the path (error, warning) or the key that ends it (error_key). */
void report_error(struct report *report, const char *hint, const char *fmt, ...) REPORT_PRINTF(3, 4);
void report_error_key(struct report *report, const char *hint, const char *fmt, ...) REPORT_PRINTF(3, 4);
void report_warning(struct report *report, const char *hint, const char *fmt, ...) REPORT_PRINTF(3, 4);

#endif
