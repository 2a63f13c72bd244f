/* Basic types of the machine layer. */
#ifndef HV_TYPES_H
#define HV_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A guest-physical and a host-physical address. Distinct types, so that the compiler refuses a mix-up. */
typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} hpa_t;

#define GPA(x) ((gpa_t){(x)})
#define HPA(x) ((hpa_t){(x)})

/*
 * A piece of memory that a request's data lies in: host-virtual, because the host maps all memory of the machine. A segment never crosses a
 * hole of guest memory. The memory stays valid until the request that names it is done.
 */
struct hv_seg {
	void *base;
	uint32_t len; /* bytes */
};

#define HV_PAGE_SIZE 4096UL
#define HV_MAX_CORES 64

#define hv_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define HV_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define HV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HV_MAX(a, b) ((a) > (b) ? (a) : (b))
#define HV_ALIGN_UP(x, a) (((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define HV_ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))

#define HV_MUST_CHECK __attribute__((warn_unused_result))
#define HV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define HV_CACHE_ALIGNED __attribute__((aligned(64)))
/* For the small functions that a data path is made of, and for what it leaves aside. */
#define HV_ALWAYS_INLINE inline __attribute__((always_inline))
#define HV_COLD __attribute__((noinline, cold))
#define HV_LIKELY(x) __builtin_expect(!!(x), 1)
#define HV_UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
