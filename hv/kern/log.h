/* The log's ring in memory: the newest lines, for a panic and for the control console. */
#ifndef HV_KERN_LOG_H
#define HV_KERN_LOG_H

#include <hv/types.h>

#define HV_LOG_RING_BYTES 65536u

/* Copies the newest lines, at most size bytes, oldest first; returns bytes. Any context. */
size_t hv_log_ring_read(char *buf, size_t size);

#endif
