/*
 * The machine layer tested from inside, without guests or devices of its own. The command line names the case: "machine" checks what works
 * and powers off; each other case breaks the host in one way, and run.py looks for the right report.
 */
#include "arch/layout.h"
#include "cases.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <stdatomic.h>
#include <string.h>

struct fault {
	const char *name;
	void (*run)(void);
};

static void page_fault(void)
{
	*(volatile int *)0x1000 = 1;
}

/* One array too short for what is written to it; the length is not known to the compiler. */
static void stack_smash(void)
{
	volatile size_t len = 24;
	char small[16];
	volatile char *volatile p = small;

	for (size_t i = 0; i < len + 8; i++)
		p[i] = (char)i;
}

static void divide(void)
{
	volatile int zero = 0, many = 1000;

	log_info("test.value", "%d", many / zero);
}

static unsigned recurse(unsigned depth)
{
	volatile char pad[1024];

	pad[0] = (char)depth;
	return depth == UINT32_MAX ? 0 : recurse(depth + 1) + (unsigned)pad[0];
}

static void stack_overflow(void)
{
	log_info("test.value", "%u", recurse(0));
}

/* The image's text through the direct map. */
static void write_text(void)
{
	*(volatile char *)hv_phys_to_virt(hv_virt_to_phys((void *)(uintptr_t)write_text)) = 0;
}

static void write_constant(void)
{
	*(volatile char *)(uintptr_t) "a constant" = 'b';
}

static void execute_data(void)
{
	static unsigned char code[1] = {0xc3};
	void (*volatile fn)(void) = (void (*)(void))(uintptr_t)code;

	fn();
}

static void free_twice(void)
{
	void *p = hv_pages_alloc(0);

	hv_pages_free(p, 0);
	hv_pages_free(p, 0);
}

static void panic_there(struct hv_msg *m)
{
	hv_panic("told to, on core %u", hv_core_self());
}

/* The last core panics; this one spins in a loop that only the stop can end. */
static void panic_elsewhere(void)
{
	static struct hv_msg m = {.fn = panic_there};

	hv_msg_post(hv_core_count() - 1, &m);
	for (unsigned i = 0; i < 30; i++) {
		uint64_t end_ns = hv_now_ns() + 100000000;

		while (hv_now_ns() < end_ns)
			__builtin_ia32_pause();
	}
	log_error("test.failed", "core 0 was not stopped");
}

static const struct fault faults[] = {
	{"page-fault", page_fault},
	{"divide", divide},
	{"stack-smash", stack_smash},
	{"stack-overflow", stack_overflow},
	{"write-text", write_text},
	{"write-constant", write_constant},
	{"execute-data", execute_data},
	{"free-twice", free_twice},
	{"panic-elsewhere", panic_elsewhere},
};

/* Nothing but the control console's interrupt wakes this core. */
static struct hv_fiber *waiting;
static char input[64];
static size_t input_len;

static unsigned poll_control(struct hv_poller *p)
{
	size_t n = hv_control_read(input + input_len, sizeof(input) - 1 - input_len);

	input_len += n;
	if (n && input[input_len - 1] == '\n')
		hv_fiber_wake(waiting);
	return (unsigned)n;
}

static void echo_control(void)
{
	struct hv_poller p = {.poll = poll_control, .name = "control"};

	waiting = hv_fiber_self();
	hv_poller_add(&p);
	log_info("test.ready", "type a line");
	if (hv_fiber_park(0))
		hv_panic("no deadline was given");
	hv_poller_remove(&p);
	hv_control_write(input, input_len);
	log_info("test.echo", "%zu bytes", input_len);
	hv_power_off(0);
}

/* All cores write more than the console's buffer holds, at the same time. run.py looks at what came. */
#define CONSOLE_LINES 1500u

static atomic_uint writers;

static void write_lines(struct hv_msg *m)
{
	for (unsigned i = 0; i < CONSOLE_LINES; i++)
		log_info("test.line", "core %u line %u %.80s end", hv_core_self(), i,
			"................................................................................");
	atomic_fetch_sub(&writers, 1);
}

static void flood_console(void)
{
	static struct hv_msg messages[HV_MAX_CORES];
	struct hv_console_stats console, control;

	atomic_store(&writers, hv_core_count());
	for (unsigned i = 0; i < hv_core_count(); i++) {
		messages[i].fn = write_lines;
		hv_msg_post(i, &messages[i]);
	}
	do {
		hv_fiber_yield();
		hv_console_stats(&console, &control);
	} while (atomic_load(&writers));
	log_info("test.console", "%u lines written, %lu dropped", CONSOLE_LINES * hv_core_count(), (unsigned long)console.dropped_lines);
	if (!strcmp(hv_cmdline(), "console-panic"))
		hv_panic("with a full buffer");
	hv_fiber_park(hv_now_ns() + 500000000); /* what was dropped is reported when there is room */
	hv_power_off(0);
}

void host_main(void)
{
	if (!strncmp(hv_cmdline(), "console", 7))
		flood_console();
	if (!strcmp(hv_cmdline(), "echo"))
		echo_control();
	for (unsigned i = 0; i < HV_ARRAY_LEN(faults); i++)
		if (!strcmp(hv_cmdline(), faults[i].name)) {
			faults[i].run();
			log_error("test.failed", "%s went unnoticed", faults[i].name);
			hv_power_off(1);
		}
	check_machine();
	log_info("test.end", "all checks passed");
	hv_power_off(0);
}
