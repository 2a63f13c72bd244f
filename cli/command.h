/* The commands of `berth` and their options: one table (main.c) from which --help, parsing, hints and completion are made. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum exit_code {
	EXIT_OK = 0,
	EXIT_INVALID = 1, /* the configuration has errors */
	EXIT_USAGE = 2,   /* the command line has */
	EXIT_SYSTEM = 3,  /* a file cannot be read or written, no memory */
};

enum option_id {
	OPTION_HELP,
	OPTION_JSON,
	OPTION_STRICT,
	OPTION_OUTPUT,
	OPTION_ISO,
	OPTION_IMAGE,
	OPTION_APPEND,
	OPTION_FILE,
	OPTION_LIST_FILES,
	OPTION_ALL_FILES,
	OPTION_MARKDOWN,
	OPTION_CONSOLE,
	OPTION_PCAPNG,
	OPTION_FRAME,
	OPTION_PCAP,
	OPTION_DESCRIBE,
	OPTION_DRY_RUN,
	OPTION_WAIT,
	OPTION_VERSION,
	OPTION_COUNT,
};

struct option_row {
	const char *name;   /* "--output" */
	const char *letter; /* "-o" or NULL */
	const char *value;  /* "OUT.json", or NULL for a switch */
	const char *doc;
};

extern const struct option_row option_rows[OPTION_COUNT];

#define MAX_GIVEN_FILES 256

/* What the command line said. */
struct arguments {
	const char *operand, *second;       /* FILE.yaml, another; or NULL */
	const char *values[OPTION_COUNT];   /* of the last time the option was given; "" for a switch; NULL: not given */
	const char *files[MAX_GIVEN_FILES]; /* --file NAME=PATH, in order */
	unsigned file_count;
};

struct command {
	const char *name;
	const char *operand, *second; /* "FILE.yaml", or NULL */
	const char *summary, *details, *examples;
	unsigned options; /* bits: 1 << OPTION_... */
	int (*run)(const struct arguments *arguments);
};

extern const struct command commands[];
extern const size_t command_count;

int command_check(const struct arguments *arguments);
int command_compile(const struct arguments *arguments);
int command_iso(const struct arguments *arguments);
int command_apply(const struct arguments *arguments);
int command_diff(const struct arguments *arguments);
int command_capture(const struct arguments *arguments);
int command_trace(const struct arguments *arguments);
int command_schema(const struct arguments *arguments);
int command_completion(const struct arguments *arguments);

#endif
