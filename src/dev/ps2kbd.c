/* A PS/2 keyboard with 101 keys and more, in scan code sets 1 and 2.
 * Commands are answered at once.  Keys come as events of the host with a time for each to last; a
 * key whose codes do not fit the buffer waits, so that none is lost.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards"; "Keyboard Scan Code
 * Specification" (Microsoft, 2000) for print and pause.
 * DEVIATES: there is no scan code set 3, and a key that is held does not repeat; num lock changes
 * the codes of no key. */
#include "ps2kbd.h"

#define NS_PER_MS 1000000ull

#define PREFIX_EXTENDED 0xe0u
#define PREFIX_PAUSE	0xe1u
#define SET2_BREAK	0xf0u
#define SET1_BREAK	0x80u
#define TYPEMATIC_RESET 0x2bu /* 10.9 a second, after half a second */

#define CODE_CTRL  0x1du
#define CODE_SHIFT 0x2au
#define CODE_PRINT 0x37u
#define CODE_NUM   0x45u
#define CODE_BREAK 0x46u
#define CODE_SYSRQ 0x54u

/* Out of the keyboard. */

static void say(struct ps2kbd *kbd, uint8_t byte)
{
	if (kbd->reply_count < KBD_REPLY_BYTES)
		kbd->reply[kbd->reply_count++] = byte;
}

static void put(struct ps2kbd *kbd, uint8_t byte)
{
	if (kbd->buffer_count < KBD_BUFFER_BYTES)
		kbd->buffer[kbd->buffer_count++] = byte;
}

static uint8_t take_first(uint8_t *bytes, uint8_t *count)
{
	uint8_t first = bytes[0];

	(*count)--;
	memmove(bytes, bytes + 1, *count);
	return first;
}

bool ps2kbd_read(struct ps2kbd *kbd, uint8_t *out_byte)
{
	if (kbd->reply_count)
		*out_byte = take_first(kbd->reply, &kbd->reply_count);
	else if (kbd->buffer_count && !kbd->expecting)
		*out_byte = take_first(kbd->buffer, &kbd->buffer_count);
	else
		return false;
	kbd->last = *out_byte;
	return true;
}

/* Commands. */

static void set_defaults(struct ps2kbd *kbd)
{
	kbd->scan_set = 2;
	kbd->typematic = TYPEMATIC_RESET;
	kbd->buffer_count = 0;
}

void ps2kbd_power_up(struct ps2kbd *kbd)
{
	*kbd = (struct ps2kbd){.is_scanning = true};
	set_defaults(kbd);
}

static void take_parameter(struct ps2kbd *kbd, uint8_t byte)
{
	uint8_t command = kbd->expecting;

	kbd->expecting = 0;
	if (command == KBD_SCAN_SET && byte > 2) {
		say(kbd, KBD_RESEND);
		return;
	}
	say(kbd, KBD_ACK);
	if (command == KBD_SET_LEDS)
		kbd->leds = byte & 7;
	else if (command == KBD_TYPEMATIC)
		kbd->typematic = byte & 0x7f;
	else if (byte == 0)
		say(kbd, kbd->scan_set);
	else
		kbd->scan_set = byte;
}

static void obey(struct ps2kbd *kbd, uint8_t command)
{
	say(kbd, KBD_ACK);
	switch (command) {
	case KBD_SET_LEDS:
	case KBD_SCAN_SET:
	case KBD_TYPEMATIC:
		kbd->expecting = command;
		break;
	case KBD_IDENTIFY:
		say(kbd, KBD_ID_1);
		say(kbd, KBD_ID_2);
		break;
	case KBD_ENABLE:
		kbd->buffer_count = 0;
		kbd->is_scanning = true;
		break;
	case KBD_DISABLE:
		set_defaults(kbd);
		kbd->is_scanning = false;
		break;
	case KBD_DEFAULTS:
		set_defaults(kbd);
		break;
	case KBD_RESET:
		set_defaults(kbd);
		kbd->is_scanning = true;
		kbd->leds = 0;
		say(kbd, KBD_BAT_OK);
		break;
	default:
		kbd->reply[0] = KBD_RESEND;
		break;
	}
}

/* A byte ends what the last one began; an answer that nobody took is void. */
void ps2kbd_write(struct ps2kbd *kbd, uint8_t byte)
{
	kbd->reply_count = 0;
	if (kbd->expecting && byte < KBD_SET_LEDS) {
		take_parameter(kbd, byte);
		return;
	}
	kbd->expecting = 0;
	if (byte == KBD_DO_ECHO)
		say(kbd, KBD_ECHO);
	else if (byte == KBD_DO_RESEND)
		say(kbd, kbd->last);
	else
		obey(kbd, byte);
}

/* Keys. */

static void put_code(struct ps2kbd *kbd, bool is_extended, uint8_t code, bool is_down)
{
	if (is_extended)
		put(kbd, PREFIX_EXTENDED);
	if (kbd->scan_set == 1) {
		put(kbd, (uint8_t)(code | (is_down ? 0 : SET1_BREAK)));
		return;
	}
	if (!is_down)
		put(kbd, SET2_BREAK);
	put(kbd, key_set2(code));
}

/* It makes and breaks with one stroke, and says nothing as it is let go. */
static void put_pause(struct ps2kbd *kbd)
{
	if (kbd->modifiers & (KBD_MOD_CTRL | KBD_MOD_CTRL_R)) {
		put_code(kbd, true, CODE_BREAK, true);
		put_code(kbd, true, CODE_BREAK, false);
		return;
	}
	put(kbd, PREFIX_PAUSE);
	put_code(kbd, false, CODE_CTRL, true);
	put_code(kbd, false, CODE_NUM, true);
	put(kbd, PREFIX_PAUSE);
	put_code(kbd, false, CODE_CTRL, false);
	put_code(kbd, false, CODE_NUM, false);
}

static void put_print(struct ps2kbd *kbd, bool is_down)
{
	const unsigned shifts = KBD_MOD_CTRL | KBD_MOD_CTRL_R | KBD_MOD_SHIFT | KBD_MOD_SHIFT_R;

	if (kbd->modifiers & (KBD_MOD_ALT | KBD_MOD_ALT_R)) {
		put_code(kbd, false, CODE_SYSRQ, is_down);
	} else if (kbd->modifiers & shifts) {
		put_code(kbd, true, CODE_PRINT, is_down);
	} else if (is_down) {
		put_code(kbd, true, CODE_SHIFT, true);
		put_code(kbd, true, CODE_PRINT, true);
	} else {
		put_code(kbd, true, CODE_PRINT, false);
		put_code(kbd, true, CODE_SHIFT, false);
	}
}

static void note_modifier(struct ps2kbd *kbd, const struct key_event *event)
{
	static const struct {
		uint8_t key, modifier;
	} table[] = {
		{KEY_CTRL, KBD_MOD_CTRL},   {KEY_CTRL_R, KBD_MOD_CTRL_R},
		{KEY_SHIFT, KBD_MOD_SHIFT}, {KEY_SHIFT_R, KBD_MOD_SHIFT_R},
		{KEY_ALT, KBD_MOD_ALT},	    {KEY_ALT_R, KBD_MOD_ALT_R},
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(table); i++) {
		if (table[i].key != event->key)
			continue;
		if (event->is_down)
			kbd->modifiers |= table[i].modifier;
		else
			kbd->modifiers &= (uint8_t)~table[i].modifier;
	}
}

/* A keyboard that does not scan misses what is pressed. */
static void happen(struct ps2kbd *kbd, const struct key_event *event)
{
	note_modifier(kbd, event);
	if (!kbd->is_scanning)
		return;
	if (event->key == KEY_PAUSE && event->is_down)
		put_pause(kbd);
	else if (event->key == KEY_PRINT)
		put_print(kbd, event->is_down);
	else if (event->key != KEY_PAUSE)
		put_code(kbd, event->key & KEY_EXTENDED, event->key & KEY_CODE, event->is_down);
}

static bool has_room(const struct ps2kbd *kbd)
{
	return KBD_BUFFER_BYTES - kbd->buffer_count >= KBD_KEY_BYTES;
}

void ps2kbd_run(struct ps2kbd *kbd, uint64_t now_ns)
{
	while (kbd->event_count && kbd->due_ns <= now_ns && has_room(kbd)) {
		const struct key_event *event = &kbd->event[kbd->event_first];

		happen(kbd, event);
		kbd->due_ns = now_ns + event->lasts_ms * NS_PER_MS;
		kbd->event_first = (uint16_t)((kbd->event_first + 1) % KBD_EVENTS);
		kbd->event_count--;
	}
}

uint64_t ps2kbd_deadline(const struct ps2kbd *kbd)
{
	return kbd->event_count && has_room(kbd) ? kbd->due_ns : GATE_NEVER;
}

bool ps2kbd_add_events(struct ps2kbd *kbd, const struct key_event *events, unsigned count,
		       uint64_t now_ns)
{
	if (count > KBD_EVENTS - kbd->event_count)
		return false;
	if (kbd->due_ns < now_ns)
		kbd->due_ns = now_ns;
	for (unsigned i = 0; i < count; i++)
		kbd->event[(kbd->event_first + kbd->event_count + i) % KBD_EVENTS] = events[i];
	kbd->event_count = (uint16_t)(kbd->event_count + count);
	return true;
}

/* Save and load. */

void ps2kbd_save(const struct ps2kbd *kbd, struct blob *out)
{
	blob_put_u8(out, kbd->expecting);
	blob_put_u8(out, kbd->scan_set);
	blob_put_u8(out, kbd->leds);
	blob_put_u8(out, kbd->typematic);
	blob_put_u8(out, kbd->last);
	blob_put_u8(out, kbd->modifiers);
	blob_put_u8(out, kbd->is_scanning);
	blob_put_u8(out, kbd->reply_count);
	blob_put_bytes(out, kbd->reply, sizeof(kbd->reply));
	blob_put_u8(out, kbd->buffer_count);
	blob_put_bytes(out, kbd->buffer, sizeof(kbd->buffer));
	blob_put_u64(out, kbd->due_ns);
	blob_put_u16(out, kbd->event_count);
	for (unsigned i = 0; i < kbd->event_count; i++) {
		const struct key_event *event = &kbd->event[(kbd->event_first + i) % KBD_EVENTS];

		blob_put_u8(out, event->key);
		blob_put_u8(out, event->is_down);
		blob_put_u16(out, event->lasts_ms);
	}
}

static bool load_events(struct ps2kbd *kbd, struct blob *in)
{
	kbd->event_count = blob_get_u16(in);
	if (kbd->event_count > KBD_EVENTS)
		return false;
	for (unsigned i = 0; i < kbd->event_count; i++) {
		uint8_t key = blob_get_u8(in), is_down = blob_get_u8(in);

		kbd->event[i] = (struct key_event){key, is_down == 1, blob_get_u16(in)};
		if (!(key & KEY_CODE) || is_down > 1)
			return false;
	}
	return !in->is_failed;
}

bool ps2kbd_load(struct ps2kbd *kbd, struct blob *in)
{
	uint8_t is_scanning;

	*kbd = (struct ps2kbd){.expecting = blob_get_u8(in)};
	kbd->scan_set = blob_get_u8(in);
	kbd->leds = blob_get_u8(in);
	kbd->typematic = blob_get_u8(in);
	kbd->last = blob_get_u8(in);
	kbd->modifiers = blob_get_u8(in);
	is_scanning = blob_get_u8(in);
	kbd->is_scanning = is_scanning == 1;
	kbd->reply_count = blob_get_u8(in);
	blob_get_bytes(in, kbd->reply, sizeof(kbd->reply));
	kbd->buffer_count = blob_get_u8(in);
	blob_get_bytes(in, kbd->buffer, sizeof(kbd->buffer));
	kbd->due_ns = blob_get_u64(in);
	return (kbd->expecting == 0 || kbd->expecting == KBD_SET_LEDS ||
		kbd->expecting == KBD_SCAN_SET || kbd->expecting == KBD_TYPEMATIC) &&
	       (kbd->scan_set == 1 || kbd->scan_set == 2) && kbd->leds <= 7 &&
	       kbd->typematic <= 0x7f && kbd->modifiers <= KBD_MOD_ALL && is_scanning <= 1 &&
	       kbd->reply_count <= KBD_REPLY_BYTES && kbd->buffer_count <= KBD_BUFFER_BYTES &&
	       load_events(kbd, in);
}
