/* The BIOS data area: see bda.h.  What only a BIOS's own services would use stays zero. */
#include "bda.h"

#define MAX_SERIAL 4u

/* Offsets from 0x400, which the BIOS calls 40:offset. */
enum bda {
	BDA_SERIAL = 0x00,
	BDA_EBDA_SEGMENT = 0x0e,
	BDA_EQUIPMENT = 0x10,
	BDA_MEMORY_KIB = 0x13,
	BDA_KEYS_HEAD = 0x1a,
	BDA_KEYS_TAIL = 0x1c,
	BDA_KEYS = 0x1e, /* room for 16 */
	BDA_VIDEO_MODE = 0x49,
	BDA_COLUMNS = 0x4a,
	BDA_PAGE_BYTES = 0x4c,
	BDA_CURSOR_SHAPE = 0x60,
	BDA_CRTC = 0x63,
	BDA_TICKS = 0x6c,
	BDA_KEYS_START = 0x80,
	BDA_KEYS_END = 0x82,
	BDA_LAST_ROW = 0x84,
	BDA_CELL_LINES = 0x85,
};

#define KEYS_BYTES	   32u
#define VIDEO_TEXT_80X25   3
#define TEXT_COLUMNS	   80
#define TEXT_LAST_ROW	   24
#define TEXT_PAGE_BYTES	   0x1000
#define TEXT_CELL_LINES	   16
#define TEXT_CURSOR_SHAPE  0x0d0e /* from line 13 to line 14 */
#define EQUIPMENT_FPU	   (1u << 1)
#define EQUIPMENT_80X25	   (2u << 4) /* a colour display */
#define EQUIPMENT_SERIAL_1 (1u << 9) /* bits 11..9: how many serial ports */

/* Serial ports are known by their kind. */
static unsigned put_serial(uint8_t *out, const struct pc_facts *facts)
{
	unsigned count = 0;

	for (unsigned i = 0; i < facts->device_count && count < MAX_SERIAL; i++) {
		const struct isa_facts *d = &facts->device[i];

		if (strcmp(d->hid, "PNP0501") != 0)
			continue;
		le16_put(out + BDA_SERIAL + 2 * (size_t)count, d->port[0].base);
		count++;
	}
	return count;
}

static void put_video(uint8_t *out, const struct pc_facts *facts)
{
	out[BDA_VIDEO_MODE] = VIDEO_TEXT_80X25;
	le16_put(out + BDA_COLUMNS, TEXT_COLUMNS);
	le16_put(out + BDA_PAGE_BYTES, TEXT_PAGE_BYTES);
	le16_put(out + BDA_CURSOR_SHAPE, TEXT_CURSOR_SHAPE);
	le16_put(out + BDA_CRTC, facts->crtc);
	out[BDA_LAST_ROW] = TEXT_LAST_ROW;
	le16_put(out + BDA_CELL_LINES, TEXT_CELL_LINES);
}

void bda_make(uint8_t out[BDA_BYTES], const struct pc_facts *facts)
{
	unsigned serial;

	memset(out, 0, BDA_BYTES);
	serial = put_serial(out, facts);
	le16_put(out + BDA_EBDA_SEGMENT, EBDA_GPA >> 4);
	le16_put(out + BDA_EQUIPMENT,
		 (uint16_t)(EQUIPMENT_FPU | EQUIPMENT_80X25 | serial * EQUIPMENT_SERIAL_1));
	le16_put(out + BDA_MEMORY_KIB, EBDA_GPA / 1024);
	le16_put(out + BDA_KEYS_HEAD, BDA_KEYS);
	le16_put(out + BDA_KEYS_TAIL, BDA_KEYS);
	le16_put(out + BDA_KEYS_START, BDA_KEYS);
	le16_put(out + BDA_KEYS_END, BDA_KEYS + KEYS_BYTES);
	put_video(out, facts);
	le32_put(out + BDA_TICKS, 0);
}

void bda_make_extended(uint8_t out[EBDA_BYTES])
{
	memset(out, 0, EBDA_BYTES);
	out[0] = EBDA_BYTES / 1024;
}
