/* See toy_cpu.h.  Source of the encodings: Intel SDM 2. */
#include "toy_cpu.h"

#include <string.h>

#define START	  0x1000u
#define FLAG_ZERO 0x40u

/* mov $5,%ecx; loop: add %ecx,%eax; mov %eax,0x2000; dec %ecx; jnz loop; hlt */
static const uint8_t program[] = {0xb9, 5,    0, 0, 0,	  0x01, 0xc8, 0xa3,
				  0,	0x20, 0, 0, 0x49, 0x75, 0xf6, 0xf4};

void toy_start(struct toy *toy)
{
	memset(toy, 0, sizeof(*toy));
	memcpy(toy->memory + START, program, sizeof(program));
	toy->reg[TOY_EIP] = START;
}

static uint32_t word_at(const struct toy *toy, uint32_t addr)
{
	uint32_t word = 0;
	unsigned i;

	for (i = 4; i-- > 0;)
		word = word << 8 | toy->memory[(addr + i) % TOY_MEMORY];
	return word;
}

unsigned toy_step(struct toy *toy)
{
	uint32_t pc = toy->reg[TOY_EIP] % TOY_MEMORY;
	uint8_t code = toy->memory[pc], next = toy->memory[(pc + 1) % TOY_MEMORY];
	unsigned length = 1;

	if (code >= 0xb8 && code <= 0xbf) { /* mov $word,%reg */
		toy->reg[code - 0xb8u] = word_at(toy, pc + 1);
		length = 5;
	} else if (code >= 0x40 && code <= 0x4f) { /* inc, dec */
		uint32_t value = toy->reg[code & 7u] += code < 0x48 ? 1u : UINT32_MAX;

		toy->reg[TOY_EFLAGS] = value == 0 ? FLAG_ZERO : 0;
	} else if (code == 0x01 && next >= 0xc0) { /* add %reg,%reg */
		toy->reg[next & 7u] += toy->reg[next >> 3 & 7u];
		length = 2;
	} else if (code == 0xa3) { /* mov %eax,addr */
		uint32_t addr = word_at(toy, pc + 1);
		unsigned i;

		for (i = 0; i < 4; i++)
			toy->memory[(addr + i) % TOY_MEMORY] =
				(uint8_t)(toy->reg[TOY_EAX] >> 8 * i);
		length = 5;
	} else if (code == 0x75 || code == 0xeb) { /* jnz, jmp */
		length = 2;
		if (code == 0xeb || !(toy->reg[TOY_EFLAGS] & FLAG_ZERO))
			length += (unsigned)(int8_t)next;
	} else if (code == 0xf4) { /* hlt: the end */
		toy->is_over = true;
		return 0;
	} else if (code != 0x90) {
		return TOY_ILL;
	}
	toy->reg[TOY_EIP] = pc + length;
	toy->executed++;
	return 0;
}
