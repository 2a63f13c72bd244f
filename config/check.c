/*
 * Judges a configuration as a whole. Entry, the host itself, and tests that several subjects use; the rules on each subject are in
 * check_network.c, check_vlan.c, check_teaming.c, check_storage.c and check_vm.c. A rule says what is wrong and, where it can, what to
 * write instead.
 */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void check_unique_names(struct checker *c, const char *section, const char *what, const void *elements, size_t stride, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const char *name = (const char *)elements + i * stride;
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(name, (const char *)elements + j * stride) != 0)
				continue;
			report_at(&c->report, "%s[%u].name", section, i);
			report_error(&c->report, report_hint(&c->report, "%s[%u] has it too: rename one", section, j),
				"there are two %s called \"%s\"", what, name);
			break;
		}
	}
}

const char *check_ipv4_text(char out[CHECK_IPV4_TEXT], uint32_t address)
{
	snprintf(out, CHECK_IPV4_TEXT, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
	return out;
}

const char *check_host_address(uint32_t address)
{
	if (address >> 24 == 0)
		return "is not an address a host can have (0.0.0.0/8)";
	if (address >> 24 == 127)
		return "is a loopback address";
	if (address >> 28 == 14)
		return "is a multicast address";
	if (address >> 28 == 15)
		return "is a broadcast or reserved address";
	return NULL;
}

/* RFC 7143 section 4.2.7.2: a format, then up to 223 bytes in all; RFC 3722: lower case, letters, digits, '-', '.', ':'. */
const char *check_iscsi_name(const char *name)
{
	bool iqn = !strncmp(name, "iqn.", 4), eui = !strncmp(name, "eui.", 4), naa = !strncmp(name, "naa.", 4);
	if (!iqn && !eui && !naa)
		return "does not begin with \"iqn.\", \"eui.\" or \"naa.\"";
	size_t digits = strspn(name + 4, "0123456789abcdefABCDEF");
	if ((eui && (digits != 16 || name[20])) || (naa && ((digits != 16 && digits != 32) || name[4 + digits])))
		return eui ? "does not have 16 hexadecimal digits behind \"eui.\""
			   : "does not have 16 or 32 hexadecimal digits behind \"naa.\"";
	if (!iqn)
		return NULL;
	for (const char *p = name; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			return "has a capital letter";
		if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '.' || *p == ':'))
			return "has a character other than letters, digits, '-', '.' and ':'";
	}
	const char *date = name + 4;
	bool dated = strspn(date, "0123456789") == 4 && date[4] == '-' && strspn(date + 5, "0123456789") == 2 && date[7] == '.' && date[8];
	return dated ? NULL : "does not have a year, month and domain behind \"iqn.\"";
}

static void check_host(struct checker *c)
{
	const struct config_host *host = &c->config->host;
	const char *problem = check_iscsi_name(host->initiator);
	if (!problem)
		return;
	char from_name[sizeof(host->initiator)];
	snprintf(from_name, sizeof(from_name), "iqn.2026-01.io.berth:%s", host->name);
	if (strcmp(from_name, host->initiator) != 0) {
		report_at(&c->report, "host.initiator");
		report_error(
			&c->report, "write for example iqn.2026-01.com.example:hv1", "the iSCSI name \"%s\" %s", host->initiator, problem);
		return;
	}
	for (unsigned i = 0; i < c->config->datastore_count; i++) {
		if (c->config->datastores[i].kind != DATASTORE_ISCSI)
			continue;
		report_at(&c->report, "host.name");
		report_error(&c->report, "use small letters and digits in the host's name, or give host.initiator",
			"the iSCSI name made from the host's name, \"%s\", %s", host->initiator, problem);
		return;
	}
}

int config_check(const struct config *config, const struct config_sink *sink)
{
	struct checker c = {.config = config};
	report_begin(&c.report, sink);
	check_host(&c);
	check_network(&c);
	check_vlans(&c);
	check_teaming(&c);
	check_mirrors(&c);
	check_limits(&c);
	check_storage(&c);
	check_vms(&c);
	return c.report.errors ? -EINVAL : 0;
}
