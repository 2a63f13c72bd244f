/*
 * An NFSv3 server in this process, over a real loopback socket, stepped by the test: one export, one file, and a cache that really forgets.
 * A WRITE UNSTABLE goes to the cache; COMMIT and FILE_SYNC make it stable; fake_nfsd_crash drops the cache and every connection and changes
 * the write verifier, as a server that lost power does.
 */
#ifndef FAKE_NFSD_H
#define FAKE_NFSD_H

#include <hv/types.h>

#define FAKE_FILE_BYTES (1u << 20)

struct fake_nfsd_faults {
	unsigned jukebox_every; /* every n-th READ, WRITE, COMMIT answers NFS3ERR_JUKEBOX */
	unsigned short_every;   /* every n-th READ and WRITE moves half of what was asked */
	unsigned sync_every;    /* every n-th UNSTABLE write is answered FILE_SYNC */
	bool swallow;           /* calls are read and never answered */
	bool never_stable;      /* FILE_SYNC writes are answered UNSTABLE, against the protocol */
	uint32_t write_status;  /* when not 0: the answer to every WRITE */
	uint32_t commit_status; /* likewise COMMIT */
	uint32_t read_status;   /* likewise READ */
	uint32_t mount_status;  /* likewise MNT */
};

extern struct fake_nfsd_faults fake_nfsd_faults;
extern unsigned fake_nfsd_writes, fake_nfsd_commits;

/* Listens on 127.0.0.1; returns the port (NFS and MOUNT both). */
uint16_t fake_nfsd_start(void);
void fake_nfsd_stop(void);
/* Accepts, reads, answers what there is. */
void fake_nfsd_step(void);
/* Power loss. forget: uncommitted writes are gone; quiet: connections stay (as behind a failover that keeps them). */
void fake_nfsd_crash(bool forget, bool quiet);
/* The file on stable storage. */
const uint8_t *fake_nfsd_stable(void);

#endif
