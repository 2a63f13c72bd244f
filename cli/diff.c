/* berth diff OLD.yaml NEW.yaml */
#include "host_file.h"

#include "memory.h"

#include <config/diff.h>
#include <stdio.h>
#include <string.h>

#define LINE_TEXT 1024

static const char *const live_words[] = {[CONFIG_LIVE] = "yes", [CONFIG_LIVE_WHEN_OFF] = "when-off", [CONFIG_RESTART] = "restart"};
static const char *const kind_words[] = {[CONFIG_ADDED] = "added", [CONFIG_REMOVED] = "removed", [CONFIG_CHANGED] = "changed"};

struct diff {
	struct host_file from, to;
	enum config_live worst;
	yyjson_mut_doc *doc; /* NULL: for people */
	yyjson_mut_val *changes;
};

static struct position position_of(const struct diff *diff, const struct config_difference *d, const char **file)
{
	const struct host_file *host = d->kind == CONFIG_REMOVED ? &diff->from : &diff->to;
	*file = host->problems.file;
	return marks_find(&host->yaml.marks, d->path, true);
}

static void print_vms(const struct diff *diff, uint64_t vms)
{
	const char *before = "      touches";
	for (unsigned i = 0; i < diff->from.config->vm_count; i++) {
		if (!(vms >> i & 1))
			continue;
		printf("%s %s", before, diff->from.config->vms[i].name);
		before = ",";
	}
	printf("\n");
}

static void print_difference(void *arg, const struct config_difference *d)
{
	static const char *const hints[] = {[CONFIG_LIVE] = "note",
		[CONFIG_LIVE_WHEN_OFF] = "only while the VM is powered off",
		[CONFIG_RESTART] = "only by a restart of the host"};
	struct diff *diff = arg;
	const char *file;
	struct position at = position_of(diff, d, &file);
	char text[LINE_TEXT];
	printf("%s:%u: %s\n", file, at.line, config_difference_text(d, text, sizeof(text)));
	if (d->vms && strcmp(d->section, "vms") != 0)
		print_vms(diff, d->vms);
	if (d->reason[0])
		printf("      %s: %s\n", hints[d->live], d->reason);
	if (d->live > diff->worst)
		diff->worst = d->live;
}

static void add_difference(void *arg, const struct config_difference *d)
{
	struct diff *diff = arg;
	yyjson_mut_doc *doc = diff->doc;
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, diff->changes), *vms;
	const char *file;
	struct position at = position_of(diff, d, &file);
	char text[LINE_TEXT];
	yyjson_mut_obj_add_strcpy(doc, o, "file", file);
	yyjson_mut_obj_add_uint(doc, o, "line", at.line);
	yyjson_mut_obj_add_str(doc, o, "kind", kind_words[d->kind]);
	yyjson_mut_obj_add_strcpy(doc, o, "section", d->section);
	yyjson_mut_obj_add_strcpy(doc, o, "name", d->name);
	yyjson_mut_obj_add_strcpy(doc, o, "path", d->path);
	if (d->kind == CONFIG_CHANGED) {
		yyjson_mut_obj_add_strcpy(doc, o, "key", d->key);
		yyjson_mut_obj_add_strcpy(doc, o, "from", d->from);
		yyjson_mut_obj_add_strcpy(doc, o, "to", d->to);
	}
	yyjson_mut_obj_add_strcpy(doc, o, "text", config_difference_text(d, text, sizeof(text)));
	yyjson_mut_obj_add_str(doc, o, "live", live_words[d->live]);
	yyjson_mut_obj_add_strcpy(doc, o, "reason", d->reason);
	vms = yyjson_mut_obj_add_arr(doc, o, "vms");
	for (unsigned i = 0; i < diff->from.config->vm_count; i++)
		if (d->vms >> i & 1)
			yyjson_mut_arr_add_strcpy(doc, vms, diff->from.config->vms[i].name);
	if (d->live > diff->worst)
		diff->worst = d->live;
}

static void print_differences(struct diff *diff)
{
	static const char *const verdicts[] = {
		[CONFIG_LIVE] = "can be applied while the host runs",
		[CONFIG_LIVE_WHEN_OFF] = "can be applied while the host runs, if the VMs named above are powered off",
		[CONFIG_RESTART] = "cannot be applied while the host runs",
	};
	unsigned count = config_diff(diff->from.config, diff->to.config, print_difference, diff);
	if (!count)
		printf("no difference\n");
	else
		printf("%u change%s; %s\n", count, count == 1 ? "" : "s", verdicts[diff->worst]);
}

static int print_as_json(struct diff *diff, int result)
{
	diff->doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = host_file_json(&diff->to, diff->doc, result), *problems = yyjson_mut_obj_get(root, "problems");
	yyjson_mut_val *more = problems_json(&diff->from.problems, diff->doc), *problem;
	while ((problem = yyjson_mut_arr_remove_first(more)))
		yyjson_mut_arr_append(problems, problem);
	if (result == EXIT_OK) {
		diff->changes = yyjson_mut_obj_add_arr(diff->doc, root, "changes");
		config_diff(diff->from.config, diff->to.config, add_difference, diff);
		yyjson_mut_obj_add_str(diff->doc, root, "live", live_words[diff->worst]);
	}
	int printed = print_json(diff->doc);
	yyjson_mut_doc_free(diff->doc);
	return printed ? printed : result;
}

int command_diff(const struct arguments *arguments)
{
	struct arguments second = *arguments;
	struct diff *diff = must_calloc(1, sizeof(*diff));
	int result = host_file_load(&diff->from, arguments, false), other;
	second.operand = arguments->second;
	other = host_file_load(&diff->to, &second, false);
	result = result > other ? result : other;
	if (arguments->values[OPTION_JSON]) {
		result = print_as_json(diff, result);
	} else {
		problems_print(&diff->from.problems);
		problems_print(&diff->to.problems);
		if (result == EXIT_OK)
			print_differences(diff);
	}
	host_file_free(&diff->from);
	host_file_free(&diff->to);
	free(diff);
	return result;
}
