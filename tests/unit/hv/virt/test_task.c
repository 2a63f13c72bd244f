/* Task switches in memory and registers made of plain data: what is saved, loaded, marked busy and linked, and which task gets a fault. */
#include "test.h"
#include "virt/gmem_impl.h"
#include "virt/task.h"
#include "virt/vcpu_impl.h"
#include "virt/walk.h"
#include "vm/vm_impl.h"

#define GDT 0x1000u
#define OLD_TSS 0x2000u
#define NEW_TSS 0x3000u
#define STACK 0x8000u
enum {
	CODE = 0x08,
	DATA = 0x10,
	OLD = 0x18,
	NEW = 0x20,
	ABSENT_DATA = 0x28,
	ABSENT_TSS = 0x30,
	SMALL_TSS = 0x38,
	NEW_16 = 0x40,
	CODE_16 = 0x48,
	DATA_16 = 0x50,
	LAST = 0x50
};

static uint64_t control[VCTL_COUNT];
static struct virt_seg segs[VSEG_COUNT];
static struct virt_event injected;
static struct vm vm;
static struct vcpu cpu, *v = &cpu;
static const char *crashed;

static void get_seg(const struct vcpu *c, enum virt_seg_id id, struct virt_seg *s)
{
	*s = segs[id];
}
static void set_seg(struct vcpu *c, enum virt_seg_id id, const struct virt_seg *s)
{
	segs[id] = *s;
}
static uint64_t get_control(const struct vcpu *c, enum virt_control what)
{
	return control[what];
}
static void set_control(struct vcpu *c, enum virt_control what, uint64_t x)
{
	control[what] = x;
}
static void shadow(struct vcpu *c, bool on)
{
	c->shadow = on;
}
static const struct virt_ops fake = {
	.get_seg = get_seg, .set_seg = set_seg, .get_control = get_control, .set_control = set_control, .shadow = shadow};
const struct virt_ops *virt_ops = &fake;
void vcpu_inject(struct vcpu *c, uint8_t vector, bool has_error, uint32_t error)
{
	injected = (struct virt_event){.valid = true, .has_error = has_error, .vector = vector, .error = error};
}
void vcpu_crash(struct vcpu *c, const char *reason)
{
	crashed = reason;
}
void vcpu_walk_context(const struct vcpu *c, struct walk *w)
{
	*w = (struct walk){.gmem = vm.gmem, .cr0 = control[VCTL_CR0], .cr3 = control[VCTL_CR3], .cr4 = control[VCTL_CR4]};
}

static void put(uint32_t at, uint64_t x, unsigned bytes)
{
	assert_int_equal(gmem_write(vm.gmem, GPA(at), &x, bytes), 0);
}

static uint32_t get(uint32_t at, unsigned bytes)
{
	uint32_t x = 0;
	assert_int_equal(gmem_read(vm.gmem, GPA(at), &x, bytes), 0);
	return x;
}

static void descriptor(unsigned selector, uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
	put(GDT + selector,
		(limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
			(uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56,
		8);
}

static int setup(void **state)
{
	static const enum virt_seg_id flat[] = {VSEG_ES, VSEG_SS, VSEG_DS, VSEG_FS, VSEG_GS};
	static const uint8_t zero[0x200];

	vm = (struct vm){0};
	if (gmem_create(GMEM_UNIT, &vm.gmem))
		return -1;
	cpu = (struct vcpu){.vm = &vm, .rip = 0x400, .rflags = 0x202};
	injected = (struct virt_event){0};
	crashed = NULL;
	memset(control, 0, sizeof(control));
	control[VCTL_CR0] = CR0_PE | CR0_ET;
	control[VCTL_DR7] = 0x555;
	for (unsigned i = 0; i < 8; i++)
		cpu.regs[i] = 0x1000 * (i + 1);
	for (uint32_t at = OLD_TSS; at <= NEW_TSS; at += 0x1000)
		assert_int_equal(gmem_write(vm.gmem, GPA(at), zero, sizeof(zero)), 0);
	descriptor(CODE, 0, 0xfffff, 0x9a, 0xc);
	descriptor(DATA, 0, 0xfffff, 0x92, 0xc);
	descriptor(OLD, OLD_TSS, 103, 0x8b, 0);
	descriptor(NEW, NEW_TSS, 103, 0x89, 0);
	descriptor(ABSENT_DATA, 0, 0xfffff, 0x12, 0xc);
	descriptor(ABSENT_TSS, NEW_TSS, 103, 0x09, 0);
	descriptor(SMALL_TSS, NEW_TSS, 102, 0x89, 0);
	descriptor(NEW_16, NEW_TSS, 43, 0x81, 0);
	descriptor(CODE_16, 0, 0xffff, 0x9a, 0);
	descriptor(DATA_16, 0, 0xffff, 0x92, 0);
	segs[VSEG_GDTR] = (struct virt_seg){.base = GDT, .limit = LAST + 7};
	segs[VSEG_TR] = (struct virt_seg){.base = OLD_TSS, .limit = 103, .selector = OLD, .attr = 0x8b};
	segs[VSEG_LDTR] = (struct virt_seg){0};
	segs[VSEG_CS] = (struct virt_seg){.limit = 0xffffffff, .selector = CODE, .attr = 0xc9b};
	for (unsigned i = 0; i < 5; i++)
		segs[flat[i]] = (struct virt_seg){.limit = 0xffffffff, .selector = DATA, .attr = 0xc93};
	put(NEW_TSS + 32, 0x900, 4);
	put(NEW_TSS + 36, 0x46, 4);
	for (unsigned i = 0; i < 8; i++)
		put(NEW_TSS + 40 + 4 * i, i == 4 ? STACK : 0xa0 + i, 4);
	for (unsigned i = 0; i < 6; i++)
		put(NEW_TSS + 72 + 4 * i, i == 1 ? CODE : i >= 4 ? 0 : DATA, 4);
	return 0;
}

static int teardown(void **state)
{
	gmem_destroy(vm.gmem);
	return 0;
}

static void go(unsigned source, uint16_t selector)
{
	vcpu_task_switch(v, &(struct virt_task){.selector = selector, .source = (uint8_t)source, .skip = 7});
}

static unsigned access_of(unsigned selector)
{
	return get(GDT + selector + 5, 1);
}

static void is_in_new_task(void)
{
	assert_false(injected.valid);
	assert_int_equal(v->rip, 0x900);
	assert_int_equal(v->regs[VREG_RAX], 0xa0);
	assert_int_equal(v->regs[VREG_RDI], 0xa7);
	assert_int_equal(v->regs[VREG_RSP], STACK);
	assert_int_equal(segs[VSEG_TR].selector, NEW);
	assert_int_equal(segs[VSEG_TR].attr, 0x8b);
	assert_int_equal(segs[VSEG_CS].attr, 0xc9b);
	assert_int_equal(segs[VSEG_GS].attr & SEG_P, 0);
	assert_int_equal(access_of(CODE), 0x9b);
	assert_true(control[VCTL_CR0] & CR0_TS);
	assert_int_equal(control[VCTL_DR7], 0x400);
	assert_int_equal(get(OLD_TSS + 32, 4), 0x407);
	assert_int_equal(get(OLD_TSS + 40, 4), 0x1000);
	assert_int_equal(get(OLD_TSS + 76, 2), CODE);
}

static void call_and_back(void **state)
{
	go(VTASK_CALL, NEW);
	is_in_new_task();
	assert_int_equal(v->rflags, 0x4046);
	assert_int_equal(get(NEW_TSS, 2), OLD);
	assert_int_equal(access_of(OLD), 0x8b);
	assert_int_equal(access_of(NEW), 0x8b);
	v->regs[VREG_RAX] = 0x77;
	go(VTASK_IRET, OLD);
	assert_false(injected.valid);
	assert_int_equal(v->rip, 0x407);
	assert_int_equal(v->rflags, 0x202);
	assert_int_equal(v->regs[VREG_RSP], 0x5000);
	assert_int_equal(access_of(OLD), 0x8b);
	assert_int_equal(access_of(NEW), 0x89);
	assert_int_equal(get(NEW_TSS + 36, 4), 0x46); /* without NT */
	assert_int_equal(get(NEW_TSS + 40, 4), 0x77);
}

static void jump(void **state)
{
	go(VTASK_JMP, NEW);
	is_in_new_task();
	assert_int_equal(v->rflags, 0x46);
	assert_int_equal(get(NEW_TSS, 2), 0);
	assert_int_equal(access_of(OLD), 0x89);
	assert_int_equal(access_of(NEW), 0x8b);
}

static void error_code(void **state)
{
	vcpu_task_switch(v, &(struct virt_task){.selector = NEW, .source = VTASK_GATE, .has_error = true, .error = 0x1234});
	assert_int_equal(v->regs[VREG_RSP], STACK - 4);
	assert_int_equal(get(STACK - 4, 4), 0x1234);
	assert_int_equal(get(OLD_TSS + 32, 4), 0x400); /* the exception's instruction itself */
}

static void sixteen_bits(void **state)
{
	static const uint16_t fields[] = {0, 0, 0, 0, 0, 0, 0, 0x900, 0x46, 1, 2, 3, 4, STACK, 6, 7, 8, DATA, CODE_16, DATA_16, DATA, 0};

	for (unsigned i = 0; i < 22; i++)
		put(NEW_TSS + 2 * i, fields[i], 2);
	vcpu_task_switch(v, &(struct virt_task){.selector = NEW_16, .source = VTASK_GATE, .has_error = true, .error = 0x1234});
	assert_false(injected.valid);
	assert_int_equal(v->regs[VREG_RAX], 0xffff0001);
	assert_int_equal(v->regs[VREG_RSP], 0xffff0000 + STACK - 2);
	assert_int_equal(segs[VSEG_TR].attr, 0x83);
	assert_int_equal(segs[VSEG_FS].attr & SEG_P, 0);
	go(VTASK_IRET, OLD);
	assert_int_equal(v->regs[VREG_RAX], 0x1000);
	assert_int_equal(get(NEW_TSS + 14, 2), 0x907);
	assert_int_equal(get(NEW_TSS + 36, 2), CODE_16);
}

static void faulted(uint8_t vector, uint32_t error, unsigned task)
{
	assert_true(injected.valid && injected.has_error);
	assert_int_equal(injected.vector, vector);
	assert_int_equal(injected.error, error);
	assert_int_equal(segs[VSEG_TR].selector, task);
	assert_int_equal(v->rip, task == OLD ? 0x400 : 0x900);
	teardown(NULL);
	setup(NULL);
}

static void faults_of_the_old_task(void **state)
{
	go(VTASK_JMP, DATA);
	faulted(X86_GP, DATA, OLD);
	go(VTASK_JMP, OLD); /* busy */
	faulted(X86_GP, OLD, OLD);
	go(VTASK_IRET, NEW); /* not busy */
	faulted(X86_TS, NEW, OLD);
	go(VTASK_CALL, LAST + 8);
	faulted(X86_GP, LAST + 8, OLD);
	go(VTASK_CALL, NEW | 4);
	faulted(X86_GP, NEW | 4, OLD);
	go(VTASK_CALL, ABSENT_TSS);
	faulted(X86_NP, ABSENT_TSS, OLD);
	go(VTASK_CALL, SMALL_TSS);
	faulted(X86_TS, SMALL_TSS, OLD);
}

static void faults_of_the_new_task(void **state)
{
	static const struct {
		uint8_t field, value, vector;
	} rows[] = {{76, DATA, X86_TS}, {76, CODE | 3, X86_TS}, {80, CODE, X86_TS}, {80, DATA | 3, X86_TS}, {80, ABSENT_DATA, X86_SS},
		{84, ABSENT_DATA, X86_NP}, {84, NEW, X86_TS}, {72, LAST + 8, X86_TS}, {96, DATA, X86_TS}, {96, LAST + 8, X86_TS}};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(NEW_TSS + rows[i].field, rows[i].value, 4);
		go(VTASK_CALL, NEW);
		faulted(rows[i].vector, rows[i].value & ~3u, NEW);
	}
}

static void virtual_8086(void **state)
{
	put(NEW_TSS + 36, 0x20202, 4);
	put(NEW_TSS + 76, 0x1234, 4);
	put(NEW_TSS + 92, 0x777, 4);
	go(VTASK_JMP, NEW);
	assert_false(injected.valid);
	assert_int_equal(segs[VSEG_CS].base, 0x12340);
	assert_int_equal(segs[VSEG_GS].base, 0x7770);
	assert_int_equal(segs[VSEG_SS].attr, 0xf3);
	assert_int_equal(control[VCTL_CPL], 3);
}

static void debug_trap(void **state)
{
	put(NEW_TSS + 100, 1, 2);
	go(VTASK_JMP, NEW);
	assert_int_equal(injected.vector, X86_DB);
	assert_false(injected.has_error);
	assert_true(control[VCTL_DR6] & 1u << 15);
}

static void memory_that_is_a_device(void **state)
{
	segs[VSEG_GDTR].base = 0xfee00000;
	go(VTASK_JMP, NEW);
	assert_non_null(crashed);
	assert_int_equal(v->rip, 0x400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(call_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(jump, setup, teardown),
		cmocka_unit_test_setup_teardown(error_code, setup, teardown),
		cmocka_unit_test_setup_teardown(sixteen_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(faults_of_the_old_task, setup, teardown),
		cmocka_unit_test_setup_teardown(faults_of_the_new_task, setup, teardown),
		cmocka_unit_test_setup_teardown(virtual_8086, setup, teardown),
		cmocka_unit_test_setup_teardown(debug_trap, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_that_is_a_device, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
