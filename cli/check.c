/* berth check FILE.yaml */
#include "host_file.h"

#include <stdio.h>

static void print_count(unsigned count, const char *what)
{
	printf(", %u %s%s", count, what, count == 1 ? "" : "s");
}

static void print_summary(const struct host_file *host)
{
	const struct config *config = host->config;
	printf("%s: ok: host \"%s\"", host->problems.file, config->host.name);
	print_count(config->vm_count, "VM");
	print_count(config->datastore_count, "datastore");
	print_count(config->net.vmknic_count, "VMkernel NIC");
	print_count(config->vsw.portgroup_count, "port group");
	if (host->problems.warnings)
		print_count(host->problems.warnings, "warning");
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
