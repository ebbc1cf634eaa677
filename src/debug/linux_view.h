/* A Linux kernel in guest memory: its symbols, which the debugger knows, and its types, which it
 * carries itself (BTF).  Private to src/debug; control thread, world STOPPED.  Nothing is written.
 */
#ifndef DEBUG_LINUX_VIEW_H
#define DEBUG_LINUX_VIEW_H

#include "umbra/err.h"
#include "umbra/types.h"

struct debug_target;

/* Symbols of the kernel that the debugger is asked for, in this order. */
enum linux_symbol {
	LINUX_BTF_START,
	LINUX_BTF_STOP,
	LINUX_INIT_TASK,
	LINUX_MODULES,
	LINUX_DO_INIT_MODULE,
	LINUX_FREE_MODULE,
	LINUX_SYMBOLS
};
extern const char *const linux_symbol_name[LINUX_SYMBOLS];

/* What the debugger said of them; 0: not known. */
struct linux_symbols {
	gva_t addr[LINUX_SYMBOLS];
};

/* A member whose offset is wanted; with no member the size of the structure. */
struct linux_field {
	const char *structure, *member;
};

struct linux_view {
	struct debug_target *target;
	unsigned vcpu;	/* by whose tables */
	uint64_t slide; /* what the debugger's addresses lack */
	struct umbra_err *err;
};

/* A view through the tables of @vcpu, or of another vCPU when those have no kernel.  Errors, with
 * the reason in @err, which the view keeps: -ENOENT no such symbols or types. */
int linux_view_open(struct linux_view *out, struct debug_target *target, unsigned vcpu,
		    struct umbra_err *err);

/* The offsets of @count fields.  Millions of bytes are read and looked through.
 * Errors, with the reason: -ENOENT no such type; -EFAULT not mapped; -ENOMEM. */
int linux_view_fields(const struct linux_view *view, const struct linux_field *field,
		      unsigned count, uint32_t *out_offset);

/* Where @symbol is; 0: not known. */
gva_t linux_view_symbol(const struct linux_view *view, enum linux_symbol symbol);

/* Errors, with the reason: -EFAULT. */
int linux_read(const struct linux_view *view, gva_t va, void *buf, size_t len);
int linux_read_pointer(const struct linux_view *view, gva_t va, gva_t *out);
int linux_read_u32(const struct linux_view *view, gva_t va, uint32_t *out);

#endif
