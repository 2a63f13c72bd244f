/*
 * The management layer on a test bench: the real inventory, control console and statistics over the real datastore layer, with the storage
 * of tests/unit/datastore/kit.h and machines that are only remembered: a test says how they end and what they print.
 */
#ifndef MGMT_KIT_H
#define MGMT_KIT_H

#include "test.h"

#include "../datastore/kit.h"
#include "inventory.h"

#define KIT_VMS 8

struct vm {
	bool used, started, stopped, destroyed, logged;
	struct vm_config config;
	char name[VM_NAME_MAX + 1], kernel[64];
	char typed[2048];
	size_t typed_len;
};

extern struct vm kit_vms[KIT_VMS]; /* in order of vm_create */
extern int kit_vm_error;           /* what vm_create ends with */
extern size_t kit_vm_input_room;   /* bytes that a VM's serial port takes */

/* A host with a NAS "nas1", a SAN "san1", 8 MiB of RAM "ram1", and no VM as yet; VMs are added, then all is started. */
int kit_mgmt_setup(void **state);
int kit_mgmt_teardown(void **state);
/* A VM that boots boot module "guest". */
struct config_vm *kit_vm(const char *name);
void kit_disk(struct config_vm *vm, unsigned datastore, const char *file);
enum { KIT_NAS, KIT_SAN, KIT_RAM };
void kit_start(void);
extern struct inventory *kit_inventory;
extern struct mgmt_parts kit_parts;

struct vm *kit_vm_find(const char *name);
/* It ends, and everything that follows from it happens. */
void kit_vm_end(const char *name, enum vm_end how, unsigned value, const char *reason);
enum machine_state kit_state(const char *name);

/* Types bytes at the control console; returns what it answered. */
const char *kit_control(const char *bytes, size_t len);
const char *kit_command(const char *line);
/* The last event of this name that was written to the control console since kit_start; NULL when there is none. Free with yyjson_doc_free.
 */
yyjson_doc *kit_event(const char *name);
/* How many lines the control console has written in all; fails when one is not a JSON object with a text "event". */
unsigned kit_events_checked(void);

#endif
