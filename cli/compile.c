/* berth compile FILE.yaml [-o OUT.json] */
#include "host_file.h"

#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Writes beside the target and renames, so that a reader never sees half a file and a failure leaves the old one. */
static int write_file(const char *path, const char *text, size_t len)
{
	char *temporary = must_printf("%s.%ld.tmp", path, (long)getpid());
	FILE *file = fopen(temporary, "w");
	bool good = file && fwrite(text, 1, len, file) == len;
	if (file && fclose(file))
		good = false;
	if (good && rename(temporary, path))
		good = false;
	if (!good) {
		fprintf(stderr, "berth: %s cannot be written: %s\n", path, strerror(errno));
		unlink(temporary);
	}
	free(temporary);
	return good ? EXIT_OK : EXIT_SYSTEM;
}

static void add_files(const struct host_file *host, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "files");
	for (unsigned i = 0; i < host->needed_count; i++) {
		yyjson_mut_val *file = yyjson_mut_arr_add_obj(doc, list);
		yyjson_mut_obj_add_strcpy(doc, file, "name", host->needed[i].name);
		if (host->needed[i].path)
			yyjson_mut_obj_add_strcpy(doc, file, "path", host->needed[i].path);
		else
			yyjson_mut_obj_add_null(doc, file, "path");
	}
}

static int print_result_json(struct host_file *host, int result)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = host_file_json(host, doc, result);
	add_files(host, doc, root);
	int printed = print_json(doc);
	yyjson_mut_doc_free(doc);
	return printed ? printed : result;
}

/* Modules whose files are not known are left out: they are in what --json prints. */
static void print_known_files(const struct host_file *host)
{
	for (unsigned i = 0; i < host->needed_count; i++)
		if (host->needed[i].path)
			printf("%s=%s\n", host->needed[i].name, host->needed[i].path);
}

int command_compile(const struct arguments *arguments)
{
	struct host_file host;
	const char *output = arguments->values[OPTION_OUTPUT];
	bool as_json = arguments->values[OPTION_JSON], list = arguments->values[OPTION_LIST_FILES];
	int result = host_file_load(&host, arguments, true);
	if (!as_json)
		problems_print(&host.problems);
	if (result == EXIT_OK && output)
		result = write_file(output, host.json, host.json_len);
	else if (result == EXIT_OK && !list && !as_json)
		fwrite(host.json, 1, host.json_len, stdout);
	if (as_json)
		result = print_result_json(&host, result);
	else if (result == EXIT_OK && list)
		print_known_files(&host);
	host_file_free(&host);
	return result;
}
