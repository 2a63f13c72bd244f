/* Reporting of problems: formats and hands to the sink. No state of its own. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

void report_begin(struct report *report, const struct config_sink *sink)
{
	report->sink = sink;
	report->errors = 0;
	report->path.len = 0;
	report->path.text[0] = 0;
	report->hint[0] = 0;
}

void report_at(struct report *report, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(report->path.text, sizeof(report->path.text), fmt, ap);
	va_end(ap);
	report->path.len = len < 0 ? 0 : len > CONFIG_PATH_MAX ? CONFIG_PATH_MAX : (size_t)len;
}

const char *report_hint(struct report *report, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(report->hint, sizeof(report->hint), fmt, ap);
	va_end(ap);
	return report->hint;
}

static void deliver(struct report *report, enum config_severity severity, bool at_key, const char *hint, const char *fmt, va_list ap)
{
	char message[REPORT_TEXT_MAX + 1];
	vsnprintf(message, sizeof(message), fmt, ap);
	if (severity == CONFIG_ERROR)
		report->errors++;
	struct config_problem problem = {
		.severity = severity, .path = report->path.text, .at_key = at_key, .message = message, .hint = hint ? hint : ""};
	report->sink->report(report->sink->arg, &problem);
}

void report_error(struct report *report, const char *hint, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	deliver(report, CONFIG_ERROR, false, hint, fmt, ap);
	va_end(ap);
}

void report_error_key(struct report *report, const char *hint, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	deliver(report, CONFIG_ERROR, true, hint, fmt, ap);
	va_end(ap);
}

void report_warning(struct report *report, const char *hint, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	deliver(report, CONFIG_WARNING, false, hint, fmt, ap);
	va_end(ap);
}
