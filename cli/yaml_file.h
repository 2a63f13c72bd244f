/*
 * YAML -> JSON of the same shape, with the position of every key and value. The JSON is what the host reads, so types and rules are left to
 * config/read.c; here is only what YAML adds: scalars without quotes, anchors, and secrets named by file.
 */
#ifndef CLI_YAML_FILE_H
#define CLI_YAML_FILE_H

#include "marks.h"
#include "problems.h"

#include <yyjson.h>

/* A secret that the YAML names: "file:PATH" at a place. In the JSON it stands as "module:NAME", NAME being the last part of PATH. */
struct secret_use {
	char *place; /* path in the configuration */
	char *file;  /* as written behind "file:" */
	char *name;
};

struct yaml_file {
	yyjson_mut_doc *json;
	struct marks marks;
	struct secret_use *secrets;
	unsigned secret_count;
};

/* Reports what is wrong to problems; *out is to be freed in any case. False: there were errors. */
bool yaml_file_read(const char *text, size_t len, struct yaml_file *out, struct problems *problems);
void yaml_file_free(struct yaml_file *yaml);

#endif
