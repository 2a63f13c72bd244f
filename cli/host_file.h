/* A host's YAML file, read, converted, decoded and checked; and the boot modules it needs. What `check` and `compile` share. */
#ifndef CLI_HOST_FILE_H
#define CLI_HOST_FILE_H

#include "command.h"
#include "problems.h"
#include "yaml_file.h"

/* A boot module the configuration names, and the file it will be made from. */
struct needed_file {
	char *name, *path; /* path NULL: not known */
};

struct host_file {
	struct problems problems;
	char *text;
	struct yaml_file yaml;
	struct config *config; /* valid if there were no errors */
	char *json;            /* for the host */
	size_t json_len;
	struct needed_file *needed;
	unsigned needed_count;
};

/*
 * Loads arguments->operand. need_secrets: a secret that cannot be read is an error, else a warning.
 * EXIT_OK, EXIT_INVALID, or EXIT_SYSTEM; problems (with --strict, warnings count) are to be printed by the caller.
 */
int host_file_load(struct host_file *host, const struct arguments *arguments, bool need_secrets);
void host_file_free(struct host_file *host);
/* Adds what --json prints of a load: {ok, file, problems}. */
yyjson_mut_val *host_file_json(struct host_file *host, yyjson_mut_doc *doc, int result);
/* Prints a JSON document on standard output. */
int print_json(yyjson_mut_doc *doc);

#endif
