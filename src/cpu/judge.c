/* What comes of meeting a breakpoint: its agent is asked on the thread that runs the vCPU, and the
 * world stops only for one that says so.  A vCPU that is to go on executes the instruction under
 * the breakpoint first:
 *
 *   has_pass_exec          run() goes on by itself (accel_debug.may_pass), or is told to pass
 *   a debug register       one step with the point withheld; nobody else notices
 *   a planted byte         the byte is lifted for one step.  With other vCPUs about they are held
 *                          meanwhile, which the control thread does: STOP_PASS
 *
 * The table of breakpoints stands still while the world runs, so it is read without the lock. */

#include "cpu_internal.h"

void world_set_bp_hook(struct world *w, const struct bp_hook *hook)
{
	w->bp_hook = hook;
}

static void count_hit(struct world *w, struct bp *bp)
{
	pthread_mutex_lock(&w->lock);
	bp->hits++;
	pthread_mutex_unlock(&w->lock);
}

/* At one place, which is linear. */
static bool is_place(const struct bp *bp)
{
	return bp->kind == BP_SOFT || bp->kind == BP_HARD;
}

static bool is_exec(const struct bp *bp)
{
	return is_place(bp) || bp->kind == BP_WATCH_EXEC;
}

/* The first of several counts, but for news, which are told with whatever else happens. */
static bool is_better(enum stop_kind kind, const struct cpu_stop *than)
{
	return kind != STOP_NONE && (than->kind == STOP_NONE || than->kind == STOP_NEWS);
}

/* What @bp wants the world to stop for; STOP_NONE: to go on. */
static enum stop_kind meet(struct vcpu *v, struct bp *bp)
{
	const struct bp_hook *hook = v->world->bp_hook;
	unsigned verdict = BP_STOP;

	count_hit(v->world, bp);
	if (bp->agent)
		verdict = hook->meet(hook->ctx, v, bp->agent);
	v->is_watched |= (verdict & BP_WATCH) != 0;
	if (bp->purpose == BP_FOR_NEWS)
		return STOP_NEWS;
	if (!(verdict & BP_STOP) || bp->purpose == BP_FOR_TRACE)
		return STOP_NONE;
	return is_place(bp) ? STOP_BREAK : STOP_WATCH;
}

/* A planted byte that was reached under another linear address is ours as well, for the guest never
 * put it there.  No condition is about that address; it stops where a breakpoint would that has
 * none. */
static bool judge_alias(struct vcpu *v, gva_t pc, struct cpu_stop *out)
{
	struct world *w = v->world;
	struct x86_walk walk;

	if (!vcpu_translate(w, &v->state, pc, &walk) || !bp_is_patched(&w->bps, walk.gpa))
		return false;
	for (unsigned i = 0; i < w->bps.count; i++) {
		const struct bp *bp = &w->bps.bp[i];

		if (bp->backing == BP_BACKING_PATCH && bp->purpose == BP_FOR_CLIENT && !bp->agent)
			*out = (struct cpu_stop){.kind = STOP_BREAK, .bp = BP_SOFT, .addr = pc};
	}
	return true;
}

bool judge_exec(struct vcpu *v, gva_t pc, struct cpu_stop *out)
{
	struct bp_table *t = &v->world->bps;
	bool is_ours = false;

	out->kind = STOP_NONE; /* the rest is large, and of no interest then */
	for (unsigned i = 0; i < t->count; i++) {
		struct bp *bp = &t->bp[i];
		enum stop_kind kind;

		if (!is_place(bp) || bp->addr != pc)
			continue;
		is_ours = true;
		kind = meet(v, bp);
		if (is_better(kind, out))
			*out = (struct cpu_stop){.kind = kind, .bp = bp->kind, .addr = pc};
	}
	v->has_met |= is_ours;
	v->met_pc = pc;
	return is_ours || judge_alias(v, pc, out);
}

static bool is_bp_of_point(const struct bp *bp, const struct accel_point *point)
{
	return bp->addr == point->addr && bp->is_physical == point->is_physical &&
	       is_exec(bp) == (point->kind == ACCEL_POINT_EXEC) &&
	       (is_place(bp) || bp->len == point->len);
}

static bool is_bp_hit(const struct bp *bp, const struct accel_debug *set,
		      const struct accel_exit *exit)
{
	for (unsigned i = 0; i < exit->hit_count; i++) {
		if (is_bp_of_point(bp, &set->point[exit->hit[i]]))
			return true;
	}
	return false;
}

static struct cpu_stop stop_of(const struct bp *bp, enum stop_kind kind,
			       const struct accel_exit *exit)
{
	return (struct cpu_stop){.kind = kind,
				 .bp = bp->kind,
				 .addr = is_place(bp) ? exit->pc : bp->addr,
				 .is_physical = bp->is_physical,
				 .has_values = exit->has_values,
				 .old_value = exit->old_value,
				 .new_value = exit->new_value};
}

static bool judge(struct vcpu *v, const struct accel_exit *exit, struct cpu_stop *out)
{
	struct bp_table *t = &v->world->bps;
	bool is_ours = false;

	out->kind = STOP_NONE; /* the rest is large, and of no interest then */
	for (unsigned i = 0; i < t->count; i++) {
		struct bp *bp = &t->bp[i];
		enum stop_kind kind;

		if (!is_bp_hit(bp, &v->debug, exit))
			continue;
		is_ours = true;
		if (is_exec(bp)) {
			v->has_met = true;
			v->met_pc = exit->pc;
		}
		kind = meet(v, bp);
		if (is_better(kind, out))
			*out = stop_of(bp, kind, exit);
	}
	return is_ours;
}

bool judge_points(struct vcpu *v, const struct accel_exit *exit, struct cpu_stop *out)
{
	if (!v->is_judged)
		return judge(v, exit, out);
	*out = v->judged;
	return true;
}

bool judge_may_pass(void *ctx, const struct accel_exit *exit)
{
	struct vcpu *v = ctx;
	bool had_met = v->has_met;

	v->state_parts = 0; /* the guest has moved since it was read */
	if (!judge(v, exit, &v->judged))
		return false;
	v->is_judged = v->judged.kind != STOP_NONE || v->is_watched;
	/* What run() passes it executes. */
	if (!v->is_judged)
		v->has_met = had_met;
	return !v->is_judged;
}

void judge_traces(struct vcpu *v, gva_t pc)
{
	struct bp_table *t = &v->world->bps;

	for (unsigned i = 0; i < t->count; i++) {
		if (t->bp[i].purpose == BP_FOR_TRACE && t->bp[i].addr == pc)
			meet(v, &t->bp[i]);
	}
}

/* The one vCPU that could execute the lifted byte. */
static bool is_alone(const struct world *w)
{
	return w->vcpu_count == 1;
}

static void latch_pass(struct vcpu *v, gva_t pc)
{
	struct world *w = v->world;

	pthread_mutex_lock(&w->lock);
	v->event = (struct cpu_stop){.kind = STOP_PASS, .vcpu = v->index, .addr = pc};
	atomic_fetch_or_explicit(&v->req, REQ_PARK, memory_order_release);
	world_stop_locked(w, &v->event);
	pthread_mutex_unlock(&w->lock);
}

void judge_pass(struct vcpu *v, gva_t pc)
{
	struct world *w = v->world;
	struct x86_walk walk;
	bool is_patched;

	if (w->config.accel->caps(w->config.accel_vm)->has_pass_exec) {
		v->must_pass_exec = true;
		return;
	}
	vcpu_state_fetch(v, X86_STATE_GPR | X86_STATE_SREG);
	is_patched = vcpu_translate(w, &v->state, pc, &walk) && bp_is_patched(&w->bps, walk.gpa);
	if (is_patched && !is_alone(w)) {
		latch_pass(v, pc);
		return;
	}
	pthread_mutex_lock(&w->lock);
	v->has_reported_pc = true;
	v->is_step_reported = false;
	v->reported_pc = pc;
	pthread_mutex_unlock(&w->lock);
	v->over_gpa = is_patched ? walk.gpa : ~(gpa_t)0;
	v->is_stepping_over = true;
	if (is_patched)
		bp_lift(w, walk.gpa);
}
