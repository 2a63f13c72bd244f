/* Reading INQUIRY data, VPD pages and capacity out of a target's bytes. Pure; every length is checked. */
#ifndef STORAGE_ISCSI_INQUIRY_H
#define STORAGE_ISCSI_INQUIRY_H

#include <hv/types.h>
#include <storage/lun.h>

struct inquiry_limits {
	uint32_t max_transfer_blocks; /* 0 = none reported (SBC-3 6.6.4, VPD B0h) */
	uint32_t optimal_blocks;
	uint32_t max_unmap_blocks;      /* 0 = UNMAP not usable */
	uint64_t max_write_same_blocks; /* 0 = not reported */
	bool unmap;                     /* VPD B2h: UNMAP works */
	bool write_same;                /* VPD B2h: WRITE SAME(16) works; it may unmap */
	bool thin;
};

struct inquiry_capacity {
	uint64_t blocks;
	uint32_t block_bytes, physical_bytes;
	bool unmapped_reads_zero; /* LBPRZ */
	bool provisioned;         /* LBPME: thin or resource provisioned */
};

/* Standard INQUIRY (SPC-4 6.4.2): 0 and the texts; -EPROTO too short; -ENODEV no disk at this LUN (`type` says what is there). */
int inquiry_standard(const uint8_t *data, size_t bytes, struct lun_identity *id, uint8_t *type) HV_MUST_CHECK;
/* VPD 80h and 83h: false and no change when the page is malformed. */
bool inquiry_serial(const uint8_t *data, size_t bytes, struct lun_identity *id);
bool inquiry_designators(const uint8_t *data, size_t bytes, struct lun_identity *id);
/* VPD B0h and B2h: a malformed or short page leaves the fields it does not hold. */
void inquiry_block_limits(const uint8_t *data, size_t bytes, struct inquiry_limits *limits);
void inquiry_provisioning(const uint8_t *data, size_t bytes, struct inquiry_limits *limits);
/* True when VPD page 00h lists `page`. */
bool inquiry_has_page(const uint8_t *data, size_t bytes, uint8_t page);
/* READ CAPACITY(16) (SBC-3 5.16): 0, or -EPROTO: too short, block size not 512 or 4096, size beyond 2^63 bytes. */
int inquiry_capacity(const uint8_t *data, size_t bytes, struct inquiry_capacity *capacity) HV_MUST_CHECK;

#endif
