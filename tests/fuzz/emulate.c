/*
 * Guest instructions: a vCPU's state, page tables and code of any bytes, as a guest can make them, through the emulator: the code is
 * executed as often as it goes on. Whatever it is, it reaches guest memory and devices only, a bounded number of times; a fault leaves the
 * registers alone.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c
 * fuzz: hv/kern/sched.c hv/kern/slab.c hv/kern/timer.c tests/native/native.c hv/virt/gmem.c hv/virt/emulate.c
 * fuzz: hv/virt/emulate_alu.c hv/virt/emulate_memory.c hv/virt/emulate_string.c hv/virt/walk.c subprojects/zydis/src/Decoder.c
 * fuzz: subprojects/zydis/src/DecoderData.c subprojects/zydis/src/SharedData.c subprojects/zydis/src/Mnemonic.c
 * fuzz: subprojects/zydis/src/Register.c
 * fuzz-flags: -Isubprojects/zydis/include -Isubprojects/zydis/src -Isubprojects/zycore/include -DZYAN_NO_LIBC -DZYDIS_STATIC_BUILD
 * fuzz-flags: -DZYCORE_STATIC_BUILD -DZYDIS_DISABLE_ENCODER -DZYDIS_DISABLE_FORMATTER -DZYDIS_DISABLE_AVX512 -DZYDIS_DISABLE_KNC
 * fuzz-flags: -DZYDIS_DISABLE_SEGMENT
 */
#include "virt/emulate.h"
#include "native.h"
#include "virt/gmem_impl.h"
#include "virt/x86.h"
#include <stdlib.h>
#include <string.h>

enum { DEVICE_MOST = 1 << 16, STEPS = 16, INSN_MOST = 15 };

/* What the input begins with. */
struct state {
	uint8_t bits, cpl, options, seg_attr;
	uint64_t regs[4]; /* the registers take turns */
	uint32_t limit, base;
	uint16_t tables; /* bytes of the rest that are page tables; then comes code */
} __attribute__((packed));

static struct gmem *m;
static unsigned accesses;
static uint64_t answer;

static void on_device(struct emu *e, gpa_t gpa, unsigned size, bool write, uint64_t *value)
{
	uint64_t page;
	if ((size != 1 && size != 2 && size != 4 && size != 8) || ++accesses > DEVICE_MOST)
		abort();
	if (gmem_page(m, gpa, &page)) /* begins in RAM: the emulator reaches it itself */
		abort();
	if (!write)
		*value = answer = answer * 0x9e3779b97f4a7c15ull + gpa.v;
}

static void on_port(struct emu *e, uint16_t port, unsigned size, bool write, uint64_t *value)
{
	if ((size != 1 && size != 2 && size != 4) || ++accesses > DEVICE_MOST)
		abort();
	if (!write)
		*value = answer = answer * 0x9e3779b97f4a7c15ull + port;
}

static bool on_cr(struct emu *e, unsigned cr, uint64_t value)
{
	if (cr != 4 && cr != 8)
		abort();
	return value & 1;
}

static void check_fault(const struct emu *e, const uint64_t *before)
{
	if (e->vector > 31)
		abort();
	for (unsigned i = 0; i < VREG_COUNT; i++)
		if (i != VREG_RCX && i != VREG_RSI && i != VREG_RDI && e->regs[i] != before[i])
			abort(); /* a string instruction's counters are as before the iteration that failed */
}

static void run(struct emu *e, const uint8_t *code, size_t bytes)
{
	uint64_t before[VREG_COUNT];
	for (unsigned step = 0; step < STEPS && bytes; step++) {
		uint64_t rip = e->rip;
		uint8_t *exact = malloc(HV_MIN(bytes, (size_t)INSN_MOST)); /* a byte too far is seen */
		memcpy(exact, code, HV_MIN(bytes, (size_t)INSN_MOST));
		memcpy(before, e->regs, sizeof(before));
		e->code = exact;
		e->code_bytes = (unsigned)HV_MIN(bytes, (size_t)INSN_MOST);
		accesses = 0;
		enum emu_result r = emulate(e);
		unsigned length = (unsigned)(e->rip - rip);
		free(exact);
		if (r == EMU_FAULT)
			check_fault(e, before);
		if (r == EMU_UNKNOWN && !e->reason)
			abort();
		if (r == EMU_FAULT || r == EMU_UNKNOWN)
			return;
		if (r == EMU_AGAIN ? length != 0 : length == 0 || length > e->code_bytes)
			abort();
		code += length;
		bytes -= length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state s;
	static const uint8_t modes[] = {64, 32, 16, 64};
	uint64_t regs[VREG_COUNT];
	if (size < sizeof(s))
		return 0;
	memcpy(&s, data, sizeof(s));
	data += sizeof(s);
	size -= sizeof(s);
	if (!m) {
		native_start(1);
		if (gmem_create(GMEM_UNIT, &m) < 0)
			abort();
	}
	memset(gmem_unit(m, GPA(0)), 0, GMEM_UNIT);
	size_t tables = HV_MIN((size_t)s.tables, size);
	if (gmem_write(m, GPA(0), data, tables) < 0)
		abort();
	for (unsigned i = 0; i < VREG_COUNT; i++)
		regs[i] = s.regs[i % 4] + i * 8;
	answer = 0;
	struct emu e = {.regs = regs,
		.rip = 0x1000,
		.rflags = 2 | (s.options & 8 ? FLAGS_DF : 0),
		.bits = modes[s.bits & 3],
		.device = on_device,
		.port = on_port,
		.set_cr = on_cr};
	for (unsigned i = 0; i < 6; i++)
		e.seg[i] = (struct virt_seg){
			.base = s.base, .limit = s.limit, .attr = (uint16_t)(SEG_P | SEG_S | SEG_DB | (s.seg_attr & 0xf))};
	e.walk = (struct walk){.gmem = m, .cr0 = s.options & 1 ? CR0_PE : 0, .cpl = s.cpl & 3, .rflags = e.rflags};
	if (s.options & 2)
		e.walk.cr0 |= CR0_PE | CR0_PG | CR0_WP;
	if (s.options & 4)
		e.walk.cr4 |= CR4_PAE;
	if (e.bits == 64) {
		e.walk.cr4 |= CR4_PAE;
		e.walk.efer = EFER_LME | EFER_LMA | EFER_NXE;
	}
	run(&e, data + tables, size - tables);
	return 0;
}
