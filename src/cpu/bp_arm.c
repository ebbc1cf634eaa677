/* Breakpoints into the machine: the backing of each is chosen when the world resumes, and what was
 * planted is taken back when it stops, so that nobody but the running guest ever sees the bytes.
 *
 *   Z1 to Z4   debug registers
 *   Z0         a planted byte keyed by guest physical address, or a debug register that is free;
 *              which comes first is the back end's word (accel_caps.prefers_hw_break).  An address
 *              that is not mapped yet takes a debug register, which compares linear addresses and
 *              so hits once the guest has mapped it; without a free one it is pending. */

#include "cpu_internal.h"

#define TRAP_BYTES 1 /* every trap that is planted is a one-byte instruction */

static bool is_same_point(const struct accel_point *a, const struct accel_point *b)
{
	return a->kind == b->kind && a->addr == b->addr && a->len == b->len &&
	       a->is_physical == b->is_physical;
}

static bool add_point(struct bp_table *t, const struct accel_caps *caps, unsigned index)
{
	static const enum accel_point_kind kind_of[BP_KIND_COUNT] = {
		[BP_SOFT] = ACCEL_POINT_EXEC,		[BP_HARD] = ACCEL_POINT_EXEC,
		[BP_WATCH_WRITE] = ACCEL_POINT_WRITE,	[BP_WATCH_READ] = ACCEL_POINT_READ,
		[BP_WATCH_ACCESS] = ACCEL_POINT_ACCESS, [BP_WATCH_EXEC] = ACCEL_POINT_EXEC,
	};
	struct bp *bp = &t->bp[index];
	struct accel_point point = {.kind = kind_of[bp->kind],
				    .addr = bp->addr,
				    .len = bp->len,
				    .is_physical = bp->is_physical};

	if (t->point_count >= caps->hw_points)
		return false;
	if (t->point_count >= t->armed_count || !is_same_point(&point, &t->point[t->point_count]))
		t->point_serial++;
	t->point[t->point_count++] = point;
	bp->backing = caps->hw_points == ACCEL_POINTS_ANY ? BP_BACKING_MATCH : BP_BACKING_HW;
	return true;
}

/* Planted bytes. */

static struct bp_patch *find_patch(struct bp_table *t, gpa_t gpa)
{
	for (unsigned i = 0; i < t->patch_count; i++) {
		if (t->patch[i].gpa == gpa)
			return &t->patch[i];
	}
	return NULL;
}

bool bp_is_patched(const struct bp_table *t, gpa_t gpa)
{
	for (unsigned i = 0; i < t->patch_count; i++) {
		if (t->patch[i].gpa == gpa)
			return true;
	}
	return false;
}

static void put_in(struct world *w, struct bp_patch *patch)
{
	if (mem_peek(w->config.mem, patch->gpa, &patch->original, TRAP_BYTES) != TRAP_BYTES)
		return;
	patch->is_in =
		mem_poke(w->config.mem, patch->gpa, &patch->planted, TRAP_BYTES) == TRAP_BYTES;
}

/* Only if the byte is still ours: the guest may have written its own there. */
static void take_out(struct world *w, struct bp_patch *patch)
{
	uint8_t now;

	if (patch->is_in && mem_peek(w->config.mem, patch->gpa, &now, TRAP_BYTES) == TRAP_BYTES &&
	    now == patch->planted)
		mem_poke(w->config.mem, patch->gpa, &patch->original, TRAP_BYTES);
	patch->is_in = false;
}

/* A processor that waits for its SIPI executes nothing in the mode that it shows: where it alone
 * "maps" a breakpoint, another one's data may lie. */
static bool is_waiting_for_sipi(struct world *w, unsigned index)
{
	const struct x86_state *st = vcpu_state(w, index, X86_STATE_RUN);

	return st && st->activity == X86_WAIT_FOR_SIPI;
}

/* Plant at @va as vCPU @index maps it. */
static bool plant_for(struct world *w, unsigned index, gva_t va)
{
	const struct accel_caps *caps = w->config.accel->caps(w->config.accel_vm);
	const struct x86_state *st = vcpu_state(w, index, X86_STATE_GPR | X86_STATE_SREG);
	struct bp_table *t = &w->bps;
	const struct accel_mode_caps *mode;
	struct bp_patch *patch;
	struct x86_walk walk;

	if (!st)
		return false;
	mode = &caps->mode[accel_mode_of(st)];
	if (mode->trap == ACCEL_TRAP_NONE || !vcpu_translate(w, st, va, &walk) ||
	    !mem_ptr(w->config.mem, walk.gpa, TRAP_BYTES))
		return false;
	if (find_patch(t, walk.gpa))
		return true;
	/* The activity is a system call away; a processor that waits is in this mode. */
	if (t->patch_count == t->patch_room ||
	    (accel_mode_of(st) == ACCEL_REAL16 && is_waiting_for_sipi(w, index)))
		return false;
	patch = &t->patch[t->patch_count++];
	*patch = (struct bp_patch){.gpa = walk.gpa, .planted = mode->trap_byte};
	put_in(w, patch);
	return patch->is_in;
}

/* Plant wherever some vCPU maps @bp. */
static bool plant(struct world *w, struct bp *bp)
{
	bool is_planted = false;

	for (unsigned i = 0; i < w->vcpu_count; i++)
		is_planted |= plant_for(w, i, bp->addr);
	if (is_planted)
		bp->backing = BP_BACKING_PATCH;
	return is_planted;
}

void bp_unplant(struct world *w)
{
	for (unsigned i = 0; i < w->bps.patch_count; i++)
		take_out(w, &w->bps.patch[i]);
	w->bps.patch_count = 0;
}

/* One vCPU is about to execute the instruction at @gpa, all others are held. */
void bp_lift(struct world *w, gpa_t gpa)
{
	struct bp_patch *patch = find_patch(&w->bps, gpa);

	if (patch)
		take_out(w, patch);
}

void bp_replant(struct world *w)
{
	for (unsigned i = 0; i < w->bps.patch_count; i++) {
		if (!w->bps.patch[i].is_in)
			put_in(w, &w->bps.patch[i]);
	}
}

/* Show @bytes, which were read at @gpa while the guest runs, without planted ones. */
void bp_mask(const struct bp_table *t, gpa_t gpa, uint8_t *bytes, size_t len)
{
	for (unsigned i = 0; i < t->patch_count; i++) {
		const struct bp_patch *patch = &t->patch[i];
		uint64_t offset = patch->gpa - gpa;

		if (offset < len && patch->is_in && bytes[offset] == patch->planted)
			bytes[offset] = patch->original;
	}
}

/* Arming. */

static void arm_soft(struct world *w, const struct accel_caps *caps, unsigned index)
{
	struct bp_table *t = &w->bps;
	struct bp *bp = &t->bp[index];

	if (caps->prefers_hw_break && add_point(t, caps, index))
		return;
	if (plant(w, bp) || add_point(t, caps, index))
		return;
	bp->backing = bp_is_supported(w, BP_SOFT) ? BP_BACKING_PENDING : BP_BACKING_IMPOSSIBLE;
}

/* Choose the backing of every breakpoint.  Call: control thread, world STOPPED, about to run. */
void bp_arm(struct world *w)
{
	const struct accel_caps *caps = w->config.accel->caps(w->config.accel_vm);
	struct bp_table *t = &w->bps;

	t->armed_count = t->point_count;
	t->point_count = 0;
	for (unsigned i = 0; i < t->count; i++) {
		if (t->bp[i].kind != BP_SOFT && !add_point(t, caps, i))
			t->bp[i].backing = BP_BACKING_IMPOSSIBLE;
	}
	for (unsigned i = 0; i < t->count; i++) {
		if (t->bp[i].kind == BP_SOFT)
			arm_soft(w, caps, i);
	}
	if (t->point_count != t->armed_count)
		t->point_serial++;
}

/* While @v steps over a breakpoint in a debug register, that one is not told. */
static void withhold_point(const struct bp_table *t, struct vcpu *v, struct accel_debug *out)
{
	out->point = v->some_point;
	out->point_count = 0;
	for (unsigned i = 0; i < t->point_count && out->point_count < BP_SOME_POINTS; i++) {
		if (t->point[i].kind != ACCEL_POINT_EXEC || t->point[i].addr != v->reported_pc)
			v->some_point[out->point_count++] = t->point[i];
	}
}

static bool is_watch_alone(const struct vcpu *v)
{
	return v->is_watched && !v->is_stepping_over && v->plan.action == PLAN_RUN;
}

/* What the back end of @v is to watch for now. */
void bp_debug_for(const struct bp_table *t, struct vcpu *v, struct accel_debug *out)
{
	const struct world *w = v->world;
	const struct accel_caps *caps = w->config.accel->caps(w->config.accel_vm);

	*out = (struct accel_debug){.point_count = t->point_count, .point = t->point};
	if (caps->has_range_step && v->plan.action == PLAN_RANGE && !v->is_watched) {
		out->range_start = v->plan.start;
		out->range_end = v->plan.end;
	}
	out->step = v->is_stepping_over || v->is_watched || v->plan.action == PLAN_STEP ||
		    v->plan.action == PLAN_RANGE;
	/* Where time is counted a watch alone leaves the run as it would be. */
	out->block_irq = out->step && !(w->config.accel->counts_time && is_watch_alone(v));
	out->trap = t->patch_count != 0;
	out->pass_exec = v->must_pass_exec;
	if (t->has_agents) {
		out->may_pass = judge_may_pass;
		out->ctx = v;
	}
	v->must_pass_exec = false;
	out->catch = w->has_catch ? &w->catch : NULL;
	out->pass_catch = v->must_pass_catch;
	v->must_pass_catch = false;
	if (v->is_stepping_over)
		withhold_point(t, v, out);
}

bool bp_debug_is_equal(const struct accel_debug *a, const struct accel_debug *b)
{
	/* The passes hold once, so they are never told already.  The points themselves:
	 * point_serial. */
	return !a->pass_exec && !b->pass_exec && !a->pass_catch && !b->pass_catch &&
	       a->catch == b->catch && a->step == b->step && a->block_irq == b->block_irq &&
	       a->trap == b->trap && a->range_start == b->range_start &&
	       a->range_end == b->range_end && a->may_pass == b->may_pass && a->point == b->point &&
	       a->point_count == b->point_count;
}
