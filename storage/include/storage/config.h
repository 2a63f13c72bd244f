/* Configuration of the initiators: what to log in to, what to mount. */
#ifndef STORAGE_CONFIG_H
#define STORAGE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define STORAGE_MAX_PORTALS 8
#define ISCSI_IQN_MAX 223 /* RFC 7143 section 4.2.7 */
#define ISCSI_CHAP_MAX 255
#define NFS_PATH_MAX 1023

struct storage_portal {
	uint32_t address; /* IPv4, host byte order */
	uint16_t port;
};

struct iscsi_config {
	struct storage_portal portals[STORAGE_MAX_PORTALS];
	unsigned portal_count;
	char target[ISCSI_IQN_MAX + 1];
	char initiator[ISCSI_IQN_MAX + 1]; /* this host's name */
	uint16_t lun;
	char chap_user[ISCSI_CHAP_MAX + 1];   /* "" = no CHAP */
	char chap_secret[ISCSI_CHAP_MAX + 1]; /* wiped when the session is closed */
	bool header_digest;
};

struct nfs_config {
	uint32_t server; /* IPv4, host byte order */
	char export_path[NFS_PATH_MAX + 1];
	uint8_t version;                  /* 3 */
	uint16_t nfs_port, mount_port;    /* 0 = ask the portmapper */
	uint32_t uid, gid;                /* AUTH_SYS identity, default 0 */
};

struct ram_config {
	uint64_t size_bytes;
};

#endif
