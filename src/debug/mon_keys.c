/* `monitor sendkey`, `monitor type` and `monitor console`: the guest's keyboard, and what it
 * prints. */
#include "monitor.h"
#include "target.h"

#include <errno.h>
#include <stdlib.h>

static int report(struct mon_call *call, int error, const struct umbra_err *err)
{
	if (error)
		print_to(call->out, "%s\n", err->text);
	return -error;
}

/* The time in @text; 0, which nobody accepts, when there is none. */
static unsigned hold_of(const char *text)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	return errno || *end || number > VM_HOLD_MAX_MS ? 0 : (unsigned)number;
}

int mon_sendkey(struct mon_call *call)
{
	struct umbra_err err = {.text = ""};
	unsigned hold_ms = VM_HOLD_MS;

	if (call->argc == 0) {
		print_to(call->out, "usage: sendkey KEYS [MS], as in ctrl-alt-delete or ret\n");
		return EINVAL;
	}
	if (call->argc > 1)
		hold_ms = hold_of(call->argv[1]);
	if (hold_ms == 0) {
		print_to(call->out, "a key is held for 1 to %d ms, not '%s'\n", VM_HOLD_MAX_MS,
			 call->argv[1]);
		return EINVAL;
	}
	return report(call, vm_send_keys(call->target->vm, call->argv[0], hold_ms, &err), &err);
}

/* What @letter stands for behind a backslash; 0: nothing. */
static char unescape(char letter)
{
	static const char letters[] = "ntbe\\", meanings[] = "\n\t\b\033\\";
	const char *found = letter ? strchr(letters, letter) : NULL;

	if (!found)
		return '\0';
	return meanings[found - letters];
}

int mon_type(struct mon_call *call)
{
	struct umbra_err err = {.text = ""};
	char text[MON_LINE_MAX];
	size_t len = 0;

	if (call->argc == 0) {
		print_to(call->out, "usage: type TEXT; end it with \\n for return\n");
		return EINVAL;
	}
	for (const char *c = call->argv[0]; *c; c++) {
		char meant = *c;

		if (meant == '\\')
			meant = unescape(*++c);
		if (!meant) {
			print_to(call->out,
				 "a backslash stands before n, t, b, e or a backslash\n");
			return EINVAL;
		}
		text[len++] = meant;
	}
	text[len] = '\0';
	return report(call, vm_type_text(call->target->vm, text, &err), &err);
}

int mon_console(struct mon_call *call)
{
	struct debug_target *target = call->target;
	const char *how = call->argc ? call->argv[0] : "";
	bool is_on = strcmp(how, "on") == 0;
	int error;

	if (*how && !is_on && strcmp(how, "off") != 0) {
		print_to(call->out, "usage: console [on|off]\n");
		return EINVAL;
	}
	error = *how ? target_set_console(target, is_on) : 0;
	if (error) {
		print_to(call->out, "the console cannot be shown: %s\n", strerror(-error));
		return -error;
	}
	if (!*how)
		print_to(call->out, "the console is %s\n", target->is_console_on ? "on" : "off");
	/* gdb takes an O packet there for the answer to whatever it has asked. */
	else if (is_on && rsp_session_is_non_stop(target->session))
		print_to(call->out, "nothing is shown in non-stop mode\n");
	return 0;
}
