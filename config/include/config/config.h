/*
 * Reading and checking a host's configuration. The same code runs on the host (picolibc, JSON from a boot module) and in the `berth` tool
 * (JSON made from YAML), so what `berth check` accepts the host accepts, word for word.
 *
 * decode, then apply: config_read_json() turns untrusted bytes into a struct config or reports everything that is wrong; config_check()
 * judges the result as a whole. After both have returned 0, whoever applies the configuration need not doubt it again.
 *
 * Context: loop context (uses malloc and up to 8 KiB of stack), no file I/O, no floating point, no global state.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <config/model.h>
#include <stddef.h>

enum config_severity { CONFIG_ERROR, CONFIG_WARNING };

/* Something that is wrong, as a person reads it. The strings are valid during the call only. */
struct config_problem {
	enum config_severity severity;
	const char *path;    /* where: "vms[0].nics[1].portgroup"; "" = the whole configuration */
	bool at_key;         /* the problem is the key that ends the path, not its value */
	const char *message; /* what is wrong; a clause without a full stop */
	const char *hint;    /* what to do about it; "" if there is nothing to add */
};

struct config_sink {
	void (*report)(void *arg, const struct config_problem *problem);
	void *arg;
};

/*
 * Where secrets come from. The configuration names one ("module:san1.secret" -> name "san1.secret"); `secret` writes its text and a NUL to
 * out. Returns its length without the NUL, -ENOENT if there is none of that name, -ENAMETOOLONG if it needs more than size - 1 bytes,
 * -EAGAIN if it is deliberately not looked up now (then the configuration's secret stays empty and is not judged).
 */
struct config_secrets {
	int (*secret)(void *arg, const char *name, char *out, size_t size);
	void *arg;
};

/*
 * Decodes len bytes of JSON into *out (about 1 MiB: allocate it). Everything is checked that can be without looking at the rest of the
 * configuration: syntax, types, ranges, unknown and missing keys, references to names. Every problem is reported; MAC addresses that are
 * not given are derived (config_derive_mac), so that afterwards each vmk's and NIC's mac is set whatever its has_mac says.
 * secrets may be NULL: then any secret is an error.
 * 0; -EINVAL: at least one error was reported and *out must not be used; -ENOMEM (reported too).
 */
int config_read_json(const char *json, size_t len, struct config *out, const struct config_secrets *secrets, const struct config_sink *sink)
	__attribute__((warn_unused_result));

/*
 * Judges a decoded configuration as a whole: duplicates, addresses, things that cannot work together. Pure.
 * 0 when there is no error (warnings may have been reported), else -EINVAL.
 */
int config_check(const struct config *config, const struct config_sink *sink) __attribute__((warn_unused_result));

#define CONFIG_POSITION_MAX (CONFIG_FILE_NAME_MAX + 8)
/*
 * Where a place of the configuration ("portgroups[1].vlan"), or the nearest one around it that is known, stands in the YAML file:
 * "host.yaml:12", written to out and returned. "": not known. config_line: the line alone, 0 = not known. Pure; also while
 * config_read_json is reporting problems of this configuration.
 */
const char *config_position(const struct config *config, const char *path, char out[CONFIG_POSITION_MAX + 1]);
unsigned config_line(const struct config *config, const char *path);

/*
 * A MAC address for a NIC that was given none: a hash of the three, so that it is the same at every boot and on every build;
 * locally administered, unicast (IEEE 802-2014 clause 8.4). salt is 0 but where two owners of one host hash alike.
 */
void config_derive_mac(const char *host, const char *owner, unsigned nic, unsigned salt, uint8_t mac[6]);

#endif
