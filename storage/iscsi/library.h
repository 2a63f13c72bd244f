/*
 * The few things that libiscsi's public interface does not tell. library.c is the only file that looks inside its private structures.
 */
#ifndef STORAGE_ISCSI_LIBRARY_H
#define STORAGE_ISCSI_LIBRARY_H

#include <hv/types.h>

struct iscsi_context;
struct scsi_task;

/* True when the library has given the connection up (its own reconnection is off, so it only notes that). */
bool library_lost(const struct iscsi_context *ctx);
/* True while a PDU that takes its data from the task's segments has not left for the socket completely. */
bool library_task_queued(const struct iscsi_context *ctx, const struct scsi_task *task);
/*
 * After login: NULL when what the target negotiated lies within RFC 7143's ranges (section 13), else what does not. The library takes the
 * target's numbers as they come, and a zero segment length would make it loop.
 */
const char *library_negotiation_error(const struct iscsi_context *ctx);

#endif
