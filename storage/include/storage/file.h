/*
 * Contract: an export that holds files, and a file as a disk (hv/blk.h). Offered by storage/nfs.
 *
 * Paths are relative to the export, "/" between components, no "." or "..", no leading "/". All functions are for a fiber on the store's
 * core: they wait for the server, also through its loss, until deadline_ns (hv_now_ns() scale; 0 = for ever). Errors of all: -ETIMEDOUT,
 * -ENOENT, -EACCES, -ENOTDIR, -EISDIR, -EINVAL (path), -EIO, -ENOSPC, -EROFS, -ENAMETOOLONG, -ESHUTDOWN (store closed).
 */
#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H

#include <hv/blk.h>

#define FILE_PATH_MAX 1023
#define FILE_NAME_MAX 255

struct file_store;
struct file;

struct file_info {
	uint64_t size_bytes;
	bool is_directory;
};

#define FILE_READ_ONLY 0x01u

struct file_store_ops {
	int (*stat)(struct file_store *store, const char *path, struct file_info *info, uint64_t deadline_ns);
	int (*open)(struct file_store *store, const char *path, unsigned flags, struct file **out, uint64_t deadline_ns);
	int (*create)(struct file_store *store, const char *path, uint64_t size_bytes, uint64_t deadline_ns);
	int (*truncate)(struct file *file, uint64_t size_bytes, uint64_t deadline_ns);
	int (*list)(struct file_store *store, const char *path, void (*entry)(void *arg, const char *name, const struct file_info *info),
		void *arg, uint64_t deadline_ns);
};

struct file_store {
	const struct file_store_ops *ops;
	const char *name;
};

/* A file as a disk. blk.ops->close closes it. The size is the file's, rounded down to 512 bytes; the whole size is in size_bytes. */
struct file {
	struct blk_dev blk;
	struct file_store *store;
	uint64_t size_bytes;
};

int file_stat(struct file_store *store, const char *path, struct file_info *info, uint64_t deadline_ns) HV_MUST_CHECK;
/* The disk of `path`. flags: FILE_READ_ONLY. */
int file_open(struct file_store *store, const char *path, unsigned flags, struct file **out, uint64_t deadline_ns) HV_MUST_CHECK;
/* Makes the file if there is none and sets its size; existing data up to the size stays. Directories of the path must exist. */
int file_create(struct file_store *store, const char *path, uint64_t size_bytes, uint64_t deadline_ns) HV_MUST_CHECK;
/* Sets the size of an open file, also of its disk. @pre no request beyond it in flight */
int file_truncate(struct file *file, uint64_t size_bytes, uint64_t deadline_ns) HV_MUST_CHECK;
/* Calls entry for each entry of a directory ("" = the export's root), without "." and "..". */
int file_list(struct file_store *store, const char *path, void (*entry)(void *arg, const char *name, const struct file_info *info),
	void *arg, uint64_t deadline_ns) HV_MUST_CHECK;
/*
 * Reads a whole file into memory of its own (a kernel, an initrd). -EFBIG when it is larger than max_bytes, -ENOMEM. Give it back with
 * file_unload. An empty file gives *data = NULL, *bytes = 0.
 */
int file_load(struct file_store *store, const char *path, size_t max_bytes, void **data, size_t *bytes, uint64_t deadline_ns) HV_MUST_CHECK;
void file_unload(void *data, size_t bytes);
/* 0 when the path is well-formed as described above, else -EINVAL or -ENAMETOOLONG. */
int file_path_check(const char *path) HV_MUST_CHECK;

#endif
