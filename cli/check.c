/* berth check FILE.yaml */
#include "host_file.h"

#include <stdio.h>

static void print_summary(const struct host_file *host)
{
	const struct config *config = host->config;
	printf("%s: ok: host \"%s\", %u VMs, %u datastores, %u VMkernel NICs, %u port groups", host->problems.file, config->host.name,
		config->vm_count, config->datastore_count, config->net.vmknic_count, config->vsw.portgroup_count);
	if (host->problems.warnings)
		printf("; %u warning%s", host->problems.warnings, host->problems.warnings == 1 ? "" : "s");
	printf("\n");
}

int command_check(const struct arguments *arguments)
{
	struct host_file host;
	int result = host_file_load(&host, arguments, false);
	if (arguments->values[OPTION_JSON]) {
		yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
		host_file_json(&host, doc, result);
		int printed = print_json(doc);
		result = printed ? printed : result;
		yyjson_mut_doc_free(doc);
	} else {
		problems_print(&host.problems);
		if (result == EXIT_OK)
			print_summary(&host);
	}
	host_file_free(&host);
	return result;
}
