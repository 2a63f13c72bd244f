/* What to do about a SCSI status and its sense data. Pure: no session, no library types. */
#ifndef STORAGE_ISCSI_SENSE_H
#define STORAGE_ISCSI_SENSE_H

#include <hv/types.h>

enum sense_action {
	SENSE_OK,
	SENSE_FAIL,      /* the request ends with `status` */
	SENSE_RETRY,     /* send again at once, a bounded number of times, then `status` */
	SENSE_WAIT,      /* the unit is there but cannot work now: send again later, for as long as it takes */
	SENSE_ATTENTION, /* something about the unit changed: look at it again, then send again */
	SENSE_DROP,      /* the connection cannot be trusted: reconnect and replay */
};

struct sense_verdict {
	enum sense_action action;
	int status;       /* -errno of SENSE_FAIL and of a SENSE_RETRY that is given up */
	const char *text; /* for the log */
};

/* status: SAM-5 5.3.1; key, asc, ascq: SPC-4 4.5 (used for CHECK CONDITION only). */
struct sense_verdict sense_judge(uint8_t status, uint8_t key, uint8_t asc, uint8_t ascq);

#endif
