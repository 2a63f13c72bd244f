/*
 * Instruction emulation on byte streams. Device memory at DEVICE is eight bytes of `device`, an access log beside it; RAM is 2 MiB of guest
 * memory. ALU results and flags are compared with the processor that runs the test.
 */
#include "test.h"
#include "virt/emulate.h"
#include "virt/gmem_impl.h"
#include "virt/x86.h"
#include <stdlib.h>

#define DEVICE 0xd0000000ull
#define STATUS (FLAGS_CF | FLAGS_PF | FLAGS_AF | FLAGS_ZF | FLAGS_SF | FLAGS_OF)

static struct gmem *m;
static uint64_t regs[VREG_COUNT], device;
static unsigned reads, writes, last_size;
static uint64_t last_gpa;
static struct emu e;

static void on_device(struct emu *x, gpa_t gpa, unsigned size, bool write, uint64_t *value)
{
	last_gpa = gpa.v;
	last_size = size;
	if (write) {
		writes++;
		memcpy((char *)&device + (gpa.v & 7 & (8 - size)), value, size);
	} else {
		reads++;
		*value = 0;
		memcpy(value, (char *)&device + (gpa.v & 7 & (8 - size)), size);
	}
}

static void on_port(struct emu *x, uint16_t port, unsigned size, bool write, uint64_t *value)
{
	if (write)
		device = device << (8 * size) | (*value & ((1ull << (8 * size)) - 1));
	else
		*value = 0x40 + reads++;
	last_gpa = port;
}

static uint64_t cr8;
static bool on_cr(struct emu *x, unsigned cr, uint64_t value)
{
	if (cr == 8 && value < 16)
		cr8 = value;
	return cr == 8 && value < 16;
}

static struct emu_cache *cache;

/* All tests run with a cache, whose one entry of RUN's address is replaced again and again. */
static int setup(void **state)
{
	native_start(1);
	cache = calloc(1, emu_cache_bytes());
	memset(regs, 0, sizeof(regs));
	device = 0x8877665544332211;
	reads = writes = 0;
	e = (struct emu){.regs = regs, .rip = 0x1000, .rflags = 2, .bits = 64, .device = on_device, .port = on_port, .set_cr = on_cr, .cache = cache};
	for (unsigned i = 0; i < 6; i++)
		e.seg[i] = (struct virt_seg){.limit = 0xffffffff, .attr = SEG_P | SEG_S | SEG_DB | SEG_G | 3};
	int ret = gmem_create(GMEM_UNIT, &m);
	e.walk = (struct walk){.gmem = m, .cr0 = CR0_PE};
	regs[VREG_RBX] = DEVICE;
	return ret;
}

static int teardown(void **state)
{
	gmem_destroy(m);
	free(cache);
	return 0;
}

#define RUN(...)                                               \
	({                                                     \
		static const uint8_t code_[] = {__VA_ARGS__};  \
		e.rip = 0x1000;                                \
		e.code = code_;                                \
		e.code_bytes = sizeof(code_);                  \
		enum emu_result r_ = emulate(&e);              \
		if (r_ == EMU_DONE)                            \
			assert_int_equal(e.rip, 0x1000 + sizeof(code_)); \
		r_;                                            \
	})

static void moves(void **state)
{
	assert_int_equal(RUN(0x8b, 0x03), EMU_DONE); /* mov eax,[rbx] */
	assert_int_equal(regs[VREG_RAX], 0x44332211);
	regs[VREG_RAX] = ~0ull;
	assert_int_equal(RUN(0x8a, 0x63, 0x01), EMU_DONE); /* mov ah,[rbx+1] */
	assert_int_equal(regs[VREG_RAX], 0xffffffffffff22ff);
	assert_int_equal(RUN(0x66, 0x8b, 0x0b), EMU_DONE); /* mov cx,[rbx] */
	assert_int_equal(regs[VREG_RCX], 0x2211);
	assert_int_equal(RUN(0x4c, 0x8b, 0x03), EMU_DONE); /* mov r8,[rbx] */
	assert_int_equal(regs[VREG_R8], 0x8877665544332211);
	assert_int_equal(RUN(0x0f, 0xb6, 0x43, 0x07), EMU_DONE); /* movzx eax,byte [rbx+7] */
	assert_int_equal(regs[VREG_RAX], 0x88);
	assert_int_equal(RUN(0x48, 0x0f, 0xbf, 0x43, 0x06), EMU_DONE); /* movsx rax,word [rbx+6] */
	assert_int_equal(regs[VREG_RAX], 0xffffffffffff8877);
	assert_int_equal(RUN(0xc7, 0x03, 0x78, 0x56, 0x34, 0x12), EMU_DONE); /* mov dword [rbx],0x12345678 */
	assert_int_equal(device, 0x8877665512345678);
	assert_int_equal(last_size, 4);
	assert_int_equal(RUN(0x48, 0xc7, 0x03, 0xff, 0xff, 0xff, 0xff), EMU_DONE); /* mov qword [rbx],-1 */
	assert_int_equal(device, ~0ull);
	regs[VREG_RSI] = 0xab;
	assert_int_equal(RUN(0x40, 0x88, 0x33), EMU_DONE); /* mov [rbx],sil */
	assert_int_equal(device & 0xff, 0xab);
	assert_int_equal(RUN(0x44, 0x0f, 0x22, 0xc6), EMU_FAULT); /* mov cr8,rsi = 0xab */
	assert_int_equal(e.vector, X86_GP);
	regs[VREG_RSI] = 5;
	assert_int_equal(RUN(0x44, 0x0f, 0x22, 0xc6), EMU_DONE);
	assert_int_equal(cr8, 5);
}

static void addressing(void **state)
{
	regs[VREG_RCX] = 2;
	assert_int_equal(RUN(0x8a, 0x44, 0x4b, 0x01), EMU_DONE); /* mov al,[rbx+rcx*2+1] */
	assert_int_equal(last_gpa, DEVICE + 5);
	regs[VREG_RBX] = 0x7fff00000000 | DEVICE;
	assert_int_equal(RUN(0x67, 0x8a, 0x03), EMU_DONE); /* mov al,[ebx] */
	assert_int_equal(last_gpa, DEVICE);
	e.seg[VSEG_GS].base = DEVICE;
	assert_int_equal(RUN(0x65, 0x8a, 0x04, 0x25, 0x03, 0, 0, 0), EMU_DONE); /* mov al,gs:[3] */
	assert_int_equal(last_gpa, DEVICE + 3);
	e.bits = 16; /* real mode: mov al,[bx+si] with ds base */
	e.walk.cr0 = 0;
	e.seg[VSEG_DS] = (struct virt_seg){.base = DEVICE, .limit = 0xffff};
	regs[VREG_RBX] = 0xffff;
	regs[VREG_RSI] = 5;
	assert_int_equal(RUN(0x8a, 0x00), EMU_DONE);
	assert_int_equal(last_gpa, DEVICE + 4);
	e.bits = 32; /* over the limit */
	e.walk.cr0 = CR0_PE;
	e.seg[VSEG_DS] = (struct virt_seg){.base = DEVICE, .limit = 0xfff, .attr = SEG_P | SEG_S | SEG_DB | 3};
	regs[VREG_RBX] = 0xffd;
	assert_int_equal(RUN(0x8b, 0x03), EMU_FAULT);
	assert_int_equal(e.vector, X86_GP);
	regs[VREG_RBX] = 0xffc;
	assert_int_equal(RUN(0x8b, 0x03), EMU_DONE);
	e.seg[VSEG_DS].attr = SEG_P | SEG_S | SEG_DB | 1; /* read-only */
	assert_int_equal(RUN(0x89, 0x03), EMU_FAULT);
	assert_int_equal(writes, 0);
}

static void bits_and_exchange(void **state)
{
	assert_int_equal(RUN(0x0f, 0xba, 0x2b, 0x1f), EMU_DONE); /* bts dword [rbx],31 */
	assert_int_equal(device, 0x88776655c4332211);
	assert_false(e.rflags & FLAGS_CF);
	assert_int_equal(RUN(0x0f, 0xba, 0x33, 0x00), EMU_DONE); /* btr dword [rbx],0 */
	assert_int_equal(device, 0x88776655c4332210);
	assert_true(e.rflags & FLAGS_CF);
	regs[VREG_RCX] = (uint64_t)-64;
	regs[VREG_RBX] = DEVICE + 8;
	assert_int_equal(RUN(0x0f, 0xa3, 0x0b), EMU_DONE); /* bt [rbx],ecx: eight bytes below */
	assert_int_equal(last_gpa, DEVICE);
	regs[VREG_RBX] = DEVICE;
	regs[VREG_RAX] = 7;
	assert_int_equal(RUN(0x87, 0x03), EMU_DONE); /* xchg [rbx],eax */
	assert_int_equal(regs[VREG_RAX], 0xc4332210);
	assert_int_equal((uint32_t)device, 7);
	regs[VREG_RCX] = 5;
	assert_int_equal(RUN(0xf0, 0x0f, 0xc1, 0x0b), EMU_DONE); /* lock xadd [rbx],ecx */
	assert_int_equal((uint32_t)device, 12);
	assert_int_equal(regs[VREG_RCX], 7);
	regs[VREG_RAX] = 12;
	regs[VREG_RCX] = 99;
	assert_int_equal(RUN(0x0f, 0xb1, 0x0b), EMU_DONE); /* cmpxchg [rbx],ecx */
	assert_int_equal((uint32_t)device, 99);
	assert_true(e.rflags & FLAGS_ZF);
	assert_int_equal(RUN(0x0f, 0xb1, 0x0b), EMU_DONE);
	assert_int_equal(regs[VREG_RAX], 99);
	assert_false(e.rflags & FLAGS_ZF);
}

static void strings(void **state)
{
	regs[VREG_RDI] = 0x8000;
	regs[VREG_RSI] = DEVICE;
	regs[VREG_RCX] = 3;
	assert_int_equal(RUN(0xf3, 0xa4), EMU_DONE); /* rep movsb */
	assert_int_equal(regs[VREG_RCX], 0);
	assert_int_equal(regs[VREG_RDI], 0x8003);
	uint32_t ram = 0;
	assert_int_equal(gmem_read(m, GPA(0x8000), &ram, 3), 0);
	assert_int_equal(ram, 0x332211);
	regs[VREG_RCX] = 5000;
	regs[VREG_RDI] = DEVICE;
	assert_int_equal(RUN(0xf3, 0xab), EMU_AGAIN); /* rep stosd: a part */
	assert_int_equal(e.rip, 0x1000);
	assert_int_equal((5000 - regs[VREG_RCX]) * 4, regs[VREG_RDI] - DEVICE);
	e.rflags |= FLAGS_DF;
	regs[VREG_RCX] = 1;
	regs[VREG_RDI] = DEVICE + 4;
	assert_int_equal(RUN(0xf3, 0xab), EMU_DONE);
	assert_int_equal(regs[VREG_RDI], DEVICE);
	e.rflags &= ~FLAGS_DF;
	device = 0;
	regs[VREG_RDX] = 0x3f8;
	regs[VREG_RSI] = 0x8000;
	regs[VREG_RCX] = 3;
	assert_int_equal(RUN(0xf3, 0x6e), EMU_DONE); /* rep outsb */
	assert_int_equal(device, 0x112233);
	assert_int_equal(last_gpa, 0x3f8);
	reads = 0;
	regs[VREG_RDI] = 0x9000;
	regs[VREG_RCX] = 2;
	assert_int_equal(RUN(0xf3, 0x6c), EMU_DONE); /* rep insb */
	assert_int_equal(gmem_read(m, GPA(0x9000), &ram, 2), 0);
	assert_int_equal(ram & 0xffff, 0x4140);
}

static void page_faults_leave_everything_as_it_was(void **state)
{
	uint64_t pml4 = 0x3003, pdpt = 0x4003, pd = 0x5003, device_page = DEVICE | 1; /* read-only */
	e.walk = (struct walk){.gmem = m, .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x2000, .cr4 = CR4_PAE, .efer = EFER_LMA};
	assert_int_equal(gmem_write(m, GPA(0x2000), &pml4, 8), 0);
	assert_int_equal(gmem_write(m, GPA(0x3000), &pdpt, 8), 0);
	assert_int_equal(gmem_write(m, GPA(0x4000), &pd, 8), 0);
	assert_int_equal(gmem_write(m, GPA(0x5000 + 8), &device_page, 8), 0); /* at 0x1000 */
	regs[VREG_RBX] = 0x1000;
	assert_int_equal(RUN(0x83, 0x0b, 0x01), EMU_FAULT); /* or dword [rbx],1 */
	assert_int_equal(e.vector, X86_PF);
	assert_int_equal(e.error, PF_PRESENT | PF_WRITE);
	assert_int_equal(e.cr2, 0x1000);
	assert_int_equal(reads, 0); /* a read of a device may have side effects */
	regs[VREG_RBX] = 0x1ffe;
	assert_int_equal(RUN(0x8b, 0x03), EMU_FAULT); /* crosses into a page that is not there */
	assert_int_equal(e.cr2, 0x2000);
	assert_int_equal(reads, 0);
	assert_int_equal(e.rip, 0x1000);
}

/* Between device memory and a stack in RAM. The page walk is off: linear addresses are guest-physical. */
static void stack_and_device(void **state)
{
	uint64_t on_stack = 0;
	regs[VREG_RSP] = 0x8000;
	assert_int_equal(RUN(0xff, 0x33), EMU_DONE); /* push qword [rbx] */
	assert_int_equal(regs[VREG_RSP], 0x7ff8);
	assert_int_equal(gmem_read(m, GPA(0x7ff8), &on_stack, 8), 0);
	assert_int_equal(on_stack, 0x8877665544332211);
	device = 0;
	assert_int_equal(RUN(0x8f, 0x03), EMU_DONE); /* pop qword [rbx] */
	assert_int_equal(regs[VREG_RSP], 0x8000);
	assert_int_equal(device, 0x8877665544332211);
	assert_int_equal(reads, 1);
	assert_int_equal(writes, 1);
}

static void unknown_is_said(void **state)
{
	assert_int_equal(RUN(0x0f, 0x28, 0x03), EMU_UNKNOWN); /* movaps xmm0,[rbx] */
	assert_non_null(e.reason);
	assert_int_equal(RUN(0x06), EMU_UNKNOWN); /* no instruction in 64-bit mode */
	assert_int_equal(RUN(0x0f), EMU_UNKNOWN);
	assert_int_equal(RUN(0xff, 0x13), EMU_UNKNOWN); /* call [rbx] */
}

/* The processor's own answer for `op eax, ecx`. */
#define NATIVE_OP(op, a, b, r, f) \
	__asm__("push %4; popf; " op " %2, %0; pushf; pop %1" : "=&r"(r), "=&r"(f) : "r"(b), "0"(a), "r"((uint64_t)2 | (f)) : "cc")

static void alu_matches_the_processor(void **state)
{
	static const uint8_t codes[] = {0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39};
	srand(7);
	for (unsigned i = 0; i < 4000; i++) {
		static const uint32_t edge[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
		uint32_t a = rand() % 3 ? (uint32_t)rand() << 1 : edge[rand() % 5], b = rand() % 3 ? (uint32_t)rand() << 1 : edge[rand() % 5], r = 0;
		uint64_t f = rand() & FLAGS_CF;
		unsigned op = i % 8;
		uint8_t code[2] = {codes[op], 0x0b}; /* op [rbx],ecx */
		device = a;
		regs[VREG_RCX] = b;
		e.rflags = 2 | f;
		e.code = code;
		e.code_bytes = 2;
		assert_int_equal(emulate(&e), EMU_DONE);
		switch (op) {
		case 0: NATIVE_OP("add", a, b, r, f); break;
		case 1: NATIVE_OP("or", a, b, r, f); break;
		case 2: NATIVE_OP("adc", a, b, r, f); break;
		case 3: NATIVE_OP("sbb", a, b, r, f); break;
		case 4: NATIVE_OP("and", a, b, r, f); break;
		case 5: NATIVE_OP("sub", a, b, r, f); break;
		case 6: NATIVE_OP("xor", a, b, r, f); break;
		case 7: NATIVE_OP("cmp", a, b, r, f); break;
		}
		uint64_t defined = op == 1 || op == 4 || op == 6 ? STATUS & ~FLAGS_AF : STATUS;
		assert_int_equal((uint32_t)device, op == 7 ? a : r);
		assert_int_equal(e.rflags & defined, f & defined);
	}
}

/* The source of a string instruction is in the segment of its prefix. */
static void strings_from_another_segment(void **state)
{
	static const uint8_t ops[] = {0xa4, 0xac, 0xa6, 0x6e};
	for (unsigned i = 0; i < sizeof(ops); i++) {
		const uint8_t code[] = {0x64, ops[i]}; /* FS: MOVSB, LODSB, CMPSB, OUTSB */
		e.seg[VSEG_FS].base = DEVICE;
		regs[VREG_RSI] = 2;
		regs[VREG_RDI] = 0x3000;
		regs[VREG_RDX] = 0xe0;
		e.rip = 0x1000;
		e.code = code;
		e.code_bytes = sizeof(code);
		reads = 0;
		assert_int_equal(emulate(&e), EMU_DONE);
		assert_int_equal(reads, 1);
		assert_int_equal(regs[VREG_RSI], 3);
	}
}

static void same_bytes_mean_the_same(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		device = 0x1111 * i;
		assert_int_equal(RUN(0x8b, 0x03), EMU_DONE); /* mov eax,[rbx] */
		assert_int_equal(regs[VREG_RAX], (uint32_t)device);
	}
	assert_int_equal(RUN(0x8b, 0x0b), EMU_DONE); /* mov ecx,[rbx]: other bytes there */
	assert_int_equal(regs[VREG_RCX], (uint32_t)device);
	e.bits = 32;
	regs[VREG_RDI] = DEVICE;
	regs[VREG_RAX] = 0;
	assert_int_equal(RUN(0x67, 0x8b, 0x05), EMU_DONE); /* mov eax,[di] */
	assert_int_equal(regs[VREG_RAX], 0); /* RAM */
	e.bits = 64;
	assert_int_equal(RUN(0x67, 0x8b, 0x05, 0, 0, 0, 0), EMU_DONE); /* the same first bytes: mov eax,[eip] */
}

/* Whether a cache is there, and what it holds, changes nothing. */
static void a_cache_changes_nothing(void **state)
{
	static const uint8_t first[] = {0x00, 0x01, 0x0f, 0x11, 0x20, 0x31, 0x39, 0x66, 0x67, 0x80, 0x83, 0x86, 0x88, 0x8a, 0x8b, 0xa4, 0xc6, 0xc7, 0xd0, 0xf6, 0xff};
	uint64_t start[VREG_COUNT], with[VREG_COUNT];
	srand(5);
	for (unsigned i = 0; i < 6; i++)
		e.seg[i].base = DEVICE; /* 16-bit addresses, too, reach no RAM, which the first run would change for the second */
	for (unsigned i = 0; i < 50000; i++) {
		uint8_t code[15] = {first[(unsigned)rand() % sizeof(first)]};
		for (unsigned k = 1; k < 15; k++)
			code[k] = (uint8_t)(rand() % 4);
		for (unsigned k = 0; k < VREG_COUNT; k++)
			start[k] = DEVICE + (unsigned)(rand() & 0xff);
		struct emu one = e;
		one.bits = 16u << rand() % 3;
		one.code = code;
		one.code_bytes = 1 + (unsigned)rand() % 15;
		struct emu other = one;
		other.cache = NULL;
		memcpy(regs, start, sizeof(regs));
		device = 0x8877665544332211;
		enum emu_result r = emulate(&one);
		uint64_t left = device;
		memcpy(with, regs, sizeof(regs));
		memcpy(regs, start, sizeof(regs));
		device = 0x8877665544332211;
		reads = 0;
		assert_int_equal(emulate(&other), r);
		assert_int_equal(device, left);
		assert_int_equal(one.rip, other.rip);
		assert_int_equal(one.rflags, other.rflags);
		assert_memory_equal(regs, with, sizeof(regs));
	}
}

static void any_bytes_are_survived(void **state)
{
	srand(3);
	for (unsigned i = 0; i < 200000; i++) {
		uint8_t code[15];
		for (unsigned k = 0; k < 15; k++)
			code[k] = (uint8_t)rand();
		for (unsigned k = 0; k < VREG_COUNT; k++)
			regs[k] = rand() & 1 ? DEVICE + (unsigned)(rand() & 0xff) : (uint64_t)(rand() & 0x1fffff);
		e.bits = 16u << rand() % 3;
		e.rip = 0x1000;
		e.code = code;
		e.code_bytes = 1 + (unsigned)rand() % 15;
		enum emu_result r = emulate(&e);
		assert_true(r != EMU_DONE || (e.rip > 0x1000 && e.rip <= 0x1000 + e.code_bytes));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(moves, setup, teardown),
		cmocka_unit_test_setup_teardown(addressing, setup, teardown),
		cmocka_unit_test_setup_teardown(bits_and_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(strings, setup, teardown),
		cmocka_unit_test_setup_teardown(page_faults_leave_everything_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(stack_and_device, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(alu_matches_the_processor, setup, teardown),
		cmocka_unit_test_setup_teardown(strings_from_another_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(same_bytes_mean_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cache_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(any_bytes_are_survived, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
