/* `monitor screen`: what the VGA would show of the guest's text.  Reads memory without any effect
 * on the guest.  Source: code page 437, IBM's set of characters, as the adapter's own font has it.
 */
#include "monitor.h"
#include "target.h"

#include "umbra/mem.h"

#include <errno.h>

#define ROW_MAX	   256u /* cells */
#define UTF8_BYTES 3u

/* Characters below 0x20, and from 0x7f on. */
static const uint16_t cp437_low[0x20] = {
	0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
	0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
	0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
static const uint16_t cp437_high[0x81] = {
	0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb,
	0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6,
	0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192,
	0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac,
	0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561,
	0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
	0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566,
	0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553,
	0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df,
	0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e,
	0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
	0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x0020};

static unsigned code_point(uint8_t c)
{
	if (c < UMBRA_ARRAY_SIZE(cp437_low))
		return cp437_low[c];
	return c < 0x7f ? c : cp437_high[c - 0x7f];
}

/* @code below 0x10000.  Returns the bytes. */
static size_t put_utf8(char *out, unsigned code)
{
	unsigned char bytes[UTF8_BYTES];
	size_t len;

	if (code < 0x80) {
		bytes[0] = (unsigned char)code;
		len = 1;
	} else if (code < 0x800) {
		bytes[0] = (unsigned char)(0xc0 | code >> 6);
		bytes[1] = (unsigned char)(0x80 | (code & 0x3f));
		len = 2;
	} else {
		bytes[0] = (unsigned char)(0xe0 | code >> 12);
		bytes[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
		bytes[2] = (unsigned char)(0x80 | (code & 0x3f));
		len = 3;
	}
	memcpy(out, bytes, len);
	return len;
}

/* Cell @index of the buffer, which goes round.  What is not memory is blank. */
static uint8_t character_at(const struct mem_space *mem, const struct vgatext_screen *screen,
			    unsigned index)
{
	uint8_t c;

	index &= screen->cells - 1;
	return mem_peek(mem, screen->base + (gpa_t)index * 2, &c, 1) == 1 ? c : ' ';
}

/* One row, without the blanks at its end. */
static void print_row(struct mon_call *call, const struct vgatext_screen *screen, unsigned row)
{
	const struct mem_space *mem = vm_mem(call->target->vm);
	unsigned first = screen->start + row * screen->stride;
	char text[ROW_MAX * UTF8_BYTES + 1];
	size_t len = 0, shown = 0;

	for (unsigned i = 0; i < screen->columns && i < ROW_MAX; i++) {
		unsigned code = code_point(character_at(mem, screen, first + i));

		len += put_utf8(text + len, code);
		if (code != ' ')
			shown = len;
	}
	text[shown] = '\0';
	print_to(call->out, "%s\n", text);
}

static bool is_blank(const struct mon_call *call, const struct vgatext_screen *screen, unsigned row)
{
	const struct mem_space *mem = vm_mem(call->target->vm);

	for (unsigned i = 0; i < screen->columns; i++) {
		unsigned index = screen->start + row * screen->stride + i;

		if (code_point(character_at(mem, screen, index)) != ' ')
			return false;
	}
	return true;
}

static void print_cursor(struct mon_call *call, const struct vgatext_screen *screen)
{
	unsigned from_start = (screen->cursor - screen->start) & (screen->cells - 1);
	unsigned row = screen->stride ? from_start / screen->stride : 0;
	unsigned column = screen->stride ? from_start % screen->stride : from_start;

	if (!screen->has_cursor)
		print_to(call->out, "(%u by %u; the cursor is off)\n", screen->columns,
			 screen->rows);
	else if (row < screen->rows && column < screen->columns)
		print_to(call->out, "(%u by %u; the cursor is in row %u, column %u)\n",
			 screen->columns, screen->rows, row, column);
	else
		print_to(call->out, "(%u by %u; the cursor is outside)\n", screen->columns,
			 screen->rows);
}

int mon_screen(struct mon_call *call)
{
	struct vgatext_screen screen;
	unsigned rows;

	vm_look_at_screen(call->target->vm, &screen);
	if (!screen.is_text) {
		print_to(call->out, "the adapter is in a graphics mode, which has no text\n");
		return EINVAL;
	}
	rows = screen.rows;
	while (rows > 0 && is_blank(call, &screen, rows - 1))
		rows--;
	for (unsigned row = 0; row < rows; row++)
		print_row(call, &screen, row);
	print_cursor(call, &screen);
	return 0;
}
