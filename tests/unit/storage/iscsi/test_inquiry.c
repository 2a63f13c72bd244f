/* INQUIRY, VPD and capacity data: good pages, short pages, lengths that lie. Buffers are exact, so ASan sees one byte too many. */
#include "inquiry.h"
#include "test.h"
#include <errno.h>
#include <stdlib.h>

static uint8_t *copy(const void *data, size_t bytes)
{
	uint8_t *p = malloc(bytes ? bytes : 1);

	memcpy(p, data, bytes);
	return p;
}

static void test_standard(void **state)
{
	uint8_t page[36] = {0};
	struct lun_identity id = {0};
	uint8_t type;

	memcpy(page + 8, "IET     VIRTUAL-DISK\x01\x02  0001", 28);
	assert_int_equal(inquiry_standard(page, 36, &id, &type), 0);
	assert_string_equal(id.vendor, "IET");
	assert_string_equal(id.product, "VIRTUAL-DISK??");
	assert_string_equal(id.revision, "0001");
	assert_int_equal(inquiry_standard(page, 35, &id, &type), -EPROTO);
	page[0] = 0x7f;
	assert_int_equal(inquiry_standard(page, 36, &id, &type), -ENODEV);
	assert_int_equal(type, 0x7f);
}

static void test_serial_length_lies(void **state)
{
	const uint8_t page[] = {0, 0x80, 0xff, 0xff, ' ', 'a', 'b', ' '};
	uint8_t *p = copy(page, sizeof(page));
	struct lun_identity id = {0};

	assert_true(inquiry_serial(p, sizeof(page), &id));
	assert_string_equal(id.serial, "ab");
	assert_false(inquiry_serial(p, 3, &id));
	free(p);
}

static void test_designators(void **state)
{
	const uint8_t page[] = {0, 0x83, 0, 12 + 8, 1, 2, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 0, 4, 0x60, 1, 2, 3};
	struct lun_identity id = {0};

	for (size_t n = 0; n < sizeof(page); n++) { /* every truncation */
		uint8_t *p = copy(page, n);

		(void)inquiry_designators(p, n, &id); /* only that it stays inside */
		free(p);
	}
	id = (struct lun_identity){0};
	assert_true(inquiry_designators(page, sizeof(page), &id));
	assert_int_equal(id.naa_bytes, 4);
	assert_int_equal(id.naa[0], 0x60); /* NAA is preferred to EUI-64 */
}

static void test_limits(void **state)
{
	uint8_t page[64] = {0, 0xb0, 0, 60};
	struct inquiry_limits limits = {0};

	page[11] = 8;
	page[23] = 7;
	inquiry_block_limits(page, 64, &limits);
	assert_int_equal(limits.max_transfer_blocks, 8);
	assert_int_equal(limits.max_unmap_blocks, 0); /* no descriptors: UNMAP is not usable */
	page[27] = 1;
	inquiry_block_limits(page, 64, &limits);
	assert_int_equal(limits.max_unmap_blocks, 7);
	struct inquiry_limits none = {0};

	inquiry_block_limits(page, 10, &none);
	assert_int_equal(none.max_transfer_blocks, 0);
}

static void test_capacity(void **state)
{
	uint8_t d[32] = {0};
	struct inquiry_capacity c;

	d[7] = 9;
	d[10] = 2;
	d[13] = 3;
	assert_int_equal(inquiry_capacity(d, 32, &c), 0);
	assert_int_equal(c.blocks, 10);
	assert_int_equal(c.block_bytes, 512);
	assert_int_equal(c.physical_bytes, 4096);
	assert_int_equal(inquiry_capacity(d, 15, &c), -EPROTO);
	d[10] = 3;
	assert_int_equal(inquiry_capacity(d, 32, &c), -EPROTO);
	d[10] = 2;
	memset(d, 0xff, 8);
	assert_int_equal(inquiry_capacity(d, 32, &c), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_standard), cmocka_unit_test(test_serial_length_lies),
		cmocka_unit_test(test_designators), cmocka_unit_test(test_limits), cmocka_unit_test(test_capacity)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
