/*
 * berth schema: the grammar table (config/grammar.c) as JSON Schema draft 2020-12, and as the user guide's reference of keys.
 * The schema says what a schema can: keys, types, ranges, patterns. References and other rules that span keys are `berth check`'s.
 */
#include "command.h"
#include "host_file.h"

#include <config/schema.h>
#include <stdio.h>
#include <string.h>

#define NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]*$"
#define LABEL_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]*( [A-Za-z0-9._-]+)*$"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV4 OCTET "(\\." OCTET "){3}"

/* How a type looks in JSON Schema, and in words. */
static const struct {
	const char *type, *pattern, *words;
} types[] = {
	[CONFIG_TYPE_TEXT] = {"string", NULL, "text"},
	[CONFIG_TYPE_NAME] = {"string", NAME_PATTERN, "name"},
	[CONFIG_TYPE_LABEL] = {"string", LABEL_PATTERN, "name"},
	[CONFIG_TYPE_PATH] = {"string", "^[^/]", "path"},
	[CONFIG_TYPE_BOOL] = {"boolean", NULL, "true or false"},
	[CONFIG_TYPE_UINT] = {"integer", NULL, "number"},
	[CONFIG_TYPE_VLAN] = {"integer", NULL, "number"},
	[CONFIG_TYPE_VLANS] = {NULL, NULL, "VLAN or range"},
	[CONFIG_TYPE_CHOICE] = {"string", NULL, "word"},
	[CONFIG_TYPE_BYTES] = {"string", "^(0|[1-9][0-9]*) ?(B|KiB|MiB|GiB|TiB)$", "size"},
	[CONFIG_TYPE_MAC] = {"string", "^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$|^[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}$", "MAC address"},
	[CONFIG_TYPE_PCI] = {"string", "^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]$", "PCI address"},
	[CONFIG_TYPE_IPV4] = {"string", "^" IPV4 "$", "IPv4 address"},
	[CONFIG_TYPE_CIDR] = {"string", "^" IPV4 "/([1-9]|[12][0-9]|3[0-2])$", "IPv4 address/prefix"},
	[CONFIG_TYPE_PREFIX] = {"string", "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", "network"},
	[CONFIG_TYPE_PORTAL] = {"string", "^" IPV4 "(:[1-9][0-9]{0,4})?$", "address:port"},
	[CONFIG_TYPE_REF] = {"string", NULL, "reference"},
	[CONFIG_TYPE_FILE_REF] = {"string", "^[^:]+:.+$", "file"},
	[CONFIG_TYPE_SECRET] = {"string", "^(file|module):.+$", "secret"},
	[CONFIG_TYPE_OBJECT] = {"object", NULL, "mapping"},
	[CONFIG_TYPE_LIST] = {"array", NULL, "list"},
};

static bool has_text_size(enum config_type type)
{
	return type == CONFIG_TYPE_TEXT || type == CONFIG_TYPE_NAME || type == CONFIG_TYPE_LABEL || type == CONFIG_TYPE_PATH;
}

static void add_object(yyjson_mut_doc *doc, yyjson_mut_val *schema, const struct config_object *object);

/* A number, or a range as text. */
static void add_vlans(yyjson_mut_doc *doc, yyjson_mut_val *schema)
{
	yyjson_mut_val *one_of = yyjson_mut_obj_add_arr(doc, schema, "anyOf"), *number = yyjson_mut_arr_add_obj(doc, one_of);
	yyjson_mut_obj_add_str(doc, number, "type", "integer");
	yyjson_mut_obj_add_uint(doc, number, "minimum", 0);
	yyjson_mut_obj_add_uint(doc, number, "maximum", VSW_VLAN_MAX);
	yyjson_mut_val *range = yyjson_mut_arr_add_obj(doc, one_of);
	yyjson_mut_obj_add_str(doc, range, "type", "string");
	yyjson_mut_obj_add_str(doc, range, "pattern", "^[0-9]{1,4}(-[0-9]{1,4})?$");
}

static void add_choices(yyjson_mut_doc *doc, yyjson_mut_val *schema, const char *const *choices)
{
	yyjson_mut_val *words = yyjson_mut_obj_add_arr(doc, schema, "enum");
	for (unsigned i = 0; choices[i]; i++)
		yyjson_mut_arr_add_str(doc, words, choices[i]);
}

static void add_type(yyjson_mut_doc *doc, yyjson_mut_val *schema, const struct config_field *field, enum config_type type)
{
	if (type == CONFIG_TYPE_VLANS)
		add_vlans(doc, schema);
	else
		yyjson_mut_obj_add_str(doc, schema, "type", types[type].type);
	if (type == CONFIG_TYPE_CHOICE)
		add_choices(doc, schema, field->choices);
	if (types[type].pattern)
		yyjson_mut_obj_add_str(doc, schema, "pattern", types[type].pattern);
	if (has_text_size(type))
		yyjson_mut_obj_add_uint(doc, schema, "maxLength", field->size - 1);
	if (type == CONFIG_TYPE_UINT || type == CONFIG_TYPE_VLAN) {
		yyjson_mut_obj_add_uint(doc, schema, "minimum", field->min);
		yyjson_mut_obj_add_uint(doc, schema, "maximum", field->max);
	}
	if (type == CONFIG_TYPE_OBJECT)
		add_object(doc, schema, field->object);
	if (type == CONFIG_TYPE_LIST) {
		add_type(doc, yyjson_mut_obj_add_obj(doc, schema, "items"), field, field->item);
		if (field->min)
			yyjson_mut_obj_add_uint(doc, schema, "minItems", field->min);
		yyjson_mut_obj_add_uint(doc, schema, "maxItems", field->max);
	}
}

static void add_field(yyjson_mut_doc *doc, yyjson_mut_val *properties, const struct config_field *field)
{
	yyjson_mut_val *schema = yyjson_mut_obj_add_obj(doc, properties, field->key);
	yyjson_mut_obj_add_str(doc, schema, "description", field->doc);
	add_type(doc, schema, field, field->type);
	if (field->type == CONFIG_TYPE_BOOL)
		yyjson_mut_obj_add_bool(doc, schema, "default", field->initial != 0);
	else if (field->initial)
		yyjson_mut_obj_add_uint(doc, schema, "default", field->initial);
}

static void add_object(yyjson_mut_doc *doc, yyjson_mut_val *schema, const struct config_object *object)
{
	yyjson_mut_val *properties = yyjson_mut_obj_add_obj(doc, schema, "properties");
	yyjson_mut_val *required = yyjson_mut_arr(doc), *one_of = yyjson_mut_arr(doc);
	for (unsigned i = 0; i < object->field_count; i++) {
		const struct config_field *field = &object->fields[i];
		add_field(doc, properties, field);
		if (field->flags & CONFIG_REQUIRED)
			yyjson_mut_arr_add_str(doc, required, field->key);
		if (field->flags & CONFIG_ONE_OF)
			yyjson_mut_arr_add_str(
				doc, yyjson_mut_obj_add_arr(doc, yyjson_mut_arr_add_obj(doc, one_of), "required"), field->key);
	}
	if (yyjson_mut_arr_size(required))
		yyjson_mut_obj_add_val(doc, schema, "required", required);
	if (yyjson_mut_arr_size(one_of))
		yyjson_mut_obj_add_val(doc, schema, "oneOf", one_of);
	yyjson_mut_obj_add_bool(doc, schema, "additionalProperties", false);
}

static int print_schema(void)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_str(doc, root, "$schema", "https://json-schema.org/draft/2020-12/schema");
	yyjson_mut_obj_add_str(doc, root, "title", "Berth host configuration");
	yyjson_mut_obj_add_str(doc, root, "type", "object");
	add_object(doc, root, &config_root);
	int result = print_json(doc);
	yyjson_mut_doc_free(doc);
	return result;
}

/* ---- the reference of keys ---- */

static void print_bytes(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;
	for (; unit < 4 && bytes && !(bytes & 1023); unit++)
		bytes >>= 10;
	printf("%llu%s", (unsigned long long)bytes, units[unit]);
}

static void print_value(const struct config_field *field)
{
	enum config_type type = field->type == CONFIG_TYPE_LIST ? field->item : field->type;
	if (field->type == CONFIG_TYPE_LIST)
		printf("list of ");
	if (type == CONFIG_TYPE_REF)
		printf("name of `%s`", field->refers_to);
	else if (type == CONFIG_TYPE_CHOICE)
		for (unsigned i = 0; field->choices[i]; i++)
			printf("%s`%s`", i ? ", " : "", field->choices[i]);
	else
		printf("%s", types[type].words);
	if (field->type == CONFIG_TYPE_UINT || field->type == CONFIG_TYPE_VLAN)
		printf(" %llu..%llu", (unsigned long long)field->min, (unsigned long long)field->max);
	if (field->type == CONFIG_TYPE_BYTES) {
		printf(" ");
		print_bytes(field->min);
		printf("..");
		print_bytes(field->max);
	}
	if (field->type == CONFIG_TYPE_LIST)
		printf(", at most %llu", (unsigned long long)field->max);
	if (has_text_size(field->type))
		printf(", at most %u characters", field->size - 1);
}

static void print_default(const struct config_field *field)
{
	if (field->flags & CONFIG_REQUIRED)
		printf("required");
	else if (field->flags & CONFIG_ONE_OF)
		printf("one of these");
	else if (field->type == CONFIG_TYPE_BOOL)
		printf(field->initial ? "true" : "false");
	else if (field->type == CONFIG_TYPE_CHOICE)
		printf("`%s`", field->choices[0]);
	else if (field->initial)
		printf("%llu", (unsigned long long)field->initial);
	else
		printf("-");
}

static void print_table(const char *path, const struct config_object *object)
{
	printf("### `%s`\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", path);
	for (unsigned i = 0; i < object->field_count; i++) {
		const struct config_field *field = &object->fields[i];
		printf("| `%s` | ", field->key);
		print_value(field);
		printf(" | ");
		print_default(field);
		printf(" | %s", field->doc);
		if (field->example)
			printf(" Example: `%s`", field->example);
		printf(" |\n");
	}
	printf("\n");
}

static void print_object(const char *path, const struct config_object *object)
{
	if (*path)
		print_table(path, object);
	for (unsigned i = 0; i < object->field_count; i++) {
		const struct config_field *field = &object->fields[i];
		char inner[256];
		if (!field->object)
			continue;
		snprintf(inner, sizeof(inner), "%s%s%s%s", path, *path ? "." : "", field->key, field->type == CONFIG_TYPE_LIST ? "[]" : "");
		print_object(inner, field->object);
	}
}

int command_schema(const struct arguments *arguments)
{
	if (!arguments->values[OPTION_MARKDOWN])
		return print_schema();
	print_object("", &config_root);
	return EXIT_OK;
}
