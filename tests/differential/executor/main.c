/*
 * The executor: runs the programs of generate.py one after the other, each in its own processor mode, memory, descriptor tables and registers,
 * and prints one line for each:
 *
 *   @P ID [DEV] e=VECTOR:ERROR:RIP:FLAGS[:CR2|:DR6],... r=REGISTER:VALUE,... s=SELECTORS c=CR0:CR4:EFER f=FLAGS m=OFFSET:VALUE,... a=BITS
 *
 * e: exceptions and interrupts in order; RIP is relative to the program. After a fault the program goes on at its next step (a label of the
 * generator), after a trap where it was. r: registers that differ from their start. m: doublewords of the program's memory that do. a: accessed
 * and dirty bits of its pages. A program that uses the device window runs twice, with the device (DEV=d) and with RAM in its place (DEV=r):
 * the two lines must be alike.
 *
 * The command line says what to run: "from=ID", and "bare" where there is no test device and no hypervisor.
 */
#include "layout.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENTS_MAX 20
#define CHANGES_MAX 8
/* Not compared in events: OF SF ZF AF PF CF, which programs compare at their end; and RF, which QEMU's TCG does not set in what a fault
 * pushes (SDM vol. 3, 18.3.1.1 "Instruction-Breakpoint Exception Condition"). */
#define FLAGS_ALWAYS 0x108d5u
#define MSR_EFER 0xc0000080u
#define FLAGS_VM 0x20000u
#define LSR 0x3fd

enum { WINDOW_USED = 1, NEEDS_HYPERVISOR = 2, USES_APIC = 4 };

struct program {
	uint32_t id;
	uint16_t mode, options;
	const uint8_t *code;
	uint16_t bytes, steps;
	const uint16_t *step;
	uint32_t flags, flags_mask, regs_mask;
	uint32_t seed;
};
extern const struct program programs[];
extern const uint32_t program_count;

struct event {
	uint8_t vector;
	uint32_t error, flags, rip;
	uint64_t extra;
};

/* What trap() works on, filled from the stub's frame and put back. */
struct state {
	uint64_t regs[16], rip, flags;
	uint16_t cs, ss, ds, es;
	uint32_t vector, error;
};

/* modes.S */
extern uint64_t gdt[GDT_SLOTS], program_regs[16], frame_64[23], trap_cr2, trap_sp;
extern uint32_t program_mode, program_flags, program_cr3, program_cr4, frame_32[17], frame_64_ds, frame_64_es;
extern uint16_t trap_ss;
extern uint8_t idt32[2048], idt64[4096], stubs_32[], stubs_64[], real_start[], real_stubs[], real_end[], stack_tss[], stack_end[];
void run_program(void);
int trap(unsigned kind);
void executor(const uint32_t *multiboot);

static const struct program *now;
static struct event events[EVENTS_MAX];
static unsigned event_count;
static const char *why; /* it did not end by itself */
static struct state last;
static uint32_t final_cr0, final_cr4, final_efer;
static uint16_t final_fs, final_gs;
static bool bare;
static uint32_t template[DATA_BYTES / 4];
static uint32_t pt[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096))), pdp[4][512] __attribute__((aligned(4096))), pt8[512] __attribute__((aligned(4096)));
/* Not static: programs that switch between modes and tasks use them. */
extern uint32_t pd[1024], tss32[26], tss64[26], tss_task[26];
extern uint64_t pml4[512], pae[4];
uint32_t pd[1024] __attribute__((aligned(4096))), tss32[26], tss64[26], tss_task[26];
uint64_t pml4[512] __attribute__((aligned(4096))), pae[4] __attribute__((aligned(32)));

/* ---- the machine ---- */

static void outb(uint16_t port, uint8_t x)
{
	__asm__ volatile("outb %0, %1" : : "a"(x), "Nd"(port));
}
static uint8_t inb(uint16_t port)
{
	uint8_t x;
	__asm__ volatile("inb %1, %0" : "=a"(x) : "Nd"(port));
	return x;
}
static void outl(uint16_t port, uint32_t x)
{
	__asm__ volatile("outl %0, %1" : : "a"(x), "Nd"(port));
}
static uint64_t rdmsr(uint32_t msr)
{
	uint64_t x;
	__asm__ volatile("rdmsr" : "=A"(x) : "c"(msr));
	return x;
}
static void wrmsr(uint32_t msr, uint64_t x)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "A"(x));
}

/* ---- the console: lines, sent 16 bytes at a time, as the FIFO takes them ---- */

static char line[1024];
static unsigned used;

static void flush(void)
{
	for (unsigned i = 0; i < used; i++) {
		while (i % 16 == 0 && !(inb(LSR) & 0x20))
			;
		outb(0x3f8, (uint8_t)line[i]);
	}
	used = 0;
}
static void put(char c)
{
	if (used == sizeof(line))
		flush();
	line[used++] = c;
}
static void text(const char *s)
{
	while (*s)
		put(*s++);
}
static void hex(uint64_t x)
{
	unsigned digits = 1;
	while (digits < 16 && x >> 4 * digits)
		digits++;
	while (digits--)
		put("0123456789abcdef"[x >> 4 * digits & 15]);
}
static void decimal(uint32_t x)
{
	char digits[10];
	unsigned n = 0;
	do
		digits[n++] = (char)('0' + x % 10);
	while (x /= 10);
	while (n)
		put(digits[--n]);
}

/* ---- a program's surroundings ---- */

static uint32_t random_state;

static uint32_t random32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static uint64_t segment(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

static bool is_paged(unsigned mode)
{
	return mode >= MODE_PAGED32;
}

static void make_gdt(bool device)
{
	uint32_t window = is_paged(now->mode) ? WINDOW : device ? DEVICE : RAM_DEVICE;
	bool long_mode = now->mode >= MODE_LONG64;
	uint32_t tss = long_mode ? (uint32_t)tss64 : (uint32_t)tss32;
	const struct {
		uint32_t selector;
		uint64_t value;
	} rows[] = {
		{CODE32, segment(0, 0xfffff, 0x9b, 0xc)},
		{DATA32, segment(0, 0xfffff, 0x93, 0xc)},
		{CODE16, segment(CODE, 0xffff, 0x9b, 0)},
		{DATA16, segment(DATA, 0xffff, 0x93, 0)},
		{STACK16, segment(STACK, 0xffff, 0x93, 0)},
		{CODE64, segment(0, 0xfffff, 0x9b, 0xa)},
		{USER_CODE32, segment(0, 0xfffff, 0xfb, 0xc)},
		{USER_DATA32, segment(0, 0xfffff, 0xf3, 0xc)},
		{USER_CODE64, segment(0, 0xfffff, 0xfb, 0xa)},
		{WINDOW_SEG, segment(window, 0xffff, 0xf3, 4)},
		{TSS, segment(tss, 103, 0x89, 0)},
		{TSS + 8, 0},
		{REAL_CODE, segment(0, 0xffff, 0x9b, 0)},
		{REAL_SEG, segment(0, 0xffff, 0x93, 0)},
		{ODD_SEGMENTS, segment(DATA, 0xfff, 0x13, 4)},       /* not present */
		{ODD_SEGMENTS + 8, segment(DATA, 0xfff, 0x91, 4)},   /* read-only */
		{ODD_SEGMENTS + 16, segment(DATA, 0x7ff, 0x97, 4)},  /* expand-down */
		{ODD_SEGMENTS + 24, segment(0, 0xfffff, 0x9f, 0xc)}, /* conforming code */
		{ODD_SEGMENTS + 32, segment(0, 0xfffff, 0x99, 0xc)}, /* execute-only code */
		{ODD_SEGMENTS + 40, segment(0, 0xfffff, 0x82, 0)},   /* an LDT */
		{ODD_SEGMENTS + 48, segment(DATA, 15, 0x93, 4)},     /* sixteen bytes */
		{TASK, segment((uint32_t)tss_task, 103, 0x89, 0)},
		{TASK + 8, (uint64_t)0x8500 << 32 | TASK << 16},
	};
	for (unsigned i = 1; i < GDT_SLOTS; i++)
		gdt[i] = 0;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		gdt[rows[i].selector / 8] = rows[i].value;
	/* Compatibility mode programs run at CPL 0 in CODE32; long mode's data segments are the flat ones. */
}

static void make_idts(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t at = (uint32_t)stubs_32 + 16 * i, at64 = (uint32_t)stubs_64 + 16 * i;
		uint32_t dpl = i == 3 || i == 4 || i == VECTOR_FINISH || (i >= 0x80 && i < 0xa0) ? 0x6000 : 0;
		uint32_t type = i >= 0x90 && i < 0xa0 ? 0x8f00 : 0x8e00; /* trap gates, interrupt gates */
		((uint32_t *)idt32)[2 * i] = CODE32 << 16 | (at & 0xffff);
		((uint32_t *)idt32)[2 * i + 1] = (at & 0xffff0000) | type | dpl;
		((uint32_t *)idt64)[4 * i] = CODE64 << 16 | (at64 & 0xffff);
		((uint32_t *)idt64)[4 * i + 1] = (at64 & 0xffff0000) | type | dpl | 1;
		((uint32_t *)idt64)[4 * i + 2] = ((uint32_t *)idt64)[4 * i + 3] = 0;
		*(volatile uint32_t *)(4 * i) = (uint32_t)(REAL_STUBS + (real_stubs - real_start)) + 8 * i;
	}
	/* Absent gates, for INT n. */
	((uint32_t *)idt32)[2 * 0xa0 + 1] &= ~0x8000u;
	((uint32_t *)idt64)[4 * 0xa0 + 1] &= ~0x8000u;
}

static uint32_t page_bits(uint32_t address, bool *no_execute)
{
	uint32_t page = address & ~0xfffu;
	*no_execute = page == NO_EXECUTE;
	if (page == ABSENT || page == STACK - 0x1000)
		return 0;
	if (page == SUPERVISOR || page < CODE)
		return 3;
	return page == READ_ONLY ? 5 : 7;
}

static void make_tables(bool device)
{
	bool nx;
	for (unsigned i = 0; i < 1024; i++) {
		uint32_t at = i * 4096, to = at == WINDOW ? device ? DEVICE : RAM_DEVICE : at, bits = page_bits(at, &nx);
		pt[i] = to | bits;
		pd[i] = i << 22 | 0x87;
		if (i < 512)
			pt8[i] = to | bits | (nx ? 1ull << 63 : 0);
	}
	pd[0] = (uint32_t)pt | 7;
	for (unsigned i = 0; i < 2048; i++)
		pdp[i / 512][i % 512] = (uint64_t)i << 21 | 0x87;
	pdp[0][0] = (uint32_t)pt8 | 7;
	for (unsigned i = 0; i < 4; i++) {
		pdpt[i] = (uint32_t)pdp[i] | 7;
		pae[i] = (uint32_t)pdp[i] | 1;
	}
	pml4[0] = (uint32_t)pdpt | 7;
	program_cr3 = now->mode >= MODE_LONG64 ? (uint32_t)pml4 : now->mode == MODE_PAE32 ? (uint32_t)pae : (uint32_t)pd;
	program_cr4 = now->mode >= MODE_LONG64 || now->mode == MODE_PAE32 ? 0x30 : 0x10;
}

static void prepare(bool device)
{
	make_gdt(device);
	make_idts();
	make_tables(device);
	/* SS0:ESP0 and IST 1 in both: a program that switches modes keeps its TR. All gates of long mode use IST 1. */
	tss32[1] = tss32[9] = tss64[1] = tss64[9] = (uint32_t)stack_tss;
	tss32[2] = tss64[2] = DATA32;
	tss32[25] = tss64[25] = 104 << 16;
	for (unsigned i = 0; i < 26; i++)
		tss_task[i] = 0;
	random_state = now->seed | 1;
	volatile uint32_t *data = (volatile uint32_t *)DATA, *ram = (volatile uint32_t *)RAM_DEVICE, *dev = (volatile uint32_t *)DEVICE;
	for (unsigned i = 0; i < DATA_BYTES / 4; i++)
		data[i] = template[i] = random32();
	for (unsigned i = 0; i < 0x40; i++) {
		ram[i] = random32();
		if (device)
			dev[i] = ram[i];
	}
	for (unsigned i = 0; i < 1024; i++)
		((volatile uint32_t *)STACK)[i] = 0x5a5a5a5a;
	volatile uint8_t *code = (volatile uint8_t *)CODE;
	for (unsigned i = 0; i < now->bytes; i++)
		code[i] = now->code[i];
	for (unsigned i = now->bytes; i < CODE_BYTES; i++)
		code[i] = 0xcc;
	for (unsigned i = 0; i < 16; i++)
		program_regs[i] = (uint64_t)random32() << 32 | random32();
	program_mode = now->mode;
	program_flags = now->flags | 2;
	volatile uint32_t *real = (volatile uint32_t *)REAL_DATA;
	real[2] = program_flags;
	for (unsigned i = 0; i < 8; i++)
		real[3 + i] = (uint32_t)program_regs[i];
	if (!bare) {
		wrmsr(0x80b, 0);
		wrmsr(0x808, 0);
		outl(0xe4, now->seed);
	}
	event_count = 0;
	why = NULL;
}

/* ---- traps ---- */

static void take_16(struct state *s)
{
	const volatile uint32_t *real = (const volatile uint32_t *)REAL_DATA;
	const volatile uint16_t *f = (const volatile uint16_t *)((real[1] & 0xffff) * 16 + (real[0] & 0xffff));
	static const uint8_t order[8] = {7, 6, 5, 4, 3, 2, 1, 0}; /* PUSHA's, from the top down */
	for (unsigned i = 0; i < 8; i++)
		s->regs[order[i]] = f[2 + 2 * i] | (uint32_t)f[3 + 2 * i] << 16;
	s->es = f[0];
	s->ds = f[1];
	s->vector = f[18] & 0xff;
	s->error = 0;
	s->rip = f[19];
	s->cs = f[20];
	s->flags = f[21];
	s->ss = (uint16_t)real[1];
	s->regs[4] += 8;
	s->rip += (uint32_t)(s->cs << 4) - CODE;
}

/* Where the program begins in its code segment; not for real mode. */
static uint32_t code_offset(const struct state *s)
{
	return s->cs == CODE16 || s->flags & FLAGS_VM ? 0 : CODE;
}

static void take_32(struct state *s)
{
	for (unsigned i = 0; i < 8; i++)
		s->regs[7 - i] = frame_32[2 + i];
	s->es = (uint16_t)frame_32[0];
	s->ds = (uint16_t)frame_32[1];
	s->vector = frame_32[10];
	s->error = frame_32[11];
	s->rip = frame_32[12];
	s->cs = (uint16_t)frame_32[13];
	s->flags = frame_32[14];
	bool outer = s->cs & 3 || s->flags & FLAGS_VM;
	s->regs[4] = outer ? frame_32[15] : s->regs[4] + 20;
	s->ss = outer ? (uint16_t)frame_32[16] : trap_ss;
	s->rip -= code_offset(s);
}

static void take_64(struct state *s)
{
	for (unsigned i = 0; i < 16; i++)
		s->regs[i] = frame_64[i];
	s->regs[4] = frame_64[21];
	s->vector = (uint32_t)frame_64[16];
	s->error = (uint32_t)frame_64[17];
	s->rip = frame_64[18];
	s->cs = (uint16_t)frame_64[19];
	s->flags = frame_64[20];
	s->rip -= code_offset(s);
	s->ss = (uint16_t)frame_64[22];
	s->ds = (uint16_t)frame_64_ds;
	s->es = (uint16_t)frame_64_es;
}

static void go_on(unsigned kind, const struct state *s)
{
	if (kind == 16) {
		const volatile uint32_t *real = (const volatile uint32_t *)REAL_DATA;
		volatile uint16_t *f = (volatile uint16_t *)((real[1] & 0xffff) * 16 + (real[0] & 0xffff));
		f[19] = (uint16_t)(s->rip + CODE - (uint32_t)(s->cs << 4));
		f[21] = (uint16_t)s->flags;
	} else if (kind == 32) {
		frame_32[12] = (uint32_t)s->rip + code_offset(s);
		frame_32[14] = (uint32_t)s->flags;
	} else {
		frame_64[18] = s->rip + code_offset(s);
		frame_64[20] = s->flags;
	}
}

static bool is_fault(unsigned vector)
{
	return vector < 32 && vector != 1 && vector != 2 && vector != 3 && vector != 4;
}

static void finals(void)
{
	__asm__ volatile("mov %%cr0, %0" : "=r"(final_cr0));
	__asm__ volatile("mov %%cr4, %0" : "=r"(final_cr4));
	__asm__ volatile("mov %%fs, %0" : "=r"(final_fs));
	__asm__ volatile("mov %%gs, %0" : "=r"(final_gs));
	final_efer = (uint32_t)rdmsr(MSR_EFER);
}

static int end_program(const char *reason)
{
	why = reason;
	finals();
	return 1;
}

/* kind: 16, 32, 64: the frame's form. 0: the program goes on; 1: it is over. */
int trap(unsigned kind)
{
	struct state *s = &last;
	if (kind == 16)
		take_16(s);
	else if (kind == 32)
		take_32(s);
	else
		take_64(s);
	if (s->vector == VECTOR_FINISH)
		return end_program(NULL);
	if (event_count == EVENTS_MAX)
		return end_program("events");
	struct event *e = &events[event_count++];
	*e = (struct event){(uint8_t)s->vector, s->error, (uint32_t)s->flags & ~FLAGS_ALWAYS, (uint32_t)s->rip, 0};
	if (s->vector == 14)
		e->extra = trap_cr2;
	if (s->vector == 1) {
		uint32_t dr6;
		__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
		e->extra = dr6;
		__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0));
		s->flags |= 1u << 16; /* over the breakpoint */
	}
	if (s->vector >= 0x40 && s->vector < 0x80)
		wrmsr(0x80b, 0); /* EOI */
	if (s->rip >= CODE_BYTES)
		return end_program("left its code");
	if (is_fault(s->vector)) {
		unsigned i = 0;
		while (i < now->steps && now->step[i] <= s->rip)
			i++;
		if (i == now->steps)
			return end_program("no step left");
		s->rip = now->step[i];
	}
	go_on(kind, s);
	return 0;
}

/* ---- the line ---- */

static void field(const char *name, uint64_t value)
{
	text(name);
	hex(value);
}

static void print_events(void)
{
	text(" e=");
	for (unsigned i = 0; i < event_count; i++) {
		const struct event *e = &events[i];
		field(i ? "," : "", e->vector);
		field(":", e->error);
		field(":", e->rip);
		field(":", e->flags);
		if (e->vector == 14 || e->vector == 1)
			field(":", e->extra);
	}
}

static void print_registers(void)
{
	bool wide = now->mode >= MODE_LONG64 && now->mode != MODE_COMPAT32;
	text(" r=");
	for (unsigned i = 0; i < (wide ? 16u : 8u); i++) {
		uint64_t mask = wide ? ~0ull : 0xffffffff, start = i == 4 ? STACK_TOP : program_regs[i];
		if (!(now->regs_mask >> i & 1) || ((start ^ last.regs[i]) & mask) == 0)
			continue;
		put("abcdefghijklmnop"[i]);
		field(":", last.regs[i] & mask);
		put(',');
	}
	field(" s=", last.cs);
	field(":", last.ss);
	field(":", last.ds);
	field(":", last.es);
	field(":", final_fs);
	field(":", final_gs);
	/* Real mode's trap has switched protection on. */
	field(" c=", now->mode == MODE_REAL ? final_cr0 & ~1u : final_cr0);
	field(":", final_cr4);
	field(":", final_efer);
	field(" f=", last.flags & (now->flags_mask | (0x3fffff & ~FLAGS_ALWAYS)));
}

static void changes(const volatile uint32_t *at, const uint32_t *before, unsigned n, uint32_t name, unsigned *shown, uint32_t *rest)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t x = at[i];
		if (x == before[i])
			continue;
		if (++*shown <= CHANGES_MAX) {
			field(*shown > 1 ? "," : "", name + 4 * i);
			field(":", x);
		} else {
			*rest = (*rest << 5 | *rest >> 27) + (x ^ (name + 4 * i));
		}
	}
}

static void print_memory(bool device)
{
	static uint32_t window[0x40], stack[64];
	unsigned shown = 0;
	uint32_t rest = 0;
	random_state = now->seed | 1;
	for (unsigned i = 0; i < DATA_BYTES / 4; i++)
		(void)random32();
	for (unsigned i = 0; i < 0x40; i++)
		window[i] = random32();
	for (unsigned i = 0; i < 64; i++)
		stack[i] = 0x5a5a5a5a;
	text(" m=");
	changes((const volatile uint32_t *)DATA, template, DATA_BYTES / 4, DATA, &shown, &rest);
	changes((const volatile uint32_t *)(device ? DEVICE : RAM_DEVICE), window, 0x40, WINDOW, &shown, &rest);
	changes((const volatile uint32_t *)STACK_TOP, stack, 64, STACK_TOP, &shown, &rest);
	if (rest)
		field("+", rest);
	if (!bare && now->options & NEEDS_HYPERVISOR) {
		uint32_t mixed;
		__asm__ volatile("inl %w1, %0" : "=a"(mixed) : "Nd"(0xe4));
		field(" p=", mixed);
	}
	if (is_paged(now->mode)) {
		static const uint32_t pages[] = {DATA, DATA + 0x1000, READ_ONLY, NO_EXECUTE, SUPERVISOR, WINDOW};
		text(" a=");
		for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
			uint32_t entry = now->mode >= MODE_LONG64 || now->mode == MODE_PAE32 ? (uint32_t)pt8[pages[i] >> 12] : pt[pages[i] >> 12];
			hex(entry >> 5 & 3);
		}
	}
}

static void run_one(bool device)
{
	prepare(device);
	text("@P ");
	decimal(now->id);
	if (now->options & WINDOW_USED)
		text(device ? " d" : " r");
	flush();
	if (now->bytes <= CODE_BYTES)
		run_program();
	else
		why = "longer than its page";
	if (why) {
		text(" end=");
		for (const char *c = why; *c; c++)
			put(*c == ' ' ? '-' : *c);
	}
	print_events();
	print_registers();
	print_memory(device);
	put('\n');
	flush();
}

/* ---- start ---- */

static bool has_word(const char *s, const char *word, uint32_t *number)
{
	for (; *s; s++) {
		unsigned i = 0;
		while (word[i] && s[i] == word[i])
			i++;
		if (word[i])
			continue;
		for (*number = 0; s[i] >= '0' && s[i] <= '9'; i++)
			*number = *number * 10 + (uint32_t)(s[i] - '0');
		return true;
	}
	return false;
}

void executor(const uint32_t *multiboot)
{
	const char *arguments = multiboot[0] & 4 ? (const char *)multiboot[4] : "";
	uint32_t from = 0, unused;
	has_word(arguments, "from=", &from);
	bare = has_word(arguments, "bare", &unused);
	for (uint32_t i = 0; i < (uint32_t)(real_end - real_start); i++)
		((volatile uint8_t *)REAL_STUBS)[i] = real_start[i];
	outb(0x3fa, 1); /* FIFOs on */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	if (!bare) {
		wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
		wrmsr(0x80f, 0x1ff);
	}
	text("@begin\n");
	for (uint32_t i = 0; i < program_count; i++) {
		now = &programs[i];
		if (now->id < from || (bare && now->options & (NEEDS_HYPERVISOR | USES_APIC)))
			continue;
		if (now->options & WINDOW_USED && !bare)
			run_one(true);
		run_one(false);
	}
	text("@end\n");
	flush();
	outl(0xf4, 0);
	if (bare)
		outb(0x501, 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}
