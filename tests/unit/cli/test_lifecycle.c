/* What each kind of stop means for the process. */
#include "src/cli/lifecycle.h"

#include <criterion/criterion.h>

static const struct {
	enum stop_kind kind;
	int stop_code;
	bool exits_on_reset, has_halt_code;
	enum stop_action action;
	int code; /* where the action is EXIT */
} VERDICTS[] = {
	{STOP_NONE, 0, false, false, STOP_ACTION_NONE, 0},
	{STOP_START, 0, false, false, STOP_ACTION_HOLD_OR_GO, 0},
	{STOP_ATTACH, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_INTERRUPT, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_PAUSE, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_STEP, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_BREAK, 0, true, true, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_WATCH, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_CATCH, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_MMU, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_NEWS, 0, false, false, STOP_ACTION_TELL_OR_RESUME, 0},
	{STOP_PASS, 0, false, false, STOP_ACTION_NONE, 0},
	{STOP_HALT, 0, false, false, STOP_ACTION_TELL_OR_DIE, 0},
	{STOP_HALT, 0, false, true, STOP_ACTION_EXIT, 9},
	{STOP_SHUTDOWN, 0, true, true, STOP_ACTION_TELL_OR_DIE, 0},
	{STOP_FAILED, 0, true, true, STOP_ACTION_TELL_OR_DIE, 0},
	{STOP_EXIT, 0, false, false, STOP_ACTION_EXIT, 0},
	{STOP_EXIT, 33, true, true, STOP_ACTION_EXIT, 33},
	{STOP_EXIT, 0x1ff, false, false, STOP_ACTION_EXIT, 0xff},
	{STOP_RESET, 0, false, false, STOP_ACTION_RESTART, 0},
	{STOP_RESET, 5, true, true, STOP_ACTION_EXIT, 0},
	{STOP_POWEROFF, 5, false, true, STOP_ACTION_EXIT, 0},
	{STOP_HOST_ERROR, 0, false, false, STOP_ACTION_GIVE_UP, 0},
	{STOP_TIMEOUT, 0, false, true, STOP_ACTION_TIME_OUT, 0},
};

Test(cli_lifecycle, judge_when_each_stop_then_action_and_code)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(VERDICTS); i++) {
		const struct cpu_stop stop = {.kind = VERDICTS[i].kind,
					      .code = VERDICTS[i].stop_code};
		const struct cli_options options = {.exits_on_reset = VERDICTS[i].exits_on_reset,
						    .has_halt_code = VERDICTS[i].has_halt_code,
						    .halt_code = 9};
		const struct stop_verdict verdict = lifecycle_judge(&stop, &options);

		cr_expect(verdict.action == VERDICTS[i].action, "row %zu: action %d", i,
			  verdict.action);
		cr_expect(verdict.code == VERDICTS[i].code, "row %zu: code %d", i, verdict.code);
	}
}

/* A row for every kind: a new kind without a verdict would read past the table. */
Test(cli_lifecycle, judge_when_all_kinds_then_each_has_a_row)
{
	bool is_seen[STOP_TIMEOUT + 1] = {false};
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(VERDICTS); i++)
		is_seen[VERDICTS[i].kind] = true;
	for (i = 0; i <= STOP_TIMEOUT; i++)
		cr_expect(is_seen[i], "kind %zu", i);
}
