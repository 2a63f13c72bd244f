/*
 * Fuzz target: any bytes as a host's JSON. Decoding reports or succeeds; what it accepts, the rules can judge; nothing crashes, and an
 * error is reported exactly when one is returned.
 *
 * fuzz: config/check.c config/check_network.c config/check_storage.c config/check_teaming.c config/check_vlan.c config/check_vm.c config/decode.c config/grammar.c
 * fuzz: config/mac.c config/path.c config/read.c config/report.c config/suggest.c config/value.c subprojects/yyjson/src/yyjson.c
 * fuzz-flags: -Iconfig -Iconfig/include -Ivswitch/include -Inet/include -Istorage/include -Idatastore/include
 * fuzz-flags: -Isubprojects/yyjson/src
 */
#include <config/config.h>
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
	return 0;
}
