/*
 * DPDK's log into ours: a line of log type "pmd.net.virtio.init" becomes event "dpdk.pmd.net.virtio.init". Types register from
 * constructors, so this file uses no memory but its own. DPDK writes pieces; each core collects them until the line ends.
 */
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>

#include "eal_private.h"

#define LOG_TYPES 128u
#define LINE_BYTES 256u

struct log_type {
	const char *name; /* a literal of the library that registered it */
	uint8_t level;    /* RTE_LOG_*: the least important that is shown; 0 = the default */
};

/* The fixed types of rte_log.h come first; libraries add theirs from RTE_LOGTYPE_FIRST_EXT_ID. */
static struct log_type types[LOG_TYPES] = {
	[RTE_LOGTYPE_EAL] = {"eal", RTE_LOG_NOTICE},
	[RTE_LOGTYPE_MALLOC] = {"malloc", 0},
	[RTE_LOGTYPE_RING] = {"ring", 0},
	[RTE_LOGTYPE_MEMPOOL] = {"mempool", 0},
	[RTE_LOGTYPE_TIMER] = {"timer", 0},
	[RTE_LOGTYPE_PMD] = {"pmd", 0},
	[RTE_LOGTYPE_HASH] = {"hash", 0},
	[RTE_LOGTYPE_MBUF] = {"mbuf", 0},
	[RTE_LOGTYPE_USER1] = {"user1", 0},
};
static uint32_t type_count = RTE_LOGTYPE_FIRST_EXT_ID;

struct line {
	uint32_t used;
	char text[LINE_BYTES];
};
static struct line lines[HV_MAX_CORES];

int rte_log_register_type_and_pick_level(const char *name, uint32_t level)
{
	uint32_t i;

	for (i = RTE_LOGTYPE_FIRST_EXT_ID; i < type_count; i++) {
		if (!strcmp(types[i].name, name))
			return (int)i;
	}
	if (i == LOG_TYPES)
		return -ENOMEM;
	types[i] = (struct log_type){name, (uint8_t)level};
	type_count++;
	return (int)i;
}

int rte_log_register(const char *name)
{
	return rte_log_register_type_and_pick_level(name, RTE_LOG_INFO);
}

int rte_log_set_level(uint32_t type, uint32_t level)
{
	if (type >= type_count || level > RTE_LOG_MAX)
		return -1;
	types[type].level = (uint8_t)level;
	return 0;
}

bool rte_log_can_log(uint32_t type, uint32_t level)
{
	uint32_t most = type < type_count && types[type].level ? types[type].level : RTE_LOG_NOTICE;

	return level <= most;
}

static enum hv_log_level hv_level(uint32_t level)
{
	if (level <= RTE_LOG_ERR)
		return HV_LOG_ERROR;
	if (level == RTE_LOG_WARNING)
		return HV_LOG_WARN;
	return level == RTE_LOG_DEBUG ? HV_LOG_DEBUG : HV_LOG_INFO;
}

static void write_line(uint32_t level, uint32_t type, const char *text, size_t bytes)
{
	char event[64];

	if (!bytes)
		return;
	hv_snprintf(event, sizeof(event), "dpdk.%s", type < type_count && types[type].name ? types[type].name : "other");
	hv_log(hv_level(level), event, "%.*s", (int)bytes, text);
}

int rte_vlog(uint32_t level, uint32_t type, const char *format, va_list ap)
{
	struct line *l = &lines[hv_core_self()];
	char *start = l->text, *end;
	int n;

	if (!rte_log_can_log(type, level))
		return 0;
	n = vsnprintf(l->text + l->used, sizeof(l->text) - l->used, format, ap);
	if (n < 0)
		return n;
	l->used = (uint32_t)HV_MIN(l->used + (size_t)n, sizeof(l->text) - 1);
	while ((end = memchr(start, '\n', l->text + l->used - start))) {
		write_line(level, type, start, (size_t)(end - start));
		start = end + 1;
	}
	l->used -= (uint32_t)(start - l->text);
	memmove(l->text, start, l->used);
	if (l->used == sizeof(l->text) - 1) { /* a line too long for us: in pieces */
		write_line(level, type, l->text, l->used);
		l->used = 0;
	}
	return n;
}

int rte_log(uint32_t level, uint32_t type, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = rte_vlog(level, type, format, ap);
	va_end(ap);
	return n;
}

void __rte_panic(const char *function, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	hv_panic("dpdk: %s: %s", function, text);
}

/* hv_panic prints the backtrace. */
void rte_dump_stack(void)
{
}
