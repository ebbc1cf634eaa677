/* Source: 8259A data sheet, ICW1..ICW4, OCW2. */
#include "pic.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define PIC_ICW1     0x11 /* edge triggered, cascade, ICW4 follows */
#define PIC_ICW4     0x01 /* 8086 mode */
#define PIC_EOI	     0x20
#define PIC_CASCADE  2u

void pic_init(uint16_t lines)
{
	uint16_t open = lines > 0xff ? (uint16_t)(lines | 1u << PIC_CASCADE) : lines;

	port_out8(PIC1_COMMAND, PIC_ICW1);
	port_out8(PIC2_COMMAND, PIC_ICW1);
	port_out8(PIC1_DATA, IDT_PIC_BASE);
	port_out8(PIC2_DATA, IDT_PIC_BASE + 8);
	port_out8(PIC1_DATA, 1 << PIC_CASCADE);
	port_out8(PIC2_DATA, PIC_CASCADE);
	port_out8(PIC1_DATA, PIC_ICW4);
	port_out8(PIC2_DATA, PIC_ICW4);
	port_out8(PIC1_DATA, (uint8_t)~open);
	port_out8(PIC2_DATA, (uint8_t)(~open >> 8));
}

void pic_end(unsigned line)
{
	if (line >= 8)
		port_out8(PIC2_COMMAND, PIC_EOI);
	port_out8(PIC1_COMMAND, PIC_EOI);
}
