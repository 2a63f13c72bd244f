/*
 * Storage on a test bench, under the real datastore layer: a SAN and a NAS whose links go up and down when the test says so, the NAS with a
 * few files that it remembers by name and size. Their disks finish requests at once and hold no data; RAM and fault disks are the real
 * ones.
 */
#ifndef DATASTORE_KIT_H
#define DATASTORE_KIT_H

#include "test.h"

#include <datastore/datastore.h>
#include <storage/link.h>

#define KIT_LUN_BYTES (1u << 20)
#define KIT_FILE_TEXT "what a boot file holds"

void kit_storage_start(void);
/* All memory that was taken since kit_storage_start has been given back. */
void kit_storage_end(void);

/* The link of the initiator that was opened by this name. */
void kit_link(const char *name, enum storage_link_state state);
void kit_link_fail(const char *name, const char *reason);
bool kit_link_open(const char *name);
/* The next open of an initiator fails like this. */
extern int kit_open_error;

/* The NAS: a file, its size; -1 when there is none. `fail` is what the next operations end with; `slow` makes each yield to the loop once.
 */
void kit_file_add(const char *path, uint64_t size_bytes);
int64_t kit_file_size(const char *path);
extern int kit_file_error;
extern bool kit_file_slow;
extern unsigned kit_files_open;
/* Closed files have writes that are not stable yet. */
extern bool kit_settling;

struct datastore_config kit_config(const char *name, enum datastore_kind kind);
struct datastore *kit_open(const char *name, enum datastore_kind kind);

/* Runs fn in a fiber until it ends or all cores sleep; true when it ended. */
bool kit_fiber(void (*fn)(void *arg), void *arg);

#endif
