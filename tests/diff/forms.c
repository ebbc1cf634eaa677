/* See forms.h. */
#include "forms.h"

#include "known.h"
#include "layout.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPCODE_FPU_FIRST 0xd8
#define OPCODE_FPU_LAST	 0xdf
#define OPCODE_LOOP	 0xe0 /* to E3: JCXZ */
#define MOD_MEM		 0x80 /* with disp32; base is rm 0 */
#define MOD_REG		 0xc0

static bool init_decoder(struct forms *f)
{
	/* Off as in translate.c: each gives bytes of older instructions another meaning. */
	static const ZydisDecoderMode OFF[] = {
		ZYDIS_DECODER_MODE_MPX,		 ZYDIS_DECODER_MODE_CET,
		ZYDIS_DECODER_MODE_LZCNT,	 ZYDIS_DECODER_MODE_TZCNT,
		ZYDIS_DECODER_MODE_WBNOINVD,	 ZYDIS_DECODER_MODE_CLDEMOTE,
		ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_KNC,
	};
	bool is_64 = f->bits == 64;

	if (ZYAN_FAILED(ZydisDecoderInit(&f->decoder,
					 is_64 ? ZYDIS_MACHINE_MODE_LONG_64
					       : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
					 is_64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32)))
		return false;
	for (size_t i = 0; i < sizeof(OFF) / sizeof(OFF[0]); i++)
		ZydisDecoderEnableMode(&f->decoder, OFF[i], ZYAN_FALSE);
	return true;
}

/* Loads of segment registers need descriptors, which the host has others of. */
static bool writes_segment(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	for (unsigned i = 0; i < z->operand_count; i++) {
		if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT &&
		    (op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return true;
	}
	return false;
}

static bool names_system_register(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	for (unsigned i = 0; i < z->operand_count_visible; i++) {
		ZydisRegisterClass class = op[i].type == ZYDIS_OPERAND_TYPE_REGISTER
						   ? ZydisRegisterGetClass(op[i].reg.value)
						   : ZYDIS_REGCLASS_INVALID;

		if (class == ZYDIS_REGCLASS_CONTROL || class == ZYDIS_REGCLASS_DEBUG ||
		    class == ZYDIS_REGCLASS_TEST)
			return true;
	}
	return false;
}

static bool is_far(const ZydisDecodedInstruction *z)
{
	return z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

/* Zydis 4.0 names a base register where SIB says that there is none (base 101 with mod 00) if REX.B
 * is set and addresses have 32 bits, and drops the displacement (SDM 2A table 2-3, 2.2.1.2). */
static void mend_sib(const ZydisDecodedInstruction *z, ZydisDecodedOperand *op)
{
	if (!(z->attributes & ZYDIS_ATTRIB_HAS_SIB) || z->raw.modrm.mod != 0 ||
	    z->raw.sib.base != 5)
		return;
	for (unsigned i = 0; i < z->operand_count_visible; i++) {
		if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		op[i].mem.base = ZYDIS_REGISTER_NONE;
		op[i].mem.disp.has_displacement = ZYAN_TRUE;
		op[i].mem.disp.value = z->raw.disp.value;
	}
}

bool forms_decode(const struct forms *f, const uint8_t *bytes, unsigned len,
		  ZydisDecodedInstruction *z, ZydisDecodedOperand *op)
{
	const struct soft_row *row;

	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&f->decoder, bytes, len, z, op)))
		return false;
	mend_sib(z, op);
	row = f->row[z->mnemonic];
	if (!row || (row->flags & ROW_CPL0) || z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	return !known_is_skipped(z) && !writes_segment(z, op) && !names_system_register(z, op) &&
	       !is_far(z);
}

/* Bytes of a form with zeros for all that is open. */
static unsigned make_bytes(const struct form *form, uint8_t bytes[DIFF_INSN_MAX])
{
	static const uint8_t ESCAPE[4] = {0, 0, 0x38, 0x3a};
	unsigned n = 0;

	memset(bytes, 0, DIFF_INSN_MAX);
	if (form->prefix)
		bytes[n++] = form->prefix;
	if (form->is_w)
		bytes[n++] = 0x48;
	if (form->map)
		bytes[n++] = 0x0f;
	if (form->map > 1)
		bytes[n++] = ESCAPE[form->map];
	bytes[n++] = form->opcode;
	if (form->has_modrm)
		bytes[n++] = form->modrm;
	return n;
}

static bool add(struct forms *f, const struct form *form)
{
	if (f->count == f->room) {
		unsigned room = f->room ? f->room * 2 : 4096;
		struct form *more = realloc(f->form, room * sizeof(*more));

		if (!more)
			return false;
		f->form = more;
		f->room = room;
	}
	f->form[f->count++] = *form;
	return true;
}

/* Add @form if it decodes to what it says it is. */
static bool try_form(struct forms *f, struct form *form, const char *only)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t bytes[DIFF_INSN_MAX];
	ZydisDecodedInstruction z;

	make_bytes(form, bytes);
	if (!forms_decode(f, bytes, sizeof(bytes), &z, op))
		return true;
	if (z.opcode != form->opcode || z.opcode_map != (ZydisOpcodeMap)form->map ||
	    !!(z.attributes & ZYDIS_ATTRIB_HAS_MODRM) != form->has_modrm)
		return true;
	if (only && strcasecmp(only, ZydisMnemonicGetString(z.mnemonic)) != 0)
		return true;
	form->mnemonic = (uint16_t)z.mnemonic;
	return add(f, form);
}

static bool is_x87_opcode(const struct form *form)
{
	return form->map == 0 && form->opcode >= OPCODE_FPU_FIRST &&
	       form->opcode <= OPCODE_FPU_LAST;
}

/* All settings of ModRM that may select another instruction. */
static bool try_modrm(struct forms *f, struct form form, const char *only)
{
	bool is_ok;

	form.has_modrm = false;
	is_ok = try_form(f, &form, only);
	form.has_modrm = true;
	for (unsigned reg = 0; reg < 8 && is_ok; reg++) {
		form.is_mem = true;
		form.is_rm_fixed = false;
		form.modrm = (uint8_t)(MOD_MEM | reg << 3);
		is_ok = try_form(f, &form, only);
		form.is_mem = false;
		form.is_rm_fixed = is_x87_opcode(&form);
		for (unsigned rm = 0; rm < (form.is_rm_fixed ? 8 : 1) && is_ok; rm++) {
			form.modrm = (uint8_t)(MOD_REG | reg << 3 | rm);
			is_ok = try_form(f, &form, only);
		}
	}
	return is_ok;
}

static bool find_forms(struct forms *f, const char *only)
{
	static const uint8_t PREFIX[] = {0, 0x66, 0xf2, 0xf3, 0x67};

	for (unsigned n = 0; n < 256 * 4 * 2 * sizeof(PREFIX); n++) {
		struct form form = {
			.opcode = (uint8_t)n,
			.map = n >> 8 & 3,
			.is_w = n >> 10 & 1,
			.prefix = PREFIX[n >> 11],
		};

		if (form.is_w && f->bits != 64)
			continue;
		if (form.prefix == 0x67 && (form.map != 0 || (form.opcode & 0xfc) != OPCODE_LOOP))
			continue;
		if (!try_modrm(f, form, only))
			return false;
	}
	return f->count != 0;
}

static int compare_forms(const void *a, const void *b)
{
	return ((const struct form *)a)->mnemonic - ((const struct form *)b)->mnemonic;
}

static bool make_groups(struct forms *f)
{
	f->group = calloc(f->count, sizeof(*f->group));
	if (!f->group)
		return false;
	qsort(f->form, f->count, sizeof(*f->form), compare_forms);
	for (unsigned i = 0; i < f->count; i++) {
		struct form_group *group = &f->group[f->group_count];

		if (i == 0 || f->form[i].mnemonic != group[-1].mnemonic) {
			*group = (struct form_group){.first = i, .mnemonic = f->form[i].mnemonic};
			f->group_count++;
			group++;
		}
		group[-1].count++;
	}
	return true;
}

bool forms_create(struct forms *f, const struct soft_vm *vm, unsigned bits, const char *only)
{
	*f = (struct forms){.bits = bits, .row = vm->row};
	return init_decoder(f) && find_forms(f, only) && make_groups(f);
}

void forms_destroy(struct forms *f)
{
	free(f->form);
	free(f->group);
}

const struct form *forms_pick(const struct forms *f, struct rng *r)
{
	const struct form_group *group = &f->group[rng_below(r, f->group_count)];

	return &f->form[group->first + rng_below(r, group->count)];
}
