/*
 * Guest memory: one VM's guest-physical RAM. Made of ranges; each range is backed by host memory in 2 MiB units (not necessarily adjacent).
 * The guest may change its memory at any time: read once into private memory, then check (docs/internals/memory.md).
 * All functions: any core, any context, no FPU. None of them fails for an address that is not RAM in another way than documented.
 */
#ifndef HV_VIRT_GMEM_H
#define HV_VIRT_GMEM_H

#include <hv/types.h>

struct gmem;

/*
 * Dirty tracking (dirty.h): gmem_write marks what it writes; who writes through a pointer calls gmem_mark after the write. Marks the pages
 * of [gpa, gpa+len) as written; what is not RAM is left out. Nothing while the log is off.
 */
bool gmem_is_logged(const struct gmem *m);
void gmem_mark(struct gmem *m, gpa_t gpa, size_t len);
/* Copies; returns 0, or -EFAULT when any byte is not RAM (then what was copied so far is undefined). */
int gmem_read(const struct gmem *m, gpa_t gpa, void *buf, size_t len) HV_MUST_CHECK;
int gmem_write(struct gmem *m, gpa_t gpa, const void *buf, size_t len) HV_MUST_CHECK;
/*
 * Host-virtual address of guest-physical gpa if [gpa, gpa+len) is RAM and contiguous in the host, else NULL. For rings and headers:
 * contents stay guest-writable. `write`: it is for writing.
 */
void *gmem_ptr(struct gmem *m, gpa_t gpa, size_t len, bool write);
/*
 * Appends the segments of [gpa, gpa+len) to segs (max entries); splits where host memory is not contiguous. Returns the number appended,
 * -EFAULT when not RAM, -E2BIG when they do not fit.
 */
int gmem_segs(struct gmem *m, gpa_t gpa, uint32_t len, bool write, struct hv_seg *segs, unsigned max) HV_MUST_CHECK;
/*
 * For data paths, which translate one buffer after another: the largest piece of guest memory around gpa that is one piece of host memory,
 * of whole units. False: gpa is not RAM. It stays as it is while the VM lives.
 */
#define GMEM_UNIT_SHIFT 21
#define GMEM_UNIT (1ull << GMEM_UNIT_SHIFT)
#define GMEM_HIGH 0x100000000ull
struct gmem_extent {
	uint64_t gpa, bytes;
	uint8_t *host;
};
bool gmem_extent_of(const struct gmem *m, gpa_t gpa, struct gmem_extent *out) HV_MUST_CHECK;
/* RAM ranges, for memory maps: below 4 GiB and above. */
struct gmem_range {
	gpa_t start;
	uint64_t bytes;
};
unsigned gmem_ranges(const struct gmem *m, struct gmem_range *out, unsigned max);

#endif
