/*
 * An iSCSI target in this process, over a real loopback socket, stepped by the test: one LUN with a write cache that really forgets.
 * Transfers are at most 8 KiB, so that every write is immediate data.
 */
#ifndef FAKE_TARGET_H
#define FAKE_TARGET_H

#include <hv/types.h>

#define FAKE_LUN_BYTES (256u << 10)

struct fake_target_faults {
	unsigned responses;    /* the next commands on data are answered "target failure", untouched (RFC 7143 section 11.4.3) */
	unsigned short_reads;  /* the next READs end GOOD with half of the data */
	unsigned late_reads;   /* the next READs leave out the first block of the data */
	unsigned power_cycles; /* the next SYNCHRONIZE CACHEs find the target power-cycled: UNIT ATTENTION, what was not synchronised is
				  gone */
	unsigned drops;        /* the same, but the connection goes too and nothing is answered */
	bool swallow;          /* commands on data are read and never answered */
	uint8_t sense[3];      /* key, asc, ascq of every command on data; key 0: none */
	const char *serial;    /* of VPD page 80h */
	uint32_t block_bytes;
};

extern struct fake_target_faults fake_target_faults;
/* When not NULL: may change an answer before it is sent, and says how often it is sent, or that the connection is closed instead. */
#define FAKE_CLOSE 100u
extern unsigned (*fake_target_mangle)(uint8_t *pdu, size_t *bytes);
extern unsigned fake_target_writes, fake_target_syncs, fake_target_logins;

/* Listens on 127.0.0.1; returns the port. */
uint16_t fake_target_start(void);
void fake_target_stop(void);
/* Accepts, reads, answers what there is. */
void fake_target_step(void);
void fake_target_disconnect(void);
const uint8_t *fake_target_stable(void);

#endif
