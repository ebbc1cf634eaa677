/* Where a vCPU stops for the debugger, and the guest's own debug registers.
 *
 * Execution points cut blocks (translate.c), watch points keep their pages out of the micro-TLB, so
 * guest memory is never altered and code that meets no point runs at full speed.  An access to such
 * a page comes to soft_points_access, which compares exact ranges: a hit restarts the instruction
 * alone (SOFT_STEP), and there it is noted with the bytes before; the loop collects it behind the
 * instruction, as a debug register would report it.
 * Source: SDM 3B 17.2 (DR0 to DR7). */
#include "points.h"
#include "run.h"
#include "tlb.h"

#include <errno.h>
#include <stdlib.h>

#define GUEST_POINTS 4

/* A point of the debugger; the table is sorted so that execution points are found by address. */
struct own_point {
	struct accel_point point;
	unsigned index; /* in accel_debug.point */
};

struct guest_point {
	bool is_armed, is_exec, is_io, on_read, on_write;
	gva_t addr;
	unsigned len;
};

struct soft_points {
	struct own_point *own;
	unsigned count;
	unsigned place_count; /* the first ones: EXEC at a linear address */
	unsigned exec_count;  /* with those behind them: EXEC in physical memory */
	/* What they become when the vCPU runs: until then another one that runs may look into this
	 * one's blocks and micro-TLB.  NULL: no change. */
	struct own_point *next;
	unsigned next_count;
	struct guest_point guest[GUEST_POINTS];
	bool is_guest_armed;

	/* Hits of the instruction that is running. */
	unsigned hit_count;
	unsigned hit[ACCEL_MAX_HITS];
	uint64_t guest_dr6;
	/* The bytes of the first watch point that was hit. */
	bool has_old;
	gpa_t value_gpa;
	unsigned value_len;
	uint64_t old_value;
};

int soft_points_init(struct soft_cpu *c)
{
	c->points = calloc(1, sizeof(*c->points));
	return c->points ? 0 : -ENOMEM;
}

void soft_points_end(struct soft_cpu *c)
{
	if (!c->points)
		return;
	free(c->points->own);
	free(c->points->next);
	free(c->points);
}

/* The debugger's points. */

static int compare_key(const struct accel_point *a, const struct accel_point *b)
{
	bool a_watches = a->kind != ACCEL_POINT_EXEC, b_watches = b->kind != ACCEL_POINT_EXEC;

	if (a_watches != b_watches)
		return a_watches - b_watches;
	if (a->is_physical != b->is_physical)
		return a->is_physical - b->is_physical;
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return (int)a->kind - (int)b->kind;
}

static int compare_own(const void *a, const void *b)
{
	const struct own_point *x = a, *y = b;
	int by_key = compare_key(&x->point, &y->point);

	return by_key ? by_key : (int)x->index - (int)y->index;
}

static bool is_listed(const struct own_point *list, unsigned count, const struct accel_point *point)
{
	unsigned low = 0, high = count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = compare_key(&list[middle].point, point);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Decoded blocks know of the points that they were cut at, the micro-TLB of those that it must send
 * the slow way: both forget what the points in @a and not in @b are about. */
static void forget_missing(struct soft_cpu *c, const struct own_point *a, unsigned a_count,
			   const struct own_point *b, unsigned b_count)
{
	for (unsigned i = 0; i < a_count; i++) {
		if (is_listed(b, b_count, &a[i].point))
			continue;
		if (a[i].point.kind == ACCEL_POINT_EXEC && a[i].point.is_physical)
			soft_blocks_flush(c);
		else if (a[i].point.kind == ACCEL_POINT_EXEC)
			soft_blocks_evict_linear(c, a[i].point.addr);
		else
			soft_tlb_forget_all(c);
	}
}

int soft_points_set(struct soft_cpu *c, const struct accel_debug *debug)
{
	struct soft_points *p = c->points;
	struct own_point *own = calloc(debug->point_count + 1, sizeof(*own));

	if (!own)
		return -ENOMEM;
	for (unsigned i = 0; i < debug->point_count; i++)
		own[i] = (struct own_point){.point = debug->point[i], .index = i};
	qsort(own, debug->point_count, sizeof(*own), compare_own);
	free(p->next);
	p->next = own;
	p->next_count = debug->point_count;
	return 0;
}

void soft_points_follow(struct soft_cpu *c)
{
	struct soft_points *p = c->points;

	if (!p->next)
		return;
	forget_missing(c, p->own, p->count, p->next, p->next_count);
	forget_missing(c, p->next, p->next_count, p->own, p->count);
	free(p->own);
	p->own = p->next;
	p->count = p->next_count;
	p->next = NULL;
	p->place_count = 0;
	for (p->exec_count = 0; p->exec_count < p->count; p->exec_count++) {
		if (p->own[p->exec_count].point.kind != ACCEL_POINT_EXEC)
			break;
		p->place_count += !p->own[p->exec_count].point.is_physical;
	}
}

int soft_points_exec_at(const struct soft_cpu *c, gva_t la, gpa_t gpa)
{
	const struct soft_points *p = c->points;
	unsigned low = 0, high = p->place_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		gva_t addr = p->own[middle].point.addr;

		if (addr == la)
			return (int)p->own[middle].index;
		if (addr < la)
			low = middle + 1;
		else
			high = middle;
	}
	for (unsigned i = p->place_count; i < p->exec_count; i++) {
		if (gpa - p->own[i].point.addr < p->own[i].point.len)
			return (int)p->own[i].index;
	}
	return -1;
}

bool soft_points_has_exec(const struct soft_cpu *c, gva_t la, gpa_t gpa)
{
	return c->points->exec_count && soft_points_exec_at(c, la, gpa) >= 0;
}

/* The guest's debug registers. */

static unsigned dr7_len(unsigned code)
{
	static const unsigned len[] = {1, 2, 8, 4};

	return len[code & 3];
}

static struct guest_point decode_guest_point(const struct soft_cpu *c, unsigned i)
{
	uint64_t dr7 = c->dr[7];
	unsigned kind = (dr7 >> (16 + 4 * i)) & 3;
	unsigned len = dr7_len((unsigned)(dr7 >> (18 + 4 * i)));

	return (struct guest_point){
		.is_armed = (dr7 >> (2 * i)) & 3,
		.is_exec = kind == 0,
		.on_write = kind == 1 || kind == 3,
		.is_io = kind == 2 && (c->cr4 & X86_CR4_DE),
		.on_read = kind == 3,
		.addr = kind == 0 ? c->dr[i] : c->dr[i] & ~(uint64_t)(len - 1),
		.len = len,
	};
}

void soft_points_guest_changed(struct soft_cpu *c)
{
	struct soft_points *p = c->points;
	bool was_armed = p->is_guest_armed;

	p->is_guest_armed = false;
	for (unsigned i = 0; i < GUEST_POINTS; i++) {
		p->guest[i] = decode_guest_point(c, i);
		p->is_guest_armed |= p->guest[i].is_armed;
	}
	if (was_armed || p->is_guest_armed)
		soft_tlb_forget_all(c);
}

bool soft_points_guest_armed(const struct soft_cpu *c)
{
	return c->points->is_guest_armed;
}

uint64_t soft_points_guest_exec(const struct soft_cpu *c, gva_t la)
{
	const struct soft_points *p = c->points;
	uint64_t dr6 = 0;

	for (unsigned i = 0; i < GUEST_POINTS; i++) {
		if (p->guest[i].is_armed && p->guest[i].is_exec && p->guest[i].addr == la)
			dr6 |= 1ull << i;
	}
	return dr6;
}

void soft_points_io(struct soft_cpu *c, uint16_t port, unsigned len)
{
	struct soft_points *p = c->points;

	if (!p->is_guest_armed)
		return;
	for (unsigned i = 0; i < GUEST_POINTS; i++) {
		const struct guest_point *g = &p->guest[i];

		if (g->is_armed && g->is_io && port < g->addr + g->len && g->addr < port + len)
			p->guest_dr6 |= 1ull << i;
	}
}

/* Data accesses. */

static bool overlaps(gva_t a, uint64_t a_len, gva_t b, uint64_t b_len)
{
	return a <= b ? b - a < a_len : a - b < b_len;
}

/* A read-modify-write asks for the write tag only, and reads. */
static unsigned withhold_for(bool on_read, bool on_write)
{
	return (on_read ? MMU_CAN_READ | MMU_CAN_WRITE : 0) | (on_write ? MMU_CAN_WRITE : 0);
}

/* The 64s of the page at @page that have bytes of the @len at @at, as in struct tlb_bank. */
static uint64_t watched_of(uint64_t at, uint64_t len, uint64_t page)
{
	uint64_t mask = 0;

	for (unsigned n = 0; n < 64; n++) {
		if (overlaps(at, len, page + 64ull * n, 64))
			mask |= 1ull << n;
	}
	return mask;
}

static bool on_read(enum accel_point_kind kind)
{
	return kind == ACCEL_POINT_READ || kind == ACCEL_POINT_ACCESS;
}

static bool on_write(enum accel_point_kind kind)
{
	return kind == ACCEL_POINT_WRITE || kind == ACCEL_POINT_ACCESS;
}

/* Does @point watch any of @len bytes that lie at @la and at @gpa? */
static bool is_met(const struct accel_point *point, gva_t la, gpa_t gpa, uint64_t len)
{
	return overlaps(point->addr, point->len, point->is_physical ? gpa : la, len);
}

unsigned soft_points_withhold(const struct soft_cpu *c, gva_t la_page, gpa_t gpa_page,
			      uint64_t *out_watched)
{
	const struct soft_points *p = c->points;
	unsigned mask = 0;

	*out_watched = 0;
	for (unsigned i = p->exec_count; i < p->count; i++) {
		const struct accel_point *w = &p->own[i].point;

		if (!is_met(w, la_page, gpa_page, UMBRA_PAGE_SIZE))
			continue;
		mask |= withhold_for(on_read(w->kind), on_write(w->kind));
		*out_watched |= watched_of(w->addr, w->len, w->is_physical ? gpa_page : la_page);
	}
	if (!p->is_guest_armed)
		return mask;
	for (unsigned i = 0; i < GUEST_POINTS; i++) {
		const struct guest_point *g = &p->guest[i];

		if (!g->is_armed || !overlaps(g->addr, g->len, la_page, UMBRA_PAGE_SIZE))
			continue;
		mask |= withhold_for(g->on_read, g->on_write);
		*out_watched |= watched_of(g->addr, g->len, la_page);
	}
	return mask;
}

static uint64_t value_at(const struct soft_cpu *c, gpa_t gpa, unsigned len)
{
	uint8_t bytes[8] = {0};

	mem_peek(c->vm->mem, gpa, bytes, len);
	return le64_get(bytes);
}

/* Note what the watched bytes are now; they are known when they lie in the page of the access. */
static void note_old(struct soft_cpu *c, const struct accel_point *w, gva_t la, gpa_t gpa)
{
	struct soft_points *p = c->points;
	uint64_t at = w->is_physical ? gpa : la;

	p->has_old = w->len <= 8 && ((w->addr ^ at) & UMBRA_PAGE_MASK) == 0 &&
		     (((w->addr + w->len - 1) ^ at) & UMBRA_PAGE_MASK) == 0;
	if (!p->has_old)
		return;
	p->value_gpa = gpa + (w->addr - at);
	p->value_len = (unsigned)w->len;
	p->old_value = value_at(c, p->value_gpa, p->value_len);
}

static bool is_noted(const struct soft_points *p, unsigned index)
{
	for (unsigned i = 0; i < p->hit_count; i++) {
		if (p->hit[i] == index)
			return true;
	}
	return false;
}

/* Instructions run alone once they are known to hit; what an event delivery writes has no
 * instruction that could. */
static void be_alone(struct soft_cpu *c)
{
	if (c->cur && !(c->mode & SOFT_STEP))
		soft_restart_step(c);
}

static void access_own(struct soft_cpu *c, gva_t la, gpa_t gpa, unsigned len, bool is_write)
{
	struct soft_points *p = c->points;

	for (unsigned i = p->exec_count; i < p->count; i++) {
		const struct own_point *own = &p->own[i];
		enum accel_point_kind kind = own->point.kind;

		if (!(is_write ? on_write(kind) : on_read(kind)) ||
		    !is_met(&own->point, la, gpa, len))
			continue;
		be_alone(c);
		if (is_noted(p, own->index) || p->hit_count == ACCEL_MAX_HITS)
			continue;
		if (p->hit_count == 0)
			note_old(c, &own->point, la, gpa);
		p->hit[p->hit_count++] = own->index;
	}
}

static void access_guest(struct soft_cpu *c, gva_t la, unsigned len, bool is_write)
{
	struct soft_points *p = c->points;

	for (unsigned i = 0; i < GUEST_POINTS; i++) {
		const struct guest_point *g = &p->guest[i];

		if (g->is_armed && (is_write ? g->on_write : g->on_read) &&
		    overlaps(g->addr, g->len, la, len))
			p->guest_dr6 |= 1ull << i;
	}
}

bool soft_points_touch(const struct soft_cpu *c, gva_t la, gpa_t gpa, size_t len, bool is_write)
{
	const struct soft_points *p = c->points;

	for (unsigned i = p->exec_count; i < p->count; i++) {
		const struct accel_point *w = &p->own[i].point;

		if ((is_write ? on_write(w->kind) : on_read(w->kind)) && is_met(w, la, gpa, len))
			return true;
	}
	return p->is_guest_armed;
}

void soft_points_access(struct soft_cpu *c, gva_t la, gpa_t gpa, unsigned len, bool is_write)
{
	struct soft_points *p = c->points;

	if (p->count > p->exec_count)
		access_own(c, la, gpa, len, is_write);
	if (p->is_guest_armed)
		access_guest(c, la, len, is_write);
}

uint64_t soft_points_take_guest(struct soft_cpu *c)
{
	uint64_t dr6 = c->points->guest_dr6;

	c->points->guest_dr6 = 0;
	return dr6;
}

void soft_points_drop(struct soft_cpu *c)
{
	struct soft_points *p = c->points;

	p->hit_count = 0;
	p->has_old = false;
	p->guest_dr6 = 0;
}

void soft_points_take(struct soft_cpu *c, struct accel_exit *out)
{
	struct soft_points *p = c->points;

	for (unsigned i = 0; i < p->hit_count; i++)
		out->hit[out->hit_count++] = p->hit[i];
	if (p->hit_count && p->has_old) {
		out->has_values = true;
		out->old_value = p->old_value;
		out->new_value = value_at(c, p->value_gpa, p->value_len);
	}
	p->hit_count = 0;
	p->has_old = false;
}
