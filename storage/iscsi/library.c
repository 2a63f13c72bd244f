/* See library.h. Also provides the random numbers that the library draws (CHAP challenge, ISID, first CmdSN and task tag). */
#include "library.h"
#include <hv/rand.h>
#include <limits.h>
#include <stdint.h>
#include <time.h>

#include <iscsi.h>

#include <iscsi-private.h>
#include <scsi-lowlevel.h>

int berth_random_int(void);

int berth_random_int(void)
{
	unsigned value;

	hv_random(&value, sizeof(value));
	return (int)(value & INT_MAX);
}

bool library_lost(const struct iscsi_context *ctx)
{
	return ctx->reconnect_deferred || ctx->pending_reconnect || ctx->fd < 0;
}

bool library_task_queued(const struct iscsi_context *ctx, const struct scsi_task *task)
{
	const struct iscsi_pdu *pdu = ctx->outqueue_current;

	if (pdu && pdu->scsi_cbdata.task == task)
		return true;
	for (pdu = ctx->outqueue; pdu; pdu = pdu->next)
		if (pdu->scsi_cbdata.task == task)
			return true;
	return false;
}

const char *library_negotiation_error(const struct iscsi_context *ctx)
{
	const uint32_t least = 512, most = (1u << 24) - 1;

	if (ctx->target_max_recv_data_segment_length < least || ctx->target_max_recv_data_segment_length > most)
		return "MaxRecvDataSegmentLength";
	if (ctx->first_burst_length < least || ctx->first_burst_length > most)
		return "FirstBurstLength";
	if (ctx->max_burst_length < least || ctx->max_burst_length > most)
		return "MaxBurstLength";
	return NULL;
}
