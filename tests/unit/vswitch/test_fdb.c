/* The MAC table against a plain array: find, learn, move, age, limits. */
#include "test.h"

#include "fdb.h"

#include <errno.h>
#include <stdlib.h>

static struct fdb f;

static int setup(void **state)
{
	native_start(1);
	return fdb_create(&f);
}

static int teardown(void **state)
{
	fdb_destroy(&f);
	return 0;
}

static uint16_t port_of(uint64_t key)
{
	uint32_t slot = fdb_find(&f, key);

	return slot == FDB_NONE ? UINT16_MAX : fdb_slot_port(&f, slot);
}

static void ten_thousand_addresses_are_all_found(void **state)
{
	for (uint64_t i = 1; i <= 10000; i++) {
		assert_int_equal(fdb_learn(&f, fdb_key(i * 0x10001, 3), (uint16_t)(i % 60)), FDB_LEARNED);
		if (i % 4000 == 0)
			fdb_tick(&f, 300);
	}
	for (uint64_t i = 1; i <= 10000; i++) {
		assert_int_equal(port_of(fdb_key(i * 0x10001, 3)), i % 60);
		assert_int_equal(port_of(fdb_key(i * 0x10001, 4)), UINT16_MAX); /* another domain */
	}
	assert_int_equal(f.learned, 10000);
	assert_int_equal(f.refused, 0);
}

static void floods_are_limited(void **state)
{
	for (uint64_t i = 1; i <= 2 * FDB_LEARN_PER_TICK; i++)
		fdb_learn(&f, fdb_key(i, 1), 1);
	assert_int_equal(f.learned, FDB_LEARN_PER_TICK);
	assert_int_equal(f.refused, FDB_LEARN_PER_TICK);
	for (uint64_t i = 1; i <= 400000; i++) {
		if (i % 2000 == 0)
			fdb_tick(&f, 100000);
		fdb_learn(&f, fdb_key(i, 2), 1);
	}
	assert_true(f.learned <= FDB_LEARNED_MAX);
	assert_true(f.learned > FDB_LEARNED_MAX * 9 / 10);
	assert_int_equal(fdb_static_add(&f, fdb_key(0xabcdef, 2), 9), 0); /* always room for our own */
	assert_int_equal(port_of(fdb_key(0xabcdef, 2)), 9);
}

static void static_entries_neither_move_nor_age(void **state)
{
	uint64_t key = fdb_key(0x42, 1);

	assert_int_equal(fdb_learn(&f, key, 5), FDB_LEARNED);
	assert_int_equal(fdb_learn(&f, key, 6), FDB_LEARNED); /* moved */
	assert_int_equal(port_of(key), 6);
	assert_int_equal(fdb_static_add(&f, key, 7), 0);
	assert_int_equal(f.learned, 0);
	assert_int_equal(fdb_learn(&f, key, 6), FDB_OWNED);
	assert_int_equal(fdb_static_add(&f, key, 8), -EEXIST);
	for (unsigned i = 0; i < 100; i++)
		fdb_tick(&f, 4);
	assert_int_equal(port_of(key), 7);
	fdb_remove(&f, key);
	assert_int_equal(port_of(key), UINT16_MAX);
}

static void unused_entries_age_and_used_ones_stay(void **state)
{
	for (uint64_t i = 1; i <= 1000; i++)
		fdb_learn(&f, fdb_key(i, 1), 1);
	for (unsigned s = 0; s < 40; s++) {
		fdb_tick(&f, 20);
		fdb_learn(&f, fdb_key(7, 1), 1);
	}
	assert_int_equal(f.learned, 1);
	assert_int_equal(port_of(fdb_key(7, 1)), 1);
}

static void random_operations_match_a_model(void **state)
{
	uint16_t model[600] = {0}; /* port + 1; 0 = not there */

	srand(2);
	for (unsigned step = 0; step < 200000; step++) {
		unsigned i = (unsigned)rand() % HV_ARRAY_LEN(model);
		uint64_t key = fdb_key(i * 0x1000193ull + 1, 2);
		uint16_t port = (uint16_t)(rand() % 9);

		if (rand() % 3) {
			if (fdb_learn(&f, key, port) != FDB_REFUSED)
				model[i] = (uint16_t)(port + 1);
		} else {
			fdb_remove(&f, key);
			model[i] = 0;
		}
		if (step % 1000 == 0) {
			fdb_tick(&f, 1000000);
			fdb_remove_port(&f, 4);
			for (unsigned k = 0; k < HV_ARRAY_LEN(model); k++)
				model[k] = model[k] == 5 ? 0 : model[k];
		}
		assert_int_equal((uint16_t)(port_of(key) + 1), model[i]);
	}
	for (unsigned i = 0; i < HV_ARRAY_LEN(model); i++)
		fdb_remove(&f, fdb_key(i * 0x1000193ull + 1, 2));
	assert_int_equal(f.learned, 0);
	for (unsigned b = 0; b < FDB_SLOTS / FDB_WINDOW; b++)
		assert_int_equal(f.spilled[b], 0);
}

static unsigned asked;
static uint32_t elsewhere_is;
static uint32_t elsewhere(const struct fdb *table, uint64_t key)
{
	asked++;
	return elsewhere_is;
}

static uint64_t look(uint64_t key)
{
	struct fdb_view view = fdb_view(&f);

	return fdb_view_find(&view, key);
}

/* Where else an address may be is asked once, until something changes. */
static void elsewhere_is_remembered_until_a_change(void **state)
{
	uint64_t key = fdb_key(0x1234, 7), other = fdb_key(0x5678, 7);

	assert_int_equal(look(key), FDB_ABSENT);
	f.elsewhere = elsewhere;
	elsewhere_is = FDB_NONE;
	assert_int_equal(look(key), FDB_ABSENT);
	assert_int_equal(look(key), FDB_ABSENT);
	assert_int_equal(asked, 2); /* what is nowhere is not remembered */
	elsewhere_is = 99;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(look(key), 99);
	assert_int_equal(asked, 3);
	elsewhere_is = FDB_NONE;
	fdb_learn(&f, other, 3);
	assert_int_equal(look(key), FDB_ABSENT);
	elsewhere_is = 98;
	assert_int_equal(look(key), 98);
	fdb_remove(&f, other);
	elsewhere_is = 97;
	assert_int_equal(look(key), 97);
	elsewhere_is = 96;
	assert_int_equal(look(key), 97);
	fdb_forget(&f);
	assert_int_equal(look(key), 96);
	assert_int_equal(fdb_static_add(&f, key, 5), 0); /* the table itself comes first */
	assert_int_equal(look(key), fdb_find(&f, key));
	for (uint64_t i = 0; i < 1000; i++) /* far more than are remembered */
		assert_int_equal(look(fdb_key(0x10000 + i, 8)), 96);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ten_thousand_addresses_are_all_found),
		TEST(floods_are_limited),
		TEST(static_entries_neither_move_nor_age),
		TEST(unused_entries_age_and_used_ones_stay),
		TEST(random_operations_match_a_model),
		TEST(elsewhere_is_remembered_until_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
