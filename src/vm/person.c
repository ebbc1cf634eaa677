/* The person at keyboard and screen. */
#include "vm_internal.h"

#include <errno.h>
#include <stdlib.h>

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

void vm_look_at_screen(struct vm *vm, struct vgatext_screen *out_screen)
{
	vgatext_look(vm->vga, out_screen);
}
