/* Every rule of VMRUN that the checker knows: a good VMCB passes, each single damage is named. */
#include "test.h"
#include "virt/svm/check.h"
#include "virt/x86.h"

static const struct svm_limits limits = {.asids = 16, .phys_bits = 40, .cr4_valid = 0x77fff, .efer_valid = 0xff01};
static struct vmcb b;

static int setup(void **state)
{
	memset(&b, 0, sizeof(b));
	b.intercept2 = 1;
	b.asid = 1;
	b.np_enable = 1;
	b.efer = EFER_SVME | EFER_LME | EFER_LMA;
	b.cr0 = CR0_PE | CR0_PG;
	b.cr4 = CR4_PAE;
	b.cs.attr = SEG_P | SEG_S | SEG_L | 0xb;
	return 0;
}

#define NAMES(change, field)                                                     \
	do {                                                                     \
		setup(NULL);                                                     \
		change;                                                          \
		const char *bad_ = svm_check(&b, &limits);                       \
		assert_non_null(bad_);                                           \
		assert_memory_equal(bad_, field ":", strlen(field ":"));         \
	} while (0)

static void good_passes(void **state)
{
	assert_null(svm_check(&b, &limits));
	b.event_inj = VMCB_EVENT_VALID | 3 << 8 | X86_PF;
	assert_null(svm_check(&b, &limits));
	b.cr0 = CR0_PE | CR0_CD | CR0_NW | CR0_PG;
	assert_null(svm_check(&b, &limits));
}

static void each_damage_is_named(void **state)
{
	NAMES(b.efer &= ~EFER_SVME, "efer");
	NAMES(b.efer |= 1u << 1, "efer");
	NAMES(b.cr0 |= CR0_NW, "cr0");
	NAMES(b.cr0 |= 1ull << 32, "cr0");
	NAMES(b.cr0 &= ~CR0_PE, "cr0");
	NAMES(b.cr4 |= 1ull << 31, "cr4");
	NAMES(b.cr4 = 0, "cr4");
	NAMES(b.cr3 = 1ull << 40, "cr3");
	NAMES(b.dr6 = 1ull << 32, "dr6");
	NAMES(b.dr7 = 1ull << 32, "dr7");
	NAMES(b.cs.attr |= SEG_DB, "cs");
	NAMES(b.intercept2 = 0, "intercept2");
	NAMES(b.asid = 0, "asid");
	NAMES(b.asid = 16, "asid");
	NAMES(b.msrpm_pa = (1ull << 40) - 0x1000, "msrpm_pa");
	NAMES(b.iopm_pa = (1ull << 40) - 0x2000, "iopm_pa");
	NAMES(b.n_cr3 = 1ull << 40, "n_cr3");
	NAMES(b.event_inj = VMCB_EVENT_VALID | 1 << 8, "event_inj");
	NAMES(b.event_inj = VMCB_EVENT_VALID | 3 << 8 | 2, "event_inj");
	NAMES(b.event_inj = VMCB_EVENT_VALID | 3 << 8 | 32, "event_inj");
	NAMES(b.event_inj = VMCB_EVENT_VALID | 3 << 8 | X86_BR, "event_inj");
	NAMES(b.fs.base = 1ull << 60, "fs");
	NAMES(b.tr.base = 1ull << 47, "tr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(good_passes, setup),
		cmocka_unit_test_setup(each_damage_is_named, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
