/* RPCs in flight: slots, the library's one callback, errors of the RPC layer, recovery after a loss. Invariants: client.h. */
#include "client.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

struct nfs_op *rpc_op_get(
	struct nfs_initiator *n, struct nfs_file *file, enum nfs_op_kind kind, void (*reply)(struct nfs_op *op, void *data))
{
	struct nfs_op *op = hv_slab_get(&n->ops);

	if (!op)
		return NULL;
	*op = (struct nfs_op){.n = n, .file = file, .kind = kind, .reply = reply, .sent_ns = hv_now_ns(), .prev = n->in_flight_tail};
	if (op->prev)
		op->prev->next = op;
	else
		n->in_flight_head = op;
	n->in_flight_tail = op;
	return op;
}

void rpc_op_put(struct nfs_op *op)
{
	struct nfs_initiator *n = op->n;

	if (op->prev)
		op->prev->next = op->next;
	else
		n->in_flight_head = op->next;
	if (op->next)
		op->next->prev = op->prev;
	else
		n->in_flight_tail = op->prev;
	n->rpc_errors -= op->rpc_error;
	hv_slab_put(&n->ops, op);
}

bool rpc_handle_copy(struct nfs_handle *h, const char *data, uint32_t bytes)
{
	if (!bytes || bytes > NFS_HANDLE_MAX || !data)
		return false;
	h->bytes = bytes;
	memcpy(h->data, data, bytes);
	return true;
}

void rpc_answered(struct rpc_context *rpc, int status, void *data, void *arg)
{
	struct nfs_op *op = arg;

	if (rpc != op->n->rpc)
		return; /* being destroyed: rpc_recover takes the op back */
	if (status != RPC_STATUS_SUCCESS || !data) {
		/* Either the connection is going, which the library says when it returns, or the server refused this one RPC. */
		op->rpc_error = true;
		op->n->rpc_errors++;
		return;
	}
	op->reply(op, data);
}

static void call_end(struct nfs_op *op, bool lost)
{
	struct nfs_call *call = op->call;

	rpc_op_put(op);
	if (!call)
		return;
	call->state = lost ? CALL_LOST : CALL_ANSWERED;
	call->status = UINT32_MAX;
	hv_fiber_wake(call->fiber);
}

void rpc_errors_handle(struct nfs_initiator *n)
{
	while (n->rpc_errors) {
		struct nfs_op *op = n->in_flight_head;

		while (!op->rpc_error)
			op = op->next;
		if (op->kind == NFS_OP_CALL)
			call_end(op, false);
		else
			file_op_rpc_error(op);
	}
}

void rpc_recover(struct nfs_initiator *n)
{
	struct nfs_op *op;

	while ((op = n->in_flight_head) != NULL) {
		switch (op->kind) {
		case NFS_OP_READ:
			file_read_recover(op);
			break;
		case NFS_OP_CALL:
			call_end(op, true);
			break;
		default: /* writes and commits live in the log: file_recover */
			rpc_op_put(op);
			break;
		}
	}
	for (struct nfs_file *f = n->files; f; f = f->next)
		file_recover(f);
}
