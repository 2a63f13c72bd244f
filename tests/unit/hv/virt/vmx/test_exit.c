/* Every VMX exit reason has a row: none is "not entered" by accident, none lacks its text, and the fields of each kind are decoded. */
#include "test.h"
#include "virt/vmx/vmx_impl.h"

static struct virt_vcpu s;
static struct vcpu v = {.virt = &s};

static struct virt_exit decode(uint32_t reason, uint64_t qualification)
{
	struct virt_exit e;
	memset(&e, 0xee, sizeof(e));
	e.u.text = NULL;
	e.interrupted.valid = false;
	(void)vmx_exit_begin(&s.exit, reason);
	s.exit.qualification = qualification;
	vmx_decode_exit(&v, &e);
	return e;
}

/* These act on the machine itself. */
static bool acts(uint32_t reason)
{
	return reason == VMX_EXIT_CR || reason == VMX_EXIT_DR || reason == VMX_EXIT_INVALID_GUEST;
}

static void every_reason_has_a_row(void **state)
{
	s.exit.event = EVENT_VALID | VMX_HARDWARE << 8 | X86_AC;
	for (uint32_t reason = 0; reason < 300; reason++) {
		if (acts(reason))
			continue;
		struct virt_exit e = decode(reason, 0);
		assert_in_range(e.reason, 1, VEXIT_COUNT - 1);
		if (e.reason != VEXIT_CRASH)
			continue;
		assert_non_null(e.u.text);
		assert_int_equal(reason < VMX_EXIT_COUNT, strstr(e.u.text, "does not list") == NULL);
	}
	assert_int_equal(decode(VMX_EXIT_ENTRY_FAILED | VMX_EXIT_ENTRY_MC, 0).reason, VEXIT_CRASH);
}

static void instructions(void **state)
{
	s.exit.insn_len = 3;
	struct virt_exit e = decode(VMX_EXIT_CPUID, 0);
	assert_int_equal(e.reason, VEXIT_CPUID);
	assert_int_equal(e.insn_len, 3);
	assert_int_equal(decode(VMX_EXIT_RDMSR, 0).reason, VEXIT_RDMSR);
	assert_int_equal(decode(VMX_EXIT_WRMSR, 0).reason, VEXIT_WRMSR);
	assert_true(vmx_exit_begin(&s.exit, VMX_EXIT_WRMSR) & VMX_WANT_LENGTH);
	e = decode(VMX_EXIT_IO, 0x3f8u << 16 | 1 << 3);
	assert_int_equal(e.reason, VEXIT_IO);
	assert_int_equal(e.u.io.port, 0x3f8);
	assert_int_equal(e.u.io.size, 1);
	assert_true(e.u.io.in);
	assert_int_equal(e.insn_len, 3);
	e = decode(VMX_EXIT_IO, 0x60u << 16 | 1 << 4 | 3);
	assert_int_equal(e.reason, VEXIT_IO_STRING);
	assert_int_equal(e.u.io.size, 4);
	assert_false(e.u.io.in);
}

static void memory(void **state)
{
	s.exit.guest_physical = 0xfee00020;
	struct virt_exit e = decode(VMX_EXIT_EPT_VIOLATION, 1u << 7 | 1u << 8 | 2);
	assert_int_equal(e.reason, VEXIT_MEMORY);
	assert_int_equal(e.u.memory.gpa.v, 0xfee00020);
	assert_true(e.u.memory.write);
	assert_false(e.u.memory.fetch);
	assert_false(e.u.memory.page_table);
	assert_true(decode(VMX_EXIT_EPT_VIOLATION, 1u << 7 | 2).u.memory.page_table);
	assert_true(decode(VMX_EXIT_EPT_VIOLATION, 1u << 7 | 1u << 8 | 4).u.memory.fetch);
	assert_int_equal(vmx_exit_begin(&s.exit, VMX_EXIT_EPT_VIOLATION), VMX_WANT_QUALIFICATION | VMX_WANT_PHYSICAL);
}

static void virtualized_lapic(void **state)
{
	struct virt_exit e = decode(44, 1u << 12 | 0x0b0);
	assert_int_equal(e.reason, VEXIT_MEMORY);
	assert_int_equal(e.u.memory.gpa.v, 0xfee000b0);
	assert_true(e.u.memory.write && !e.u.memory.fetch && !e.u.memory.page_table);
	assert_false(decode(44, 0x390).u.memory.write);
	e = decode(45, 0x62);
	assert_int_equal(e.reason, VEXIT_EOI);
	assert_int_equal(e.u.vector, 0x62);
	assert_int_equal(decode(62, 0).reason, VEXIT_LOG_FULL);
	e = decode(56, 0x320);
	assert_int_equal(e.reason, VEXIT_APIC_WRITE);
	assert_int_equal(e.u.offset, 0x320);
}

static void task_switches(void **state)
{
	struct virt_exit e;

	s.exit.insn_len = 7;
	e = decode(9, 2u << 30 | 0x58);
	assert_int_equal(e.reason, VEXIT_TASK_SWITCH);
	assert_int_equal(e.u.task.source, VTASK_JMP);
	assert_int_equal(e.u.task.selector, 0x58);
	assert_int_equal(e.u.task.skip, 7);
	assert_false(e.u.task.has_error);
	/* By a gate of the IDT: the event is delivered by the switch. An exception's instruction is not behind, INT n is. */
	s.exit.qualification = 3u << 30 | 0x60;
	(void)vmx_exit_begin(&s.exit, 9);
	e.interrupted = (struct virt_event){.valid = true, .has_error = true, .type = VEVENT_EXCEPTION, .vector = X86_GP, .error = 0x18};
	vmx_decode_exit(&v, &e);
	assert_false(e.interrupted.valid);
	assert_true(e.u.task.has_error);
	assert_int_equal(e.u.task.error, 0x18);
	assert_int_equal(e.u.task.skip, 0);
	e.interrupted = (struct virt_event){.valid = true, .type = VEVENT_SOFTWARE, .vector = 0x80};
	vmx_decode_exit(&v, &e);
	assert_int_equal(e.u.task.skip, 7);
	assert_false(e.interrupted.valid);
}

static void exceptions(void **state)
{
	s.exit.event = EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_AC;
	s.exit.event_error = 7;
	struct virt_exit e = decode(VMX_EXIT_EXCEPTION, 0);
	assert_int_equal(e.reason, VEXIT_EXCEPTION);
	assert_int_equal(e.u.exception.vector, X86_AC);
	assert_true(e.u.exception.has_error);
	assert_int_equal(e.u.exception.error, 7);
	s.exit.event = EVENT_VALID | VMX_NMI << 8 | X86_NMI;
	assert_int_equal(decode(VMX_EXIT_EXCEPTION, 0).reason, VEXIT_NMI);
	s.exit.event = EVENT_VALID | VMX_HARDWARE << 8 | X86_MC;
	assert_int_equal(decode(VMX_EXIT_EXCEPTION, 0).reason, VEXIT_CRASH);
}

static void events(void **state)
{
	struct virt_event e;
	vmx_event_from(0x30, 0, &e);
	assert_false(e.valid);
	vmx_event_from(EVENT_VALID | 0x30, 9, &e);
	assert_true(e.valid && e.type == VEVENT_INTERRUPT && e.vector == 0x30 && !e.has_error && e.error == 0);
	vmx_event_from(EVENT_VALID | EVENT_ERROR | VMX_HARDWARE << 8 | X86_PF, 6, &e);
	assert_true(e.type == VEVENT_EXCEPTION && e.vector == X86_PF && e.has_error && e.error == 6);
	vmx_event_from(EVENT_VALID | VMX_NMI << 8 | X86_NMI, 0, &e);
	assert_int_equal(e.type, VEVENT_NMI);
	vmx_event_from(EVENT_VALID | VMX_SOFTWARE_INT << 8 | 0x80, 0, &e);
	assert_int_equal(e.type, VEVENT_SOFTWARE);
	vmx_event_from(EVENT_VALID | VMX_PRIVILEGED << 8 | X86_DB, 0, &e);
	assert_int_equal(e.type, VEVENT_SOFTWARE);
	vmx_event_from(EVENT_VALID | VMX_SOFTWARE << 8 | X86_BP, 0, &e);
	assert_true(e.type == VEVENT_EXCEPTION && e.vector == X86_BP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_row),
		cmocka_unit_test(instructions),
		cmocka_unit_test(memory),
		cmocka_unit_test(virtualized_lapic),
		cmocka_unit_test(task_switches),
		cmocka_unit_test(exceptions),
		cmocka_unit_test(events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
