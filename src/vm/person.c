/* The person at keyboard and screen. */
#include "vm_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EVENTS 2048u

int vm_send_keys(struct vm *vm, const char *keys, unsigned hold_ms, struct umbra_err *err)
{
	struct key_event events[2 * KEYS_AT_ONCE];
	unsigned count;
	int error;

	if (hold_ms < 1 || hold_ms > VM_HOLD_MAX_MS)
		return umbra_err_set(err, EINVAL, "a key is held for 1 to %d ms, not %u",
				     VM_HOLD_MAX_MS, hold_ms);
	error = keys_parse(events, &count, keys, hold_ms, err);
	return error ? error : i8042_press(vm->keyboard, events, count, err);
}

int vm_type_text(struct vm *vm, const char *text, struct umbra_err *err)
{
	struct key_event *events = calloc(MAX_EVENTS, sizeof(*events));
	unsigned count = MAX_EVENTS;
	int error;

	if (!events)
		return umbra_err_set(err, ENOMEM, "no memory for the text");
	error = keys_of_text(events, &count, text, err);
	if (!error)
		error = i8042_press(vm->keyboard, events, count, err);
	free(events);
	return error;
}

/* The first serial port's back end, or NULL. */
static struct chardev *console_of(struct vm *vm)
{
	for (unsigned i = 0; i < vm->chardev_count; i++) {
		if (strcmp(vm->chardev_name[i], "serial0") == 0)
			return vm->chardev[i];
	}
	return NULL;
}

int vm_watch_console(struct vm *vm, chardev_tap_fn fn, void *ctx)
{
	struct chardev *console = console_of(vm);

	return console ? chardev_set_tap(console, fn, ctx) : -ENODEV;
}

void vm_flush_console(struct vm *vm)
{
	struct chardev *console = console_of(vm);

	if (console)
		chardev_flush_tap(console);
}

void vm_look_at_screen(struct vm *vm, struct vgatext_screen *out_screen)
{
	vgatext_look(vm->vga, out_screen);
}
