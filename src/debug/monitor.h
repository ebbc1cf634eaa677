/* `monitor` words: what a person types at the gdb prompt and umbra answers itself.
 * Private to src/debug; control thread, world STOPPED. */
#ifndef DEBUG_MONITOR_H
#define DEBUG_MONITOR_H

#include "umbra/print.h"
#include "umbra/x86.h"

struct debug_target;

/* Longest command line, and the most words in one. */
#define MON_LINE_MAX 512u
#define MON_WORD_MAX 20u
/* For mon_word.max_args: the rest of the line is one argument, blanks and all. */
#define MON_TEXT (~0u)

/* One command being run. */
struct mon_call {
	struct debug_target *target;
	unsigned vcpu; /* of gdb's current thread */
	const struct print_sink *out;
	unsigned argc;	   /* arguments behind the word that was found */
	const char **argv; /* likewise */
};

struct mon_word {
	const char *name;
	const char *args; /* for help; "" if none */
	const char *help; /* one line, no full stop */
	unsigned max_args;
	/* 0, or a positive errno value after its text was printed. */
	int (*run)(struct mon_call *call);
};

/* Run @line for the thread of vCPU @vcpu; what it says goes to @out.  Returns 0 or a positive errno
 * value. */
int monitor_run(struct debug_target *target, unsigned vcpu, const char *line,
		const struct print_sink *out);
/* print_sink.text for a struct debug_target as context: to the client that it serves. */
void monitor_print_client(void *ctx, const char *text, size_t len);

/* The word of @table that @word means: itself, or an abbreviation that no other row shares.  NULL
 * otherwise; *@out_is_ambiguous says which otherwise. */
const struct mon_word *monitor_find(const struct mon_word *table, size_t count, const char *word,
				    bool *out_is_ambiguous);

/* Whether word @name, followed by @rest of its line, changes nothing: a client that only looks may
 * say it (mon_look.c). */
bool mon_is_look(const char *name, const char *rest);
/* The names that it knows: of words, and behind "mmu " of its words; NULL past the last. */
const char *mon_look_at(unsigned index);

/* The two tables, in the order of `help`. */
const struct mon_word *monitor_words(size_t *out_count);
const struct mon_word *monitor_info_words(size_t *out_count); /* after `info` (mon_info.c) */

const char *monitor_activity_name(enum x86_activity activity);

/* State of the call's vCPU with @parts; NULL after an error text was printed. */
const struct x86_state *monitor_state(const struct mon_call *call, unsigned parts);

/* Handlers in files of their own. */
int mon_sendkey(struct mon_call *call);
int mon_type(struct mon_call *call);
int mon_console(struct mon_call *call);
int mon_catch(struct mon_call *call);
int mon_screen(struct mon_call *call);
int mon_info_regs(struct mon_call *call);
int mon_hash(struct mon_call *call);
int mon_kaslr(struct mon_call *call);
int mon_info_registers(struct mon_call *call);
int mon_info_mem(struct mon_call *call);
int mon_info_tlb(struct mon_call *call);
int mon_gva2gpa(struct mon_call *call);
int mon_gpa2hva(struct mon_call *call);
int mon_gpa2hpa(struct mon_call *call);
int mon_x(struct mon_call *call);
int mon_xp(struct mon_call *call);
int mon_mmu(struct mon_call *call);
int mon_dis(struct mon_call *call);
int mon_dis_raw(struct mon_call *call);

/* ADDR of a command: a number (0x or decimal), or SEGMENT:OFFSET in hexadecimal, where SEGMENT is a
 * segment register, or a number in real and virtual-8086 mode.
 * Returns NULL and *@out_va, or what is wrong with @text. */
const char *mon_parse_address(const struct x86_state *st, const char *text, gva_t *out_va);

#endif
