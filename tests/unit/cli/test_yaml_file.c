/* cli/yaml_file.c, marks.c: YAML becomes JSON of the same shape, and every place has its position. */
#include "test.h"

#include "yaml_file.h"

#include <stdio.h>
#include <stdlib.h>

static struct problems problems;
static struct yaml_file yaml;

static bool convert(const char *text)
{
	problems = (struct problems){.file = "test.yaml"};
	return yaml_file_read(text, strlen(text), &yaml, &problems);
}

static void done(void)
{
	yaml_file_free(&yaml);
	problems_free(&problems);
}

static void becomes(const char *text, const char *json)
{
	assert_true(convert(text));
	char *got = yyjson_mut_write(yaml.json, 0, NULL);
	assert_string_equal(got, json);
	free(got);
	done();
}

static void refused(const char *text, unsigned line, unsigned column, const char *message)
{
	assert_false(convert(text));
	assert_true(problems.errors >= 1);
	if (problems.list[0].position.line != line || problems.list[0].position.column != column ||
		!strstr(problems.list[0].message, message))
		fail_msg("%s: got %u:%u: %s", text, problems.list[0].position.line, problems.list[0].position.column,
			problems.list[0].message);
	done();
}

static void scalars(void **state)
{
	becomes("a: [0, 7, -7, +7, 18446744073709551615, -9223372036854775808]",
		"{\"a\":[0,7,-7,7,18446744073709551615,-9223372036854775808]}");
	becomes("a: [007, 0x10, 1.5, 1e3, 18446744073709551616, 1_000, 52:54:00]",
		"{\"a\":[\"007\",\"0x10\",\"1.5\",\"1e3\",\"18446744073709551616\",\"1_000\",\"52:54:00\"]}");
	becomes("a: [true, FALSE, yes, no, on, off, ~, null, ]", "{\"a\":[true,false,\"yes\",\"no\",\"on\",\"off\",null,null]}");
	becomes("a: ['1', \"true\", '', -, +]", "{\"a\":[\"1\",\"true\",\"\",\"-\",\"+\"]}");
}

static void structure(void **state)
{
	becomes("a:\n  - {b: 1}\n  - c\nd: {}\n", "{\"a\":[{\"b\":1},\"c\"],\"d\":{}}");
	becomes("a: &x {b: [1]}\nc: *x\n", "{\"a\":{\"b\":[1]},\"c\":{\"b\":[1]}}");
	becomes("a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}");
}

static void positions(void **state)
{
	assert_true(convert("host: {name: hv1}\nvms:\n  - name: \xc3\xbc\n    nics: [{portgroup: a}, {portgroup: b}]\n"));
	static const struct {
		const char *path;
		bool at_key;
		unsigned line, column;
	} expected[] = {{"", false, 1, 1}, {"host", true, 1, 1}, {"host", false, 1, 7}, {"host.name", true, 1, 8},
		{"host.name", false, 1, 14}, {"vms", false, 3, 3}, {"vms[0]", false, 3, 5}, {"vms[0].nics[1]", false, 4, 28},
		{"vms[0].nics[1].portgroup", false, 4, 40}, {"vms[0].nics[1].portgroup", true, 4, 29},
		/* no such place: the nearest around it */
		{"vms[0].nics[1].mac", true, 4, 28}, {"vms[0].boot.linux", false, 3, 5}, {"vms[7].name", false, 3, 3},
		{"nothing", false, 1, 1}};
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct position p = marks_find(&yaml.marks, expected[i].path, expected[i].at_key);
		if (p.line != expected[i].line || p.column != expected[i].column)
			fail_msg("%s: got %u:%u", expected[i].path, p.line, p.column);
	}
	done();
}

static void secrets(void **state)
{
	static const char one[] =
		"datastores: [{iscsi: {chap: {secret: 'file:keys/san1.secret'}}}, {iscsi: {chap: {secret: file:keys/san1.secret}}}]";
	becomes(one, "{\"datastores\":[{\"iscsi\":{\"chap\":{\"secret\":\"module:san1.secret\"}}},"
		     "{\"iscsi\":{\"chap\":{\"secret\":\"module:san1.secret\"}}}]}");
	assert_true(convert(one));
	assert_int_equal(yaml.secret_count, 2);
	assert_string_equal(yaml.secrets[1].file, "keys/san1.secret");
	assert_string_equal(yaml.secrets[1].place, "datastores[1].iscsi.chap.secret");
	done();
	/* only where the grammar has a secret */
	becomes("host: {name: 'file:x'}", "{\"host\":{\"name\":\"file:x\"}}");
	refused("datastores: [{iscsi: {chap: {secret: 'file:a/s'}}}, {iscsi: {chap: {secret: file:b/s}}}]", 1, 77,
		"two different files are called \"s\"");
	refused("datastores: [{iscsi: {chap: {secret: 'file:a/'}}}]", 1, 38, "names no file");
}

static void syntax(void **state)
{
	refused("", 1, 1, "empty");
	refused("# nothing\n", 1, 1, "empty");
	refused("a: [1\nb: 2\n", 2, 2, "did not find expected");
	refused("a:\n\t- 1\n", 2, 1, "cannot start any token");
	refused("a: b: c\n", 1, 5, "mapping values are not allowed");
	refused("a: \x01\n", 1, 4, "control characters");
	refused("\xff\xfe", 1, 1, "");
	refused("a: *b\n", 1, 4, "undefined alias");
	refused("a: 1\n---\nb: 2\n", 3, 1, "two YAML documents");
	refused("host: {name: a}\nhost: {name: b}\n", 2, 1, "\"host\" is given twice");
	refused("? [a]\n: 1\n", 1, 3, "a key must be a word");
	refused("a: &x [*x]\n", 1, 4, "nested too deeply");
}

/* Aliases that double at each level would become a billion values. */
static void laughs(void **state)
{
	refused("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
		"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
		1, 24, "too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),
		cmocka_unit_test(structure),
		cmocka_unit_test(positions),
		cmocka_unit_test(secrets),
		cmocka_unit_test(syntax),
		cmocka_unit_test(laughs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
