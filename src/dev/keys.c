/* Keys: the names by which QEMU's sendkey knows them, their codes, and which of them a text needs
 * on a US keyboard.
 * Source: QEMU's QAPI schema for the names (QKeyCode); "Keyboard Scan Code Specification"
 * (Microsoft, 2000) for the codes in sets 1 and 2; IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller", for the translation. */
#include "keys.h"

#include "umbra/nearest.h"

#include <errno.h>
#include <stdlib.h>

#define E0 KEY_EXTENDED

const struct key_name key_names[] = {
	{"shift", KEY_SHIFT},
	{"shift_r", KEY_SHIFT_R},
	{"alt", KEY_ALT},
	{"alt_r", KEY_ALT_R},
	{"ctrl", KEY_CTRL},
	{"ctrl_r", KEY_CTRL_R},
	{"menu", E0 | 0x1e},
	{"esc", 0x01},
	{"1", 0x02},
	{"2", 0x03},
	{"3", 0x04},
	{"4", 0x05},
	{"5", 0x06},
	{"6", 0x07},
	{"7", 0x08},
	{"8", 0x09},
	{"9", 0x0a},
	{"0", 0x0b},
	{"minus", 0x0c},
	{"equal", 0x0d},
	{"backspace", 0x0e},
	{"tab", 0x0f},
	{"q", 0x10},
	{"w", 0x11},
	{"e", 0x12},
	{"r", 0x13},
	{"t", 0x14},
	{"y", 0x15},
	{"u", 0x16},
	{"i", 0x17},
	{"o", 0x18},
	{"p", 0x19},
	{"bracket_left", 0x1a},
	{"bracket_right", 0x1b},
	{"ret", 0x1c},
	{"a", 0x1e},
	{"s", 0x1f},
	{"d", 0x20},
	{"f", 0x21},
	{"g", 0x22},
	{"h", 0x23},
	{"j", 0x24},
	{"k", 0x25},
	{"l", 0x26},
	{"semicolon", 0x27},
	{"apostrophe", 0x28},
	{"grave_accent", 0x29},
	{"backslash", 0x2b},
	{"z", 0x2c},
	{"x", 0x2d},
	{"c", 0x2e},
	{"v", 0x2f},
	{"b", 0x30},
	{"n", 0x31},
	{"m", 0x32},
	{"comma", 0x33},
	{"dot", 0x34},
	{"slash", 0x35},
	{"asterisk", 0x37},
	{"spc", 0x39},
	{"caps_lock", 0x3a},
	{"f1", 0x3b},
	{"f2", 0x3c},
	{"f3", 0x3d},
	{"f4", 0x3e},
	{"f5", 0x3f},
	{"f6", 0x40},
	{"f7", 0x41},
	{"f8", 0x42},
	{"f9", 0x43},
	{"f10", 0x44},
	{"num_lock", 0x45},
	{"scroll_lock", 0x46},
	{"kp_divide", E0 | 0x35},
	{"kp_multiply", 0x37},
	{"kp_subtract", 0x4a},
	{"kp_add", 0x4e},
	{"kp_enter", E0 | 0x1c},
	{"kp_decimal", 0x53},
	{"sysrq", 0x54},
	{"kp_0", 0x52},
	{"kp_1", 0x4f},
	{"kp_2", 0x50},
	{"kp_3", 0x51},
	{"kp_4", 0x4b},
	{"kp_5", 0x4c},
	{"kp_6", 0x4d},
	{"kp_7", 0x47},
	{"kp_8", 0x48},
	{"kp_9", 0x49},
	{"less", 0x56},
	{"<", 0x56},
	{"f11", 0x57},
	{"f12", 0x58},
	{"f13", 0x5d},
	{"f14", 0x5e},
	{"f15", 0x5f},
	{"f16", 0x55},
	{"f17", E0 | 0x03},
	{"f18", E0 | 0x77},
	{"f19", E0 | 0x04},
	{"f20", 0x5a},
	{"f21", 0x74},
	{"f22", E0 | 0x79},
	{"f23", 0x6d},
	{"f24", 0x6f},
	{"print", KEY_PRINT},
	{"home", E0 | 0x47},
	{"pgup", E0 | 0x49},
	{"pgdn", E0 | 0x51},
	{"end", E0 | 0x4f},
	{"left", E0 | 0x4b},
	{"up", E0 | 0x48},
	{"down", E0 | 0x50},
	{"right", E0 | 0x4d},
	{"insert", E0 | 0x52},
	{"delete", E0 | 0x53},
	{"stop", E0 | 0x68},
	{"again", E0 | 0x05},
	{"props", E0 | 0x06},
	{"undo", E0 | 0x07},
	{"front", E0 | 0x0c},
	{"copy", E0 | 0x78},
	{"open", 0x64},
	{"paste", 0x65},
	{"find", E0 | 0x41},
	{"cut", E0 | 0x3c},
	{"lf", 0x5b},
	{"help", E0 | 0x75},
	{"meta_l", E0 | 0x5b},
	{"meta_r", E0 | 0x5c},
	{"compose", E0 | 0x5d},
	{"pause", KEY_PAUSE},
	{"ro", 0x73},
	{"hiragana", 0x77},
	{"henkan", 0x79},
	{"yen", 0x7d},
	{"muhenkan", 0x7b},
	{"katakanahiragana", 0x70},
	{"lang1", 0x72},
	{"lang2", 0x71},
	{"kp_comma", 0x7e},
	{"kp_equals", 0x59},
	{"power", E0 | 0x5e},
	{"sleep", E0 | 0x5f},
	{"wake", E0 | 0x63},
	{"audionext", E0 | 0x19},
	{"audioprev", E0 | 0x10},
	{"audiostop", E0 | 0x24},
	{"audioplay", E0 | 0x22},
	{"audiomute", E0 | 0x20},
	{"volumeup", E0 | 0x30},
	{"volumedown", E0 | 0x2e},
	{"mediaselect", E0 | 0x6d},
	{"mail", E0 | 0x6c},
	{"calculator", E0 | 0x21},
	{"computer", E0 | 0x6b},
	{"ac_home", E0 | 0x32},
	{"ac_back", E0 | 0x6a},
	{"ac_forward", E0 | 0x69},
	{"ac_refresh", E0 | 0x67},
	{"ac_bookmarks", E0 | 0x66},
};
const unsigned key_name_count = UMBRA_ARRAY_SIZE(key_names);

/* Codes. */

#define SET2_F7	   0x83u
#define SET2_SYSRQ 0x84u
#define SET1_F7	   0x41u
#define SET1_SYSRQ 0x54u

/* The controller's table: set 1 for each code of set 2 below 0x80. */
static const uint8_t translation[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t key_translate(uint8_t set2)
{
	if (set2 < sizeof(translation))
		return translation[set2];
	if (set2 == SET2_F7)
		return SET1_F7;
	return set2 == SET2_SYSRQ ? SET1_SYSRQ : set2;
}

uint8_t key_set2(uint8_t code)
{
	/* Two keys have codes above 0x7f, which the table's own codes for them do not tell. */
	if (code == SET1_F7)
		return SET2_F7;
	if (code == SET1_SYSRQ)
		return SET2_SYSRQ;
	for (unsigned i = 0; i < sizeof(translation); i++) {
		if (translation[i] == code)
			return (uint8_t)i;
	}
	return 0;
}

/* Names. */

static const struct key_name *find_name(const char *name, size_t len)
{
	for (unsigned i = 0; i < key_name_count; i++) {
		if (strlen(key_names[i].name) == len && memcmp(key_names[i].name, name, len) == 0)
			return &key_names[i];
	}
	return NULL;
}

static int report_unknown(const char *name, struct umbra_err *err)
{
	const char *names[UMBRA_ARRAY_SIZE(key_names)];
	const char *nearest;

	for (unsigned i = 0; i < key_name_count; i++)
		names[i] = key_names[i].name;
	nearest = nearest_word(name, names, key_name_count);
	if (nearest)
		return umbra_err_set(err, EINVAL, "no key is called '%s'; did you mean '%s'?", name,
				     nearest);
	return umbra_err_set(err, EINVAL,
			     "no key is called '%s'; they are called a, 1, ret, spc, f1, left, "
			     "ctrl, ..., as in QEMU",
			     name);
}

/* A number, as "0x1c": 1..0xff, but not the prefix alone. */
static bool key_of_number(const char *name, uint8_t *out_key)
{
	unsigned long number;
	char *end;

	if (strncmp(name, "0x", 2) != 0)
		return false;
	errno = 0;
	number = strtoul(name, &end, 16);
	if (errno || end == name + 2 || *end || number > UINT8_MAX || !(number & KEY_CODE))
		return false;
	*out_key = (uint8_t)number;
	return true;
}

static int key_of_word(const char *word, size_t len, uint8_t *out_key, struct umbra_err *err)
{
	const struct key_name *found = find_name(word, len);
	char name[32];

	if (found) {
		*out_key = found->key;
		return 0;
	}
	if (len >= sizeof(name))
		return umbra_err_set(err, EINVAL, "no key's name has %zu letters", len);
	memcpy(name, word, len);
	name[len] = '\0';
	return key_of_number(name, out_key) ? 0 : report_unknown(name, err);
}

/* The keys go down in their order and up in the other. */
int keys_parse(struct key_event *events, unsigned *out_count, const char *names, unsigned hold_ms,
	       struct umbra_err *err)
{
	uint8_t keys[KEYS_AT_ONCE];
	const char *word = names;
	unsigned count = 0;
	size_t len;

	do {
		int error;

		len = strcspn(word, "-");
		if (count == KEYS_AT_ONCE)
			return umbra_err_set(err, EINVAL, "at most %u keys can be down at once",
					     KEYS_AT_ONCE);
		error = key_of_word(word, len, &keys[count], err);
		if (error)
			return error;
		count++;
		word += len;
	} while (*word++ == '-');
	for (unsigned i = 0; i < count; i++) {
		events[i] = (struct key_event){keys[i], true, (uint16_t)hold_ms};
		events[2 * count - 1 - i] = (struct key_event){keys[i], false, (uint16_t)hold_ms};
	}
	*out_count = 2 * count;
	return 0;
}

/* Text. */

/* Rows of a US keyboard: the characters of neighbouring keys, without and with shift. */
static const struct {
	uint8_t first;
	const char *plain, *shifted;
} us_rows[] = {
	{0x02, "1234567890-=\b\tqwertyuiop[]\n", "!@#$%^&*()_+\b\tQWERTYUIOP{}\n"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{0x39, " ", " "},
	{0x01, "\033", "\033"},
};

static bool us_find(char c, uint8_t *out_key, bool *out_is_shifted)
{
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(us_rows) && c; i++) {
		const char *plain = strchr(us_rows[i].plain, c);
		const char *shifted = strchr(us_rows[i].shifted, c);

		if (!plain && !shifted)
			continue;
		*out_is_shifted = !plain;
		*out_key = (uint8_t)(us_rows[i].first + (plain ? plain - us_rows[i].plain
							       : shifted - us_rows[i].shifted));
		return true;
	}
	return false;
}

int keys_of_text(struct key_event *events, unsigned *inout_count, const char *text,
		 struct umbra_err *err)
{
	unsigned count = 0;

	for (const char *c = text; *c; c++) {
		bool is_shifted;
		uint8_t key;

		if (!us_find(*c, &key, &is_shifted))
			return umbra_err_set(err, EINVAL,
					     "no key of a US keyboard gives character %td, %#x",
					     c - text + 1, (unsigned char)*c);
		if (count + 4 > *inout_count)
			return umbra_err_set(err, EINVAL, "the text is longer than %td characters",
					     c - text);
		if (is_shifted)
			events[count++] = (struct key_event){KEY_SHIFT, true, KEYS_TYPE_MS};
		events[count++] = (struct key_event){key, true, KEYS_TYPE_MS};
		events[count++] = (struct key_event){key, false, KEYS_TYPE_MS};
		if (is_shifted)
			events[count++] = (struct key_event){KEY_SHIFT, false, KEYS_TYPE_MS};
	}
	*inout_count = count;
	return 0;
}
