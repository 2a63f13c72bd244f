/*
 * The grammar of a host's configuration as one const table: a row for each key. config/read.c decodes by it, `berth schema` prints it as
 * JSON Schema and as the user guide's reference, so the three cannot disagree. Rules that span keys are config/check.c's.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a key's value is in YAML and JSON, and (in brackets) the C object it becomes at `offset`. */
enum config_type {
	CONFIG_TYPE_TEXT,     /* any text                              [char[size]] */
	CONFIG_TYPE_NAME,     /* letters, digits . _ -                 [char[size]] */
	CONFIG_TYPE_LABEL,    /* a name that may contain spaces        [char[size]] */
	CONFIG_TYPE_PATH,     /* a relative path                       [char[size]] */
	CONFIG_TYPE_BOOL,     /* true or false                         [bool] */
	CONFIG_TYPE_UINT,     /* min..max                              [unsigned of `size` bytes] */
	CONFIG_TYPE_VLAN,     /* 0..4094                               [uint16_t] */
	CONFIG_TYPE_VLANS,    /* 20 or 10-19                           [struct vsw_vlan_range] */
	CONFIG_TYPE_CHOICE,   /* one of `choices`                      [uint8_t: its index] */
	CONFIG_TYPE_BYTES,    /* 64MiB                                 [uint64_t] */
	CONFIG_TYPE_MAC,      /* 52:54:00:12:34:56                     [uint8_t[6]] */
	CONFIG_TYPE_PCI,      /* 0000:00:02.0                          [struct vsw_uplink_config's pci_*] */
	CONFIG_TYPE_IPV4,     /* 10.0.2.2                              [uint32_t] */
	CONFIG_TYPE_CIDR,     /* 10.0.2.15/24                          [struct net_vmknic_config's address, prefix] */
	CONFIG_TYPE_PREFIX,   /* 10.0.0.0/8, fe80::/10, or an address [struct vsw_prefix] */
	CONFIG_TYPE_PORTAL,   /* 10.0.2.2:3260                         [struct storage_portal] */
	CONFIG_TYPE_REF,      /* a name of the section `refers_to`     [uint8_t: its index] */
	CONFIG_TYPE_FILE_REF, /* module:NAME or DATASTORE:path         [struct config_file_ref] */
	CONFIG_TYPE_SECRET,   /* file:PATH (YAML), module:NAME (JSON)  [char[size]] */
	CONFIG_TYPE_OBJECT,   /* `object`                              [its struct, at offset] */
	CONFIG_TYPE_LIST,     /* of `item`, at most `max`              [array at offset, count at count_offset] */
};

enum config_field_flags {
	CONFIG_REQUIRED = 1,
	CONFIG_ONE_OF = 2, /* of the rows of an object that have this, exactly one must be given */
};

struct config_object;

struct config_field {
	const char *key;
	enum config_type type;
	enum config_type item; /* LIST: what each element is */
	unsigned flags;
	unsigned offset, size;              /* in the struct of the object; size also of one element of a LIST */
	unsigned count_offset;              /* LIST: an unsigned */
	unsigned present_offset;            /* a bool that becomes true when the key is given; 0 = none */
	unsigned tag_offset, tag;           /* an enum that becomes tag when the key is given; tag_offset 0 = none */
	uint64_t min, max;                  /* UINT, BYTES: value; LIST: elements */
	uint64_t initial;                   /* BOOL, UINT: value when the key is not given */
	const struct config_object *object; /* OBJECT; LIST of OBJECT */
	const char *refers_to;              /* REF: "portgroups" ... */
	const char *const *choices;         /* CHOICE: words, then NULL; the first is the default */
	const char *doc;                    /* one sentence or two for the reference */
	const char *example;                /* YAML */
};

struct config_object {
	const char *title; /* "a port group" */
	const struct config_field *fields;
	unsigned field_count;
};

extern const struct config_object config_root;

#endif
