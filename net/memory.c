/*
 * Memory for lwIP: slabs of a few sizes, reserved when the stack starts. Nothing is allocated from the host afterwards; an empty class
 * makes lwIP answer "no memory", which TCP takes as back-pressure.
 *
 * Owner: the network's core. Each object has a 16-byte head: its class and how many use it. That is one, lwIP, until a frame that is being
 * sent refers to it (frame.c).
 */
#include "stack.h"

#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <lwip/opt.h>
#include <string.h>

#define HEAD_BYTES 16u

struct head {
	uint32_t class, users;
};
_Static_assert(sizeof(struct head) <= HEAD_BYTES, "the head fits");

/* Sizes: TCP segment records; pcbs, ARP queue, short frames; a full segment at MTU 1500; a full segment at MTU 9000. */
static const struct {
	uint32_t bytes;
	unsigned count;
} plan[] = {{64, 16384}, {320, 4096}, {1664, 6144}, {9344, 512}};

static struct hv_slab classes[HV_ARRAY_LEN(plan)];
static uint64_t refused;

int net_memory_init(void)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(plan); i++) {
		int err = hv_slab_init(&classes[i], "net", plan[i].bytes + HEAD_BYTES, plan[i].count);

		if (!err)
			continue;
		while (i--)
			hv_slab_destroy(&classes[i]);
		return err;
	}
	refused = 0;
	return 0;
}

uint64_t net_memory_refused(void)
{
	return refused;
}

unsigned net_memory_in_use(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HV_ARRAY_LEN(plan); i++)
		n += classes[i].in_use;
	return n;
}

void *net_lwip_alloc(size_t bytes)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(plan); i++) {
		struct head *head;

		if (bytes > plan[i].bytes)
			continue;
		head = hv_slab_get(&classes[i]);
		if (!head)
			break; /* not from a greater class: small objects must not eat room for data */
		*head = (struct head){.class = i, .users = 1};
		return (uint8_t *)head + HEAD_BYTES;
	}
	refused++;
	return NULL;
}

void *net_lwip_calloc(size_t count, size_t bytes)
{
	void *p = bytes && count > SIZE_MAX / bytes ? NULL : net_lwip_alloc(count * bytes);

	if (p)
		memset(p, 0, count * bytes);
	return p;
}

static struct head *head_of(void *p)
{
	struct head *head = (struct head *)(void *)((uint8_t *)p - HEAD_BYTES);

	hv_assert(head->class < HV_ARRAY_LEN(plan) && head->users);
	return head;
}

void net_memory_hold(void *p)
{
	head_of(p)->users++;
}

void net_lwip_free(void *p)
{
	struct head *head = head_of(p);

	if (--head->users == 0)
		hv_slab_put(&classes[head->class], head);
}
