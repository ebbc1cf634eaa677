/* See linux_view.h. */
#include "linux_view.h"
#include "btf.h"
#include "target.h"

#include <errno.h>
#include <stdlib.h>

#define BTF_MAX (64ull << 20) /* Debian's has 6 MiB */

const char *const linux_symbol_name[LINUX_SYMBOLS] = {
	[LINUX_BTF_START] = "__start_BTF",	   [LINUX_BTF_STOP] = "__stop_BTF",
	[LINUX_INIT_TASK] = "init_task",	   [LINUX_MODULES] = "modules",
	[LINUX_DO_INIT_MODULE] = "do_init_module", [LINUX_FREE_MODULE] = "free_module",
};

gva_t linux_view_symbol(const struct linux_view *view, enum linux_symbol symbol)
{
	gva_t addr = view->target->symbols.addr[symbol];

	return addr ? addr + view->slide : 0;
}

/* Memory. */

int linux_read(const struct linux_view *view, gva_t va, void *buf, size_t len)
{
	if (vcpu_mem_read(view->target->world, view->vcpu, va, buf, len) == len)
		return 0;
	return umbra_err_set(view->err, EFAULT, "cpu %u has no mapping of 0x%llx", view->vcpu,
			     (unsigned long long)va);
}

int linux_read_pointer(const struct linux_view *view, gva_t va, gva_t *out)
{
	uint8_t bytes[8];
	int error = linux_read(view, va, bytes, sizeof(bytes));

	if (error == 0)
		*out = le64_get(bytes);
	return error;
}

int linux_read_u32(const struct linux_view *view, gva_t va, uint32_t *out)
{
	uint8_t bytes[4];
	int error = linux_read(view, va, bytes, sizeof(bytes));

	if (error == 0)
		*out = le32_get(bytes);
	return error;
}

/* Types. */

static bool has_btf(const struct linux_view *view, gva_t start)
{
	uint8_t header[BTF_HEADER_BYTES];

	return vcpu_mem_read(view->target->world, view->vcpu, start, header, sizeof(header)) ==
		       sizeof(header) &&
	       btf_bytes(header);
}

/* The debugger may hold symbols where the kernel was linked, or where it is. */
static bool find_slide(struct linux_view *view, gva_t start)
{
	gva_t text;

	view->slide = 0;
	if (has_btf(view, start))
		return true;
	if (!target_linux_text(view->target, view->vcpu, &text))
		return false;
	view->slide = text - vm_linux_text(view->target->vm);
	return has_btf(view, start + view->slide);
}

static bool find_field(const struct btf *btf, const struct linux_field *field, uint32_t *out)
{
	if (!field->member)
		return btf_size_of(btf, field->structure, out);
	return btf_offset_of(btf, field->structure, field->member, out);
}

static int find_fields(const struct linux_view *view, const uint8_t *bytes, size_t len,
		       const struct linux_field *field, unsigned count, uint32_t *out_offset)
{
	struct btf btf;

	if (!btf_open(&btf, bytes, len))
		return umbra_err_set(view->err, ENOENT, "the kernel's BTF is damaged");
	for (unsigned i = 0; i < count; i++) {
		if (!find_field(&btf, &field[i], &out_offset[i]))
			return umbra_err_set(view->err, ENOENT, "the kernel's BTF has no %s%s%s",
					     field[i].structure, field[i].member ? "." : "",
					     field[i].member ? field[i].member : "");
	}
	return 0;
}

int linux_view_fields(const struct linux_view *view, const struct linux_field *field,
		      unsigned count, uint32_t *out_offset)
{
	gva_t start = linux_view_symbol(view, LINUX_BTF_START);
	uint64_t len = linux_view_symbol(view, LINUX_BTF_STOP) - start;
	uint8_t *bytes;
	int error;

	if (len < BTF_HEADER_BYTES || len > BTF_MAX)
		return umbra_err_set(view->err, ENOENT, "the kernel's BTF has an impossible size");
	bytes = malloc(len);
	if (!bytes)
		return umbra_err_set(view->err, ENOMEM, "no memory for the kernel's BTF");
	error = linux_read(view, start, bytes, len);
	if (error == 0)
		error = find_fields(view, bytes, len, field, count, out_offset);
	free(bytes);
	return error;
}

int linux_view_open(struct linux_view *out, struct debug_target *target, unsigned vcpu,
		    struct umbra_err *err)
{
	gva_t start = target->symbols.addr[LINUX_BTF_START];
	unsigned vcpus = world_vcpu_count(target->world);

	*out = (struct linux_view){.target = target, .err = err};
	if (!start)
		return umbra_err_set(err, ENOENT,
				     "the debugger knows no %s: load the kernel's symbols",
				     linux_symbol_name[LINUX_BTF_START]);
	/* One in user mode may not have the kernel in its tables. */
	for (unsigned i = 0; i < vcpus; i++) {
		out->vcpu = (vcpu + i) % vcpus;
		if (find_slide(out, start))
			return 0;
	}
	return umbra_err_set(err, ENOENT,
			     "there is no BTF at 0x%llx: the kernel was built without it, or does "
			     "not run yet",
			     (unsigned long long)start);
}
