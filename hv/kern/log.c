/*
 * The structured log. A line is formatted on the caller's stack, then written to the console and into a ring under a lock that is held with
 * interrupts off (also exits and interrupt handlers log). Control characters are replaced: what a guest or a server says cannot forge a line.
 */
#include "kern/log.h"
#include "kern/lock.h"
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>

#define LINE_BYTES 512

static struct hv_lock ring_lock;
static char ring[HV_LOG_RING_BYTES];
static size_t ring_end; /* bytes ever written */
static enum hv_log_level max_level = HV_LOG_INFO;

static const char *const level_names[] = {
	[HV_LOG_ERROR] = "error",
	[HV_LOG_WARN] = "warn",
	[HV_LOG_INFO] = "info",
	[HV_LOG_DEBUG] = "debug",
};

void hv_log_set_level(enum hv_log_level level)
{
	__atomic_store_n(&max_level, level, __ATOMIC_RELAXED);
}

static void ring_write(const char *line, size_t len)
{
	unsigned long irq = hv_lock_irq(&ring_lock);

	for (size_t i = 0; i < len; i++)
		ring[(ring_end + i) % HV_LOG_RING_BYTES] = line[i];
	ring_end += len;
	hv_unlock_irq(&ring_lock, irq);
}

size_t hv_log_ring_read(char *buf, size_t size)
{
	unsigned long irq = hv_lock_irq(&ring_lock);
	size_t n = HV_MIN(size, HV_MIN(ring_end, (size_t)HV_LOG_RING_BYTES));

	for (size_t i = 0; i < n; i++)
		buf[i] = ring[(ring_end - n + i) % HV_LOG_RING_BYTES];
	hv_unlock_irq(&ring_lock, irq);
	return n;
}

void hv_vlog(enum hv_log_level level, const char *event, const char *fmt, va_list ap)
{
	char line[LINE_BYTES];
	uint64_t us = hv_now_ns() / 1000;
	size_t len, head;
	int n;

	if (level > __atomic_load_n(&max_level, __ATOMIC_RELAXED))
		return;
	n = hv_snprintf(line, sizeof(line) - 1, "[host] %lu.%06lu %s %s: ", (unsigned long)(us / 1000000), (unsigned long)(us % 1000000),
		level_names[level], event);
	head = HV_MIN((size_t)n, sizeof(line) - 2);
	n = hv_vsnprintf(line + head, sizeof(line) - 1 - head, fmt, ap);
	len = HV_MIN(head + (size_t)n, sizeof(line) - 2);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	ring_write(line, len);
	hv_console_write(line, len);
}

void hv_log(enum hv_log_level level, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	hv_vlog(level, event, fmt, ap);
	va_end(ap);
}

int hv_trace_error(int err, const char *file, int line)
{
	hv_log(HV_LOG_DEBUG, "trace.error", "%s:%d: error %d", file, line, err);
	return err;
}
