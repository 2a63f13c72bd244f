/*
 * NFSv3 initiator: one mount of one export (RFC 1813), its files as disks (storage/file.h).
 *
 * All functions: loop context on the core that opened the mount, which must be the core that runs the network.
 */
#ifndef STORAGE_NFS_H
#define STORAGE_NFS_H

#include <storage/config.h>
#include <storage/file.h>
#include <storage/link.h>

struct nfs_initiator;

struct nfs_durability_stats {
	uint64_t commits; /* COMMITs that succeeded */
	uint64_t resent;  /* writes sent again, after they had been done(0), because they were not committed yet when the server was lost */
	uint64_t verifier_changes; /* server instances seen to have forgotten uncommitted writes */
	uint64_t lost_writes;      /* resent writes that the server refused: reported by the next flush, and in the log */
};

/*
 * Starts a mount and returns at once; it connects, mounts and reconnects for ever in the background (storage/link.h). name must outlive it.
 * -ENOMEM, -EINVAL (no server, no export, a version other than 3).
 */
int nfs_initiator_open(const struct nfs_config *config, const char *name, void (*changed)(struct storage_link *link, void *arg), void *arg,
	struct nfs_initiator **out) HV_MUST_CHECK;
/* Ends the mount. @pre no file of it is open, no fiber waits in it. Not from a request's done(). */
void nfs_initiator_close(struct nfs_initiator *n);
struct file_store *nfs_initiator_store(struct nfs_initiator *n);
const struct storage_link *nfs_initiator_link(const struct nfs_initiator *n);
const struct nfs_durability_stats *nfs_initiator_durability(const struct nfs_initiator *n);
/* True while a file that was closed has writes that are not on stable storage yet; they are made so in the background. */
bool nfs_initiator_settling(const struct nfs_initiator *n);

#endif
