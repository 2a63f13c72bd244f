/* Decodes single values of the configuration: JSON value -> C object, by the type of the table's row. */
#include "decode.h"

#include "value.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 48

static const char module_prefix[] = "module:";

/* ---- what is wrong with a value ---- */

static const char *describe(yyjson_val *json, char *out, size_t size)
{
	char shown[SHOWN_MAX + 4];
	switch (yyjson_get_tag(json) & YYJSON_TAG_MASK) {
	case YYJSON_TYPE_NULL | YYJSON_SUBTYPE_NONE:
		return "nothing";
	case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE:
		return "true";
	case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE:
		return "false";
	case YYJSON_TYPE_ARR | YYJSON_SUBTYPE_NONE:
		return "a list";
	case YYJSON_TYPE_OBJ | YYJSON_SUBTYPE_NONE:
		return "a mapping";
	case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT:
		snprintf(out, size, "the number %llu", (unsigned long long)yyjson_get_uint(json));
		return out;
	case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_SINT:
		snprintf(out, size, "the number %lld", (long long)yyjson_get_sint(json));
		return out;
	case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL:
		return "a fraction";
	default:
		config_printable(shown, SHOWN_MAX, yyjson_get_str(json), yyjson_get_len(json));
		snprintf(out, size, "the text \"%s\"", shown);
		return out;
	}
}

void decode_wrong_type(struct decoder *d, const char *what, yyjson_val *json, const char *wanted, const char *hint)
{
	char text[SHOWN_MAX + 32];
	report_error(&d->report, hint, "%s must be %s, not %s", what, wanted, describe(json, text, sizeof(text)));
}

static void report_value(struct decoder *d, const struct config_field *field, const char *text, const char *problem, const char *hint)
{
	char shown[SHOWN_MAX + 4];
	config_printable(shown, SHOWN_MAX, text, strlen(text));
	report_error(&d->report, hint, "%s \"%s\" %s", field->key, shown, problem);
}

/* ---- text ---- */

/* The value as a C string, or NULL after a report. */
static const char *get_text(struct decoder *d, const struct config_field *field, yyjson_val *json, const char *wanted)
{
	if (!yyjson_is_str(json)) {
		bool scalar = yyjson_is_num(json) || yyjson_is_bool(json);
		decode_wrong_type(d, field->key, json, wanted, scalar && !strcmp(wanted, "text") ? "put it in quotes" : NULL);
		return NULL;
	}
	const char *text = yyjson_get_str(json);
	if (strlen(text) != yyjson_get_len(json)) {
		report_value(d, field, text, "contains a NUL character", NULL);
		return NULL;
	}
	return text;
}

static bool copy_text(struct decoder *d, const struct config_field *field, const char *text, char *out, size_t size)
{
	size_t len = strlen(text);
	if (!len) {
		if (field->flags & CONFIG_REQUIRED)
			report_error(&d->report, NULL, "%s is empty", field->key);
		return false;
	}
	if (len >= size) {
		report_value(d, field, text,
			report_hint(
				&d->report, "is %lu characters long; at most %lu are allowed", (unsigned long)len, (unsigned long)size - 1),
			NULL);
		return false;
	}
	memcpy(out, text, len + 1);
	return true;
}

static void decode_text(struct decoder *d, const struct config_field *field, enum config_type type, yyjson_val *json, char *out)
{
	const char *hint = NULL, *text = get_text(d, field, json, "text");
	if (!text || !copy_text(d, field, text, out, field->size))
		return;
	const char *problem = type == CONFIG_TYPE_NAME    ? value_name(text, false, &hint)
			      : type == CONFIG_TYPE_LABEL ? value_name(text, true, &hint)
			      : type == CONFIG_TYPE_PATH  ? value_path(text, &hint)
							  : value_text(text, &hint);
	if (problem)
		report_value(d, field, text, problem, hint);
}

/* ---- numbers ---- */

void decode_store(const struct config_field *field, uint64_t value, void *out)
{
	switch (field->size) { /* little-endian or not: by type */
	case 1:
		*(uint8_t *)out = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)out = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)out = (uint32_t)value;
		break;
	default:
		*(uint64_t *)out = value;
	}
}

static void decode_bool(struct decoder *d, const struct config_field *field, yyjson_val *json, void *out)
{
	if (!yyjson_is_bool(json)) {
		static const char *const words[] = {"yes", "no", "on", "off", "true", "false"};
		const char *hint = NULL;
		for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (yyjson_equals_str(json, words[i]))
				hint = i % 2 ? "write false, without quotes" : "write true, without quotes";
		decode_wrong_type(d, field->key, json, "true or false", hint);
		return;
	}
	*(bool *)out = yyjson_get_bool(json);
}

static void decode_uint(struct decoder *d, const struct config_field *field, yyjson_val *json, void *out)
{
	if (!yyjson_is_int(json)) {
		const char *text = yyjson_get_str(json);
		bool quoted = text && *text && strspn(text, "0123456789") == strlen(text);
		const char *hint = quoted && text[0] != '0' ? "write it without quotes"
				   : quoted                 ? "write it without quotes or leading zeros"
							    : NULL;
		decode_wrong_type(d, field->key, json, "a whole number", hint);
		return;
	}
	uint64_t value = yyjson_get_uint(json);
	if (yyjson_is_sint(json) || value < field->min || value > field->max) {
		char shown[64];
		if (field->min == field->max)
			report_error(&d->report, NULL, "%s must be %llu for now, not %s", field->key, (unsigned long long)field->min,
				describe(json, shown, sizeof(shown)));
		else
			report_error(&d->report, NULL, "%s must be from %llu to %llu, not %s", field->key, (unsigned long long)field->min,
				(unsigned long long)field->max, describe(json, shown, sizeof(shown)));
		return;
	}
	decode_store(field, value, out);
}

static void decode_vlan(struct decoder *d, const struct config_field *field, yyjson_val *json, void *out)
{
	static const char hint[] = "give the port group the key trunk instead: [10-19, 30], or [1-4094]";
	if (yyjson_is_obj(json) && yyjson_obj_get(json, "trunk")) {
		report_error(&d->report, hint, "a trunk (VGT) is a key of the port group");
		return;
	}
	if (yyjson_is_int(json) && !yyjson_is_sint(json) && yyjson_get_uint(json) == 4095) {
		report_error(&d->report, hint, "4095 is not a VLAN; a trunk (VGT) has a list of VLANs");
		return;
	}
	decode_uint(d, field, json, out);
}

static void decode_vlans(struct decoder *d, const struct config_field *field, yyjson_val *json, struct vsw_vlan_range *out)
{
	const char *hint = NULL, *text;
	char number[24];
	if (yyjson_is_uint(json)) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)yyjson_get_uint(json));
		text = number;
	} else {
		text = get_text(d, field, json, "a VLAN or a range of VLANs");
	}
	const char *problem = text ? value_vlans(text, out, &hint) : NULL;
	if (problem)
		report_value(d, field, text, problem, hint);
}

static void decode_choice(struct decoder *d, const struct config_field *field, yyjson_val *json, uint8_t *out)
{
	const char *text = get_text(d, field, json, "text");
	if (!text)
		return;
	size_t n = (size_t)snprintf(d->report.hint, sizeof(d->report.hint), "it is one of");
	for (unsigned i = 0; field->choices[i]; i++) {
		if (!strcmp(field->choices[i], text)) {
			*out = (uint8_t)i;
			return;
		}
		if (n < sizeof(d->report.hint))
			n += (size_t)snprintf(d->report.hint + n, sizeof(d->report.hint) - n, "%s %s", i ? "," : "", field->choices[i]);
	}
	report_value(d, field, text, "is not known", d->report.hint);
}

static const char *print_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;
	while (unit < 4 && bytes && !(bytes & 1023)) {
		bytes >>= 10;
		unit++;
	}
	snprintf(out, size, "%llu%s", (unsigned long long)bytes, units[unit]);
	return out;
}

static void decode_bytes(struct decoder *d, const struct config_field *field, yyjson_val *json, uint64_t *out)
{
	const char *hint = NULL;
	if (yyjson_is_int(json)) {
		report_error(&d->report, "write a whole number and a unit (B, KiB, MiB, GiB, TiB): 256MiB", "%s has no unit", field->key);
		return;
	}
	const char *text = get_text(d, field, json, "a size with a unit");
	if (!text)
		return;
	const char *problem = value_bytes(text, out, &hint);
	if (problem) {
		report_value(d, field, text, problem, hint);
		return;
	}
	if (*out < field->min || *out > field->max) {
		char low[32], high[32];
		report_value(d, field, text,
			report_hint(&d->report, "is out of range: %s to %s", print_bytes(low, sizeof(low), field->min),
				print_bytes(high, sizeof(high), field->max)),
			NULL);
	}
}

/* ---- addresses ---- */

static void decode_address(struct decoder *d, const struct config_field *field, enum config_type type, yyjson_val *json, void *out)
{
	static const char *const wanted[] = {[CONFIG_TYPE_MAC] = "a MAC address",
		[CONFIG_TYPE_PCI] = "a PCI address",
		[CONFIG_TYPE_IPV4] = "an IPv4 address",
		[CONFIG_TYPE_CIDR] = "an IPv4 address with a prefix length",
		[CONFIG_TYPE_PREFIX] = "text like \"10.0.0.0/8\"",
		[CONFIG_TYPE_PORTAL] = "text like \"10.0.2.2:3260\""};
	const char *hint = NULL, *problem, *text = get_text(d, field, json, wanted[type]);
	struct net_vmknic_config *vmk = out; /* CIDR: the whole struct */
	if (!text)
		return;
	switch (type) {
	case CONFIG_TYPE_MAC:
		problem = value_mac(text, out, &hint);
		break;
	case CONFIG_TYPE_PCI:
		problem = value_pci(text, out, &hint);
		break;
	case CONFIG_TYPE_IPV4:
		problem = value_ipv4(text, out, &hint);
		break;
	case CONFIG_TYPE_CIDR:
		problem = value_cidr(text, &vmk->address, &vmk->prefix, &hint);
		break;
	case CONFIG_TYPE_PREFIX:
		problem = value_prefix(text, out, &hint);
		break;
	default:
		problem = value_portal(text, out, &hint);
	}
	if (problem)
		report_value(d, field, text, problem, hint);
}

/* ---- references ---- */

static void decode_ref(struct decoder *d, const struct config_field *field, yyjson_val *json, uint8_t *out)
{
	const char *name = get_text(d, field, json, "text");
	int index = name ? decode_reference(d, field->refers_to, name) : -1;
	if (index >= 0)
		*out = (uint8_t)index;
}

static void decode_file_ref(struct decoder *d, const struct config_field *field, yyjson_val *json, struct config_file_ref *out)
{
	const char *hint = NULL, *text = get_text(d, field, json, "text");
	if (!text)
		return;
	out->present = true;
	const char *colon = strchr(text, ':');
	char store[DATASTORE_NAME_MAX + 1];
	if (!colon || colon == text || !colon[1]) {
		report_value(d, field, text, "does not name a file", "write module:NAME (a boot module of the host) or DATASTORE:path");
		return;
	}
	out->is_module = !strncmp(text, module_prefix, sizeof(module_prefix) - 1);
	const char *problem = out->is_module ? value_text(colon + 1, &hint) : value_path(colon + 1, &hint);
	if (problem) {
		report_value(d, field, text, problem, hint);
		return;
	}
	if (!out->is_module) {
		size_t len = (size_t)(colon - text) < DATASTORE_NAME_MAX ? (size_t)(colon - text) : DATASTORE_NAME_MAX;
		memcpy(store, text, len);
		store[len] = 0;
		int index = decode_reference(d, "datastores", store);
		if (index < 0)
			return;
		out->datastore = (uint8_t)index;
	}
	copy_text(d, field, colon + 1, out->path, sizeof(out->path));
}

static void decode_secret(struct decoder *d, const struct config_field *field, yyjson_val *json, char *out)
{
	const char *text = yyjson_get_str(json); /* NULL if it is no text */
	if (!text || strlen(text) != yyjson_get_len(json) || strncmp(text, module_prefix, sizeof(module_prefix) - 1) != 0 ||
		!text[sizeof(module_prefix) - 1]) {
		/* The text is not shown: it may be the secret itself. */
		report_error(&d->report, "put the secret into a file and write: secret: file:NAME",
			"%s must name a file; it never stands here itself", field->key);
		return;
	}
	char shown[SHOWN_MAX + 4];
	const char *name = text + sizeof(module_prefix) - 1;
	config_printable(shown, SHOWN_MAX, name, strlen(name));
	int len = d->secrets ? d->secrets->secret(d->secrets->arg, name, out, field->size) : -ENOENT;
	if (len == -EAGAIN) {
		out[0] = 0;
	} else if (len == -ENAMETOOLONG) {
		report_error(&d->report, NULL, "the secret \"%s\" is too long: at most %u characters", shown, field->size - 1);
	} else if (len < 0) {
		report_error(&d->report, "add it as a boot module of that name (berth compile --list-files says which are needed)",
			"there is no secret \"%s\"", shown);
	} else if (len == 0) {
		report_error(&d->report, NULL, "the secret \"%s\" is empty", shown);
	}
}

void decode_scalar(struct decoder *d, const struct config_field *field, enum config_type type, yyjson_val *json, void *out)
{
	switch (type) {
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_NAME:
	case CONFIG_TYPE_LABEL:
	case CONFIG_TYPE_PATH:
		decode_text(d, field, type, json, out);
		break;
	case CONFIG_TYPE_BOOL:
		decode_bool(d, field, json, out);
		break;
	case CONFIG_TYPE_UINT:
		decode_uint(d, field, json, out);
		break;
	case CONFIG_TYPE_VLAN:
		decode_vlan(d, field, json, out);
		break;
	case CONFIG_TYPE_VLANS:
		decode_vlans(d, field, json, out);
		break;
	case CONFIG_TYPE_CHOICE:
		decode_choice(d, field, json, out);
		break;
	case CONFIG_TYPE_BYTES:
		decode_bytes(d, field, json, out);
		break;
	case CONFIG_TYPE_MAC:
	case CONFIG_TYPE_PCI:
	case CONFIG_TYPE_IPV4:
	case CONFIG_TYPE_CIDR:
	case CONFIG_TYPE_PREFIX:
	case CONFIG_TYPE_PORTAL:
		decode_address(d, field, type, json, out);
		break;
	case CONFIG_TYPE_REF:
		decode_ref(d, field, json, out);
		break;
	case CONFIG_TYPE_FILE_REF:
		decode_file_ref(d, field, json, out);
		break;
	case CONFIG_TYPE_SECRET:
		decode_secret(d, field, json, out);
		break;
	case CONFIG_TYPE_OBJECT: /* read.c's */
	case CONFIG_TYPE_LIST:
		break;
	}
}
