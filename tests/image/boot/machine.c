/* What a started machine must do: cores, time, memory, C library, modules, randomness, PCI. */
#include "cases.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/host.h>
#include <hv/mem.h>
#include <hv/pci.h>
#include <hv/rand.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define NS_PER_MS 1000000ull

/* ---- cores: each runs `fn` once and answers ---- */
struct visit {
	struct hv_msg msg;
	struct hv_fiber *from;
	void (*fn)(unsigned core);
	unsigned core;
};

static void come_back(struct hv_msg *m)
{
	hv_fiber_wake(hv_container_of(m, struct visit, msg)->from);
}

static void visit_here(struct hv_msg *m)
{
	struct visit *v = hv_container_of(m, struct visit, msg);

	v->core = hv_core_self();
	v->fn(v->core);
	m->fn = come_back;
	CHECK(hv_msg_post(0, m));
}

static void visit_all(void (*fn)(unsigned core))
{
	for (unsigned i = 0; i < hv_core_count(); i++) {
		struct visit v = {.msg = {.fn = visit_here}, .from = hv_fiber_self(), .fn = fn};

		CHECK(hv_msg_post(i, &v.msg));
		CHECK(hv_fiber_park(hv_now_ns() + 5000 * NS_PER_MS) == 0);
		CHECK(v.core == i);
	}
}

static void answer(unsigned core)
{
	log_info("test.core", "core %u answers", core);
}

/* Thread-local data, errno and the FPU are each core's own. */
static _Thread_local unsigned mine = 77;
static _Thread_local char zeroed[100];
static volatile double numbers[HV_MAX_CORES];

static void set_own(unsigned core)
{
	CHECK(mine == 77);
	for (unsigned i = 0; i < sizeof(zeroed); i++)
		CHECK(zeroed[i] == 0);
	mine = core;
	errno = (int)core + 100;
	numbers[core] = sqrt((double)(core + 1)) * 3.0;
}

static void see_own(unsigned core)
{
	CHECK(mine == core);
	CHECK(errno == (int)core + 100);
	CHECK(fabs(numbers[core] * numbers[core] - 9.0 * (core + 1)) < 1e-9);
}

/* Messages back and forth between sleeping cores: a wake that is lost ends the test. */
static void many_wakes(void)
{
	for (unsigned i = 0; i < 300; i++)
		visit_all(see_own);
}

/* ---- time ---- */
static void sleeps(void)
{
	uint64_t start_ns = hv_now_ns(), took_ns;

	for (unsigned i = 0; i < 5; i++)
		CHECK(hv_fiber_park(hv_now_ns() + 20 * NS_PER_MS) == -ETIMEDOUT);
	took_ns = hv_now_ns() - start_ns;
	CHECK(took_ns >= 100 * NS_PER_MS && took_ns < 2000 * NS_PER_MS);
	log_info("test.sleep", "5 x 20 ms took %lu us", (unsigned long)(took_ns / 1000));
}

static void clocks(void)
{
	struct timespec ts;
	struct timeval tv;

	CHECK(clock_gettime(CLOCK_MONOTONIC_RAW, &ts) == 0 && ts.tv_nsec < 1000000000);
	CHECK(gettimeofday(&tv, NULL) == 0);
	CHECK(tv.tv_sec == time(NULL) || tv.tv_sec + 1 == time(NULL));
	log_info("test.clock", "unix time %ld", (long)tv.tv_sec);
}

/* ---- memory ---- */
static void pages(void)
{
	static void *held[4096];
	uint64_t total, before, after;
	unsigned n = 0;

	hv_mem_usage(&total, &before);
	while (n < HV_ARRAY_LEN(held) && (held[n] = hv_pages_alloc(HV_ORDER_2M))) {
		CHECK((uintptr_t)held[n] % (2u << 20) == 0);
		CHECK(((char *)held[n])[0] == 0 && ((char *)held[n])[(2u << 20) - 1] == 0);
		memset(held[n], 0xa5, 4096);
		n++;
	}
	CHECK(n > 50);
	for (unsigned i = 0; i < n; i++)
		CHECK(((char *)held[i])[0] == (char)0xa5);
	while (n)
		hv_pages_free(held[--n], HV_ORDER_2M);
	hv_mem_usage(&total, &after);
	CHECK(before == after && after <= total);
}

static void heap(void)
{
	char *blocks[64];

	for (unsigned i = 0; i < HV_ARRAY_LEN(blocks); i++) {
		blocks[i] = malloc(100000);
		CHECK(blocks[i]);
		memset(blocks[i], (int)i, 100000);
	}
	for (unsigned i = 0; i < HV_ARRAY_LEN(blocks); i++) {
		CHECK(blocks[i][99999] == (char)i);
		free(blocks[i]);
	}
	CHECK(!malloc(2ul << 30));
	CHECK(*(char *)hv_phys_to_virt(hv_virt_to_phys(strcpy(blocks[0] = malloc(10), "Z"))) == 'Z');
	free(blocks[0]);
	printf("printf %d %s %.2f\n", 42, "works", 1.5);
}

/* ---- what the boot brought ---- */
static void modules(void)
{
	const struct hv_module *m = hv_module_find("data.bin");

	CHECK(m && m->bytes == 5000 && !hv_module_find("data"));
	for (unsigned i = 0; i < m->bytes; i++)
		CHECK(((const unsigned char *)m->data)[i] == (unsigned char)(i * 7));
	CHECK(hv_module_count() == 3 && hv_module_get(0) == hv_module_find("config.json") && !hv_module_get(3));
	CHECK(hv_module_find("empty") && hv_module_find("empty")->bytes == 0);
}

static void random_bytes(void)
{
	unsigned char a[64], b[64];
	unsigned ones = 0;

	hv_random(a, sizeof(a));
	hv_random(b, sizeof(b));
	CHECK(memcmp(a, b, sizeof(a)));
	for (unsigned i = 0; i < sizeof(a); i++)
		ones += (unsigned)__builtin_popcount(a[i]);
	CHECK(ones > 150 && ones < 362); /* 512 fair bits: 9 standard deviations */
}

static void pci(void)
{
	bool host_bridge = false;

	for (unsigned i = 0; i < hv_pci_count(); i++) {
		struct hv_pci_dev *d = hv_pci_get(i);

		CHECK(hv_pci_read(d, 0, 2) == d->vendor && hv_pci_read(d, 4096, 4) == UINT32_MAX && hv_pci_read(d, 1, 2) == 0xffff);
		host_bridge |= d->class_code >> 8 == 0x0600;
		for (unsigned k = 0; k < 6; k++)
			if (d->bar[k].bytes) {
				CHECK((d->bar[k].bytes & (d->bar[k].bytes - 1)) == 0 && d->bar[k].base.v % d->bar[k].bytes == 0);
				CHECK(d->bar[k].base.v);
			}
	}
	CHECK(host_bridge);
}

void check_machine(void)
{
	visit_all(answer);
	visit_all(set_own);
	visit_all(see_own);
	many_wakes();
	sleeps();
	clocks();
	pages();
	heap();
	modules();
	random_bytes();
	pci();
}
