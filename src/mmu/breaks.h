/* What the files of the breaks share: breaks.c is the table, break_match.c looks at events,
 * break_map.c knows what ranges were mapped to, break_wx.c finds W+X.  The mmu's lock is held in
 * everything that these call of each other. */
#ifndef UMBRA_MMU_BREAKS_PRIVATE_H
#define UMBRA_MMU_BREAKS_PRIVATE_H

#include "shadow.h"

#include "umbra/mmu_breaks.h"

struct map_watch;

struct break_row {
	unsigned id; /* 0: free */
	bool is_enabled;
	uint64_t hits;
	struct mmu_break what;
	struct map_watch *map; /* MAP, while enabled */
	bool is_pinned;	       /* PTE */
};

#define WX_SEEN 64u

/* A page that was told to be writable and executable. */
struct wx_page {
	uint64_t root_id;
	gva_t gva;
	uint64_t len; /* 0: unused */
};

struct mmu_breaks {
	struct mmu *mmu;
	unsigned last_id;
	unsigned listening; /* kinds */
	struct break_row row[MMU_BREAKS_MAX];
	uint64_t hits;
	struct mmu_stop stop[MMU_STOPS_KEPT];
	struct wx_page wx[WX_SEEN]; /* the last ones */
	unsigned wx_next;
};

/* break_match.c */

void break_on_event(void *breaks, const struct mmu_event *event);
/* The kinds of events that a break needs to see. */
unsigned break_kinds(const struct mmu_break *what);
/* The part of the event that every stop has. */
struct mmu_stop break_stop_of(const struct mmu_event *event);
/* The entry of @bytes that the TABLE_WRITE @event is about. */
void break_set_entry(struct mmu_stop *stop, const struct mmu_event *event, unsigned bytes);
/* @stop is a hit of @row: count and keep it. */
void break_note(struct mmu_breaks *breaks, struct break_row *row, struct mmu_stop *stop);
/* The same, and have the vCPU stopped; nothing when there is none to stop. */
void break_hit(struct mmu_breaks *breaks, struct break_row *row, struct mmu_stop *stop);

/* break_map.c */

/* NULL and *@out_error -ENOMEM or -E2BIG. */
struct map_watch *map_watch_create(struct mmu *mmu, const struct mmu_break *what, int *out_error);
void map_watch_destroy(struct mmu *mmu, struct map_watch *watch);
/* Look at what @event has changed.  True, and what @stop is to say, when it is something that the
 * break is for. */
bool map_watch_look(struct mmu *mmu, struct map_watch *watch, const struct mmu_event *event,
		    struct mmu_stop *stop);

/* break_wx.c */

/* True, and what @stop is to say, when @event made a page writable and executable that was not told
 * of before. */
bool wx_look(struct mmu_breaks *breaks, const struct mmu_event *event, struct mmu_stop *stop);

#endif
