/*
 * Decodes a host's configuration: JSON bytes -> struct config, driven by the grammar table (grammar.c).
 *
 * The bytes are untrusted. yyjson parses them without recursion and validates UTF-8; from there on this file walks the *table*, not the
 * document, so depth and work are bounded by the grammar: an unknown key is reported and not looked into. Every string is checked for an
 * embedded NUL and for length before it is copied; every list for length before it is filled. All problems are reported, not only the
 * first.
 *
 * Single values are decoded in decode.c; here are objects, lists, references and what is filled in at the end (names, MAC addresses).
 */
#include "decode.h"
#include "position.h"

#include <config/suggest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FIELDS 32 /* of one object */

static void decode_object(struct decoder *d, const struct config_object *object, yyjson_val *json, void *out);

/* ---- keys ---- */

static void report_unknown_key(struct decoder *d, const struct config_object *object, const char *key)
{
	char shown[64];
	struct config_suggest suggest;
	config_suggest_begin(&suggest, key);
	for (unsigned i = 0; i < object->field_count; i++)
		config_suggest_offer(&suggest, object->fields[i].key);
	config_printable(shown, 40, key, strlen(key));
	if (suggest.best) {
		report_hint(&d->report, "did you mean \"%s\"?", suggest.best);
	} else {
		size_t n = (size_t)snprintf(d->report.hint, sizeof(d->report.hint), "its keys are");
		for (unsigned i = 0; i < object->field_count && n < sizeof(d->report.hint); i++)
			n += (size_t)snprintf(d->report.hint + n, sizeof(d->report.hint) - n, "%s %s", i ? "," : "", object->fields[i].key);
	}
	report_error_key(&d->report, d->report.hint, "%s has no key \"%s\"", object->title, shown);
}

static const struct config_field *find_field(const struct config_object *object, const char *key)
{
	for (unsigned i = 0; i < object->field_count; i++)
		if (!strcmp(object->fields[i].key, key))
			return &object->fields[i];
	return NULL;
}

/* Reports unknown keys and keys given twice. values[i] becomes the value of field i, or NULL. */
static void collect(struct decoder *d, const struct config_object *object, yyjson_val *json, yyjson_val *values[MAX_FIELDS])
{
	yyjson_obj_iter iter = yyjson_obj_iter_with(json);
	yyjson_val *key;
	while ((key = yyjson_obj_iter_next(&iter))) {
		const char *text = yyjson_get_str(key);
		if (object == &config_root && yyjson_equals_str(key, CONFIG_POSITIONS_KEY))
			continue; /* read before everything else */
		size_t mark = config_path_push_key(&d->report.path, text, yyjson_get_len(key));
		const struct config_field *field = strlen(text) == yyjson_get_len(key) ? find_field(object, text) : NULL;
		if (!field)
			report_unknown_key(d, object, text);
		else if (values[field - object->fields])
			report_error_key(&d->report, "keep one of them", "\"%s\" is given twice", field->key);
		else
			values[field - object->fields] = yyjson_obj_iter_get_val(key);
		config_path_pop(&d->report.path, mark);
	}
}

/* A key with a null value counts as not given, so `gateway:` with nothing behind it is reported where it matters: if it is required. */
static void check_required(struct decoder *d, const struct config_object *object, yyjson_val *values[MAX_FIELDS])
{
	unsigned one_of = 0, given = 0;
	char names[128] = "";
	size_t n = 0;
	for (unsigned i = 0; i < object->field_count; i++) {
		const struct config_field *field = &object->fields[i];
		if (values[i] && yyjson_is_null(values[i])) {
			size_t mark = config_path_push_key(&d->report.path, field->key, strlen(field->key));
			report_error_key(&d->report, "give it a value or take the key out", "\"%s\" has no value", field->key);
			config_path_pop(&d->report.path, mark);
			values[i] = NULL;
			given += (field->flags & CONFIG_ONE_OF) != 0;
		} else if ((field->flags & CONFIG_REQUIRED) && !values[i]) {
			report_error(&d->report,
				report_hint(&d->report, "add: %s: %s", field->key, field->example ? field->example : "..."),
				"%s needs the key \"%s\"", object->title, field->key);
		}
		if (field->flags & CONFIG_ONE_OF) {
			one_of++;
			given += values[i] != NULL;
			if (n < sizeof(names))
				n += (size_t)snprintf(names + n, sizeof(names) - n, "%s\"%s\"", n ? ", " : "", field->key);
		}
	}
	if (one_of && given != 1) {
		report_error(&d->report, given ? "keep one of them" : "add one of them", "%s needs exactly one of %s, not %s",
			object->title, names, given ? "several" : "none");
	}
}

/* ---- references ---- */

static const struct config_field *section(const char *key)
{
	return find_field(&config_root, key);
}

static unsigned section_count(const struct decoder *d, const struct config_field *field)
{
	unsigned count;
	memcpy(&count, (const char *)d->config + field->count_offset, sizeof(count));
	return count;
}

static const char *section_name(const struct decoder *d, const struct config_field *field, unsigned index)
{
	return (const char *)d->config + field->offset + (size_t)index * field->size; /* an element begins with its name */
}

/* The hint for a name that does not exist: the nearest one, or all of them. */
static const char *hint_names(struct decoder *d, const struct config_field *field, const char *name)
{
	unsigned count = section_count(d, field);
	struct config_suggest suggest;
	config_suggest_begin(&suggest, name);
	for (unsigned i = 0; i < count; i++)
		config_suggest_offer(&suggest, section_name(d, field, i));
	if (suggest.best)
		return report_hint(&d->report, "did you mean \"%s\"?", suggest.best);
	if (!count)
		return report_hint(&d->report, "none is defined: add one under \"%s\"", field->key);
	size_t n = (size_t)snprintf(d->report.hint, sizeof(d->report.hint), "defined under \"%s\":", field->key);
	for (unsigned i = 0; i < count && n < sizeof(d->report.hint); i++)
		n += (size_t)snprintf(d->report.hint + n, sizeof(d->report.hint) - n, "%s %s", i ? "," : "", section_name(d, field, i));
	return d->report.hint;
}

static const char *singular(const char *key)
{
	static const char *const words[][2] = {
		{"uplinks", "uplink"}, {"vswitches", "vSwitch"}, {"portgroups", "port group"}, {"datastores", "datastore"}};
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i][0], key))
			return words[i][1];
	return key;
}

int decode_reference(struct decoder *d, const char *key, const char *name)
{
	const struct config_field *field = section(key);
	unsigned count = section_count(d, field);
	for (unsigned i = 0; i < count; i++)
		if (*name && !strcmp(section_name(d, field, i), name))
			return (int)i;
	char shown[64];
	config_printable(shown, 48, name, strlen(name));
	report_error(&d->report, hint_names(d, field, name), "there is no %s \"%s\"", singular(key), shown);
	return -1;
}

/* ---- objects and lists ---- */

static void decode_list(struct decoder *d, const struct config_field *field, yyjson_val *json, void *base)
{
	if (!yyjson_is_arr(json)) {
		decode_wrong_type(d, field->key, json, "a list", "write it in brackets, [ ... ], or as lines that begin with \"- \"");
		return;
	}
	size_t count = yyjson_arr_size(json);
	if (count > field->max) {
		report_error(&d->report, NULL, "\"%s\" has %lu elements; at most %lu are supported", field->key, (unsigned long)count,
			(unsigned long)field->max);
		return;
	}
	if (count < field->min)
		report_error(&d->report, NULL, "\"%s\" needs at least %lu element%s", field->key, (unsigned long)field->min,
			field->min == 1 ? "" : "s");
	unsigned n = 0;
	yyjson_arr_iter iter = yyjson_arr_iter_with(json);
	yyjson_val *element;
	while ((element = yyjson_arr_iter_next(&iter))) {
		size_t mark = config_path_push_index(&d->report.path, n);
		char *out = (char *)base + field->offset + (size_t)n * field->size;
		if (field->item == CONFIG_TYPE_OBJECT)
			decode_object(d, field->object, element, out);
		else
			decode_scalar(d, field, field->item, element, out);
		config_path_pop(&d->report.path, mark);
		n++;
		memcpy((char *)base + field->count_offset, &n, sizeof(n));
	}
}

static void decode_field(struct decoder *d, const struct config_field *field, yyjson_val *json, void *base)
{
	size_t mark = config_path_push_key(&d->report.path, field->key, strlen(field->key));
	char *out = (char *)base + field->offset;
	if (field->type == CONFIG_TYPE_OBJECT)
		decode_object(d, field->object, json, out);
	else if (field->type == CONFIG_TYPE_LIST)
		decode_list(d, field, json, base);
	else
		decode_scalar(d, field, field->type, json, out);
	if (field->present_offset)
		*(bool *)((char *)base + field->present_offset) = true;
	if (field->tag_offset)
		memcpy((char *)base + field->tag_offset, &field->tag, sizeof(field->tag));
	config_path_pop(&d->report.path, mark);
}

static void decode_object(struct decoder *d, const struct config_object *object, yyjson_val *json, void *out)
{
	yyjson_val *values[MAX_FIELDS] = {NULL};
	if (!yyjson_is_obj(json)) {
		decode_wrong_type(d, object->title, json, "a mapping (key: value)", NULL);
		return;
	}
	collect(d, object, json, values);
	check_required(d, object, values);
	bool chosen = false; /* rows of a ONE_OF may share memory (a union): decode the first only */
	for (unsigned i = 0; i < object->field_count; i++) {
		const struct config_field *field = &object->fields[i];
		bool skip = (field->flags & CONFIG_ONE_OF) && chosen;
		if (values[i] && !skip)
			decode_field(d, field, values[i], out);
		else if (!values[i] && field->initial)
			decode_store(field, field->initial, (char *)out + field->offset);
		chosen |= (field->flags & CONFIG_ONE_OF) && values[i];
	}
}

/* ---- what is filled in at the end ---- */

static bool mac_taken(const struct config *config, const uint8_t mac[6], const uint8_t *self)
{
	for (unsigned i = 0; i < config->vsw.uplink_count; i++)
		if (config->vsw.uplinks[i].has_mac && !memcmp(config->vsw.uplinks[i].mac, mac, 6))
			return true;
	for (unsigned i = 0; i < config->net.vmknic_count; i++)
		if (config->net.vmknics[i].mac != self && !memcmp(config->net.vmknics[i].mac, mac, 6))
			return true;
	for (unsigned v = 0; v < config->vm_count; v++)
		for (unsigned i = 0; i < config->vms[v].nic_count; i++)
			if (config->vms[v].nics[i].mac != self && !memcmp(config->vms[v].nics[i].mac, mac, 6))
				return true;
	return false;
}

static void assign_mac(const struct config *config, const char *owner, unsigned nic, uint8_t mac[6])
{
	unsigned salt = 0;
	do {
		config_derive_mac(config->host.name, owner, nic, salt++, mac);
	} while (mac_taken(config, mac, mac)); /* ends: there are fewer NICs than salts */
}

static void fill_in(struct config *config)
{
	if (!config->host.initiator[0])
		snprintf(config->host.initiator, sizeof(config->host.initiator), "iqn.2026-01.io.berth:%s", config->host.name);
	snprintf(config->vsw.system_name, sizeof(config->vsw.system_name), "%s", config->host.name);
	if (config->net.vmknic_count)
		config->vsw.management_ipv4 = config->net.vmknics[0].address;
	for (unsigned i = 0; i < config->datastore_count; i++)
		if (config->datastores[i].kind == DATASTORE_ISCSI)
			memcpy(config->datastores[i].iscsi.initiator, config->host.initiator, sizeof(config->host.initiator));
	for (unsigned i = 0; i < config->net.vmknic_count; i++)
		if (!config->net.vmknics[i].has_mac)
			assign_mac(config, config->net.vmknics[i].name, 0, config->net.vmknics[i].mac);
	for (unsigned v = 0; v < config->vm_count; v++)
		for (unsigned i = 0; i < config->vms[v].nic_count; i++)
			if (!config->vms[v].nics[i].has_mac)
				assign_mac(config, config->vms[v].name, i, config->vms[v].nics[i].mac);
}

int config_read_json(const char *json, size_t len, struct config *out, const struct config_secrets *secrets, const struct config_sink *sink)
{
	struct decoder *d = malloc(sizeof(*d));
	yyjson_read_err err;
	/* yyjson reads through a char *, but writes to it only with YYJSON_READ_INSITU. */
	yyjson_doc *doc = d ? yyjson_read_opts((char *)(uintptr_t)json, len, 0, NULL, &err) : NULL;
	int result = 0;
	if (!d)
		return -ENOMEM;
	memset(out, 0, sizeof(*out));
	d->config = out;
	d->secrets = secrets;
	report_begin(&d->report, sink);
	if (doc) {
		yyjson_val *positions = yyjson_obj_get(yyjson_doc_get_root(doc), CONFIG_POSITIONS_KEY);
		if (positions)
			position_read(&out->positions, &d->report, positions);
		decode_object(d, &config_root, yyjson_doc_get_root(doc), out);
	} else if (err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
		report_error(&d->report, NULL, "there is not enough memory to read %lu bytes of configuration", (unsigned long)len);
		result = -ENOMEM;
	} else {
		report_error(&d->report, "make it with: berth compile HOST.yaml -o HOST.json", "the JSON is not valid: %s at byte %lu",
			err.msg, (unsigned long)err.pos);
	}
	yyjson_doc_free(doc);
	if (!d->report.errors)
		fill_in(out);
	else if (!result)
		result = -EINVAL;
	free(d);
	return result;
}
