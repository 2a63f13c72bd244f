/*
 * Fuzz target: any bytes as a host's YAML, through the conversion to JSON, decoding and the rules. Every error has a position.
 * Seeds: copy config/examples and tests/unit/cli/broken to a folder and name it as the corpus.
 *
 * fuzz: config/check.c config/check_limits.c config/check_mirror.c config/check_network.c config/check_private.c config/check_storage.c config/check_teaming.c config/check_vlan.c config/check_vm.c config/decode.c config/grammar.c config/grammar_mirror.c config/grammar_storage.c config/grammar_vm.c config/grammar_vswitch.c
 * fuzz: config/mac.c config/path.c config/position.c config/read.c config/report.c config/suggest.c config/value.c subprojects/yyjson/src/yyjson.c
 * fuzz: cli/yaml_file.c cli/marks.c cli/memory.c cli/problems.c
 * fuzz-flags: -Iconfig -Iconfig/include -Ivswitch/include -Inet/include -Istorage/include -Idatastore/include
 * fuzz-flags: -Isubprojects/yyjson/src
 * fuzz-flags: -Icli
 * fuzz-libraries: -lyaml
 */
#include "yaml_file.h"

#include <config/config.h>
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	struct problems problems;
	struct yaml_file yaml;
};

static void report(void *arg, const struct config_problem *p)
{
	struct target *t = arg;
	problems_add(&t->problems, p->severity, marks_find(&t->yaml.marks, p->path, p->at_key), p->path, p->hint, "%s", p->message);
}

static int secret(void *arg, const char *name, char *out, size_t size)
{
	return -EAGAIN;
}

static void decode(struct target *t)
{
	static struct config *config;
	struct config_sink sink = {report, t};
	struct config_secrets secrets = {secret, NULL};
	size_t len;
	char *json = yyjson_mut_write(t->yaml.json, 0, &len);
	if (!config)
		config = malloc(sizeof(*config));
	if (json && !config_read_json(json, len, config, &secrets, &sink) && config_check(config, &sink) && !t->problems.errors)
		abort();
	free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t = {.problems = {.file = "fuzz.yaml", .text = (const char *)data, .len = size}};
	if (yaml_file_read((const char *)data, size, &t.yaml, &t.problems))
		decode(&t);
	for (unsigned i = 0; i < t.problems.count; i++)
		if (!t.problems.list[i].position.line || !t.problems.list[i].position.column)
			abort();
	yaml_file_free(&t.yaml);
	problems_free(&t.problems);
	return 0;
}
