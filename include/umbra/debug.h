/* The debug port: listens, gives each client a fresh protocol session (gdbstub/), and lets one of
 * them drive the machine and the others look at it.  Call: control thread. */
#ifndef UMBRA_DEBUG_H
#define UMBRA_DEBUG_H

#include "umbra/cpu.h"
#include "umbra/err.h"
#include "umbra/loop.h"
#include "umbra/vm.h"

struct debug_server;

enum debug_disconnect {
	DEBUG_ON_DISCONNECT_RESUME,
	DEBUG_ON_DISCONNECT_STAY,
	DEBUG_ON_DISCONNECT_EXIT
};

/* What the guest is described as to a debugger.  AUTO: as x86-64 where the image says so; else as
 * nothing in particular, so that the debugger's symbol file decides; and one that has no file is
 * told anew when the processor's mode changes.  X86_64_LINUX: gdb takes the guest for a process of
 * Linux, and knows $_siginfo and the names of system calls. */
enum debug_arch {
	DEBUG_ARCH_AUTO,
	DEBUG_ARCH_X86_64,
	DEBUG_ARCH_X86_64_LINUX,
	DEBUG_ARCH_I386,
	DEBUG_ARCH_I8086
};

struct debug_config {
	/* tcp:[HOST]:PORT (HOST default: 127.0.0.1 and ::1; port 0 = any), unix:PATH, stdio.
	 * On stdio there is no second client: the machine ends when the first one goes. */
	const char *address;
	enum debug_disconnect on_disconnect;
	enum debug_arch arch;
	/* Where the files of a Linux guest's modules are, for the debugger to read; NULL: nobody
	 * said.
	 */
	const char *modules;
	/* What `monitor version` answers: "umbra 0.1 ..."; borrowed; NULL: the name alone. */
	const char *version;
	/* How long the client may hear nothing while its packet is worked on; 0: 500 ms. */
	uint64_t keep_alive_ns;
	/* The debugger ended the machine (k, vKill, `monitor quit`, or a disconnect with EXIT).
	 * Called once, last in a callback of the loop; also from inside debug_server_stopped. */
	void (*on_quit)(void *ctx, int code);
	void *ctx;
};

/* Process exit status after `k` and vKill: the guest did not pass. */
#define DEBUG_KILLED_CODE 137

/* Listen.  Nothing happens to the guest until a client's first valid packet.
 * Errors: -EADDRINUSE and others, with the address and the owner where it can be told. */
int debug_server_create(struct debug_server **out_server, const struct debug_config *config,
			struct vm *vm, struct loop *loop, struct umbra_err *err);
/* After world_end: breakpoints call into it.  NULL is allowed. */
void debug_server_destroy(struct debug_server *server);

/* What gdb's `target remote` is to be given: "127.0.0.1:43817", or a socket path, or "stdio". */
const char *debug_server_address(const struct debug_server *server);
bool debug_server_is_attached(const struct debug_server *server);

/* The client in control stops and resumes each vCPU by itself: the machine must not be let go
 * without its knowledge. */
bool debug_server_is_non_stop(const struct debug_server *server);

/* The world has stopped, and the stop was taken.  Returns true when it is dealt with: an attached
 * client was told (or is being served from this stop), or a client that has gone had asked for it
 * and the machine runs again.  False when nobody is there: the caller decides. */
bool debug_server_stopped(struct debug_server *server, const struct cpu_stop *stop);
/* The process is about to end with @code: tell the client (W) and send what is queued. */
void debug_server_exiting(struct debug_server *server, int code);

#endif
