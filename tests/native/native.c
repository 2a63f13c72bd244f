/* Implements hv/arch/arch.h and the machine half of hv/include/hv on Linux; see native.h. */
#include "native.h"
#include "arch/arch.h"
#include "kern/loop.h"
#include <errno.h>
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <hv/rand.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#define LOG_BYTES (256u << 10)
#define MAX_MODULES 64

static struct {
	unsigned cores, self;
	uint64_t now_ns;
	bool real_time, log_on, slept, console_full;
	unsigned kicks[HV_MAX_CORES], notifies[HV_MAX_CORES], sleeps[HV_MAX_CORES];
	uint64_t hw_timer[HV_MAX_CORES];
	unsigned fail_in;
	char log[LOG_BYTES], control[LOG_BYTES];
	size_t log_len, control_len;
	const char *typed;
	size_t typed_len;
	struct hv_module modules[MAX_MODULES];
	unsigned module_count;
	uint64_t pages_total, pages_used;
} n = {.cores = 1, .now_ns = 1000000000ull};

void native_start(unsigned cores)
{
	memset(&n, 0, sizeof(n));
	n.cores = cores;
	n.now_ns = 1000000000ull;
	n.log_on = getenv("NATIVE_LOG") != NULL;
	for (unsigned i = 0; i < HV_MAX_CORES; i++) {
		n.hw_timer[i] = UINT64_MAX;
		hv_loop_init(i);
	}
}

void native_core_select(unsigned core)
{
	n.self = core;
}

bool native_core_step(void)
{
	n.slept = false;
	hv_loop_turn();
	return !n.slept;
}

bool native_run(unsigned max_rounds)
{
	unsigned self = n.self;
	bool awake = true;

	for (; awake && max_rounds; max_rounds--) {
		awake = false;
		for (unsigned i = 0; i < n.cores; i++) {
			native_core_select(i);
			awake |= native_core_step();
		}
		/* A poller keeps its core polling for a time budget: let it pass. */
		if (!n.real_time)
			n.now_ns += 10000;
	}
	n.self = self;
	return !awake;
}

/* ---- time ---- */
void native_time_set(uint64_t now_ns)
{
	n.now_ns = now_ns;
}

void native_time_advance(uint64_t ns)
{
	n.now_ns += ns;
}

void native_time_real(bool on)
{
	n.real_time = on;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t hv_now_ns(void)
{
	return n.real_time ? clock_ns(CLOCK_MONOTONIC) : n.now_ns;
}

uint64_t hv_wall_ns(void)
{
	return n.real_time ? clock_ns(CLOCK_REALTIME) : 1767225600000000000ull + n.now_ns; /* 2026-01-01 */
}

uint64_t hv_tsc_hz(void)
{
	return 1000000000ull;
}

/* ---- cores ---- */
unsigned hv_core_self(void)
{
	return n.self;
}

unsigned hv_core_count(void)
{
	return n.cores;
}

void arch_core_kick(unsigned core)
{
	n.kicks[core]++;
}

void hv_core_notify(unsigned core)
{
	__atomic_fetch_add(&n.notifies[core], 1, __ATOMIC_RELAXED);
}

void hv_irq_acknowledged(unsigned vector)
{
}

unsigned native_notifies(unsigned core)
{
	return n.notifies[core];
}

unsigned native_kicks(unsigned core)
{
	return n.kicks[core];
}

unsigned native_sleeps(unsigned core)
{
	return n.sleeps[core];
}

uint64_t native_hw_timer(unsigned core)
{
	return n.hw_timer[core];
}

void arch_timer_set(uint64_t deadline_ns)
{
	n.hw_timer[n.self] = deadline_ns;
}

unsigned long arch_irq_save(void)
{
	return 0;
}

void arch_irq_restore(unsigned long state)
{
}

void arch_irq_on(void)
{
}

void arch_halt(void)
{
	n.slept = true;
	n.sleeps[n.self]++;
	if (n.real_time)
		usleep(200); /* a loop over sleeping cores does not burn the processor */
}

/* ---- stacks ---- */
static bool alloc_fails(void)
{
	return n.fail_in && --n.fail_in == 0;
}

void native_fail_alloc(unsigned nth)
{
	n.fail_in = nth;
}

int arch_stack_alloc(size_t bytes, void **base, size_t *size)
{
	size_t usable = HV_ALIGN_UP(bytes, HV_PAGE_SIZE) * 4; /* sanitised frames are larger */
	char *p;

	if (alloc_fails())
		return -ENOMEM;
	p = mmap(NULL, usable + HV_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p, HV_PAGE_SIZE, PROT_NONE))
		return -ENOMEM;
	*base = p + HV_PAGE_SIZE;
	*size = usable;
	return 0;
}

void arch_stack_free(void *base, size_t size)
{
	munmap((char *)base - HV_PAGE_SIZE, size + HV_PAGE_SIZE);
}

#ifdef __SANITIZE_ADDRESS__
static void thread_stack(const void **base, size_t *size)
{
	pthread_attr_t attr;
	void *b;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &b, size);
	pthread_attr_destroy(&attr);
	*base = b;
}

void arch_stack_leave(void **keep, const void *next_base, size_t next_size)
{
	if (!next_base)
		thread_stack(&next_base, &next_size);
	__sanitizer_start_switch_fiber(keep, next_base, next_size);
}

void arch_stack_entered(void *keep)
{
	__sanitizer_finish_switch_fiber(keep, NULL, NULL);
}
#else
void arch_stack_leave(void **keep, const void *next_base, size_t next_size)
{
}

void arch_stack_entered(void *keep)
{
}
#endif

/* ---- memory: malloc's, so that ASan sees its bounds and its life time ---- */
void *hv_contig_alloc(size_t bytes, size_t align)
{
	size_t size = HV_ALIGN_UP(bytes, HV_PAGE_SIZE);
	void *p;

	if (alloc_fails() || !bytes || size < bytes)
		return NULL;
	p = aligned_alloc(align, HV_ALIGN_UP(size, align));
	if (p) {
		memset(p, 0, size);
		n.pages_used += size;
	}
	return p;
}

void hv_contig_free(void *p, size_t bytes)
{
	if (p)
		n.pages_used -= HV_ALIGN_UP(bytes, HV_PAGE_SIZE);
	free(p);
}

void *hv_pages_alloc(unsigned order)
{
	return hv_contig_alloc(HV_PAGE_SIZE << order, HV_PAGE_SIZE << order);
}

void hv_pages_free(void *p, unsigned order)
{
	hv_contig_free(p, HV_PAGE_SIZE << order);
}

void hv_mem_usage(uint64_t *total_bytes, uint64_t *free_bytes)
{
	*total_bytes = 1ull << 40;
	*free_bytes = *total_bytes - n.pages_used;
}

hpa_t hv_virt_to_phys(const void *p)
{
	return HPA((uintptr_t)p);
}

void *hv_phys_to_virt(hpa_t pa)
{
	return (void *)(uintptr_t)pa.v;
}

/* ---- console, log, end ---- */
void native_log(bool on)
{
	n.log_on = on;
}

const char *native_log_text(void)
{
	return n.log;
}

void hv_console_write(const char *text, size_t len)
{
	size_t room = LOG_BYTES - 1 - n.log_len;

	if (n.log_on)
		fwrite(text, 1, len, stderr);
	memcpy(n.log + n.log_len, text, HV_MIN(len, room));
	n.log_len += HV_MIN(len, room);
}

bool hv_console_offer(const char *text, size_t len)
{
	if (n.console_full)
		return false;
	hv_console_write(text, len);
	return true;
}

void hv_console_stats(struct hv_console_stats *console, struct hv_console_stats *control)
{
	*console = (struct hv_console_stats){.bytes = n.log_len};
	*control = (struct hv_console_stats){.bytes = n.control_len};
}

void native_console_full(bool full)
{
	n.console_full = full;
}

void hv_control_write(const char *text, size_t len)
{
	size_t room = LOG_BYTES - 1 - n.control_len;

	if (n.log_on)
		fwrite(text, 1, len, stderr);
	memcpy(n.control + n.control_len, text, HV_MIN(len, room));
	n.control_len += HV_MIN(len, room);
}

size_t hv_control_read(char *buf, size_t size)
{
	size_t len = HV_MIN(size, n.typed_len);

	if (len)
		memcpy(buf, n.typed, len);
	n.typed = len < n.typed_len ? n.typed + len : NULL;
	n.typed_len -= len;
	return len;
}

const char *native_control_text(void)
{
	return n.control;
}

void native_control_type(const char *bytes, size_t len)
{
	n.typed = bytes;
	n.typed_len = len;
}

_Noreturn void hv_panic(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "panic: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

_Noreturn void hv_power_off(int status)
{
	fflush(NULL);
	_exit(status); /* the test's own memory is no leak */
}

_Noreturn void hv_reboot(void)
{
	exit(1);
}

void hv_random(void *buf, size_t len)
{
	for (size_t done = 0; done < len; done += HV_MIN(len - done, (size_t)256))
		if (getentropy((char *)buf + done, HV_MIN(len - done, (size_t)256)))
			abort();
}

/* ---- modules ---- */
void native_module_add(const char *name, const void *data, size_t bytes)
{
	hv_assert(n.module_count < MAX_MODULES);
	n.modules[n.module_count++] = (struct hv_module){name, data, bytes};
}

unsigned hv_module_count(void)
{
	return n.module_count;
}

const struct hv_module *hv_module_get(unsigned i)
{
	return i < n.module_count ? &n.modules[i] : NULL;
}

const struct hv_module *hv_module_find(const char *name)
{
	for (unsigned i = 0; i < n.module_count; i++)
		if (!strcmp(n.modules[i].name, name))
			return &n.modules[i];
	return NULL;
}

static const char *cmdline = "";

const char *hv_cmdline(void)
{
	return cmdline;
}

void native_set_cmdline(const char *text)
{
	cmdline = text;
}
