/* A 32-bit kernel to be debugged: an ELF32 with a multiboot 1 header, its symbols and DWARF for an
 * i386.  It stands alone, because guests/lib is 64-bit code.
 * Source: Multiboot 0.6.96 3.1 and 3.2. */

#define MB_MAGIC  0x1badb002u
#define PORT_UART 0x3f8
#define PORT_EXIT 0xf4 /* isa-debug-exit; a value of 0 says pass */

/* In .text, so that it lies in the first 8 KiB of the file whatever the linker adds. */
__attribute__((section(".text.multiboot"), used)) static const unsigned multiboot_header[3] = {
	MB_MAGIC, 0, -MB_MAGIC};

static void out8(unsigned short port, unsigned char value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print_text(const char *text)
{
	while (*text)
		out8(PORT_UART, (unsigned char)*text++);
}

static void print_dec(unsigned value)
{
	if (value >= 10)
		print_dec(value / 10);
	out8(PORT_UART, (unsigned char)('0' + value % 10));
}

int square_count;

static int square(int side)
{
	int area = side * side;

	square_count++;
	return area;
}

static int sum_squares(int count)
{
	int sum = 0;
	int i;

	for (i = 0; i < count; i++)
		sum += square(i);
	return sum;
}

void kmain(void);
void kmain(void)
{
	print_text("hello32: the sum of 5 squares is ");
	print_dec((unsigned)sum_squares(5));
	print_text("\n");
	out8(PORT_EXIT, 0);
}

__asm__(".section .text\n"
	".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	mov $stack_end, %esp\n"
	"	xor %ebp, %ebp\n"
	"	call kmain\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	".size _start, . - _start\n"
	".local stack\n"
	".comm stack, 4096, 16\n"
	".set stack_end, stack + 4096\n");
