/* Memory accesses that the micro-TLB does not serve, and those of plain functions: page crossings,
 * devices, ROM, frames in use as tables or with decoded code, watched pages, alignment checks.
 * Everything that can raise happens before the first byte changes. */
#include "tlb.h"

#include "access.h"
#include "block.h"
#include "irq.h"
#include "points.h"

#include <assert.h>

#define MAX_SPANS 2

/* An access cut at the page's end. */
struct spans {
	unsigned count;
	struct tlb_span span[MAX_SPANS];
};

/* Outside 64-bit mode addresses wrap at 4 GiB.  Deliveries are left out: they may enter a 64-bit
 * handler while CS is still the old one. */
static gva_t address_behind(const struct soft_cpu *c, gva_t la, size_t len)
{
	gva_t next = la + len;

	if (soft_is_code64(c) || c->is_delivering || la >> 32)
		return next;
	return (uint32_t)next;
}

/* vCPUs at once (parallel.c): between the look at a page and the store to it the vCPU passes safe
 * points, for it asks the mmu about the other page and perhaps writes there by the mmu; another one
 * may make a table of the frame meanwhile.  Only the mmu knows what it is in the end. */
static bool may_become_table(const struct soft_cpu *c, const struct tlb_span *span)
{
	return c->vm->is_parallel && span->host && !span->is_rom;
}

/* The second walk may have made a table of the first page. */
static void look_again(struct soft_cpu *c, struct spans *s)
{
	struct tlb_span *first = &s->span[0], *second = &s->span[1];

	if (first->host)
		SOFT_MMU_CALL(c, first->is_table = mmu_is_table(c->vm->mmu, first->gpa));
	first->is_table |= may_become_table(c, first);
	second->is_table |= may_become_table(c, second);
}

static void resolve(struct soft_cpu *c, gva_t la, size_t len, unsigned access, struct spans *out)
{
	size_t room = UMBRA_PAGE_SIZE - (la & ~UMBRA_PAGE_MASK);

	assert(len > 0 && len <= UMBRA_PAGE_SIZE);
	out->count = 1;
	if (SOFT_LIKELY(len <= room)) {
		soft_tlb_resolve(c, la, (unsigned)len, access, &out->span[0]);
		/* A device may raise interrupts, set timers and pass the turn. */
		if (!out->span[0].host)
			soft_be_alone(c);
		return;
	}
	out->count = 2;
	soft_tlb_resolve(c, la, (unsigned)room, access, &out->span[0]);
	soft_tlb_resolve(c, address_behind(c, la, room), (unsigned)(len - room), access,
			 &out->span[1]);
	look_again(c, out);
	if (!out->span[0].host || !out->span[1].host)
		soft_be_alone(c);
}

/* An address that is not canonical comes first: it is left to the walk. */
void soft_check_alignment(struct soft_cpu *c, gva_t la, unsigned align)
{
	unsigned unused_bits = c->cr4 & X86_CR4_LA57 ? 7 : 16;

	if (!(soft_tlb_class(c) & TLB_ALIGN) || !(la & (align - 1)))
		return;
	if ((uint64_t)((int64_t)(la << unused_bits) >> unused_bits) == la)
		soft_raise_error(c, X86_EXC_AC, 0);
}

/* Devices. */

static void access_device(struct soft_cpu *c, gpa_t gpa, bool is_write, unsigned len, uint8_t *data)
{
	while (len > 0) {
		unsigned n = len < 8 ? len : 8;

		if (!soft_lapic_mmio(c, gpa, is_write, n, data))
			bus_mmio(c->vm->bus, gpa, is_write, n, data);
		gpa += n;
		data += n;
		len -= n;
	}
	soft_follow_request(c);
}

/* Loads. */

static void look_at_loads(struct soft_cpu *c, const struct spans *s)
{
	for (unsigned i = 0; i < s->count; i++)
		soft_points_access(c, s->span[i].la, s->span[i].gpa, s->span[i].len, false);
}

static void copy_out(struct soft_cpu *c, const struct spans *s, uint8_t *buf)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct tlb_span *span = &s->span[i];

		if (span->host)
			soft_guest_copy(buf, span->host, span->len);
		else
			access_device(c, span->gpa, false, span->len, buf);
		buf += span->len;
	}
}

GUEST_RACE static uint64_t value_at(const uint8_t *host, unsigned size)
{
	switch (size) {
	case 1:
		return *host;
	case 2:
		return *(const soft_u16 *)host;
	case 4:
		return *(const soft_u32 *)host;
	default:
		return *(const soft_u64 *)host;
	}
}

/* One host access where the bytes lie together in memory, as atomic as the guest's. */
static uint64_t load_slow(struct soft_cpu *c, gva_t la, unsigned size, unsigned access)
{
	uint8_t bytes[8] = {0};
	struct spans s;

	resolve(c, la, size, access, &s);
	look_at_loads(c, &s);
	if (SOFT_LIKELY(s.count == 1 && s.span[0].host))
		return value_at(s.span[0].host, size);
	copy_out(c, &s, bytes);
	return le64_get(bytes);
}

/* The bytes at @la when their page is watched and they lie beside what is. */
SOFT_INLINE uint8_t *hit_beside(const struct soft_cpu *c, gva_t la, size_t len, bool is_write)
{
	const struct tlb_entry *e = soft_tlb_entry(c, la);
	uint64_t offset = la ^ (is_write ? e->wtag : e->rtag) ^ TLB_WATCHED;

	if (offset > UMBRA_PAGE_SIZE - len ||
	    soft_points_touch(c, la, e->gpa + offset, len, is_write))
		return NULL;
	return e->host + offset;
}

/* The bytes at @la by the current bank, or NULL.  A watched page's accesses all come by here. */
SOFT_INLINE uint8_t *hit(const struct soft_cpu *c, gva_t la, size_t len, bool is_write)
{
	const struct tlb_entry *e = soft_tlb_entry(c, la);
	uint64_t offset = la ^ (is_write ? e->wtag : e->rtag);

	if (c->tlb->access != soft_tlb_class(c))
		return NULL;
	if (SOFT_LIKELY(offset <= UMBRA_PAGE_SIZE - len))
		return e->host + offset;
	return hit_beside(c, la, len, is_write);
}

static SOFT_COLD uint64_t load_missed(struct soft_cpu *c, gva_t la, unsigned size)
{
	soft_check_alignment(c, la, size);
	return load_slow(c, la, size, 0);
}

uint64_t soft_load(struct soft_cpu *c, gva_t la, unsigned size)
{
	const uint8_t *host = hit(c, la, size, false);

	return SOFT_LIKELY(host != NULL) ? value_at(host, size) : load_missed(c, la, size);
}

uint64_t soft_load_sys(struct soft_cpu *c, gva_t la, unsigned size)
{
	return load_slow(c, la, size, TLB_SYS);
}

void soft_load_bytes(struct soft_cpu *c, gva_t la, void *buf, size_t len)
{
	const uint8_t *host;
	struct spans s;

	if (len == 0)
		return;
	host = hit(c, la, len, false);
	if (SOFT_LIKELY(host != NULL)) {
		soft_guest_copy(buf, host, len);
		return;
	}
	resolve(c, la, len, 0, &s);
	look_at_loads(c, &s);
	copy_out(c, &s, buf);
}

/* Stores. */

/* Whatever may stop a store, in front of it. */
static void look_at_stores(struct soft_cpu *c, const struct spans *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct tlb_span *span = &s->span[i];

		if (span->has_code)
			soft_code_write_begin(c, span->gpa, span->len);
		soft_points_access(c, span->la, span->gpa, span->len, true);
	}
}

/* One host access, as atomic as the guest's. */
GUEST_RACE static void put_value(uint8_t *host, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		*host = (uint8_t)value;
		break;
	case 2:
		*(soft_u16 *)host = (uint16_t)value;
		break;
	case 4:
		*(soft_u32 *)host = (uint32_t)value;
		break;
	default:
		*(soft_u64 *)host = value;
		break;
	}
}

static bool is_value(size_t len)
{
	return len == 8 || len == 4 || len == 2 || len == 1;
}

static void put_bytes(uint8_t *host, const uint8_t *bytes, size_t len)
{
	if (is_value(len))
		put_value(host, value_at(bytes, (unsigned)len), (unsigned)len);
	else
		soft_guest_copy(host, bytes, len);
}

static void write_span(struct soft_cpu *c, const struct tlb_span *span, const uint8_t *bytes)
{
	if (!span->host) {
		uint8_t copy[UMBRA_PAGE_SIZE];

		memcpy(copy, bytes, span->len);
		access_device(c, span->gpa, true, span->len, copy);
		return;
	}
	if (span->is_rom)
		return;
	if (span->is_table)
		SOFT_MMU_CALL(c, mmu_write(c->vm->mmu, c->index, span->gpa, bytes, span->len));
	else
		put_bytes(span->host, bytes, span->len);
	if (span->has_code)
		soft_code_written(c->vm, span->gpa, span->len);
}

static void copy_in(struct soft_cpu *c, const struct spans *s, const uint8_t *buf)
{
	for (unsigned i = 0; i < s->count; i++) {
		write_span(c, &s->span[i], buf);
		buf += s->span[i].len;
	}
}

static void store_slow(struct soft_cpu *c, gva_t la, const void *buf, size_t len, unsigned access)
{
	struct spans s;

	resolve(c, la, len, access | X86_PF_W, &s);
	look_at_stores(c, &s);
	copy_in(c, &s, buf);
}

static SOFT_COLD void store_missed(struct soft_cpu *c, gva_t la, unsigned size, uint64_t value)
{
	uint8_t bytes[8] = {0};

	le64_put(bytes, value);
	soft_check_alignment(c, la, size);
	store_slow(c, la, bytes, size, 0);
}

void soft_store(struct soft_cpu *c, gva_t la, unsigned size, uint64_t value)
{
	uint8_t *host = hit(c, la, size, true);

	if (SOFT_LIKELY(host != NULL))
		put_value(host, value, size);
	else
		store_missed(c, la, size, value);
}

void soft_store_sys(struct soft_cpu *c, gva_t la, unsigned size, uint64_t value)
{
	uint8_t bytes[8] = {0};

	le64_put(bytes, value);
	store_slow(c, la, bytes, size, TLB_SYS);
}

void soft_store_bytes(struct soft_cpu *c, gva_t la, const void *buf, size_t len)
{
	uint8_t *host;

	if (len == 0)
		return;
	host = hit(c, la, len, true);
	if (SOFT_LIKELY(host != NULL))
		soft_guest_copy(host, buf, len);
	else
		store_slow(c, la, buf, len, 0);
}

/* Probes: page by page, any length. */

static void probe(struct soft_cpu *c, gva_t la, size_t len, unsigned access)
{
	while (len > 0) {
		size_t room = UMBRA_PAGE_SIZE - (la & ~UMBRA_PAGE_MASK);
		size_t n = len < room ? len : room;
		struct spans s;

		if (!hit(c, la, n, access & X86_PF_W)) {
			resolve(c, la, n, access, &s);
			if (access & X86_PF_W)
				look_at_stores(c, &s);
			else
				look_at_loads(c, &s);
		}
		la = address_behind(c, la, n);
		len -= n;
	}
}

void soft_probe_store(struct soft_cpu *c, gva_t la, size_t len)
{
	probe(c, la, len, X86_PF_W);
}

void soft_probe_load(struct soft_cpu *c, gva_t la, size_t len)
{
	probe(c, la, len, 0);
}

/* Read-modify-writes. */

void soft_rmw_begin(struct soft_cpu *c, gva_t la, unsigned len, struct soft_rmw *out_rmw)
{
	const struct tlb_span *first;
	struct spans s;

	soft_check_alignment(c, la, len);
	if (SOFT_UNLIKELY((la & ~UMBRA_PAGE_MASK) + len > UMBRA_PAGE_SIZE))
		soft_exclusive_begin(c);
	resolve(c, la, len, X86_PF_W, &s);
	look_at_loads(c, &s);
	look_at_stores(c, &s);
	first = &s.span[0];
	*out_rmw = (struct soft_rmw){
		.la = la,
		.gpa = first->gpa,
		.len = len,
		.is_copy = s.count > 1 || !first->host || first->is_rom,
		.is_table = first->is_table,
		.has_code = first->has_code,
	};
	if (out_rmw->is_copy) {
		out_rmw->bytes = out_rmw->copy;
		copy_out(c, &s, out_rmw->copy);
		return;
	}
	out_rmw->bytes = first->host;
	if (out_rmw->is_table)
		SOFT_MMU_CALL(c, mmu_write_begin(c->vm->mmu, c->index, first->gpa, len));
}

/* A copy is written as a store would write it, but the debugger has been asked already. */
void soft_rmw_end(struct soft_cpu *c, struct soft_rmw *rmw)
{
	struct spans s;

	if (rmw->is_copy) {
		resolve(c, rmw->la, rmw->len, X86_PF_W, &s);
		copy_in(c, &s, rmw->copy);
		soft_exclusive_end(c);
		return;
	}
	if (rmw->is_table)
		SOFT_MMU_CALL(c, mmu_write_end(c->vm->mmu, c->index, rmw->gpa, rmw->len));
	if (rmw->has_code)
		soft_code_written(c->vm, rmw->gpa, rmw->len);
}
