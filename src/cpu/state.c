/* Guest state for the control thread while the world is STOPPED: a vCPU that parks leaves a copy of
 * its registers, so that most questions need no round trip to its thread; the rest goes through
 * vcpu_call.  Memory goes through the vCPU's page tables without touching them. */

#include "cpu_internal.h"

#include <errno.h>

/* Make @parts of the copy valid.  A part that the back end cannot give stays invalid.
 * Call: the thread that runs the vCPU. */
void vcpu_state_fetch(struct vcpu *v, unsigned parts)
{
	unsigned missing = parts & ~v->state_parts;

	if (!missing || !v->accel)
		return;
	if (v->world->config.accel->state_get(v->accel, &v->state, missing) == 0)
		v->state_parts |= missing;
}

static int fetch_call(struct vcpu *v, void *arg)
{
	vcpu_state_fetch(v, *(const unsigned *)arg);
	return 0;
}

const struct x86_state *vcpu_state(struct world *w, unsigned index, unsigned parts)
{
	struct vcpu *v = &w->vcpu[index];

	v->wanted_parts |= parts;
	if (parts & ~v->state_parts)
		vcpu_call(v, fetch_call, &parts);
	return parts & ~v->state_parts ? NULL : &v->state;
}

struct write_call {
	const struct x86_state *st;
	unsigned parts;
	struct umbra_err *err;
};

static int write_call(struct vcpu *v, void *arg)
{
	struct write_call *call = arg;
	int error = -EIO;

	if (v->accel)
		error = v->world->config.accel->state_set(v->accel, call->st, call->parts,
							  call->err);
	/* The back end may have normalised what it was given. */
	v->state_parts &= ~call->parts;
	vcpu_state_fetch(v, call->parts);
	return error;
}

int vcpu_state_write(struct world *w, unsigned index, const struct x86_state *st, unsigned parts,
		     struct umbra_err *err)
{
	struct x86_state copy = *st; /* @st may be the cache itself */
	struct write_call call = {.st = &copy, .parts = parts, .err = err};

	return vcpu_call(&w->vcpu[index], write_call, &call);
}

/* Memory. */

bool vcpu_translate(struct world *w, const struct x86_state *st, gva_t va, struct x86_walk *walk)
{
	return x86_walk(st, va, mem_phys_read, w->config.mem, walk) == 0;
}

/* Bytes from @walk's address to the end of its page, at most @len. */
static size_t page_rest(const struct x86_walk *walk, size_t len)
{
	uint64_t size = walk->page_size ? walk->page_size : UMBRA_PAGE_SIZE;

	return (size_t)u64_min(len, size - (walk->gpa & (size - 1)));
}

static size_t read_linear(struct world *w, const struct x86_state *st, gva_t va, uint8_t *buf,
			  size_t len)
{
	struct x86_walk walk;
	size_t done = 0;

	while (st && done < len && vcpu_translate(w, st, va + done, &walk)) {
		size_t chunk = page_rest(&walk, len - done);
		size_t got = mem_peek(w->config.mem, walk.gpa, buf + done, chunk);

		bp_mask(&w->bps, walk.gpa, buf + done, got);
		done += got;
		if (got < chunk)
			break;
	}
	return done;
}

size_t vcpu_mem_read(struct world *w, unsigned index, gva_t va, void *buf, size_t len)
{
	return read_linear(w, vcpu_state(w, index, X86_STATE_GPR | X86_STATE_SREG), va, buf, len);
}

unsigned vcpu_index(const struct vcpu *v)
{
	return v->index;
}

const struct x86_state *vcpu_own_state(struct vcpu *v, unsigned parts)
{
	vcpu_state_fetch(v, parts);
	return parts & ~v->state_parts ? NULL : &v->state;
}

size_t vcpu_own_mem_read(struct vcpu *v, gva_t va, void *buf, size_t len)
{
	return read_linear(v->world, vcpu_own_state(v, X86_STATE_GPR | X86_STATE_SREG), va, buf,
			   len);
}

size_t vcpu_mem_write(struct world *w, unsigned index, gva_t va, const void *buf, size_t len)
{
	const struct x86_state *st = vcpu_state(w, index, X86_STATE_GPR | X86_STATE_SREG);
	struct x86_walk walk;
	size_t done = 0;

	while (st && done < len && vcpu_translate(w, st, va + done, &walk)) {
		size_t chunk = page_rest(&walk, len - done);
		size_t put = mem_poke(w->config.mem, walk.gpa, (const uint8_t *)buf + done, chunk);

		if (walk.mode != X86_PAGING_NONE && put)
			w->must_flush_mmu = true;
		done += put;
		if (put < chunk)
			break;
	}
	return done;
}

size_t world_mem_read(struct world *w, gpa_t gpa, void *buf, size_t len)
{
	return mem_peek(w->config.mem, gpa, buf, len);
}

size_t world_mem_write(struct world *w, gpa_t gpa, const void *buf, size_t len)
{
	w->must_flush_mmu = true;
	return mem_poke(w->config.mem, gpa, buf, len);
}

void vcpu_show_exits(struct world *w, unsigned index, const struct print_sink *sink)
{
	const struct vcpu *v = &w->vcpu[index];

	if (v->accel)
		w->config.accel->show_exits(v->accel, sink);
}
