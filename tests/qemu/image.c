/* See image.h.  Opcodes: SDM volume 2. */
#include "image.h"

#include "umbra/types.h"

#include "wiring.h"

#include <string.h>

#define HANDLERS      0xe000u
#define HANDLER_BYTES 16u
#define RESET_VECTOR  0xfff0u
#define SEGMENT	      0xf000u
#define STACK	      0x8000u
#define LONGEST	      64u /* bytes that one operation takes at most, its waiting included */
#define PORTS_PHASED  (PIT_TICK_NS / 10)

/* Emitting. */

static void bytes(struct image *image, const uint8_t *byte, size_t count)
{
	memcpy(image->byte + image->size, byte, count);
	image->size += count;
}

/* One instruction. */
#define EMIT(image, ...)                                                                           \
	do {                                                                                       \
		const uint8_t instruction_[] = {__VA_ARGS__};                                      \
		bytes(image, instruction_, sizeof(instruction_));                                  \
		(image)->instructions++;                                                           \
	} while (0)

#define LE16(v) (uint8_t)(v), (uint8_t)((v) >> 8)
#define LE32(v) LE16(v), LE16((v) >> 16)

/* @count instructions that do nothing. */
static void emit_idle(struct image *image, uint64_t count)
{
	if (count <= 2) {
		for (uint64_t i = 0; i < count; i++)
			EMIT(image, 0x90); /* nop */
		return;
	}
	count--;
	EMIT(image, 0x66, 0xb9, LE32((uint32_t)count)); /* mov ecx, count */
	EMIT(image, 0x67, 0xe2, 0xfd);			/* here: loop here, by ecx */
	image->instructions += count - 1;
}

static void emit_vectors(struct image *image)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t target = SEGMENT << 16 | (HANDLERS + i * HANDLER_BYTES);

		/* mov dword [4 * i], target */
		EMIT(image, 0x66, 0xc7, 0x06, LE16(4 * i), LE32(target));
	}
}

/* AX = 0x100 + vector; interrupts are off after it. */
static void put_handlers(struct image *image)
{
	for (unsigned i = 0; i < 256; i++) {
		const uint8_t handler[] = {
			0xb8, (uint8_t)i, 0x01,	      /* mov ax, 0x100 | vector */
			0x89, 0xe5,		      /* mov bp, sp */
			0x80, 0x66,	  0x05, 0xfd, /* and byte [bp + 5], ~2: IF in FLAGS */
			0xcf,			      /* iret */
		};

		memcpy(image->byte + HANDLERS + (size_t)i * HANDLER_BYTES, handler,
		       sizeof(handler));
	}
}

#define HANDLER_INSTRUCTIONS 4u

static uint64_t now(const struct image *image, const struct sequence *s)
{
	return image->instructions << s->pace.shift;
}

static void emit_out(struct image *image, const struct op *op)
{
	EMIT(image, 0xba, LE16(op->port)); /* mov dx, port */
	EMIT(image, 0xb0, op->value);	   /* mov al, value */
	EMIT(image, 0xee);		   /* out dx, al */
}

static void emit_in(struct image *image, const struct op *op)
{
	EMIT(image, 0xba, LE16(op->port)); /* mov dx, port */
	EMIT(image, 0x31, 0xc0);	   /* xor ax, ax */
	EMIT(image, 0xec);		   /* in al, dx */
}

static void emit_result(struct image *image)
{
	EMIT(image, 0xe6, DEBUG_PORT); /* out DEBUG_PORT, al */
	EMIT(image, 0x88, 0xe0);       /* mov al, ah */
	EMIT(image, 0xe6, DEBUG_PORT); /* out DEBUG_PORT, al */
}

static void emit_inta(struct image *image)
{
	EMIT(image, 0x31, 0xc0); /* xor ax, ax */
	EMIT(image, 0xfb);	 /* sti */
	EMIT(image, 0x90);	 /* nop: the interrupt comes after it */
}

/* It takes as long whether an interrupt came or not. */
static void emit_inta_end(struct image *image)
{
	EMIT(image, 0xfa);	 /* cli */
	EMIT(image, 0x08, 0xe4); /* or ah, ah */
	EMIT(image, 0x75, 0x04); /* jnz over what the handler has taken */
	for (unsigned i = 0; i < HANDLER_INSTRUCTIONS; i++)
		EMIT(image, 0x90); /* nop */
}

#define LEAD_IN 3u /* instructions of an operation up to the one that does it */

/* Operations. */

bool op_is_load(const struct op *op)
{
	return op->kind == OP_OUT && (op->port - PIT_COUNTER < 3u || op->port == PIT_PORT61);
}

static bool is_at_phase(uint64_t ns, unsigned phase)
{
	uint64_t tick = (uint64_t)((unsigned __int128)ns * PIT_TICKS_PER_S / NS_PER_S);
	uint64_t start = (uint64_t)((unsigned __int128)tick * NS_PER_S / PIT_TICKS_PER_S);

	return ns - start >= phase && ns - start < phase + PORTS_PHASED;
}

/* Loads keep two ticks from what is before: umbra's comes a tick earlier. */
static void align(struct image *image, const struct sequence *s, bool is_load)
{
	uint64_t idle = is_load ? 2u * PIT_TICK_NS >> s->pace.shift : 0;

	while (!is_at_phase((image->instructions + idle + LEAD_IN) << s->pace.shift,
			    is_load ? PHASE_LOAD : PHASE_OTHER))
		idle++;
	emit_idle(image, idle);
}

static void emit_op(struct image *image, const struct sequence *s, unsigned i)
{
	const struct op *op = &s->op[i];

	if (s->pace.is_aligned && op->kind != OP_WAIT)
		align(image, s, op_is_load(op));
	switch (op->kind) {
	case OP_OUT:
		emit_out(image, op);
		break;
	case OP_IN:
		emit_in(image, op);
		break;
	case OP_INTA:
		emit_inta(image);
		break;
	case OP_WAIT:
		emit_idle(image, op->ns >> s->pace.shift);
		break;
	}
	image->time_ns[i] = now(image, s);
	if (op->kind == OP_INTA)
		emit_inta_end(image);
	if (op_has_result(op))
		emit_result(image);
}

void image_build(struct image *image, const struct sequence *s)
{
	static const uint8_t jump[] = {0xea, LE16(0), LE16(SEGMENT)};

	memset(image, 0, sizeof(*image));
	memcpy(image->byte + RESET_VECTOR, jump, sizeof(jump));
	put_handlers(image);
	image->instructions = 1;	/* the jump */
	EMIT(image, 0x31, 0xc0);	/* xor ax, ax */
	EMIT(image, 0x8e, 0xd8);	/* mov ds, ax */
	EMIT(image, 0x8e, 0xd0);	/* mov ss, ax */
	EMIT(image, 0xbc, LE16(STACK)); /* mov sp, STACK */
	emit_vectors(image);
	for (unsigned i = 0; i < s->count; i++) {
		image->is_full = image->size + 2 * LONGEST > HANDLERS;
		if (image->is_full)
			break;
		emit_op(image, s, i);
	}
	emit_out(image, &(struct op){.port = EXIT_PORT, .value = EXIT_VALUE});
	EMIT(image, 0xeb, 0xfe); /* jmp here */
}
