/* A configuration that came over the control console becomes the host's (apply.c). */
#ifndef MGMT_APPLY_H
#define MGMT_APPLY_H

#include "inventory.h"
#include "transfer.h"

/*
 * Checks the received configuration and, unless `only_check`, makes the host run by it. All or nothing. Returns the answer for the console:
 * {"event": "config", "id", "state": "applied" | "checked" | "refused", "changes": [...], "problems": [...]}; NULL: no memory for one.
 */
yyjson_mut_doc *apply_configuration(struct inventory *inv, const struct transfer *t, bool only_check);

#endif
