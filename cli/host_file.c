/*
 * Loads a host's YAML file: text -> JSON (yaml_file.c) -> struct config (config/read.c, as on the host) -> rules (config/check.c, as on the
 * host). Problems found on a path of the configuration are given the position that yaml_file.c noted for it.
 */
#include "host_file.h"

#include "memory.h"
#include "position.h"

#include <config/path.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (4u << 20)

/* ---- reading files ---- */

/* The contents and a NUL, or NULL and errno (EFBIG: more than max). mode, if wanted, is the file's. */
static char *read_file(const char *path, size_t max, size_t *len, mode_t *mode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || S_ISDIR(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : errno;
		close(fd);
		return NULL;
	}
	text = must_realloc(NULL, max + 2);
	ssize_t n;
	for (*len = 0; *len <= max && (n = read(fd, text + *len, max + 1 - *len)) != 0; *len += n > 0 ? (size_t)n : 0) {
		if (n < 0 && errno != EINTR) {
			int error = errno;
			free(text);
			close(fd);
			errno = error;
			return NULL;
		}
	}
	close(fd);
	if (*len > max) {
		free(text);
		errno = EFBIG;
		return NULL;
	}
	text[*len] = 0;
	if (mode)
		*mode = st.st_mode;
	return text;
}

/* PATH of --file NAME=PATH, or NULL. The last one given counts. */
static const char *given_file(const struct arguments *arguments, const char *name)
{
	for (unsigned i = arguments->file_count; i-- > 0;) {
		const char *equals = strchr(arguments->files[i], '=');
		if ((size_t)(equals - arguments->files[i]) == strlen(name) && !strncmp(arguments->files[i], name, strlen(name)))
			return equals + 1;
	}
	return NULL;
}

/* ---- secrets ---- */

struct secret_source {
	struct host_file *host;
	const struct arguments *arguments;
	bool needed;
};

/* Where a secret's file is: --file, or relative to the YAML file. */
static char *secret_path(const struct secret_source *source, const struct secret_use *use)
{
	const char *given = given_file(source->arguments, use->name), *yaml = source->arguments->operand, *slash = strrchr(yaml, '/');
	if (given)
		return must_strdup(given);
	if (use->file[0] == '/' || !slash)
		return must_strdup(use->file);
	return must_printf("%.*s/%s", (int)(slash - yaml), yaml, use->file);
}

static void report_secret(struct secret_source *source, const struct secret_use *use, const char *path, int error)
{
	struct host_file *host = source->host;
	char *hint = error == ENOENT ? must_printf("make it: (umask 077; printf %%s 'THE SECRET' > %s)", path) : must_strdup("");
	problems_add(&host->problems, source->needed ? CONFIG_ERROR : CONFIG_WARNING, marks_find(&host->yaml.marks, use->place, false),
		use->place, hint, "the secret file \"%s\" cannot be read: %s", path, strerror(error));
	free(hint);
}

/* config_secrets.secret: what the host does with boot modules, done with files. */
static int read_secret(void *arg, const char *name, char *out, size_t size)
{
	struct secret_source *source = arg;
	struct host_file *host = source->host;
	const struct secret_use *use = NULL;
	for (unsigned i = 0; i < host->yaml.secret_count; i++)
		if (!strcmp(host->yaml.secrets[i].name, name))
			use = &host->yaml.secrets[i];
	if (!use)
		return -EAGAIN; /* "module:NAME" in the YAML: the file is somebody else's to bring */
	char *path = secret_path(source, use);
	size_t len = 0;
	mode_t mode = 0;
	char *text = read_file(path, 4096, &len, &mode);
	int result = -EAGAIN; /* what is wrong is reported here, with the file's name */
	if (!text) {
		report_secret(source, use, path, errno);
	} else {
		if (mode & 077) {
			char *hint = must_printf("chmod 600 %s", path);
			problems_add(&host->problems, CONFIG_WARNING, marks_find(&host->yaml.marks, use->place, false), use->place, hint,
				"the secret file \"%s\" can be read by others", path);
			free(hint);
		}
		len -= len && text[len - 1] == '\n';
		len -= len && text[len - 1] == '\r';
		if (memchr(text, 0, len) || len >= size) {
			result = -ENAMETOOLONG;
		} else {
			memcpy(out, text, len);
			out[len] = 0;
			result = (int)len;
		}
		explicit_bzero(text, 4096);
		free(text);
	}
	free(path);
	return result;
}

/* ---- boot modules ---- */

static void need_file(struct host_file *host, const char *name, const char *path)
{
	for (unsigned i = 0; i < host->needed_count; i++)
		if (!strcmp(host->needed[i].name, name))
			return;
	host->needed = must_realloc(host->needed, (host->needed_count + 1) * sizeof(host->needed[0]));
	host->needed[host->needed_count++] = (struct needed_file){must_strdup(name), path ? must_strdup(path) : NULL};
}

static void need_module(struct host_file *host, const struct arguments *arguments, const struct config_file_ref *ref, const char *place)
{
	if (!ref->present || !ref->is_module)
		return;
	const char *path = given_file(arguments, ref->path);
	if (!path && arguments->values[OPTION_ALL_FILES]) {
		char *hint = must_printf("add: --file %s=PATH", ref->path);
		problems_add(&host->problems, CONFIG_ERROR, marks_find(&host->yaml.marks, place, false), place, hint,
			"no file is given for boot module \"%s\"", ref->path);
		free(hint);
	}
	if (path && access(path, R_OK)) {
		problems_add(&host->problems, CONFIG_ERROR, marks_find(&host->yaml.marks, place, false), place, NULL,
			"the file \"%s\" given for boot module \"%s\" cannot be read: %s", path, ref->path, strerror(errno));
	}
	need_file(host, ref->path, path);
}

static void collect_needed(struct host_file *host, struct secret_source *source)
{
	char place[CONFIG_PATH_MAX + 1];
	for (unsigned i = 0; i < host->yaml.secret_count; i++) {
		char *path = secret_path(source, &host->yaml.secrets[i]);
		need_file(host, host->yaml.secrets[i].name, path);
		free(path);
	}
	for (unsigned v = 0; v < host->config->vm_count; v++) {
		const struct config_vm *vm = &host->config->vms[v];
		snprintf(place, sizeof(place), "vms[%u].boot.%s", v, vm->boot == CONFIG_BOOT_LINUX ? "linux" : "multiboot");
		need_module(host, source->arguments, &vm->kernel, place);
		snprintf(place, sizeof(place), "vms[%u].boot.initrd", v);
		need_module(host, source->arguments, &vm->initrd, place);
		for (unsigned m = 0; m < vm->module_count; m++) {
			snprintf(place, sizeof(place), "vms[%u].boot.modules[%u]", v, m);
			need_module(host, source->arguments, &vm->modules[m], place);
		}
	}
}

/* ---- loading ---- */

static void report_problem(void *arg, const struct config_problem *problem)
{
	struct host_file *host = arg;
	problems_add(&host->problems, problem->severity, marks_find(&host->yaml.marks, problem->path, problem->at_key), problem->path,
		problem->hint, "%s", problem->message);
}

/*
 * Adds the key by which the host finds file:line (config/position.c). Places on the line of the place around them are left out. The YAML has
 * no such key.
 */
static void add_positions(struct host_file *host)
{
	yyjson_mut_doc *doc = host->yaml.json;
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *positions, *lines;
	const struct marks *marks = &host->yaml.marks;
	const char *slash = strrchr(host->problems.file, '/');
	if (!yyjson_mut_is_obj(root))
		return;
	if (yyjson_mut_obj_get(root, CONFIG_POSITIONS_KEY)) {
		problems_add(&host->problems, CONFIG_ERROR, marks_find(marks, CONFIG_POSITIONS_KEY, true), CONFIG_POSITIONS_KEY,
			"take it out: berth compile adds it", "\"%s\" is not a key of the YAML file", CONFIG_POSITIONS_KEY);
		return;
	}
	positions = yyjson_mut_obj_add_obj(doc, root, CONFIG_POSITIONS_KEY);
	yyjson_mut_obj_add_strcpy(doc, positions, "file", slash ? slash + 1 : host->problems.file);
	lines = yyjson_mut_obj_add_obj(doc, positions, "lines");
	for (size_t i = 0, count = 0; i < marks->count && count < CONFIG_MAX_POSITIONS; i++) {
		const struct mark *mark = &marks->marks[i];
		if (!mark->path[0] || mark->key.line == marks_line_around(marks, i))
			continue;
		yyjson_mut_obj_add(lines, yyjson_mut_strcpy(doc, mark->path), yyjson_mut_uint(doc, mark->key.line));
		count++;
	}
}

static void decode_and_check(struct host_file *host, struct secret_source *source)
{
	struct config_sink sink = {report_problem, host};
	struct config_secrets secrets = {read_secret, source};
	add_positions(host);
	host->json = yyjson_mut_write(host->yaml.json, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, &host->json_len);
	if (!host->json) {
		problems_add(&host->problems, CONFIG_ERROR, (struct position){0, 0}, "", NULL, "the file cannot be written as JSON");
		return;
	}
	host->config = must_calloc(1, sizeof(*host->config));
	if (config_read_json(host->json, host->json_len, host->config, &secrets, &sink))
		return;
	if (!config_check(host->config, &sink))
		collect_needed(host, source);
}

int host_file_load(struct host_file *host, const struct arguments *arguments, bool need_secrets)
{
	struct secret_source source = {host, arguments, need_secrets};
	*host = (struct host_file){.problems = {.file = arguments->operand}};
	host->text = read_file(arguments->operand, MAX_FILE_BYTES, &host->problems.len, NULL);
	if (!host->text) {
		problems_add(&host->problems, CONFIG_ERROR, (struct position){0, 0}, "", NULL, "cannot be read: %s", strerror(errno));
		return EXIT_SYSTEM;
	}
	host->problems.text = host->text;
	if (yaml_file_read(host->text, host->problems.len, &host->yaml, &host->problems))
		decode_and_check(host, &source);
	bool bad = host->problems.errors || (arguments->values[OPTION_STRICT] && host->problems.warnings);
	return bad ? EXIT_INVALID : EXIT_OK;
}

void host_file_free(struct host_file *host)
{
	problems_free(&host->problems);
	yaml_file_free(&host->yaml);
	for (unsigned i = 0; i < host->needed_count; i++) {
		free(host->needed[i].name);
		free(host->needed[i].path);
	}
	free(host->needed);
	if (host->config)
		explicit_bzero(host->config, sizeof(*host->config)); /* it holds secrets */
	free(host->config);
	free(host->json);
	free(host->text);
}

yyjson_mut_val *host_file_json(struct host_file *host, yyjson_mut_doc *doc, int result)
{
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_bool(doc, root, "ok", result == EXIT_OK);
	yyjson_mut_obj_add_strcpy(doc, root, "file", host->problems.file);
	yyjson_mut_obj_add_val(doc, root, "problems", problems_json(&host->problems, doc));
	return root;
}

int print_json(yyjson_mut_doc *doc)
{
	char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, NULL);
	if (!text) {
		fputs("berth: out of memory\n", stderr);
		return EXIT_SYSTEM;
	}
	fputs(text, stdout);
	free(text);
	return EXIT_OK;
}
