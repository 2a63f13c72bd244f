/*
 * Fuzz target: any bytes as a host's JSON. Decoding reports or succeeds; what it accepts, the rules can judge; nothing crashes, and an
 * error is reported exactly when one is returned. A good configuration does not differ from itself, and any two can be compared.
 *
 * fuzz: config/check.c config/check_limits.c config/check_mirror.c config/check_network.c config/check_private.c config/check_storage.c config/check_teaming.c config/check_vlan.c config/check_vm.c config/decode.c config/diff.c config/grammar.c config/grammar_mirror.c config/grammar_storage.c config/grammar_vm.c config/grammar_vswitch.c
 * fuzz: config/mac.c config/path.c config/position.c config/read.c config/report.c config/suggest.c config/value.c config/value_text.c subprojects/yyjson/src/yyjson.c
 * fuzz-flags: -Iconfig -Iconfig/include -Ivswitch/include -Inet/include -Istorage/include -Idatastore/include
 * fuzz-flags: -Isubprojects/yyjson/src
 */
#include <config/diff.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct counts {
	unsigned errors, length;
};

static void count(void *arg, const struct config_problem *problem)
{
	struct counts *counts = arg;
	counts->errors += problem->severity == CONFIG_ERROR;
	counts->length += (unsigned)(strlen(problem->path) + strlen(problem->message) + strlen(problem->hint));
}

static int secret(void *arg, const char *name, char *out, size_t size)
{
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	strcpy(out, name);
	return (int)strlen(name);
}

static void difference(void *arg, const struct config_difference *d)
{
	char text[256];
	if (strlen(config_difference_text(d, text, sizeof(text))) >= sizeof(text))
		abort();
}

static void compare(struct config *config)
{
	static struct config *before; /* the last good one */
	if (config_diff(config, config, difference, NULL))
		abort();
	if (before)
		config_diff(before, config, difference, NULL);
	else
		before = malloc(sizeof(*before));
	memcpy(before, config, sizeof(*before));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *config;
	struct counts counts = {0, 0};
	struct config_sink sink = {count, &counts};
	struct config_secrets secrets = {secret, NULL};
	if (!config)
		config = malloc(sizeof(*config));
	int result = config_read_json((const char *)data, size, config, &secrets, &sink);
	if ((result != 0) != (counts.errors != 0))
		abort();
	if (result)
		return 0;
	result = config_check(config, &sink);
	if ((result != 0) != (counts.errors != 0))
		abort();
	if (!result)
		compare(config);
	return 0;
}
