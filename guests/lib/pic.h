/* The 8259A pair of a PC: vectors IDT_PIC_BASE and up. */
#ifndef GUEST_PIC_H
#define GUEST_PIC_H

#include "idt.h"

/* Only the lines in @lines, a mask of 16, can interrupt. */
void pic_init(uint16_t lines);
/* The interrupt of @line has been served. */
void pic_end(unsigned line);

#endif
