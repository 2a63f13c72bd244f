/*
 * Scalars of the configuration: text to number, address, size. Each returns NULL, or what is wrong as a clause that follows 'NAME "TEXT"
 * ...'; *hint is set when there is something to advise. Pure.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <config/model.h>

const char *value_mac(const char *text, uint8_t mac[6], const char **hint);
const char *value_pci(const char *text, struct vsw_uplink_config *uplink, const char **hint);
const char *value_ipv4(const char *text, uint32_t *address, const char **hint);
const char *value_cidr(const char *text, uint32_t *address, uint8_t *prefix, const char **hint);
/* An IPv4 or IPv6 network with the length of its prefix, or one address. */
const char *value_prefix(const char *text, struct vsw_prefix *prefix, const char **hint);
/* The port is 3260 (iSCSI, RFC 7143 section 4.2.2) when it is not given. */
const char *value_portal(const char *text, struct storage_portal *portal, const char **hint);
/* "20" or "10-19". */
const char *value_vlans(const char *text, struct vsw_vlan_range *range, const char **hint);
/* A whole number and a unit: B, KiB, MiB, GiB or TiB. */
const char *value_bytes(const char *text, uint64_t *bytes, const char **hint);
const char *value_name(const char *text, bool spaces, const char **hint);
/* A relative path: no leading '/', no empty, "." or ".." component, printable. */
const char *value_path(const char *text, const char **hint);
/* Printable, no control characters. */
const char *value_text(const char *text, const char **hint);

#endif
