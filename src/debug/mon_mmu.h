/* `monitor mmu ...`: the frame that its words live in.  Specification of words and records:
 * `monitor mmu help`.  Private to src/debug; control thread, world STOPPED.
 *
 * A word never touches the guest: no A or D bit, no page faulted in, nothing filled, unless it is
 * named clear or zap.  What a word cannot do or find is a record too: `error CODE TEXT`. */
#ifndef DEBUG_MON_MMU_H
#define DEBUG_MON_MMU_H

#include "mon_record.h"
#include "monitor.h"
#include "target.h"

#include "umbra/mmu_view.h"

/* One call of a word. */
struct mmu_call {
	struct debug_target *target;
	struct mem_space *mem;
	struct mmu *mmu; /* NULL: the back end has none, and what is shown is a model */
	struct mon_record record;
	unsigned argc; /* arguments that are no options */
	const char **argv;

	/* Options. */
	unsigned cpu;
	bool has_cr3, has_pcid, has_last, is_raw, is_physical, is_dot, is_any_root;
	uint64_t cr3, pcid, max, last;
	uint64_t from; /* what came before was told by the answer that ended in `more next=` this */
	const char *on;
	const char *filter; /* NULL: none */

	/* Of cpu, with CR3 as the options say. */
	const struct x86_state *st;
	struct x86_paging regs;
	uint64_t shown;	 /* records that count against max */
	bool is_cut;	 /* the word has told where to go on */
	uint64_t budget; /* table entries that the word may read yet, whatever a guest made */
};

struct mmu_word {
	const char *name, *args, *help, *example;
	unsigned min_args, max_args;
	void (*run)(struct mmu_call *call);
};

/* Codes of errors. */
enum mmu_error { MMU_NOADDR, MMU_NONCANON, MMU_NOTPRESENT, MMU_BADARG, MMU_NOCAP, MMU_BACKEND };
void mmu_error(struct mmu_call *call, enum mmu_error code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Further lines of `mmu help WORD`. */
void mmu_help_break(const struct print_sink *out);
void mmu_help_kinds(const struct print_sink *out);
/* For words that need the shadow: says so and returns false where there is none. */
bool mmu_needs_shadow(struct mmu_call *call);

/* @text as a number; false after an error was told. */
bool mmu_parse_number(struct mmu_call *call, const char *text, uint64_t *out_value);

/* Whether one more record may be told: --max, and what one answer can carry. */
bool mmu_has_room(struct mmu_call *call);
/* The last record of an answer that was cut, by what the word's records are in order of: with
 * --from
 * @next the word goes on there. */
void mmu_tell_more(struct mmu_call *call, uint64_t next);

/* mmu_view_run within the call's budget, or @most of it (0: all). */
enum mmu_view_end mmu_run_view(struct mmu_call *call, struct mmu_view *view, uint64_t most,
			       gva_t *out_next);

/* Members that many records have. */
const char *mmu_size_name(uint64_t bytes); /* "4K"; "-" for none */
void mmu_tell_size(struct mon_record *record, uint64_t bytes);
/* What user and supervisor code may do, as the registers have it: WP and SMEP count, SMAP and keys
 * do not.  @prefix is "rights=" or "". */
void mmu_tell_rights(struct mmu_call *call, const struct x86_paging *regs, unsigned rights,
		     const char *prefix);
unsigned mmu_walk_rights(const struct x86_walk *walk);
/* PWUXADSGct: the bits of an entry of @level in tables of @mode. */
void mmu_format_flags(enum x86_paging_mode mode, unsigned level, bool is_page, uint64_t entry,
		      char out[11]);
const char *mmu_mode_name(enum x86_paging_mode mode);
/* The slot of @gpa and its number, or NULL. */
const struct mem_region *mmu_slot_of(const struct mmu_call *call, gpa_t gpa, unsigned *out_index);
/* The host's physical address, or why there is none: "not-resident", "hidden". */
void mmu_tell_hpa(struct mon_record *record, const uint8_t *host);

/* The words, each in the file that the comment names. */
void mmu_word_info(struct mmu_call *call); /* mon_mmu_addr.c */
void mmu_word_addr(struct mmu_call *call);
void mmu_word_walk(struct mmu_call *call); /* mon_mmu_walk.c */
void mmu_word_probe(struct mmu_call *call);
void mmu_word_map(struct mmu_call *call); /* mon_mmu_map.c */
void mmu_word_ad(struct mmu_call *call);
void mmu_word_rmap(struct mmu_call *call); /* mon_mmu_find.c */
void mmu_word_find(struct mmu_call *call);
void mmu_word_roots(struct mmu_call *call); /* mon_mmu_tables.c */
void mmu_word_tables(struct mmu_call *call);
void mmu_word_shadow(struct mmu_call *call); /* mon_mmu_shadow.c */
void mmu_word_verify(struct mmu_call *call);
void mmu_word_stats(struct mmu_call *call);
void mmu_word_tlb(struct mmu_call *call);
void mmu_word_zap(struct mmu_call *call);
void mmu_word_dump(struct mmu_call *call);  /* mon_mmu_dump.c */
void mmu_word_trace(struct mmu_call *call); /* mon_mmu_trace.c */
void mmu_word_log(struct mmu_call *call);
void mmu_word_step(struct mmu_call *call);
void mmu_word_snap(struct mmu_call *call); /* mon_mmu_snap.c */
void mmu_word_diff(struct mmu_call *call);
void mmu_word_break(struct mmu_call *call); /* mon_mmu_break.c */
void mmu_word_why(struct mmu_call *call);
void mmu_word_hazard(struct mmu_call *call); /* mon_mmu_hazard.c */
void mmu_word_track(struct mmu_call *call);  /* mon_mmu_track.c */
/* "exact", "trap", "lazy", "off" */
const char *mmu_track_name(const struct mmu_call *call);
/* The first word of a session: where the back end only logs written pages, that begins now. */
void mmu_track_begin(struct mmu_call *call);
/* The machine has stopped: what `track lazy` says of it from now on. */
void mmu_track_stopped(struct debug_target *target);
#ifdef UMBRA_INJECT
void mmu_word_inject(struct mmu_call *call); /* mon_mmu_inject.c */
#endif

/* Mon_mmu_trap.c: `track trap`.  Begin it, or follow the tables of the last look. */
bool mmu_trap_switch_on(struct mmu_call *call, struct umbra_err *err);
void mmu_trap_stopped(struct debug_target *target);
bool mmu_trap_covers(const struct mmu_watch *watch, gpa_t gpa);
/* What its self-test found, as members; nothing before it was asked. */
void mmu_trap_tell_verdict(struct mmu_call *call);
/* Writes since the last stop; and the last @count. */
void mmu_trap_tell_new(struct mmu_call *call);
void mmu_trap_tell_last(struct mmu_call *call, uint64_t count);
uint64_t mmu_trap_total(const struct mmu_call *call);

#endif
