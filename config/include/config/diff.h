/*
 * What would change if a host that runs by one configuration were given another, in plain words, with what can be done while it runs. The
 * same code tells an administrator (`berth diff`) and decides on the host (`berth apply`). Pure.
 */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include <config/config.h>

enum config_difference_kind { CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED };

enum config_live {
	CONFIG_LIVE,          /* at once; what is not touched does not notice */
	CONFIG_LIVE_WHEN_OFF, /* while the VM is powered off */
	CONFIG_RESTART,       /* only when the host starts */
};

#define CONFIG_VALUE_TEXT 160

/* One difference. The strings are valid during the call only. */
struct config_difference {
	enum config_difference_kind kind;
	const char *section;   /* key of the configuration: "portgroups" */
	const char *what;      /* "port group" */
	const char *name;      /* of the object; "" for the host */
	const char *path;      /* in the new configuration; of what is removed, in the old: "portgroups[1].vlan" */
	const char *key;       /* CHANGED: within the object: "policy.promiscuous" */
	const char *from, *to; /* CHANGED: values as the configuration writes them */
	enum config_live live;
	const char *reason; /* why not live, or what to know about it; "" = nothing */
	uint64_t vms;       /* VMs it touches: bit i is vms[i] of the old configuration */
};

/* Calls fn for each difference, in the order of the configuration's sections. Returns how many there are. */
unsigned config_diff(
	const struct config *from, const struct config *to, void (*fn)(void *arg, const struct config_difference *d), void *arg);

/* The difference as a sentence without a full stop: `port group "web": vlan changes from 20 to 30`. Returns out. */
const char *config_difference_text(const struct config_difference *d, char *out, size_t size);

#endif
