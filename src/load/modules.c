/* Multiboot modules, given as QEMU's -initrd: "file args,file args".  A doubled comma is a comma,
 * and the whole entry, file name included, is the module's string. */
#include "load_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Take the next entry from *@spec into a string of its own; *@spec is NULL after the last. */
static char *entry_take(const char **spec)
{
	const char *s = *spec;
	char *text = malloc(strlen(s) + 1);
	size_t len = 0;

	if (!text)
		return NULL;
	while (*s == ' ')
		s++;
	while (*s && (*s != ',' || s[1] == ',')) {
		text[len++] = *s;
		s += *s == ',' ? 2 : 1;
	}
	text[len] = '\0';
	*spec = *s ? s + 1 : NULL;
	return text;
}

static int module_open(struct load_job *job, const char *text, struct load_file *out_file,
		       struct umbra_err *err)
{
	char *path = strndup(text, strcspn(text, " "));
	int rc;

	if (!path)
		return umbra_err_set(err, ENOMEM, "no memory for the name of a module");
	rc = load_file_open(out_file, path, err);
	free(path);
	if (rc == 0)
		job->image->file_count++;
	return rc;
}

/* An empty module gets an address, but no bytes. */
static int module_place(struct load_job *job, struct load_module *m, unsigned number,
			struct umbra_err *err)
{
	struct load_part part = {
		.field = "address",
		.mem_len = m->size,
		.data_len = m->size,
		.file = job->image->file_count - 1,
	};
	int rc;

	snprintf(part.what, sizeof(part.what), "module %u", number);
	rc = load_plan_place_after(job, part.what, m->size ? m->size : 1, &part.gpa, err);
	m->gpa = part.gpa;
	if (rc == 0 && m->size > 0)
		rc = load_plan_add(job, &part, err);
	return rc;
}

static int module_plan(struct load_job *job, struct load_module *m, unsigned number,
		       struct umbra_err *err)
{
	struct load_file *file = &job->image->file[job->image->file_count];
	int rc;

	if (m->text[0] == '\0')
		return umbra_err_set(err, EINVAL, "-initrd '%s': entry %u is empty",
				     job->config->initrd, number);
	rc = module_open(job, m->text, file, err);
	if (rc == 0) {
		m->size = file->size;
		rc = module_place(job, m, number, err);
	}
	if (rc < 0)
		umbra_err_prefix(err, "-initrd '%s'", file->shown);
	return rc;
}

int load_modules_plan(struct load_job *job, struct load_module *out_module, unsigned *out_count,
		      struct umbra_err *err)
{
	const char *spec = job->config->initrd;
	int rc = 0;

	*out_count = 0;
	while (rc == 0 && spec) {
		struct load_module *m = &out_module[*out_count];

		if (*out_count == LOAD_MAX_MODULES)
			return umbra_err_set(err, EINVAL, "-initrd: more than %u modules",
					     LOAD_MAX_MODULES);
		memset(m, 0, sizeof(*m));
		m->text = entry_take(&spec);
		if (!m->text)
			return umbra_err_set(err, ENOMEM, "no memory for the string of a module");
		rc = module_plan(job, m, *out_count, err);
		(*out_count)++;
	}
	return rc;
}

void load_modules_free(struct load_module *module, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		free(module[i].text);
}

const char *load_module_args(const struct load_module *module)
{
	const char *args = module->text + strcspn(module->text, " ");

	return args + strspn(args, " ");
}
