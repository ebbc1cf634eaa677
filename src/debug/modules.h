/* The modules of a Linux guest as libraries of its kernel: which are loaded, where their sections
 * lie, and when that changes.  Private to src/debug; control thread, world STOPPED.
 *
 * The debugger is told when the kernel is about to run a module's init function, so that
 * breakpoints in it hit, and when it is about to free one. */
#ifndef DEBUG_MODULES_H
#define DEBUG_MODULES_H

#include "module_files.h"
#include "rspstub.h"
#include "umbra/cpu.h"
#include "umbra/types.h"

struct debug_target;

#define MODULES_MAX	    1024u
#define MODULE_SECTIONS_MAX 256u
#define MODULES_FIELDS	    11u
#define MODULES_POINTS	    2u

struct module {
	const char *path; /* of files */
	unsigned section_count;
	uint64_t *section;
};

struct modules {
	struct module_files *files;  /* NULL: nobody said where they are, and nothing is told */
	bool is_read;		     /* a client reads the list */
	bool is_due;		     /* the list may have become another */
	bool must_arm;		     /* the points are to be set */
	gva_t point[MODULES_POINTS]; /* where it becomes another; 0: not known */
	bool has_offsets;
	uint32_t offset[MODULES_FIELDS];
	unsigned count;
	struct module *list; /* as the client read it last */
};

void modules_end(struct modules *modules);

/* The debugger said where a symbol is. */
void modules_symbol_found(struct debug_target *target);
/* The world stopped. */
void modules_stopped(struct debug_target *target, const struct cpu_stop *stop);
/* The machine begins anew. */
void modules_reset(struct debug_target *target);
/* The world is about to go on. */
void modules_going(struct debug_target *target);
/* The client has gone. */
void modules_leave(struct debug_target *target);

extern const struct rsp_library_ops modules_library_ops;

#endif
