/*
 * What picolibc asks of a system: memory, standard streams, locks, time, an end. Called in loop context only (the C library uses SSE). hv/ itself
 * never calls the C library.
 *
 * The heap is one growing range of addresses; memory comes in 2 MiB pieces from the page allocator and is never given back. malloc locks it.
 */
#include "arch/layout.h"
#include "arch/paging.h"
#include "arch/percpu.h"
#include "arch/time.h"
#include "kern/lock.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <hv/rand.h>
#include <stdio.h>
#include <sys/lock.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int *hv_errno_location(void);
_Noreturn void _exit(int status);

int *hv_errno_location(void)
{
	return &percpu_self()->libc_errno;
}

/* ---- heap ---- */
#define HEAP_STEP (2ul << 20)

static uint64_t heap_break = HV_HEAP_BASE, heap_mapped = HV_HEAP_BASE;

void *sbrk(intptr_t increment)
{
	uint64_t old = heap_break, wanted = heap_break + (uint64_t)increment;

	if (wanted < HV_HEAP_BASE || wanted > HV_HEAP_BASE + HV_HEAP_BYTES) {
		*hv_errno_location() = ENOMEM;
		return (void *)-1;
	}
	while (heap_mapped < wanted) {
		void *piece = hv_pages_alloc(HV_ORDER_2M);

		if (!piece || !paging_map(heap_mapped, hv_virt_to_phys(piece).v, HEAP_STEP, PAGING_RW)) {
			hv_pages_free(piece, HV_ORDER_2M);
			*hv_errno_location() = ENOMEM;
			return (void *)-1;
		}
		heap_mapped += HEAP_STEP;
	}
	heap_break = wanted;
	return (void *)old;
}

/* ---- locks: recursive spinlocks; a holder is a core ---- */
struct __lock {
	atomic_uint owner; /* core + 1, 0 = free */
	unsigned depth;
};

#define STATIC_LOCKS 8
struct __lock __lock___libc_recursive_mutex;
static struct __lock pool[STATIC_LOCKS * 8];
static atomic_uint pool_used;

void __retarget_lock_init(_LOCK_T *lock)
{
	unsigned i = atomic_fetch_add(&pool_used, 1);

	if (i >= HV_ARRAY_LEN(pool))
		hv_panic("the C library wants more than %zu locks", HV_ARRAY_LEN(pool));
	*lock = &pool[i];
}

void __retarget_lock_init_recursive(_LOCK_T *lock)
{
	__retarget_lock_init(lock);
}

void __retarget_lock_close(_LOCK_T lock)
{
}

void __retarget_lock_close_recursive(_LOCK_T lock)
{
}

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
	unsigned self = hv_core_self() + 1, free = 0;

	if (atomic_load_explicit(&lock->owner, memory_order_relaxed) != self)
		while (!atomic_compare_exchange_weak_explicit(&lock->owner, &free, self, memory_order_acquire, memory_order_relaxed)) {
			free = 0;
			__builtin_ia32_pause();
		}
	lock->depth++;
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
	if (--lock->depth == 0)
		atomic_store_explicit(&lock->owner, 0, memory_order_release);
}

void __retarget_lock_acquire(_LOCK_T lock)
{
	__retarget_lock_acquire_recursive(lock);
}

void __retarget_lock_release(_LOCK_T lock)
{
	__retarget_lock_release_recursive(lock);
}

/* ---- standard streams: whole lines to the console, each as a log line would be ---- */
#define LINE_BYTES 256

static int console_put(char c, FILE *stream)
{
	static char line[LINE_BYTES];
	static size_t len;
	static struct hv_lock lock;
	unsigned long irq = hv_lock_irq(&lock);

	if (c != '\n')
		line[len++] = c;
	if (c == '\n' || len == LINE_BYTES - 1) {
		line[len] = '\0';
		log_info("libc.output", "%s", line);
		len = 0;
	}
	hv_unlock_irq(&lock, irq);
	return (unsigned char)c;
}

static FILE console_stream = FDEV_SETUP_STREAM(console_put, NULL, NULL, _FDEV_SETUP_WRITE);
FILE *const stdin = &console_stream;
FILE *const stdout = &console_stream;
FILE *const stderr = &console_stream;

/* ---- time ---- */
#define NS_PER_S 1000000000ull

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	uint64_t ns = hv_wall_ns();

	tv->tv_sec = (time_t)(ns / NS_PER_S);
	tv->tv_usec = (suseconds_t)(ns % NS_PER_S / 1000);
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t ns = clock == CLOCK_REALTIME ? hv_wall_ns() : hv_now_ns();

	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
	return 0;
}

time_t time(time_t *t)
{
	time_t now = (time_t)(hv_wall_ns() / NS_PER_S);

	if (t)
		*t = now;
	return now;
}

int getentropy(void *buf, size_t len)
{
	hv_random(buf, len);
	return 0;
}

_Noreturn void _exit(int status)
{
	hv_panic("the C library ended the host with status %d", status);
}

/* ---- the process: there is one, and it is the superuser (libnfs puts these into AUTH_SYS unless told otherwise) ---- */
pid_t getpid(void)
{
	return 1;
}

uid_t getuid(void)
{
	return 0;
}

gid_t getgid(void)
{
	return 0;
}
