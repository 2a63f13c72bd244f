/*
 * The difference of two configurations. Walks the grammar table over both structs, so that a key that is added to the table is compared
 * without a line here. Elements of a section are matched by name, never by index; elements of lists inside them by position. References and
 * files are compared by name, since indexes may differ.
 *
 * What can be changed while the host runs is a table too: `rules`. What it does not name is live.
 */
#include "value_text.h"

#include <config/diff.h>
#include <config/path.h>
#include <stdio.h>
#include <string.h>

/* ---- what is live ---- */

struct rule {
	const char *section;
	const char *key; /* first key within the object; NULL: any */
	int kind;        /* enum config_difference_kind; ANY */
	enum config_live live;
	const char *reason;
};

#define ANY (-1)

/* The first that fits. */
static const struct rule rules[] = {
	{"host", "name", ANY, CONFIG_RESTART, "MAC addresses and the iSCSI name are derived from the host's name"},
	{"host", "io_cores", ANY, CONFIG_RESTART, "cores are given their work when the host starts"},
	{"host", "initiator", ANY, CONFIG_RESTART, "iSCSI sessions carry it"},
	{"uplinks", "mtu", CONFIG_CHANGED, CONFIG_LIVE, "a larger MTU needs a NIC that takes it while it runs; the host refuses otherwise"},
	{"uplinks", "queues", CONFIG_CHANGED, CONFIG_LIVE, "the NIC is started anew: its link is down for a moment"},
	{"uplinks", "match", CONFIG_CHANGED, CONFIG_LIVE, "the old NIC is closed and the new one started: its link is down for a moment"},
	{"vmknics", "portgroup", CONFIG_CHANGED, CONFIG_LIVE, ""},
	{"vmknics", NULL, CONFIG_CHANGED, CONFIG_RESTART, "connections to storage are bound to it"},
	{"vmknics", NULL, CONFIG_REMOVED, CONFIG_RESTART, "connections to storage may be bound to it"},
	{"datastores", NULL, CONFIG_CHANGED, CONFIG_RESTART, "its disks may be open; add it under another name instead"},
	{"vms", "nics", CONFIG_CHANGED, CONFIG_LIVE_WHEN_OFF, "NICs cannot be added to or taken from a running VM"},
	{"vms", "disks", CONFIG_CHANGED, CONFIG_LIVE_WHEN_OFF, "disks of a running VM cannot be changed"},
	{"vms", "memory", CONFIG_CHANGED, CONFIG_LIVE_WHEN_OFF, "the memory of a running VM cannot be changed"},
	{"vms", "cpus", CONFIG_CHANGED, CONFIG_LIVE_WHEN_OFF, "the number of virtual CPUs of a running VM cannot be changed"},
	{"vms", NULL, CONFIG_CHANGED, CONFIG_LIVE_WHEN_OFF, "it takes effect when the VM starts"},
	{"vms", NULL, CONFIG_REMOVED, CONFIG_LIVE_WHEN_OFF, "a running VM cannot be removed: stop it first"},
};

static bool begins(const char *key, const char *word)
{
	size_t len = strlen(word);
	return !strncmp(key, word, len) && (!key[len] || key[len] == '.' || key[len] == '[');
}

/* "nics[2].portgroup": to which port group a NIC is connected, and what it has of its own there, are live. */
static bool is_live_of_nic(const char *key)
{
	static const char *const live[] = {"portgroup", "policy", "shaping", "storm", "trusted", "addresses"};
	const char *end = strchr(key, ']');
	if (!begins(key, "nics") || !end || end[1] != '.')
		return false;
	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (begins(end + 2, live[i]))
			return true;
	return false;
}

static void judge(struct config_difference *d)
{
	d->live = CONFIG_LIVE;
	d->reason = "";
	if (!strcmp(d->section, "vms") && d->kind == CONFIG_CHANGED && is_live_of_nic(d->key))
		return;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *rule = &rules[i];
		if (strcmp(rule->section, d->section) != 0 || (rule->kind != ANY && rule->kind != (int)d->kind) ||
			(rule->key && !begins(d->key, rule->key)))
			continue;
		d->live = rule->live;
		d->reason = rule->reason;
		return;
	}
}

/* ---- which VMs it touches ---- */

static bool vm_in_group(const struct config_vm *vm, unsigned portgroup)
{
	for (unsigned i = 0; i < vm->nic_count; i++)
		if (vm->nics[i].portgroup == portgroup)
			return true;
	return false;
}

static uint64_t vms_of_group(const struct config *c, unsigned portgroup)
{
	uint64_t mask = 0;
	for (unsigned i = 0; i < c->vm_count; i++)
		mask |= (uint64_t)vm_in_group(&c->vms[i], portgroup) << i;
	return mask;
}

static uint64_t vms_of_switch(const struct config *c, unsigned vswitch)
{
	uint64_t mask = 0;
	for (unsigned i = 0; i < c->vsw.portgroup_count; i++)
		if (c->vsw.portgroups[i].vswitch == vswitch)
			mask |= vms_of_group(c, i);
	return mask;
}

static uint64_t vms_of_uplink(const struct config *c, unsigned uplink)
{
	uint64_t mask = 0;
	for (unsigned i = 0; i < c->vsw.switch_count; i++)
		for (unsigned k = 0; k < c->vsw.switches[i].uplink_count; k++)
			if (c->vsw.switches[i].uplinks[k] == uplink)
				mask |= vms_of_switch(c, i);
	return mask;
}

static bool file_on(const struct config_file_ref *file, unsigned datastore)
{
	return file->present && !file->is_module && file->datastore == datastore;
}

static uint64_t vms_of_datastore(const struct config *c, unsigned datastore)
{
	uint64_t mask = 0;
	for (unsigned i = 0; i < c->vm_count; i++) {
		const struct config_vm *vm = &c->vms[i];
		bool uses = file_on(&vm->kernel, datastore) || file_on(&vm->initrd, datastore);
		for (unsigned k = 0; k < vm->disk_count; k++)
			uses |= vm->disks[k].datastore == datastore;
		for (unsigned k = 0; k < vm->module_count; k++)
			uses |= file_on(&vm->modules[k], datastore);
		mask |= (uint64_t)uses << i;
	}
	return mask;
}

/* All that have a disk behind the network. */
static uint64_t vms_of_storage(const struct config *c)
{
	uint64_t mask = 0;
	for (unsigned i = 0; i < c->datastore_count; i++)
		if (c->datastores[i].kind != DATASTORE_RAM)
			mask |= vms_of_datastore(c, i);
	return mask;
}

/* index: of the object in the old configuration. */
static uint64_t touched(const struct config *c, const char *section, unsigned index)
{
	if (!strcmp(section, "uplinks"))
		return vms_of_uplink(c, index);
	if (!strcmp(section, "vswitches"))
		return vms_of_switch(c, index);
	if (!strcmp(section, "portgroups"))
		return vms_of_group(c, index);
	if (!strcmp(section, "datastores"))
		return vms_of_datastore(c, index);
	if (!strcmp(section, "vmknics"))
		return vms_of_storage(c);
	return !strcmp(section, "vms") ? 1ULL << index : 0;
}

/* ---- the walk ---- */

struct walk {
	const struct config *from, *to;
	void (*fn)(void *arg, const struct config_difference *d);
	void *arg;
	unsigned count;
	struct config_difference d; /* of the object being compared */
	struct config_path path;    /* in the configuration that d.path speaks of */
	size_t object_at;           /* where in the path the keys within the object begin */
	char a[CONFIG_VALUE_TEXT], b[CONFIG_VALUE_TEXT];
};

static void report(struct walk *w, enum config_difference_kind kind, const char *from, const char *to)
{
	const char *key = w->path.text + w->object_at;
	w->d.kind = kind;
	w->d.path = w->path.text;
	w->d.key = *key == '.' ? key + 1 : key;
	w->d.from = from;
	w->d.to = to;
	judge(&w->d);
	w->count++;
	w->fn(w->arg, &w->d);
}

static void compare_object(struct walk *w, const struct config_object *object, const void *from, const void *to);

static bool given(const struct config_field *field, const void *base)
{
	if (field->tag_offset) {
		unsigned tag;
		memcpy(&tag, (const char *)base + field->tag_offset, sizeof(tag));
		return tag == field->tag;
	}
	return !field->present_offset || *(const bool *)((const char *)base + field->present_offset);
}

/* A VLAN that is not given is 0, and a NIC's MAC address that is not given was derived: only the value counts. */
static bool presence_matters(const struct config_field *field)
{
	return field->type != CONFIG_TYPE_VLAN && (field->type != CONFIG_TYPE_MAC || field->flags & CONFIG_ONE_OF);
}

static unsigned list_count(const struct config_field *field, const void *base)
{
	unsigned count;
	memcpy(&count, (const char *)base + field->count_offset, sizeof(count));
	return count;
}

/* Texts may be longer than what is shown of them. */
static bool same_value(const struct walk *w, const struct config_field *field, enum config_type type, const void *from, const void *to)
{
	const struct config_file_ref *f = from, *t = to;
	char a[CONFIG_VALUE_TEXT], b[CONFIG_VALUE_TEXT];
	switch (type) {
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_NAME:
	case CONFIG_TYPE_LABEL:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_SECRET:
		return !strcmp(from, to);
	case CONFIG_TYPE_FILE_REF:
		if (f->present != t->present || f->is_module != t->is_module || strcmp(f->path, t->path) != 0)
			return false;
		return !f->present || f->is_module || !strcmp(w->from->datastores[f->datastore].name, w->to->datastores[t->datastore].name);
	default:
		value_show(a, w->from, field, type, from);
		value_show(b, w->to, field, type, to);
		return !strcmp(a, b);
	}
}

static bool same_list(const struct walk *w, const struct config_field *field, const void *from, const void *to, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t at = field->offset + (size_t)i * field->size;
		if (!same_value(w, field, field->item, (const char *)from + at, (const char *)to + at))
			return false;
	}
	return true;
}

static void compare_value(struct walk *w, const struct config_field *field, const void *from, const void *to)
{
	bool a = given(field, from) || !presence_matters(field), b = given(field, to) || !presence_matters(field);
	if ((!a && !b) ||
		(a == b && same_value(w, field, field->type, (const char *)from + field->offset, (const char *)to + field->offset)))
		return;
	value_show(w->a, w->from, field, field->type, (const char *)from + field->offset);
	value_show(w->b, w->to, field, field->type, (const char *)to + field->offset);
	report(w, CONFIG_CHANGED, a ? w->a : "nothing", b ? w->b : "nothing");
}

static const char *count_text(char out[CONFIG_VALUE_TEXT], unsigned count)
{
	if (!count)
		return "nothing";
	snprintf(out, CONFIG_VALUE_TEXT, "%u %s", count, count == 1 ? "entry" : "entries");
	return out;
}

/* A list inside an object: of objects element by element; of values as one value. */
static void compare_list(struct walk *w, const struct config_field *field, const void *from, const void *to)
{
	unsigned a = list_count(field, from), b = list_count(field, to);
	if (field->item != CONFIG_TYPE_OBJECT) {
		if (a == b && same_list(w, field, from, to, a))
			return;
		value_show_list(w->a, w->from, field, from);
		value_show_list(w->b, w->to, field, to);
		report(w, CONFIG_CHANGED, w->a, w->b);
		return;
	}
	if (a != b) {
		report(w, CONFIG_CHANGED, count_text(w->a, a), count_text(w->b, b));
	}
	for (unsigned i = 0; i < a && i < b; i++) {
		size_t mark = config_path_push_index(&w->path, i), at = field->offset + (size_t)i * field->size;
		compare_object(w, field->object, (const char *)from + at, (const char *)to + at);
		config_path_pop(&w->path, mark);
	}
}

static void compare_field(struct walk *w, const struct config_field *field, const void *from, const void *to)
{
	size_t mark = config_path_push_key(&w->path, field->key, strlen(field->key));
	if (field->type == CONFIG_TYPE_LIST) {
		compare_list(w, field, from, to);
	} else if (field->type == CONFIG_TYPE_OBJECT) {
		bool a = given(field, from), b = given(field, to);
		if (a && b)
			compare_object(w, field->object, (const char *)from + field->offset, (const char *)to + field->offset);
		else if (a != b)
			report(w, CONFIG_CHANGED, a ? "given" : "nothing", b ? "given" : "nothing");
	} else {
		compare_value(w, field, from, to);
	}
	config_path_pop(&w->path, mark);
}

static void compare_object(struct walk *w, const struct config_object *object, const void *from, const void *to)
{
	for (unsigned i = 0; i < object->field_count; i++)
		compare_field(w, &object->fields[i], from, to);
}

static const char *element(const struct config_field *section, const struct config *c, unsigned i)
{
	return (const char *)c + section->offset + (size_t)i * section->size;
}

/* The element of that name (an element begins with it), or -1. */
static int find(const struct config_field *section, const struct config *c, const char *name)
{
	for (unsigned i = 0; i < list_count(section, c); i++)
		if (!strcmp(element(section, c, i), name))
			return (int)i;
	return -1;
}

static void section_object(struct walk *w, const char *name, unsigned index, uint64_t vms)
{
	config_path_push_index(&w->path, index);
	w->object_at = w->path.len;
	w->d.name = name;
	w->d.vms = vms;
}

static void compare_section(struct walk *w, const struct config_field *section)
{
	size_t mark = w->path.len;
	for (unsigned i = 0; i < list_count(section, w->from); i++) {
		const char *old = element(section, w->from, i);
		if (find(section, w->to, old) >= 0)
			continue;
		section_object(w, old, i, touched(w->from, section->key, i));
		report(w, CONFIG_REMOVED, "", "");
		config_path_pop(&w->path, mark);
	}
	for (unsigned i = 0; i < list_count(section, w->to); i++) {
		const char *new = element(section, w->to, i);
		int old = find(section, w->from, new);
		section_object(w, new, i, old < 0 ? 0 : touched(w->from, section->key, (unsigned)old));
		if (old < 0)
			report(w, CONFIG_ADDED, "", "");
		else
			compare_object(w, section->object, element(section, w->from, (unsigned)old), new);
		config_path_pop(&w->path, mark);
	}
}

static const char *without_article(const char *title)
{
	const char *space = strchr(title, ' ');
	return space ? space + 1 : title;
}

unsigned config_diff(
	const struct config *from, const struct config *to, void (*fn)(void *arg, const struct config_difference *d), void *arg)
{
	struct walk w = {.from = from, .to = to, .fn = fn, .arg = arg};
	for (unsigned i = 0; i < config_root.field_count; i++) {
		const struct config_field *section = &config_root.fields[i];
		size_t mark = config_path_push_key(&w.path, section->key, strlen(section->key));
		w.d = (struct config_difference){.section = section->key, .what = without_article(section->object->title), .name = ""};
		w.object_at = w.path.len;
		if (section->type == CONFIG_TYPE_LIST)
			compare_section(&w, section);
		else
			compare_object(&w, section->object, (const char *)from + section->offset, (const char *)to + section->offset);
		config_path_pop(&w.path, mark);
	}
	return w.count;
}

const char *config_difference_text(const struct config_difference *d, char *out, size_t size)
{
	int n = snprintf(out, size, d->name[0] ? "%s \"%s\"" : "%s", d->what, d->name);
	if (n < 0 || (size_t)n >= size)
		return out;
	if (d->kind == CONFIG_CHANGED)
		snprintf(out + n, size - (size_t)n, ": %s changes from %s to %s", d->key, d->from, d->to);
	else
		snprintf(out + n, size - (size_t)n, d->kind == CONFIG_ADDED ? " is added" : " is removed");
	return out;
}
