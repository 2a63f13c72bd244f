/* The two tables of sense.c: what the brief of a LUN's loss depends on, row by row. */
#include "sense.h"
#include "test.h"
#include <errno.h>

static const struct {
	uint8_t status, key, asc, ascq;
	enum sense_action action;
	int error;
} rows[] = {
	{0x00, 0, 0, 0, SENSE_OK, 0},
	{0x08, 0, 0, 0, SENSE_WAIT, 0},
	{0x28, 0, 0, 0, SENSE_WAIT, 0},
	{0x18, 0, 0, 0, SENSE_FAIL, -EIO},
	{0x40, 0, 0, 0, SENSE_RETRY, -EIO},
	{0x77, 0, 0, 0, SENSE_RETRY, -EIO},
	{0x02, 0x1, 0x17, 0, SENSE_OK, 0},
	{0x02, 0x2, 0x04, 0x01, SENSE_WAIT, 0},
	{0x02, 0x3, 0x11, 0, SENSE_FAIL, -EIO},
	{0x02, 0x4, 0x44, 0, SENSE_RETRY, -EIO},
	{0x02, 0x5, 0x20, 0, SENSE_FAIL, -EOPNOTSUPP},
	{0x02, 0x5, 0x21, 0, SENSE_FAIL, -EINVAL},
	{0x02, 0x5, 0x25, 0, SENSE_WAIT, 0},
	{0x02, 0x6, 0x29, 0, SENSE_ATTENTION, 0},
	{0x02, 0x7, 0x27, 0x07, SENSE_FAIL, -ENOSPC},
	{0x02, 0x7, 0x27, 0x00, SENSE_FAIL, -EROFS},
	{0x02, 0xb, 0x00, 0, SENSE_RETRY, -EIO},
	{0x02, 0xf, 0x00, 0, SENSE_RETRY, -EIO},
};

static void test_rows(void **state)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(rows); i++) {
		struct sense_verdict v = sense_judge(rows[i].status, rows[i].key, rows[i].asc, rows[i].ascq);

		assert_int_equal(v.action, rows[i].action);
		if (rows[i].error)
			assert_int_equal(v.status, rows[i].error);
		assert_non_null(v.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
