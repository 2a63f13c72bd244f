/* Datastores: opening and its errors, the state that follows the link, who waits for it, numbers. */
#include "kit.h"
#include <errno.h>
#include <hv/core.h>
#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull

static int setup(void **state)
{
	kit_storage_start();
	return 0;
}

static int teardown(void **state)
{
	kit_storage_end();
	return 0;
}

static void opening_checks_names(void **state)
{
	struct datastore_config c = kit_config("", DATASTORE_RAM);
	struct datastore *ds;

	assert_int_equal(datastore_open(&c, &ds), -EINVAL);
	memset(c.name, 'x', sizeof(c.name)); /* no end */
	assert_int_equal(datastore_open(&c, &ds), -EINVAL);
	ds = kit_open("one", DATASTORE_RAM);
	c = kit_config("one", DATASTORE_NFS);
	assert_int_equal(datastore_open(&c, &ds), -EEXIST);
	c = kit_config("two", (enum datastore_kind)77);
	assert_int_equal(datastore_open(&c, &ds), -EINVAL);
	assert_int_equal(datastore_count(), 1);
}

static void there_is_a_last_one(void **state)
{
	struct datastore_config c;
	struct datastore *ds;
	char name[16];

	for (unsigned i = 0; i < DATASTORE_MAX; i++) {
		snprintf(name, sizeof(name), "ds%u", i);
		kit_open(name, DATASTORE_RAM);
	}
	c = kit_config("more", DATASTORE_RAM);
	assert_int_equal(datastore_open(&c, &ds), -ENOSPC);
	datastore_close(datastore_find("ds7"));
	assert_null(datastore_find("ds7"));
	assert_string_equal(datastore_name(datastore_get(7)), "ds8");
	assert_null(datastore_get(DATASTORE_MAX - 1));
	assert_int_equal(datastore_open(&c, &ds), 0);
}

static void a_failed_open_leaves_nothing(void **state)
{
	struct datastore_config c = kit_config("san1", DATASTORE_ISCSI);
	struct datastore *ds;

	kit_open_error = -EINVAL;
	assert_int_equal(datastore_open(&c, &ds), -EINVAL);
	kit_open_error = 0;
	native_fail_alloc(1);
	assert_int_equal(datastore_open(&c, &ds), -ENOMEM);
	native_fail_alloc(0);
	assert_int_equal(datastore_count(), 0);
	assert_false(kit_link_open("san1"));
}

static void ram_is_there_at_once(void **state)
{
	assert_int_equal(datastore_state(kit_open("ram1", DATASTORE_RAM)), DATASTORE_ONLINE);
}

static unsigned changes;

static void count_change(struct datastore *ds, void *arg)
{
	assert_ptr_equal(arg, &changes);
	changes++;
}

static void the_state_follows_the_link(void **state)
{
	struct datastore *ds = kit_open("san1", DATASTORE_ISCSI);
	struct datastore_stats s;

	changes = 0;
	datastore_on_change(ds, count_change, &changes);
	assert_int_equal(datastore_state(ds), DATASTORE_ATTACHING);
	kit_link("san1", STORAGE_LINK_LOST); /* before it was reached: nothing is lost */
	kit_link("san1", STORAGE_LINK_CONNECTING);
	assert_int_equal(datastore_state(ds), DATASTORE_ATTACHING);
	datastore_stats(ds, &s);
	assert_string_equal(s.reason, "the cable is out");
	kit_link("san1", STORAGE_LINK_READY);
	assert_int_equal(datastore_state(ds), DATASTORE_ONLINE);
	native_time_advance(5 * MS);
	kit_link("san1", STORAGE_LINK_LOST);
	assert_int_equal(datastore_state(ds), DATASTORE_WAITING);
	native_time_advance(7 * MS);
	datastore_stats(ds, &s);
	assert_int_equal(s.state, DATASTORE_WAITING);
	assert_int_equal(s.waiting_ns, 7 * MS);
	kit_link("san1", STORAGE_LINK_CONNECTING);
	native_time_advance(4 * MS);
	kit_link("san1", STORAGE_LINK_READY);
	native_time_advance(100 * MS);
	datastore_stats(ds, &s);
	assert_int_equal(s.waiting_ns, 11 * MS);
	assert_int_equal(s.state_changes, 3);
	assert_int_equal(s.link.losses, 1);
	assert_int_equal(changes, 3);
	datastore_on_change(ds, NULL, NULL);
}

static void states_have_texts(void **state)
{
	assert_string_equal(datastore_state_text(DATASTORE_ATTACHING), "attaching");
	assert_string_equal(datastore_state_text(DATASTORE_WAITING), "waiting");
	assert_string_equal(datastore_state_text((enum datastore_state)99), "?");
}

/* ---- waiting ---- */

struct waiter {
	struct datastore *ds;
	uint64_t deadline_ns;
	int result; /* 1: still waits */
};

static void wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->result = datastore_wait(w->ds, w->deadline_ns);
}

static void spawn(struct waiter *w, struct datastore *ds, uint64_t deadline_ns)
{
	*w = (struct waiter){.ds = ds, .deadline_ns = deadline_ns, .result = 1};
	assert_int_equal(hv_fiber_spawn("waiter", wait_for_it, w, 0), 0);
	native_run(50);
}

static void all_who_wait_go_on_when_it_appears(void **state)
{
	struct datastore *san = kit_open("san1", DATASTORE_ISCSI), *nas = kit_open("nas1", DATASTORE_NFS);
	struct waiter a, b, c, d;

	spawn(&a, san, 0);
	spawn(&b, san, 0);
	spawn(&c, nas, 0);
	assert_true(a.result == 1 && b.result == 1 && c.result == 1);
	kit_link("san1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(a.result, 0);
	assert_int_equal(b.result, 0);
	assert_int_equal(c.result, 1); /* one does not wait for another */
	kit_link("san1", STORAGE_LINK_LOST);
	spawn(&d, san, 0); /* it has been reached once: opening waits by itself */
	assert_int_equal(d.result, 0);
	kit_link("nas1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(c.result, 0);
}

static void waiting_has_a_deadline(void **state)
{
	struct datastore *ds = kit_open("san1", DATASTORE_ISCSI);
	struct waiter a, b;

	spawn(&a, ds, hv_now_ns() + 1000 * MS);
	spawn(&b, ds, 0);
	assert_int_equal(a.result, 1);
	native_time_advance(1001 * MS);
	native_run(50);
	assert_int_equal(a.result, -ETIMEDOUT);
	assert_int_equal(b.result, 1);
	kit_link("san1", STORAGE_LINK_READY);
	native_run(50);
	assert_int_equal(b.result, 0);
}

static void a_link_that_closes_ends_the_wait(void **state)
{
	struct datastore *ds = kit_open("nas1", DATASTORE_NFS);
	struct waiter a;

	spawn(&a, ds, 0);
	kit_link("nas1", STORAGE_LINK_CLOSED);
	native_run(50);
	assert_int_equal(a.result, -ESHUTDOWN);
	assert_int_equal(datastore_state(ds), DATASTORE_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(opening_checks_names),
		T(there_is_a_last_one),
		T(a_failed_open_leaves_nothing),
		T(ram_is_there_at_once),
		T(the_state_follows_the_link),
		T(states_have_texts),
		T(all_who_wait_go_on_when_it_appears),
		T(waiting_has_a_deadline),
		T(a_link_that_closes_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
