/*
 * YAML -> JSON. libyaml composes the document (a tree of nodes with marks); this file walks it along the grammar table.
 *
 * Scalars without quotes are resolved by YAML 1.2's core schema, but for what is easily misread: "yes" and "on" are text, and so are
 * numbers with leading zeros, in other bases or with a fraction; read.c then says what it wanted instead. The file may be hostile: nesting
 * and the number of nodes that aliases expand to are bounded.
 */
#include "yaml_file.h"

#include "memory.h"

#include <config/path.h>
#include <config/schema.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define MAX_DEPTH 16
#define MAX_NODES 200000

struct walk {
	yaml_document_t *document;
	struct yaml_file *out;
	struct problems *problems;
	struct config_path path;
	unsigned depth, nodes;
	bool stopped; /* a limit was hit and reported */
};

static yyjson_mut_val *convert(struct walk *w, const yaml_node_t *node, const struct config_object *object, enum config_type type);

static struct position at(yaml_mark_t mark)
{
	return (struct position){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(text, *words))
			return true;
	return false;
}

/* A whole number as decimal digits, or nothing. */
static yyjson_mut_val *convert_number(yyjson_mut_doc *json, const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');
	size_t len = strlen(digits);
	if (!len || strspn(digits, "0123456789") != len || (*digits == '0' && len > 1))
		return NULL;
	errno = 0;
	if (*text == '-') {
		long long value = strtoll(text, NULL, 10);
		return errno ? NULL : yyjson_mut_sint(json, value);
	}
	unsigned long long value = strtoull(text, NULL, 10);
	return errno ? NULL : yyjson_mut_uint(json, value);
}

static yyjson_mut_val *convert_plain(yyjson_mut_doc *json, const char *text)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	if (is_one_of(text, nulls))
		return yyjson_mut_null(json);
	if (is_one_of(text, trues))
		return yyjson_mut_true(json);
	if (is_one_of(text, falses))
		return yyjson_mut_false(json);
	return convert_number(json, text);
}

/* "file:PATH" -> "module:NAME", remembered in the list of secrets. */
static yyjson_mut_val *convert_secret(struct walk *w, const yaml_node_t *node, const char *text)
{
	struct yaml_file *out = w->out;
	const char *file = text + strlen("file:"), *slash = strrchr(file, '/');
	const char *name = slash ? slash + 1 : file;
	if (!*name) {
		problems_add(w->problems, CONFIG_ERROR, at(node->start_mark), w->path.text, "write: secret: file:san1.secret",
			"\"%s\" names no file", text);
		return yyjson_mut_null(out->json);
	}
	for (unsigned i = 0; i < out->secret_count; i++)
		if (!strcmp(out->secrets[i].name, name) && strcmp(out->secrets[i].file, file) != 0)
			problems_add(w->problems, CONFIG_ERROR, at(node->start_mark), w->path.text,
				"rename one: the host knows a secret by the last part of its file's name",
				"two different files are called \"%s\"", name);
	out->secrets = must_realloc(out->secrets, (out->secret_count + 1) * sizeof(out->secrets[0]));
	out->secrets[out->secret_count++] =
		(struct secret_use){.place = must_strdup(w->path.text), .file = must_strdup(file), .name = must_strdup(name)};
	char *module = must_printf("module:%s", name);
	yyjson_mut_val *value = yyjson_mut_strcpy(out->json, module);
	free(module);
	return value;
}

static yyjson_mut_val *convert_scalar(struct walk *w, const yaml_node_t *node, enum config_type type)
{
	const char *text = (const char *)node->data.scalar.value;
	size_t len = node->data.scalar.length;
	yyjson_mut_val *value = NULL;
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strlen(text) == len)
		value = convert_plain(w->out->json, text);
	if (!value && type == CONFIG_TYPE_SECRET && strlen(text) == len && !strncmp(text, "file:", 5))
		value = convert_secret(w, node, text);
	return value ? value : yyjson_mut_strncpy(w->out->json, text, len);
}

/* ---- mappings and sequences ---- */

static const struct config_field *find_field(const struct config_object *object, const char *key)
{
	for (unsigned i = 0; object && i < object->field_count; i++)
		if (!strcmp(object->fields[i].key, key))
			return &object->fields[i];
	return NULL;
}

static void convert_pair(
	struct walk *w, const struct config_object *object, uint64_t *seen, yaml_node_pair_t *pair, yyjson_mut_val *mapping)
{
	yaml_node_t *key = yaml_document_get_node(w->document, pair->key), *value = yaml_document_get_node(w->document, pair->value);
	if (key->type != YAML_SCALAR_NODE) {
		problems_add(w->problems, CONFIG_ERROR, at(key->start_mark), w->path.text, NULL, "a key must be a word");
		return;
	}
	const char *text = (const char *)key->data.scalar.value;
	size_t mark = config_path_push_key(&w->path, text, key->data.scalar.length);
	const struct config_field *field = find_field(object, text);
	uint64_t bit = field ? 1ULL << (field - object->fields) : 0;
	if (*seen & bit) {
		problems_add(
			w->problems, CONFIG_ERROR, at(key->start_mark), w->path.text, "keep one of them", "\"%s\" is given twice", text);
	} else {
		*seen |= bit;
		/* Where a list's elements are objects, `object` describes each. */
		const struct config_object *inner =
			field && (field->type == CONFIG_TYPE_OBJECT || field->type == CONFIG_TYPE_LIST) ? field->object : NULL;
		marks_add(&w->out->marks, w->path.text, at(key->start_mark), at(value->start_mark));
		yyjson_mut_val *json = convert(w, value, inner, field ? field->type : CONFIG_TYPE_TEXT);
		if (json)
			yyjson_mut_obj_add(mapping, yyjson_mut_strncpy(w->out->json, text, key->data.scalar.length), json);
	}
	config_path_pop(&w->path, mark);
}

static yyjson_mut_val *convert_mapping(struct walk *w, const yaml_node_t *node, const struct config_object *object)
{
	yyjson_mut_val *mapping = yyjson_mut_obj(w->out->json);
	uint64_t seen = 0;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top && !w->stopped; pair++)
		convert_pair(w, object, &seen, pair, mapping);
	return mapping;
}

static yyjson_mut_val *convert_sequence(struct walk *w, const yaml_node_t *node, const struct config_object *object)
{
	yyjson_mut_val *list = yyjson_mut_arr(w->out->json);
	size_t index = 0;
	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top && !w->stopped; item++) {
		yaml_node_t *element = yaml_document_get_node(w->document, *item);
		size_t mark = config_path_push_index(&w->path, index++);
		marks_add(&w->out->marks, w->path.text, at(element->start_mark), at(element->start_mark));
		yyjson_mut_val *json = convert(w, element, object, CONFIG_TYPE_TEXT);
		if (json)
			yyjson_mut_arr_append(list, json);
		config_path_pop(&w->path, mark);
	}
	return list;
}

static bool within_limits(struct walk *w, const yaml_node_t *node)
{
	if (w->depth < MAX_DEPTH && w->nodes < MAX_NODES)
		return true;
	w->stopped = true;
	problems_add(w->problems, CONFIG_ERROR, at(node->start_mark), w->path.text,
		"does an alias (*name) contain itself, or many aliases each other?",
		w->depth >= MAX_DEPTH ? "the file is nested too deeply" : "the file is too large");
	return false;
}

static yyjson_mut_val *convert(struct walk *w, const yaml_node_t *node, const struct config_object *object, enum config_type type)
{
	if (!within_limits(w, node))
		return NULL;
	yyjson_mut_val *value;
	w->depth++;
	w->nodes++;
	if (node->type == YAML_MAPPING_NODE)
		value = convert_mapping(w, node, object);
	else if (node->type == YAML_SEQUENCE_NODE)
		value = convert_sequence(w, node, object);
	else
		value = convert_scalar(w, node, type);
	w->depth--;
	return value;
}

/* ---- the file ---- */

/* A byte offset as a position: reader errors (encoding) have no mark. */
static struct position position_of_byte(const char *text, size_t len, size_t offset)
{
	struct position p = {1, 1};
	for (size_t i = 0; i < offset && i < len; i++) {
		if (text[i] == '\n')
			p = (struct position){p.line + 1, 1};
		else if ((text[i] & 0xc0) != 0x80)
			p.column++;
	}
	return p;
}

static void report_syntax(const yaml_parser_t *parser, const char *text, size_t len, struct problems *problems)
{
	const char *problem = parser->problem ? parser->problem : "the file is not valid YAML";
	if (parser->error == YAML_READER_ERROR) {
		problems_add(problems, CONFIG_ERROR, position_of_byte(text, len, parser->problem_offset), "",
			"save the file as plain UTF-8 text", "YAML: %s", problem);
		return;
	}
	const char *hint = NULL;
	if (strstr(problem, "cannot start any token"))
		hint = "YAML indents by spaces, not tabs; text that begins with a special character needs quotes";
	else if (strstr(problem, "mapping values are not allowed"))
		hint = "text with \": \" in it needs quotes; is the indentation right?";
	else if (strstr(problem, "did not find expected"))
		hint = "is a bracket or quote open, or the indentation wrong?";
	problems_add(problems, CONFIG_ERROR, at(parser->problem_mark), "", hint, "YAML: %s%s%s", parser->context ? parser->context : "",
		parser->context ? ", " : "", problem);
}

static void convert_document(yaml_document_t *document, struct yaml_file *out, struct problems *problems)
{
	yaml_node_t *root = yaml_document_get_root_node(document);
	struct walk w = {.document = document, .out = out, .problems = problems};
	if (!root) {
		problems_add(problems, CONFIG_ERROR, (struct position){1, 1}, "", "begin with: host: {name: hv1}", "the file is empty");
		return;
	}
	marks_add(&out->marks, "", at(root->start_mark), at(root->start_mark));
	yyjson_mut_doc_set_root(out->json, convert(&w, root, &config_root, CONFIG_TYPE_OBJECT));
}

static void refuse_second_document(yaml_parser_t *parser, const char *text, size_t len, struct problems *problems)
{
	yaml_document_t document;
	if (!yaml_parser_load(parser, &document)) {
		report_syntax(parser, text, len, problems);
		return;
	}
	yaml_node_t *root = yaml_document_get_root_node(&document);
	if (root)
		problems_add(problems, CONFIG_ERROR, at(root->start_mark), "", "take out the line \"---\" between them",
			"the file has two YAML documents");
	yaml_document_delete(&document);
}

bool yaml_file_read(const char *text, size_t len, struct yaml_file *out, struct problems *problems)
{
	yaml_parser_t parser;
	yaml_document_t document;
	unsigned before = problems->errors;
	*out = (struct yaml_file){.json = yyjson_mut_doc_new(NULL)};
	if (!out->json || !yaml_parser_initialize(&parser)) {
		problems_add(problems, CONFIG_ERROR, (struct position){0, 0}, "", NULL, "out of memory");
		return false;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &document)) {
		convert_document(&document, out, problems);
		yaml_document_delete(&document);
		if (problems->errors == before)
			refuse_second_document(&parser, text, len, problems);
	} else {
		report_syntax(&parser, text, len, problems);
	}
	yaml_parser_delete(&parser);
	return problems->errors == before;
}

void yaml_file_free(struct yaml_file *yaml)
{
	yyjson_mut_doc_free(yaml->json);
	marks_free(&yaml->marks);
	for (unsigned i = 0; i < yaml->secret_count; i++) {
		free(yaml->secrets[i].place);
		free(yaml->secrets[i].file);
		free(yaml->secrets[i].name);
	}
	free(yaml->secrets);
	yaml->secrets = NULL;
	yaml->secret_count = 0;
}
