/*
 * `dirty VM start|read|stop` on the control console: the VM's dirty log, which tells how fast it writes its memory. Each is done in a fiber
 * of its own; a machine is not released while one is under way (machine.dirty_busy).
 */
#include "control.h"

#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define MAX_RANGES 2048u
#define STACK_BYTES (32u << 10)

enum verb { VERB_START, VERB_READ, VERB_STOP, VERB_COUNT };
static const char *const verbs[VERB_COUNT] = {"start", "read", "stop"};

struct machine_job {
	struct machine *machine;
	enum verb verb;
};
static struct machine_job job; /* one at a time */
static bool busy;

static bool bit_of(const uint64_t *bits, uint64_t page)
{
	return bits[page / 64] >> (page % 64) & 1;
}

/* [address, pages] of each run of dirty pages. */
static void add_ranges(yyjson_mut_doc *doc, const struct vm *vm, const uint64_t *bits, uint64_t pages)
{
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *list = yyjson_mut_obj_add_arr(doc, root, "ranges");
	uint64_t page = 0;
	unsigned n = 0;
	for (; page < pages && n < MAX_RANGES; page++) {
		uint64_t first = page;
		if (!bits[page / 64]) {
			page |= 63;
			continue;
		}
		while (page < pages && bit_of(bits, page))
			page++;
		if (page == first)
			continue;
		yyjson_mut_val *range = yyjson_mut_arr_add_arr(doc, list);
		yyjson_mut_arr_add_uint(doc, range, vm_dirty_gpa(vm, first).v);
		yyjson_mut_arr_add_uint(doc, range, page - first);
		n++;
	}
	yyjson_mut_obj_add_bool(doc, root, "more", page < pages);
}

static void answer(struct machine *m, const uint64_t *bits, uint64_t dirty)
{
	yyjson_mut_doc *doc = control_event_new("dirty");
	if (doc) {
		yyjson_mut_obj_add_strcpy(doc, yyjson_mut_doc_get_root(doc), "vm", m->config->name);
		yyjson_mut_obj_add_bool(doc, yyjson_mut_doc_get_root(doc), "on", m->dirty_on);
		if (bits) {
			yyjson_mut_obj_add_uint(doc, yyjson_mut_doc_get_root(doc), "pages", dirty);
			add_ranges(doc, m->vm, bits, vm_dirty_words(m->vm) * 64);
		}
	}
	control_send(doc);
}

static void read_log(struct machine *m)
{
	size_t bytes = vm_dirty_words(m->vm) * sizeof(uint64_t);
	uint64_t *bits = hv_contig_alloc(bytes, HV_PAGE_SIZE);
	if (!bits) {
		control_event_error("error", "no memory for the dirty log's bits");
		return;
	}
	uint64_t dirty = vm_dirty_read(m->vm, bits);
	answer(m, bits, dirty);
	hv_contig_free(bits, bytes);
}

static void run(void *arg)
{
	struct machine *m = job.machine;
	if ((job.verb == VERB_START) == m->dirty_on) {
		control_event_error("error", m->dirty_on ? "the dirty log is on already" : "the dirty log is off: dirty VM start");
	} else if (job.verb == VERB_READ) {
		read_log(m);
	} else if (job.verb == VERB_START && vm_dirty_start(m->vm)) {
		control_event_error("error", "no memory for the dirty log");
	} else {
		m->dirty_on = job.verb == VERB_START;
		if (job.verb == VERB_STOP)
			vm_dirty_stop(m->vm);
		answer(m, NULL, 0);
	}
	m->dirty_busy = busy = false;
}

void control_dirty(struct machine *m, const char *verb)
{
	unsigned i = 0;
	while (i < VERB_COUNT && strcmp(verb, verbs[i]))
		i++;
	if (i == VERB_COUNT || busy) {
		control_event_error("error", busy ? "a dirty log is being worked on; try again" : "dirty VM start, read or stop");
		return;
	}
	job = (struct machine_job){.machine = m, .verb = i};
	m->dirty_busy = busy = true;
	if (hv_fiber_spawn("dirty", run, NULL, STACK_BYTES)) {
		m->dirty_busy = busy = false;
		control_event_error("error", "no memory for a fiber");
	}
}
