/* Every SVM exit code has a row: none decodes to "resumed" by accident, none lacks its text, and the fields of each kind are decoded. */
#include "test.h"
#include "virt/svm/svm_impl.h"

static struct vmcb b;
static struct virt_vcpu s = {.vmcb = &b};
static struct vcpu v = {.virt = &s};

static struct virt_exit decode(uint64_t code, uint64_t info1, uint64_t info2)
{
	struct virt_exit e;
	memset(&e, 0xee, sizeof(e));
	e.u.text = NULL;
	b.exit_code = code;
	b.exit_info1 = info1;
	b.exit_info2 = info2;
	svm_decode_exit(&v, &e);
	return e;
}

static void every_code_has_a_row(void **state)
{
	for (uint64_t code = 0; code < 0x500; code++) {
		if (code >= SVM_DR0_READ && code < SVM_EXCP0)
			continue; /* debug registers: loads them into this machine */
		struct virt_exit e = decode(code, 0, 0);
		assert_in_range(e.reason, 1, VEXIT_COUNT - 1);
		if (e.reason != VEXIT_CRASH)
			continue;
		assert_non_null(e.u.text);
		bool listed = code <= SVM_IDLE_HLT || (code >= SVM_NPF && code <= SVM_VMGEXIT);
		assert_int_equal(listed, strstr(e.u.text, "does not list") == NULL);
	}
	assert_int_equal(decode(SVM_INVALID, 0, 0).reason, VEXIT_INVALID_STATE);
	assert_int_equal(decode(SVM_BUSY, 0, 0).reason, VEXIT_CRASH);
}

static void fields(void **state)
{
	b.rip = 0x1000;
	struct virt_exit e = decode(SVM_IOIO, 0x3f8u << 16 | 1 << 4 | 1, 0x1002);
	assert_int_equal(e.reason, VEXIT_IO);
	assert_int_equal(e.u.io.port, 0x3f8);
	assert_int_equal(e.u.io.size, 1);
	assert_true(e.u.io.in);
	assert_int_equal(e.insn_len, 2);
	e = decode(SVM_IOIO, 0x60u << 16 | 4 << 4 | 4, 0x1001);
	assert_int_equal(e.reason, VEXIT_IO_STRING);
	e = decode(SVM_NPF, 1ull << 33 | 2, 0xfee00020);
	assert_int_equal(e.reason, VEXIT_MEMORY);
	assert_int_equal(e.u.memory.gpa.v, 0xfee00020);
	assert_true(e.u.memory.write);
	assert_true(e.u.memory.page_table);
	assert_false(e.u.memory.fetch);
	assert_int_equal(decode(SVM_MSR, 1, 0).reason, VEXIT_WRMSR);
	assert_int_equal(decode(SVM_MSR, 0, 0).reason, VEXIT_RDMSR);
	svm_features.next_rip = true;
	b.next_rip = 0x1003;
	assert_int_equal(decode(SVM_CPUID, 0, 0).insn_len, 3);
	svm_features.next_rip = false;
	assert_int_equal(decode(SVM_CPUID, 0, 0).insn_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_code_has_a_row), cmocka_unit_test(fields)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
