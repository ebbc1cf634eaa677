/* Prints what is typed, by the keyboard's interrupt: letters, digits and a few others, in scan code
 * set 1 as the controller translates to.  Ends at escape.
 * Static state: what the handler and main() share.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller". */
#include "pic.h"

#define KEY_DATA   0x60
#define KEY_STATUS 0x64
#define KEY_IRQ	   1u
#define KEY_FULL   0x01u
#define KEY_BREAK  0x80u
#define KEY_ESCAPE 0x01u
#define KEY_SHIFT  0x2au

static const char plain[] = "??1234567890-=\b\tqwertyuiop[]\n?asdfghjkl;'`?\\zxcvbnm,./??? ";
static const char shifted[] = "?\?!@#$%^&*()_+\b\tQWERTYUIOP{}\n?ASDFGHJKL:\"~?|ZXCVBNM<>???? ";

volatile unsigned key_count;
static volatile bool is_shift_down, is_done;

static void take(uint8_t code)
{
	if ((code & ~KEY_BREAK) == KEY_SHIFT)
		is_shift_down = !(code & KEY_BREAK);
	else if (code == KEY_ESCAPE)
		is_done = true;
	else if (code < sizeof(plain) - 1)
		print_char((is_shift_down ? shifted : plain)[code]);
	key_count++;
}

static void on_key(struct idt_frame *frame)
{
	(void)frame;
	if (port_in8(KEY_STATUS) & KEY_FULL)
		take(port_in8(KEY_DATA));
	pic_end(KEY_IRQ);
}

int main(void)
{
	idt_init();
	idt_set(IDT_PIC_BASE + KEY_IRQ, on_key);
	pic_init(1u << KEY_IRQ);
	print_text("keys: ready\n");
	while (!is_done)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	print_text("keys: ");
	print_dec(key_count);
	print_text(" codes\n");
	return GUEST_PASS;
}
