/* Text on the VGA's screen, written in a vertical retrace, with the cursor behind it.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Video Graphics Array". */
#include "guest.h"

#define TEXT_BASE    0xb8000u
#define TEXT_COLUMNS 80u
#define TEXT_WHITE   0x0700u

#define CRTC_INDEX	 0x3d4
#define CRTC_DATA	 0x3d5
#define CRTC_COLUMNS	 0x01
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_CURSOR_LOW	 0x0f
#define VGA_STATUS	 0x3da
#define VGA_RETRACE	 0x08u

static uint8_t crtc_in(uint8_t index)
{
	port_out8(CRTC_INDEX, index);
	return port_in8(CRTC_DATA);
}

static void crtc_out(uint8_t index, uint8_t value)
{
	port_out8(CRTC_INDEX, index);
	port_out8(CRTC_DATA, value);
}

/* Wait for the begin of a vertical retrace. */
static void wait_for_retrace(void)
{
	while (port_in8(VGA_STATUS) & VGA_RETRACE)
		cpu_relax();
	while (!(port_in8(VGA_STATUS) & VGA_RETRACE))
		cpu_relax();
}

/* Returns the cell behind @text. */
static unsigned draw(unsigned row, unsigned column, const char *text)
{
	volatile uint16_t *cells = (volatile uint16_t *)(uintptr_t)TEXT_BASE;
	unsigned cell = row * TEXT_COLUMNS + column;

	for (; *text != '\0'; text++)
		cells[cell++] = (uint16_t)(TEXT_WHITE | (uint8_t)*text);
	return cell;
}

static void drawn(void)
{
	print_text("screen: drawn\n");
}

int main(void)
{
	unsigned cursor;

	print_text("screen: ");
	print_dec(crtc_in(CRTC_COLUMNS) + 1u);
	print_text(" columns\n");
	wait_for_retrace();
	draw(0, 0, "umbra");
	draw(2, 4, "\xc9\xcd\xcd\xbb");
	draw(3, 4, "\xba\x81\x84\xba   ");
	cursor = draw(24, 70, "the corner");
	crtc_out(CRTC_CURSOR_HIGH, (uint8_t)((cursor - 1) >> 8));
	crtc_out(CRTC_CURSOR_LOW, (uint8_t)(cursor - 1));
	drawn();
	return GUEST_PASS;
}
