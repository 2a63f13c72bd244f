/* Trace (trace.c), as the path of a frame sees it. v->trace is set only while a frame is traced, which is one turn of the loop. */
#ifndef VSWITCH_TRACE_H
#define VSWITCH_TRACE_H

#include "switch.h"

#include <vswitch/frame_trace.h>

/* Adds a step; path: the place in the configuration, a format with one %u for index, or "". */
void vsw_trace_note(struct vsw *v, const char *stage, const char *path, unsigned index, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
