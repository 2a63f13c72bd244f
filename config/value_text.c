/* Values of the configuration as text. */
#include "value_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_uint(char *out, size_t size, const struct config_field *field, const void *value)
{
	uint64_t n = 0;
	memcpy(&n, value, field->size <= sizeof(n) ? field->size : sizeof(n)); /* little-endian, as the decoder stores it */
	snprintf(out, size, "%llu", (unsigned long long)n);
}

static void put_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;
	while (unit < 4 && bytes && !(bytes & 1023)) {
		bytes >>= 10;
		unit++;
	}
	snprintf(out, size, "%llu%s", (unsigned long long)bytes, units[unit]);
}

static void put_ipv4(char *out, size_t size, uint32_t a)
{
	snprintf(out, size, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void put_with_address(char *out, size_t size, uint32_t address, char between, unsigned number)
{
	char text[16];
	put_ipv4(text, sizeof(text), address);
	snprintf(out, size, "%s%c%u", text, between, number);
}

static void put_prefix(char *out, size_t size, const struct vsw_prefix *p)
{
	const uint8_t *b = p->bytes;
	size_t n = 0;
	if (p->family == 4) {
		snprintf(out, size, "%u.%u.%u.%u/%u", b[0], b[1], b[2], b[3], p->length);
		return;
	}
	for (unsigned i = 0; i < 8; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%x", i ? ":" : "", b[2 * i] << 8 | b[2 * i + 1]);
	snprintf(out + n, size - n, "/%u", p->length);
}

static void put_reference(char *out, size_t size, const struct config *c, const char *section, unsigned index)
{
	for (unsigned i = 0; i < config_root.field_count; i++) {
		const struct config_field *field = &config_root.fields[i];
		if (!strcmp(field->key, section))
			snprintf(out, size, "%s", (const char *)c + field->offset + (size_t)index * field->size);
	}
}

static void put_file(char *out, size_t size, const struct config *c, const struct config_file_ref *file)
{
	if (!file->present)
		snprintf(out, size, "nothing");
	else
		snprintf(out, size, "%s:%.120s", file->is_module ? "module" : c->datastores[file->datastore].name, file->path);
}

void value_show(
	char out[CONFIG_VALUE_TEXT], const struct config *c, const struct config_field *field, enum config_type type, const void *value)
{
	const size_t size = CONFIG_VALUE_TEXT;
	const struct vsw_vlan_range *range = value;
	const struct vsw_uplink_config *uplink = value; /* PCI */
	const struct net_vmknic_config *vmk = value;    /* CIDR */
	const struct storage_portal *portal = value;
	const uint8_t *bytes = value;
	uint32_t address;
	uint64_t size_bytes;
	switch (type) {
	case CONFIG_TYPE_BOOL:
		snprintf(out, size, "%s", *(const bool *)value ? "true" : "false");
		break;
	case CONFIG_TYPE_UINT:
	case CONFIG_TYPE_VLAN:
		put_uint(out, size, field, value);
		break;
	case CONFIG_TYPE_VLANS:
		snprintf(out, size, range->first == range->last ? "%u" : "%u-%u", range->first, range->last);
		break;
	case CONFIG_TYPE_CHOICE:
		snprintf(out, size, "%s", field->choices[bytes[0]]);
		break;
	case CONFIG_TYPE_BYTES:
		memcpy(&size_bytes, value, sizeof(size_bytes));
		put_bytes(out, size, size_bytes);
		break;
	case CONFIG_TYPE_MAC:
		snprintf(out, size, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
		break;
	case CONFIG_TYPE_PCI:
		snprintf(out, size, "%04x:%02x:%02x.%u", uplink->pci_segment, uplink->pci_bus, uplink->pci_dev, uplink->pci_fn);
		break;
	case CONFIG_TYPE_IPV4:
		memcpy(&address, value, sizeof(address));
		put_ipv4(out, size, address);
		break;
	case CONFIG_TYPE_CIDR:
		put_with_address(out, size, vmk->address, '/', vmk->prefix);
		break;
	case CONFIG_TYPE_PREFIX:
		put_prefix(out, size, value);
		break;
	case CONFIG_TYPE_PORTAL:
		put_with_address(out, size, portal->address, ':', portal->port);
		break;
	case CONFIG_TYPE_REF:
		put_reference(out, size, c, field->refers_to, bytes[0]);
		break;
	case CONFIG_TYPE_FILE_REF:
		put_file(out, size, c, value);
		break;
	case CONFIG_TYPE_SECRET:
		snprintf(out, size, "a secret");
		break;
	default:
		snprintf(out, size, "%.*s", (int)size - 1, *(const char *)value ? (const char *)value : "nothing");
	}
}

void value_show_list(char out[CONFIG_VALUE_TEXT], const struct config *c, const struct config_field *field, const void *base)
{
	char one[CONFIG_VALUE_TEXT];
	unsigned count;
	size_t n = 1;
	memcpy(&count, (const char *)base + field->count_offset, sizeof(count));
	snprintf(out, CONFIG_VALUE_TEXT, count ? "[" : "nothing");
	for (unsigned i = 0; i < count && n < CONFIG_VALUE_TEXT; i++) {
		value_show(one, c, field, field->item, (const char *)base + field->offset + (size_t)i * field->size);
		n += (size_t)snprintf(out + n, CONFIG_VALUE_TEXT - n, "%s%s%s", i ? ", " : "", one, i + 1 == count ? "]" : "");
	}
}
