#include "fake_vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The test's side. */

struct vm *fake_vm_create(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct world *world = calloc(1, sizeof(*world));

	if (!vm || !world || mem_create(&vm->mem, NULL) != 0)
		abort();
	vm->world = world;
	world->state = WORLD_STOPPED;
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		x86_state_reset(&world->st[i]);
	return vm;
}

void fake_vm_destroy(struct vm *vm)
{
	mem_destroy(vm->mem);
	free(vm->world);
	free(vm);
}

void fake_world_set_stopped(struct world *world)
{
	world->has_stop = true;
	world->state = WORLD_STOPPED;
}

void fake_world_take(struct world *world)
{
	world->has_stop = false;
}

void fake_collect(void *said, const char *text, size_t len)
{
	struct fake_text *t = said;

	if (t->len + len >= sizeof(t->text))
		abort();
	memcpy(t->text + t->len, text, len);
	t->len += len;
	t->text[t->len] = '\0';
}

/* Umbra/vm.h. */

struct world *vm_world(struct vm *vm)
{
	return vm->world;
}

struct mem_space *vm_mem(struct vm *vm)
{
	return vm->mem;
}

void vm_look_at_screen(struct vm *vm, struct vgatext_screen *out_screen)
{
	*out_screen = vm->screen;
}

struct bus *vm_bus(struct vm *vm)
{
	(void)vm;
	return NULL;
}

struct accel_ops fake_accel = {.name = "fake", .can_catch = true};

const struct accel_ops *vm_accel(const struct vm *vm)
{
	(void)vm;
	return &fake_accel;
}

struct accel_vm *vm_accel_vm(struct vm *vm)
{
	(void)vm;
	return NULL;
}

struct mmu *vm_mmu(struct vm *vm)
{
	return vm->mmu;
}

void vm_press_power_button(struct vm *vm)
{
	vm->press_count++;
}

int vm_reset(struct vm *vm, struct umbra_err *err)
{
	vm->reset_count++;
	if (vm->reset_error)
		return umbra_err_set(err, vm->reset_error, "the image is gone");
	return 0;
}

const char *vm_symbol_file(const struct vm *vm)
{
	(void)vm;
	return "/images/kernel.elf";
}

gva_t vm_linux_text(const struct vm *vm)
{
	(void)vm;
	return 0;
}

int vm_watch_console(struct vm *vm, chardev_tap_fn fn, void *ctx)
{
	vm->tap = fn;
	vm->tap_ctx = ctx;
	return 0;
}

void vm_flush_console(struct vm *vm)
{
	if (vm->tap && vm->printed)
		vm->tap(vm->tap_ctx, (const uint8_t *)vm->printed, strlen(vm->printed));
	vm->printed = NULL;
}

bool vm_is_64bit(const struct vm *vm)
{
	return !vm->is_arch_open;
}

bool vm_is_flat(const struct vm *vm)
{
	return vm->is_arch_open;
}

void vm_show_chardevs(struct vm *vm, const struct print_sink *sink)
{
	(void)vm;
	print_to(sink, "serial0: fake\n");
}

int vm_show_irqs(struct vm *vm, const struct print_sink *sink)
{
	(void)vm;
	print_to(sink, "line 4: fake\n");
	return 0;
}

int vm_send_keys(struct vm *vm, const char *keys, unsigned hold_ms, struct umbra_err *err)
{
	if (strcmp(keys, "bad") == 0)
		return umbra_err_set(err, EINVAL, "no key is called 'bad'");
	snprintf(vm->typed, sizeof(vm->typed), "%s for %u", keys, hold_ms);
	return 0;
}

int vm_type_text(struct vm *vm, const char *text, struct umbra_err *err)
{
	if (strcmp(text, "full") == 0)
		return umbra_err_set(err, ENOSPC, "let it run first");
	snprintf(vm->typed, sizeof(vm->typed), "%s", text);
	return 0;
}

/* Umbra/cpu.h: the world. */

bool world_has_stop(struct world *world)
{
	return world->has_stop;
}

enum world_state world_state(const struct world *world)
{
	return world->state;
}

void world_stop(struct world *world, enum stop_kind kind)
{
	if (world->state != WORLD_RUNNING)
		return;
	world->state = WORLD_STOPPING;
	world->stop_kind = kind;
	world->stop_count++;
}

void world_resume(struct world *world, const struct vcpu_plan *plan)
{
	world->state = WORLD_RUNNING;
	world->resume_count++;
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		world->plan[i] = plan[i];
}

void world_resume_as_before(struct world *world)
{
	world->state = WORLD_RUNNING;
	world->as_before_count++;
}

int world_set_catch(struct world *world, const struct accel_catch *catch)
{
	if (catch && world->cannot_catch)
		return -ENOTSUP;
	world->has_catch = catch != NULL;
	if (catch)
		world->catch = *catch;
	return 0;
}

unsigned world_vcpu_count(const struct world *world)
{
	(void)world;
	return FAKE_CPUS;
}

/* VCPUs. */

const struct x86_state *vcpu_state(struct world *world, unsigned index, unsigned parts)
{
	(void)parts;
	return &world->st[index];
}

int vcpu_state_write(struct world *world, unsigned index, const struct x86_state *st,
		     unsigned parts, struct umbra_err *err)
{
	(void)parts;
	if (world->write_error)
		return umbra_err_set(err, world->write_error, "refused");
	world->st[index] = *st;
	world->write_count++;
	return 0;
}

size_t vcpu_mem_read(struct world *world, unsigned index, gva_t va, void *buf, size_t len)
{
	(void)index;
	if (va >= FAKE_MEM_BYTES)
		return 0;
	len = (size_t)u64_min(len, FAKE_MEM_BYTES - va);
	memcpy(buf, world->mem + va, len);
	return len;
}

size_t world_mem_read(struct world *world, gpa_t gpa, void *buf, size_t len)
{
	return vcpu_mem_read(world, 0, gpa, buf, len);
}

size_t world_mem_write(struct world *world, gpa_t gpa, const void *buf, size_t len)
{
	return vcpu_mem_write(world, 0, gpa, buf, len);
}

size_t vcpu_mem_write(struct world *world, unsigned index, gva_t va, const void *buf, size_t len)
{
	(void)index;
	if (va >= FAKE_MEM_BYTES)
		return 0;
	len = (size_t)u64_min(len, FAKE_MEM_BYTES - va);
	memcpy(world->mem + va, buf, len);
	return len;
}

void vcpu_show_exits(struct world *world, unsigned index, const struct print_sink *sink)
{
	(void)world;
	print_to(sink, "  exits of %u\n", index);
}

/* Breakpoints. */

bool bp_is_supported(const struct world *world, enum bp_kind kind)
{
	(void)world;
	return kind != BP_WATCH_READ;
}

static struct bp_info *bp_find(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len)
{
	for (unsigned i = 0; i < world->bp_count; i++) {
		struct bp_info *bp = &world->bp[i];

		if (bp->kind == kind && bp->addr == addr && bp->len == len)
			return bp;
	}
	return NULL;
}

int bp_insert(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len,
	      struct umbra_err *err)
{
	bool is_watch = kind >= BP_WATCH_WRITE;

	if (is_watch && (len == 0 || len > 8 || (len & (len - 1)) || addr % len))
		return umbra_err_set(err, EINVAL, "length %llu", (unsigned long long)len);
	if (bp_find(world, kind, addr, len))
		return 0;
	if (world->bp_count == 4)
		return umbra_err_set(err, ENOSPC, "all are taken");
	world->bp[world->bp_count++] =
		(struct bp_info){.kind = kind, .addr = addr, .len = len, .hits = 3};
	return 0;
}

int bp_remove(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len)
{
	struct bp_info *bp = bp_find(world, kind, addr, len);

	if (!bp)
		return -ENOENT;
	*bp = world->bp[--world->bp_count];
	world->agent[bp - world->bp] = world->agent[world->bp_count];
	return 0;
}

void world_set_bp_hook(struct world *world, const struct bp_hook *hook)
{
	world->hook = hook;
}

int bp_set_agent(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len, void *agent)
{
	struct bp_info *bp = bp_find(world, kind, addr, len);

	if (!bp)
		return -ENOENT;
	bp->has_agent = agent != NULL;
	world->agent[bp - world->bp] = agent;
	return 0;
}

int bp_insert_trace(struct world *world, gva_t addr, void *agent, struct umbra_err *err)
{
	if (world->trace_count == UMBRA_ARRAY_SIZE(world->trace_addr))
		return umbra_err_set(err, ENOMEM, "too many tracepoints");
	world->trace_addr[world->trace_count] = addr;
	world->trace_agent[world->trace_count++] = agent;
	return 0;
}

int bp_insert_news(struct world *world, gva_t addr, struct umbra_err *err)
{
	(void)world, (void)addr, (void)err;
	return 0;
}

void bp_clear_news(struct world *world)
{
	(void)world;
}

void bp_clear_traces(struct world *world)
{
	world->trace_count = 0;
}

unsigned vcpu_index(const struct vcpu *vcpu)
{
	return vcpu->index;
}

const struct x86_state *vcpu_own_state(struct vcpu *vcpu, unsigned parts)
{
	return vcpu_state(vcpu->world, vcpu->index, parts);
}

size_t vcpu_own_mem_read(struct vcpu *vcpu, gva_t va, void *buf, size_t len)
{
	return vcpu_mem_read(vcpu->world, vcpu->index, va, buf, len);
}

void world_cancel_mmu(struct world *world, uint64_t mmu_hit)
{
	(void)world, (void)mmu_hit;
}

int bp_insert_physical(struct world *world, enum bp_kind kind, gpa_t gpa, uint64_t len,
		       struct umbra_err *err)
{
	(void)world, (void)kind, (void)gpa, (void)len;
	return umbra_err_set(err, ENOTSUP, "this machine has no memory");
}

int bp_remove_physical(struct world *world, enum bp_kind kind, gpa_t gpa, uint64_t len)
{
	(void)world, (void)kind, (void)gpa, (void)len;
	return -ENOENT;
}

void bp_clear(struct world *world)
{
	world->bp_count = 0;
	world->clear_count++;
}

bool bp_at(const struct world *world, unsigned index, struct bp_info *out_info)
{
	if (index >= world->bp_count)
		return false;
	*out_info = world->bp[index];
	return true;
}
