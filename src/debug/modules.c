/* See modules.h.
 * Sources: the Linux kernel's include/linux/module.h, kernel/module/main.c, sysfs.c (6.1). */
#include "modules.h"
#include "linux_view.h"
#include "target.h"

#include <errno.h>
#include <stdlib.h>

/* enum module_state: a module that is being freed has neither. */
#define STATE_LIVE   0u
#define STATE_COMING 1u

#define MODULE_NAME  64u /* with its end */
#define SECTION_NAME 64u

enum field {
	FIELD_STATE,
	FIELD_LIST,
	FIELD_NAME,
	FIELD_SECTIONS,
	FIELD_COUNT_OF,
	FIELD_ATTRS,
	FIELD_ATTR_SIZE,
	FIELD_ATTR,
	FIELD_ADDRESS,
	FIELD_BIN_ATTR,
	FIELD_ATTR_NAME,
	FIELD_COUNT
};
_Static_assert(FIELD_COUNT == MODULES_FIELDS, "modules.h keeps an offset for each");

static const struct linux_field FIELDS[FIELD_COUNT] = {
	[FIELD_STATE] = {"module", "state"},
	[FIELD_LIST] = {"module", "list"},
	[FIELD_NAME] = {"module", "name"},
	[FIELD_SECTIONS] = {"module", "sect_attrs"},
	[FIELD_COUNT_OF] = {"module_sect_attrs", "nsections"},
	[FIELD_ATTRS] = {"module_sect_attrs", "attrs"},
	[FIELD_ATTR_SIZE] = {"module_sect_attr", NULL},
	[FIELD_ATTR] = {"module_sect_attr", "battr"},
	[FIELD_ADDRESS] = {"module_sect_attr", "address"},
	[FIELD_BIN_ATTR] = {"bin_attribute", "attr"},
	[FIELD_ATTR_NAME] = {"attribute", "name"},
};

/* A section of a module as the kernel has it. */
struct loaded_section {
	char name[SECTION_NAME];
	uint64_t address;
};

struct walk {
	struct linux_view view;
	const uint32_t *offset; /* by field */
	struct modules *modules;
	/* Of the module that is looked at. */
	unsigned loaded_count;
	struct loaded_section loaded[MODULE_SECTIONS_MAX];
	struct module *module;
	uint64_t end; /* of the sections that it has in memory */
};

/* Reading. */

/* At most @size - 1 bytes of text, as far as they can be read. */
static void read_text(const struct walk *w, gva_t va, char *out, size_t size)
{
	size_t len = vcpu_mem_read(w->view.target->world, w->view.vcpu, va, out, size - 1);

	out[len] = '\0';
}

static int read_section(struct walk *w, gva_t attr)
{
	struct loaded_section *section = &w->loaded[w->loaded_count];
	gva_t name;
	int error = linux_read_pointer(&w->view,
				       attr + w->offset[FIELD_ATTR] + w->offset[FIELD_BIN_ATTR] +
					       w->offset[FIELD_ATTR_NAME],
				       &name);

	if (error == 0)
		error = linux_read_pointer(&w->view, attr + w->offset[FIELD_ADDRESS],
					   &section->address);
	if (error)
		return error;
	read_text(w, name, section->name, sizeof(section->name));
	w->loaded_count++;
	return 0;
}

static int read_sections(struct walk *w, gva_t module)
{
	gva_t sections = 0;
	uint32_t count = 0;
	int error = linux_read_pointer(&w->view, module + w->offset[FIELD_SECTIONS], &sections);

	w->loaded_count = 0;
	if (error == 0 && sections)
		error = linux_read_u32(&w->view, sections + w->offset[FIELD_COUNT_OF], &count);
	for (uint32_t i = 0; error == 0 && i < count && i < MODULE_SECTIONS_MAX; i++)
		error = read_section(w, sections + w->offset[FIELD_ATTRS] +
						(uint64_t)i * w->offset[FIELD_ATTR_SIZE]);
	return error;
}

/* A section of the file: where the kernel has it, if it kept it. */
static void add_section(void *ctx, const char *name, uint64_t size)
{
	struct walk *w = ctx;
	struct module *module = w->module;

	if (module->section_count == MODULE_SECTIONS_MAX)
		return;
	module->section[module->section_count] = 0;
	for (unsigned i = 0; i < w->loaded_count; i++) {
		if (strcmp(w->loaded[i].name, name) == 0)
			module->section[module->section_count] = w->loaded[i].address;
	}
	w->end = u64_max(w->end, module->section[module->section_count] + size);
	module->section_count++;
}

/* The debugger wants an address for each.  Nothing is ever looked for in one that the kernel did
 * not keep, so it is put where it is in nobody's way. */
static void place_rest(struct walk *w)
{
	for (unsigned i = 0; i < w->module->section_count; i++) {
		if (!w->module->section[i])
			w->module->section[i] = w->end;
	}
}

/* One whose file is not there or cannot be read is left out. */
static int add_module(struct walk *w, const char *name)
{
	struct modules *modules = w->modules;
	const char *path = module_files_find(modules->files, name);

	if (!path || modules->count == MODULES_MAX)
		return 0;
	w->module = &modules->list[modules->count];
	*w->module = (struct module){
		.path = path,
		.section = calloc(MODULE_SECTIONS_MAX, sizeof(*w->module->section)),
	};
	if (!w->module->section)
		return umbra_err_set(w->view.err, ENOMEM, "no memory for the list of modules");
	w->end = 0;
	if (module_file_sections(path, add_section, w, w->view.err) == 0) {
		place_rest(w);
		modules->count++;
	} else {
		free(w->module->section);
	}
	return 0;
}

static int read_module(struct walk *w, gva_t module)
{
	char name[MODULE_NAME];
	uint32_t state;
	int error = linux_read_u32(&w->view, module + w->offset[FIELD_STATE], &state);

	if (error || (state != STATE_LIVE && state != STATE_COMING))
		return error;
	read_text(w, module + w->offset[FIELD_NAME], name, sizeof(name));
	error = read_sections(w, module);
	return error ? error : add_module(w, name);
}

/* The list. */

static void forget(struct modules *modules)
{
	for (unsigned i = 0; i < modules->count; i++)
		free(modules->list[i].section);
	free(modules->list);
	modules->list = NULL;
	modules->count = 0;
}

/* A list that ends nowhere, in a guest that is broken, is followed for MODULES_MAX. */
static int read_list(struct walk *w)
{
	gva_t head = linux_view_symbol(&w->view, LINUX_MODULES);
	gva_t node;
	int error;

	if (!head)
		return -ENOENT;
	error = linux_read_pointer(&w->view, head, &node);
	for (unsigned i = 0; error == 0 && node != head && i < MODULES_MAX; i++) {
		error = read_module(w, node - w->offset[FIELD_LIST]);
		if (error == 0)
			error = linux_read_pointer(&w->view, node, &node);
	}
	return error;
}

/* The types of one kernel stay what they are. */
static int find_offsets(struct walk *w)
{
	struct modules *modules = w->modules;
	int error = 0;

	if (!modules->has_offsets)
		error = linux_view_fields(&w->view, FIELDS, FIELD_COUNT, modules->offset);
	modules->has_offsets = error == 0;
	return error;
}

/* What cannot be read is left out: the client asked for a list, and has no word for trouble. */
static void refresh(struct debug_target *target, unsigned vcpu)
{
	struct modules *modules = &target->modules;
	struct umbra_err err = {.text = ""};
	struct walk *w = calloc(1, sizeof(*w));

	modules->is_due = false;
	forget(modules);
	modules->list = calloc(MODULES_MAX, sizeof(*modules->list));
	if (w && modules->list) {
		w->modules = modules;
		w->offset = modules->offset;
		if (linux_view_open(&w->view, target, vcpu, &err) == 0 && find_offsets(w) == 0)
			read_list(w);
	}
	free(w);
}

static void list(void *ctx, unsigned thread, bool is_first,
		 void (*put)(void *put_ctx, const char *path, const uint64_t *section,
			     unsigned count),
		 void *put_ctx)
{
	struct debug_target *target = ctx;
	const struct modules *modules = &target->modules;

	target->modules.is_read = true;
	if (is_first)
		refresh(target, thread - 1);
	for (unsigned i = 0; i < modules->count; i++)
		put(put_ctx, modules->list[i].path, modules->list[i].section,
		    modules->list[i].section_count);
}

static bool changed(void *ctx)
{
	return ((const struct debug_target *)ctx)->modules.is_due;
}

const struct rsp_library_ops modules_library_ops = {.list = list, .changed = changed};

/* News. */

static bool is_point(const struct modules *modules, gva_t addr)
{
	for (unsigned i = 0; i < MODULES_POINTS; i++) {
		if (modules->point[i] && modules->point[i] == addr)
			return true;
	}
	return false;
}

void modules_symbol_found(struct debug_target *target)
{
	target->modules.is_due = target->modules.is_read;
	target->modules.must_arm = true;
	target->modules.has_offsets = false;
}

void modules_stopped(struct debug_target *target, const struct cpu_stop *stop)
{
	struct modules *modules = &target->modules;

	if (!modules->is_read)
		return;
	/* A step or a breakpoint there tells of itself, and the point is passed with it. */
	if (stop->kind == STOP_NEWS || ((stop->kind == STOP_STEP || stop->kind == STOP_BREAK) &&
					is_point(modules, stop->addr)))
		modules->is_due = true;
}

/* As long as the kernel has not begun nobody knows where it is going to be: where the debugger's
 * symbols are is the best guess. */
void modules_going(struct debug_target *target)
{
	static const enum linux_symbol points[MODULES_POINTS] = {LINUX_DO_INIT_MODULE,
								 LINUX_FREE_MODULE};
	struct modules *modules = &target->modules;
	struct umbra_err err;
	struct linux_view view;

	if (!modules->must_arm || !modules->is_read)
		return;
	modules->must_arm = linux_view_open(&view, target, 0, &err) != 0;
	if (modules->must_arm)
		view.slide = 0;
	bp_clear_news(target->world);
	for (unsigned i = 0; i < MODULES_POINTS; i++) {
		modules->point[i] = linux_view_symbol(&view, points[i]);
		if (modules->point[i])
			bp_insert_news(target->world, modules->point[i], &err);
	}
}

void modules_reset(struct debug_target *target)
{
	target->modules.is_due = target->modules.is_read;
	target->modules.must_arm = true;
}

void modules_leave(struct debug_target *target)
{
	bp_clear_news(target->world);
	target->modules.is_read = false;
	target->modules.is_due = false;
	target->modules.must_arm = true;
}

void modules_end(struct modules *modules)
{
	forget(modules);
	module_files_close(modules->files);
}
