/*
 * The grammar's tables, one file for each part of a configuration: how their rows are written, and the objects that other files refer to.
 */
#ifndef CONFIG_GRAMMAR_H
#define CONFIG_GRAMMAR_H

#include <config/model.h>
#include <config/schema.h>

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ELEMENTS(type, member, count)                                                                                                      \
	.offset = offsetof(type, member), .size = sizeof(((type *)0)->member[0]), .count_offset = offsetof(type, count),                   \
	.max = sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0])
#define PRESENT(type, member) .present_offset = offsetof(type, member)
#define SHARED_OBJECT(name, what, rows)                                                                                                    \
	const struct config_object name = {.title = what, .fields = rows, .field_count = sizeof(rows) / sizeof(rows[0])}
#define OBJECT(name, what, rows) static SHARED_OBJECT(name, what, rows)

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* grammar_vswitch.c */
extern const struct config_object config_uplink_object, config_vswitch_object, config_portgroup_object;
extern const struct config_object config_storm_object, config_shaping_object; /* of port groups, uplinks and NICs */
/* grammar_mirror.c */
extern const struct config_object config_mirror_object;
/* grammar_storage.c */
extern const struct config_object config_datastore_object;
/* grammar_vm.c */
extern const struct config_object config_vm_object;

#endif
