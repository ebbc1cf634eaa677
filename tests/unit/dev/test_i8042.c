/* Unit tests of the keyboard controller's registers and commands, and of the keyboard's. */
#include "kbc_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* Controller commands: the bytes that go in, what comes out, and what the status says of it.
 * A row's script: cXX to port 0x64, dXX to port 0x60. */
struct row {
	const char *script;
	const char *out;
	uint8_t status; /* before the first byte is read, or of nothing */
	unsigned resets;
};

static const struct row commands[] = {
	{"", "", 0x1c, 0},
	{"c20", "65", 0x1d, 0}, /* as firmware leaves it */
	{"c60 d47 c20", "47", 0x1d, 0},
	{"c60 dff c20", "7f", 0x1d, 0},
	{"c60 d00", "", 0x10, 0}, /* the system flag is the command byte's */
	{"c60 d00 c20", "00", 0x19, 0},
	{"c65 d5a c25", "5a", 0x1d, 0},
	{"c7f da5 c3f c20", "65", 0x1d, 0}, /* an answer replaces an older one */
	{"ca7 c20", "65", 0x1d, 0},
	{"ca8 c20", "45", 0x1d, 0},
	{"ca8 ca7 c20", "65", 0x1d, 0},
	{"ca9", "00", 0x1d, 0},
	{"caa", "55", 0x1d, 0},
	{"c60 d00 caa", "55", 0x1d, 0},
	{"cab", "00", 0x1d, 0},
	{"cad c20", "75", 0x1d, 0},
	{"cad cae c20", "65", 0x1d, 0},
	{"cad dee c20", "65 ee", 0x1d, 0}, /* data for the keyboard lets it speak */
	{"cc0", "80", 0x1d, 0},
	{"cd0", "cf", 0x1d, 0},
	{"cd1 dcd cd0", "cd", 0x1d, 0}, /* A20 off, to look at */
	{"cdd cd0", "cd", 0x1d, 0},
	{"cdd cdf cd0", "cf", 0x1d, 0},
	{"dee cd0", "df ee", 0x1d, 0},	/* the output buffer is full by the keyboard */
	{"cd3 d11 cd0", "ef", 0x1d, 0}, /* or by the mouse */
	{"cd2 d5a", "5a", 0x15, 0},
	{"cd3 d5a", "5a", 0x35, 0},
	{"cd4 df4", "fe", 0x75, 0}, /* no mouse: it times out */
	{"ca7 cd4 dff c20", "45", 0x1d, 0},
	{"ce0", "03", 0x1d, 0},
	{"cad ce0", "02", 0x1d, 0},
	{"cff", "", 0x1c, 0},
	{"cfe", "", 0x1c, 1},
	{"cf0", "", 0x1c, 1},
	{"cf1 cfd", "", 0x1c, 0},
	{"cd1 dfe", "", 0x14, 1},
	{"cd1 c20 d33", "65 fe", 0x15, 0}, /* a command ends another that waits for its byte */
	{"cb0", "", 0x1c, 0},
};

static void play(struct kbc_rig *rig, const char *script)
{
	while (*script) {
		uint8_t value = (uint8_t)strtoul(script + 1, NULL, 16);

		if (*script == 'c')
			kbc_command(rig, value);
		else
			kbc_write(rig, value);
		script += 3;
		script += *script == ' ';
	}
}

Test(i8042, each_command_when_given_then_answer_status_and_reset)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(commands); i++) {
		const struct row *row = &commands[i];
		struct kbc_rig rig;
		char text[256];

		kbc_rig_open(&rig);
		play(&rig, row->script);
		cr_expect_eq(kbc_status(&rig), row->status, "%s: status %02x", row->script,
			     kbc_status(&rig));
		cr_expect_str_eq(kbc_drain(&rig, text), row->out, "%s: %s", row->script, text);
		cr_expect_eq(rig.resets, row->resets, "%s", row->script);
		bus_reset(rig.bus);
		cr_expect_eq(kbc_status(&rig), 0x1c);
		kbc_rig_close(&rig);
	}
}

/* Interrupts. */

Test(i8042, lines_when_enabled_or_not_then_follow_the_output_buffer)
{
	static const struct {
		uint8_t mode, command;
		bool is_key_high, is_mouse_high;
	} rows[] = {
		{0x45, 0xd2, true, false},  {0x44, 0xd2, false, false}, {0x47, 0xd3, false, true},
		{0x45, 0xd3, false, false}, {0x47, 0xd2, true, false},	{0x47, 0xd4, false, true},
	};
	struct kbc_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		kbc_rig_open(&rig);
		kbc_set_mode(&rig, rows[i].mode);
		kbc_command(&rig, rows[i].command);
		kbc_write(&rig, 0x12);
		cr_expect_eq(rig.is_high[1], rows[i].is_key_high, "row %zu", i);
		cr_expect_eq(rig.is_high[12], rows[i].is_mouse_high, "row %zu", i);
		kbc_read(&rig);
		cr_expect_not(rig.is_high[1] || rig.is_high[12], "row %zu", i);
		kbc_rig_close(&rig);
	}
}

Test(i8042, line_when_more_bytes_wait_then_an_edge_for_each)
{
	struct kbc_rig rig;

	kbc_rig_open(&rig);
	kbc_write(&rig, KBD_IDENTIFY);
	cr_expect_eq(rig.rises[1], 1);
	for (unsigned n = 1; n <= 3; n++) {
		cr_expect(rig.is_high[1]);
		cr_expect_eq(rig.rises[1], n);
		kbc_read(&rig);
	}
	cr_expect_not(rig.is_high[1]);
	cr_expect_eq(kbc_read(&rig), 0x41, "the last byte stays");
	kbc_rig_close(&rig);
}

Test(i8042, answer_when_a_key_is_there_already_then_first_and_the_key_after_it)
{
	struct kbc_rig rig;
	const struct key_event event = {0x1e, true, 1};
	char text[256];

	kbc_rig_open(&rig);
	cr_assert_eq(i8042_press(rig.kbc, &event, 1, NULL), 0);
	kbc_command(&rig, 0x20);
	cr_expect_str_eq(kbc_drain(&rig, text), "65 1e", "%s", text);
	kbc_rig_close(&rig);
}

/* The keyboard's commands, untranslated. */
static const struct row keyboard[] = {
	{"dff", "fa aa", 0x15, 0},
	{"dee", "ee", 0x15, 0},
	{"df2", "fa ab 83", 0x15, 0},
	{"ded d07", "fa", 0x15, 0},    /* the second one's */
	{"ded dff", "fa aa", 0x15, 0}, /* a command instead of the parameter */
	{"df3 d00", "fa", 0x15, 0},
	{"df0 d00", "fa 02", 0x15, 0},
	{"df0 d01 df0 d00", "fa 01", 0x15, 0},
	{"df0 d03", "fe", 0x15, 0},
	{"df0 d03 df0 d00", "fa 02", 0x15, 0},
	{"df4", "fa", 0x15, 0},
	{"df5", "fa", 0x15, 0},
	{"df6", "fa", 0x15, 0},
	{"d12", "fe", 0x15, 0},
	{"df7", "fe", 0x15, 0},
	{"dee dfe", "ee", 0x15, 0},
};

Test(i8042, each_keyboard_command_when_given_then_its_answer)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(keyboard); i++) {
		const struct row *row = &keyboard[i];
		const char *step = row->script;
		struct kbc_rig rig;
		char text[256];

		kbc_rig_open(&rig);
		kbc_set_mode(&rig, KBC_MODE_SYS | KBC_MODE_KEY_IRQ);
		for (; strlen(step) > 3; step += 4) {
			char one[4] = {step[0], step[1], step[2], '\0'};

			play(&rig, one);
			kbc_drain(&rig, text);
		}
		play(&rig, step);
		cr_expect_eq(kbc_status(&rig), row->status, "%s", row->script);
		cr_expect_str_eq(kbc_drain(&rig, text), row->out, "%s: %s", row->script, text);
		kbc_rig_close(&rig);
	}
}

/* Keys. */

static const struct {
	uint8_t mode, set;
	const char *keys, *out;
} strokes[] = {
	{0x45, 2, "a", "1e 9e"},
	{0x05, 2, "a", "1c f0 1c"},
	{0x05, 1, "a", "1e 9e"},
	{0x45, 2, "f7", "41 c1"},
	{0x05, 2, "f7", "83 f0 83"},
	{0x45, 2, "right", "e0 4d e0 cd"},
	{0x05, 2, "right", "e0 74 e0 f0 74"},
	{0x05, 1, "right", "e0 4d e0 cd"},
	{0x45, 2, "ctrl-alt-delete", "1d 38 e0 53 e0 d3 b8 9d"},
	{0x45, 2, "shift-a", "2a 1e 9e aa"},
	{0x45, 2, "pause", "e1 1d 45 e1 9d c5"},
	{0x05, 2, "pause", "e1 14 77 e1 f0 14 f0 77"},
	{0x45, 2, "ctrl-pause", "1d e0 46 e0 c6 9d"},
	{0x45, 2, "print", "e0 2a e0 37 e0 b7 e0 aa"},
	{0x05, 2, "print", "e0 12 e0 7c e0 f0 7c e0 f0 12"},
	{0x45, 2, "shift-print", "2a e0 37 e0 b7 aa"},
	{0x45, 2, "alt-print", "38 54 d4 b8"},
};

Test(i8042, each_key_when_pressed_then_its_codes_in_set_and_translation)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(strokes); i++) {
		struct kbc_rig rig;
		char text[256];

		kbc_rig_open(&rig);
		kbc_set_mode(&rig, strokes[i].mode);
		kbc_write(&rig, KBD_SCAN_SET);
		kbc_drain(&rig, text);
		kbc_write(&rig, strokes[i].set);
		kbc_drain(&rig, text);
		cr_expect_str_eq(kbc_keys(&rig, strokes[i].keys, text), strokes[i].out,
				 "%s in mode %02x: %s", strokes[i].keys, strokes[i].mode, text);
		cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
		kbc_rig_close(&rig);
	}
}

Test(i8042, key_when_held_then_up_after_that_time)
{
	struct key_event events[2 * KEYS_AT_ONCE];
	struct kbc_rig rig;
	unsigned count;
	char text[256];

	kbc_rig_open(&rig);
	kbc_pass(&rig, 3);
	keys_parse(events, &count, "shift-a", 250, NULL);
	cr_assert_eq(i8042_press(rig.kbc, events, count, NULL), 0);
	cr_expect_str_eq(kbc_drain(&rig, text), "2a");
	kbc_pass(&rig, 249);
	cr_expect_str_eq(kbc_drain(&rig, text), "");
	kbc_pass(&rig, 1);
	cr_expect_str_eq(kbc_drain(&rig, text), "1e");
	cr_expect_eq(gate_deadline(rig.gate), 503 * KBC_MS);
	kbc_pass(&rig, 250);
	cr_expect_str_eq(kbc_drain(&rig, text), "9e");
	kbc_pass(&rig, 1000);
	cr_expect_str_eq(kbc_drain(&rig, text), "aa");
	kbc_rig_close(&rig);
}

/* A guest that reads late loses nothing, and one that does not read is not fed for ever. */
Test(i8042, text_when_nobody_reads_then_it_waits_and_comes_whole)
{
	struct key_event events[KBD_EVENTS];
	unsigned count = KBD_EVENTS, makes = 0;
	struct umbra_err err = {.text = ""};
	struct kbc_rig rig;
	char text[513];

	memset(text, 'x', 512);
	text[512] = '\0';
	kbc_rig_open(&rig);
	cr_assert_eq(keys_of_text(events, &count, text, NULL), 0);
	cr_assert_eq(count, 1024);
	cr_assert_eq(i8042_press(rig.kbc, events, count, NULL), 0);
	cr_assert_eq(i8042_press(rig.kbc, events, count, NULL), 0);
	cr_expect_eq(i8042_press(rig.kbc, events, count, &err), -ENOSPC);
	cr_expect_not_null(strstr(err.text, "let it run"), "%s", err.text);
	kbc_pass(&rig, 100000);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER, "there is no room");
	cr_expect_leq(rig.kbc->kbd.buffer_count, KBD_BUFFER_BYTES);
	for (unsigned i = 0; i < 5000; i++) {
		while (kbc_status(&rig) & KBC_STATUS_OUT)
			makes += kbc_read(&rig) == 0x2d;
		kbc_pass(&rig, 1);
	}
	cr_expect_eq(makes, 1024);
	cr_expect_eq(rig.kbc->kbd.event_count, 0);
	kbc_rig_close(&rig);
}

Test(i8042, key_when_the_keyboard_is_off_then_waits_or_is_missed)
{
	struct kbc_rig rig;
	char text[256];

	kbc_rig_open(&rig);
	kbc_command(&rig, 0xad);
	cr_expect_str_eq(kbc_keys(&rig, "a", text), "", "its clock is held");
	kbc_command(&rig, 0xae);
	cr_expect_str_eq(kbc_drain(&rig, text), "1e 9e", "%s", text);
	kbc_write(&rig, KBD_DISABLE);
	kbc_drain(&rig, text);
	cr_expect_str_eq(kbc_keys(&rig, "a", text), "", "it does not scan");
	kbc_write(&rig, KBD_ENABLE);
	kbc_drain(&rig, text);
	cr_expect_str_eq(kbc_keys(&rig, "b", text), "30 b0");
	kbc_rig_close(&rig);
}

/* Save and load. */

#define BLOB_BYTES 16384

static unsigned roll(unsigned *state, unsigned sides)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % sides;
}

static unsigned random_act(struct kbc_rig *rig, unsigned *dice)
{
	const struct key_event event = {(uint8_t)(1 + roll(dice, 127)), roll(dice, 2) != 0,
					(uint16_t)roll(dice, 50)};

	kbc_pass(rig, roll(dice, 20));
	switch (roll(dice, 5)) {
	case 0:
		kbc_command(rig, (uint8_t)roll(dice, 240));
		break;
	case 1:
		kbc_write(rig, (uint8_t)roll(dice, 256));
		break;
	case 2:
		i8042_press(rig->kbc, &event, 1, NULL);
		break;
	case 3:
		return kbc_status(rig);
	default:
		return kbc_read(rig);
	}
	return rig->is_high[1];
}

Test(i8042, load_when_saved_anywhere_then_goes_on_in_the_same_way, .timeout = 60)
{
	static uint8_t bytes[BLOB_BYTES];
	struct kbc_rig a, b;
	unsigned dice = 9, copy;

	kbc_rig_open(&a);
	kbc_rig_open(&b);
	for (unsigned i = 0; i < 50000; i++) {
		if (i % 7 == 0) {
			struct blob blob = blob_over(bytes, sizeof(bytes));

			i8042_ops.save(a.kbc, &blob);
			cr_assert_not(blob.is_failed);
			blob = blob_over(bytes, blob.pos);
			b.now_ns = a.now_ns;
			cr_assert_eq(i8042_ops.load(b.kbc, &blob, NULL), 0, "step %u", i);
		}
		copy = dice;
		cr_assert_eq(random_act(&a, &dice), random_act(&b, &copy), "step %u", i);
		cr_assert_eq(a.is_high[1], b.is_high[1], "step %u", i);
		cr_assert_eq(a.is_high[12], b.is_high[12], "step %u", i);
		cr_assert_eq(gate_deadline(a.gate), gate_deadline(b.gate), "step %u", i);
	}
	cr_assert_gt(a.rises[1], 1000);
	kbc_rig_close(&a);
	kbc_rig_close(&b);
}

Test(i8042, load_when_bytes_are_random_then_refused_or_harmless, .timeout = 60)
{
	static uint8_t bytes[BLOB_BYTES];
	struct kbc_rig rig;
	unsigned dice = 77, loaded = 0;

	kbc_rig_open(&rig);
	for (unsigned i = 0; i < 20000; i++) {
		struct blob blob = blob_over(bytes, sizeof(bytes));
		int error;

		random_act(&rig, &dice);
		i8042_ops.save(rig.kbc, &blob);
		for (unsigned n = 0; n < 3 && i % 4; n++)
			bytes[roll(&dice, (unsigned)blob.pos)] ^= (uint8_t)(1u << roll(&dice, 8));
		blob = blob_over(bytes, blob.pos - (i % 4 == 0));
		error = i8042_ops.load(rig.kbc, &blob, NULL);
		cr_assert(error == 0 || error == -EINVAL);
		cr_assert(error || i % 4, "a state that is cut off was taken");
		loaded += error == 0;
	}
	cr_assert_gt(loaded, 1000);
	cr_assert_lt(loaded, 15000);
	kbc_rig_close(&rig);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(i8042, show_when_asked_then_both_chips)
{
	struct kbc_rig rig;
	char text[512] = "";
	struct print_sink sink = {.text = collect, .ctx = text};

	kbc_rig_open(&rig);
	cr_assert(bus_show_device(rig.bus, 0, &sink));
	cr_expect_not_null(strstr(text, "command byte 65"), "%s", text);
	cr_expect_not_null(strstr(text, "scan code set 2"), "%s", text);
	kbc_rig_close(&rig);
}
