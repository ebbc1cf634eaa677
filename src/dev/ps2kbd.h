/* A PS/2 keyboard: the state behind the controller's clock and data lines.  For ps2kbd.c, i8042.c
 * and their unit tests. */
#ifndef DEV_PS2KBD_H
#define DEV_PS2KBD_H

#include "keys.h"

#include "umbra/blob.h"

#define KBD_BUFFER_BYTES 16u /* scan codes, as in the keyboard */
#define KBD_KEY_BYTES	 8u  /* the longest sequence of one key: pause */
#define KBD_REPLY_BYTES	 4u
#define KBD_EVENTS	 2048u

/* What the keyboard says. */
enum kbd_reply {
	KBD_ID_1 = 0xab,
	KBD_ID_2 = 0x83,
	KBD_BAT_OK = 0xaa,
	KBD_ECHO = 0xee,
	KBD_ACK = 0xfa,
	KBD_RESEND = 0xfe
};

/* What it is told; from the first one on a byte is a command, whatever was expected. */
enum kbd_command {
	KBD_SET_LEDS = 0xed,
	KBD_DO_ECHO = 0xee,
	KBD_SCAN_SET = 0xf0,
	KBD_IDENTIFY = 0xf2,
	KBD_TYPEMATIC = 0xf3,
	KBD_ENABLE = 0xf4,
	KBD_DISABLE = 0xf5,
	KBD_DEFAULTS = 0xf6,
	KBD_DO_RESEND = 0xfe,
	KBD_RESET = 0xff
};

/* Modifiers that are down, by which print and pause differ. */
enum kbd_modifier {
	KBD_MOD_CTRL = 1,
	KBD_MOD_CTRL_R = 2,
	KBD_MOD_SHIFT = 4,
	KBD_MOD_SHIFT_R = 8,
	KBD_MOD_ALT = 16,
	KBD_MOD_ALT_R = 32
};
#define KBD_MOD_ALL 0x3fu

struct ps2kbd {
	uint8_t expecting; /* the command whose parameter is next; 0: none */
	uint8_t scan_set;  /* 1 or 2 */
	uint8_t leds, typematic;
	uint8_t last; /* byte sent */
	uint8_t modifiers;
	bool is_scanning;
	uint8_t reply_count, buffer_count;
	uint8_t reply[KBD_REPLY_BYTES]; /* goes out before the scan codes */
	uint8_t buffer[KBD_BUFFER_BYTES];
	/* Keys that the host's user will press: event[first], then on, in a ring.  The next one is
	 * due at `due_ns`, once there is room. */
	uint16_t event_first, event_count;
	uint64_t due_ns;
	struct key_event event[KBD_EVENTS];
};

void ps2kbd_power_up(struct ps2kbd *kbd);
void ps2kbd_write(struct ps2kbd *kbd, uint8_t byte);
/* The next byte for the controller.  False: there is none. */
bool ps2kbd_read(struct ps2kbd *kbd, uint8_t *out_byte);

/* @count events are to come.  False: there is no room for all of them, and nothing changed. */
bool ps2kbd_add_events(struct ps2kbd *kbd, const struct key_event *events, unsigned count,
		       uint64_t now_ns);
/* Let those events happen that are due and have room. */
void ps2kbd_run(struct ps2kbd *kbd, uint64_t now_ns);
/* When ps2kbd_run has something to do without a read before it; GATE_NEVER. */
uint64_t ps2kbd_deadline(const struct ps2kbd *kbd);

void ps2kbd_save(const struct ps2kbd *kbd, struct blob *out);
/* False: cut off, or not a state of a keyboard; @kbd is undefined then. */
bool ps2kbd_load(struct ps2kbd *kbd, struct blob *in);

#endif
