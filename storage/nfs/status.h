/* What to do about an NFS3 or MOUNT3 status. Pure. */
#ifndef STORAGE_NFS_STATUS_H
#define STORAGE_NFS_STATUS_H

#include <hv/types.h>

enum status_action {
	STATUS_OK,
	STATUS_FAIL,  /* ends with `error` */
	STATUS_WAIT,  /* the server cannot do it now (start-up, grace, data being brought back): again later, for as long as it takes */
	STATUS_RETRY, /* again later, a bounded number of times, then `error` */
	STATUS_STALE, /* the file (or export) that the handle names is gone: `error` for good */
};

struct status_verdict {
	enum status_action action;
	int error; /* -errno */
	const char *text;
};

/* nfsstat3, RFC 1813 section 2.6. */
struct status_verdict status_judge(uint32_t nfsstat3);
/* mountstat3, RFC 1813 section 5.1.5: what to tell the administrator. */
const char *status_mount_text(uint32_t mountstat3);

#endif
