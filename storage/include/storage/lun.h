/*
 * Contract: a logical unit of a storage device: a disk (hv/blk.h) that can say which disk it is. Offered by storage/iscsi; a raw LUN as a
 * VM's disk, later volumes and paths, are built on it.
 */
#ifndef STORAGE_LUN_H
#define STORAGE_LUN_H

#include <hv/blk.h>

#define LUN_NAA_MAX 16

/* From standard INQUIRY data (SPC-4 6.4.2) and VPD pages 80h and 83h (SPC-4 7.8.14, 7.8.6). Texts are trimmed, printable, NUL-terminated.
 */
struct lun_identity {
	char vendor[9], product[17], revision[5];
	char serial[65];
	uint8_t naa[LUN_NAA_MAX]; /* designator of type NAA, else EUI-64; the same on every path and host */
	uint8_t naa_bytes;        /* 0 = the device gives none */
};

struct lun {
	struct blk_dev blk;
	struct lun_identity id;
	bool identified; /* id and blk.size_bytes are valid: the device was reached once */
	bool thin;       /* provisioned as used (VPD B2h) */
};

#endif
