/* Names, codes and text of keys, for keys.c, the keyboard and their unit tests. */
#ifndef DEV_KEYS_H
#define DEV_KEYS_H

#include "umbra/dev.h"

/* A key's number is its make code in scan code set 1; with this bit, behind the prefix 0xe0. */
#define KEY_EXTENDED 0x80u
#define KEY_CODE     0x7fu

/* Keys that the keyboard treats in a way of their own. */
enum key_number {
	KEY_CTRL = 0x1d,
	KEY_SHIFT = 0x2a,
	KEY_SHIFT_R = 0x36,
	KEY_ALT = 0x38,
	KEY_CTRL_R = KEY_EXTENDED | KEY_CTRL,
	KEY_PRINT = KEY_EXTENDED | 0x37,
	KEY_ALT_R = KEY_EXTENDED | KEY_ALT,
	KEY_PAUSE = KEY_EXTENDED | 0x46
};

struct key_name {
	const char *name;
	uint8_t key;
};

extern const struct key_name key_names[];
extern const unsigned key_name_count;

/* What an 8042 makes of a byte of set 2, the break prefix aside; bytes that are no make codes are
 * left alone. */
uint8_t key_translate(uint8_t set2);
/* The make code in set 2 of @code, a make code 1..0x7f in set 1. */
uint8_t key_set2(uint8_t code);

#endif
