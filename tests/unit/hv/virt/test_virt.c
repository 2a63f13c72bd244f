/* The word "without=FEATURE,..." of the host's command line: whole names only, wherever the word stands. */
#include "test.h"
#include "virt/virt.h"

static void features_that_a_test_does_without(void **state)
{
	static const struct {
		const char *cmdline;
		bool apicv, pml;
	} cases[] = {{"", false, false}, {"without=apicv", true, false}, {"without=pml,apicv", true, true}, {"quiet without=pml", false, true},
		{"without=apicv,pml quiet", true, true}, {"without=apicvx", false, false}, {"without=xapicv,pmll", false, false},
		{"xwithout=apicv", false, false}, {"without= apicv", false, false}, {"apicv without=", false, false}, {"without=,,pml", false, true},
		{"without=pml without=apicv", true, true}};

	for (size_t i = 0; i < HV_ARRAY_LEN(cases); i++) {
		native_set_cmdline(cases[i].cmdline);
		assert_int_equal(virt_without("apicv"), cases[i].apicv);
		assert_int_equal(virt_without("pml"), cases[i].pml);
	}
	native_set_cmdline("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(features_that_a_test_does_without)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
