/* Names of flag bits.  Sources: SDM 1 3.4.3 (EFLAGS), 10.2.3 (MXCSR), 13.3 (XCR0); SDM 3A 2.5 (CR0,
 * CR4), 2.2.1 (EFER), 10.4.4 (IA32_APIC_BASE), 17.2 (DR6, DR7); SDM 3C 24.4.1 (access rights). */
#include "flags.h"

#include <stdio.h>
#include <string.h>

#define BIT(bit_name, at)                                                                          \
	{                                                                                          \
		.name = (bit_name), .bit = (at)                                                    \
	}
/* Bits @at to @at + @above as one number. */
#define NUMBER(bit_name, at, above)                                                                \
	{                                                                                          \
		.name = (bit_name), .bit = (at), .more = (above)                                   \
	}

static const struct flags_type FLAGS[] = {
	{"i386_eflags",
	 4,
	 REG_CORE,
	 {BIT("CF", 0), BIT("", 1), BIT("PF", 2), BIT("AF", 4), BIT("ZF", 6), BIT("SF", 7),
	  BIT("TF", 8), BIT("IF", 9), BIT("DF", 10), BIT("OF", 11), BIT("NT", 14), BIT("RF", 16),
	  BIT("VM", 17), BIT("AC", 18), BIT("VIF", 19), BIT("VIP", 20), BIT("ID", 21)}},
	{"i386_mxcsr",
	 4,
	 REG_SSE,
	 {BIT("IE", 0), BIT("DE", 1), BIT("ZE", 2), BIT("OE", 3), BIT("UE", 4), BIT("PE", 5),
	  BIT("DAZ", 6), BIT("IM", 7), BIT("DM", 8), BIT("ZM", 9), BIT("OM", 10), BIT("UM", 11),
	  BIT("PM", 12), BIT("FZ", 15)}},
	{"x86_cr0",
	 8,
	 REG_SYSTEM,
	 {BIT("PE", 0), BIT("MP", 1), BIT("EM", 2), BIT("TS", 3), BIT("ET", 4), BIT("NE", 5),
	  BIT("WP", 16), BIT("AM", 18), BIT("NW", 29), BIT("CD", 30), BIT("PG", 31)}},
	{"x86_cr4", 8, REG_SYSTEM, {BIT("VME", 0),	 BIT("PVI", 1),		BIT("TSD", 2),
				    BIT("DE", 3),	 BIT("PSE", 4),		BIT("PAE", 5),
				    BIT("MCE", 6),	 BIT("PGE", 7),		BIT("PCE", 8),
				    BIT("OSFXSR", 9),	 BIT("OSXMMEXCPT", 10), BIT("UMIP", 11),
				    BIT("LA57", 12),	 BIT("VMXE", 13),	BIT("SMXE", 14),
				    BIT("FSGSBASE", 16), BIT("PCIDE", 17),	BIT("OSXSAVE", 18),
				    BIT("SMEP", 20),	 BIT("SMAP", 21),	BIT("PKE", 22)}},
	{"x86_efer", 8, REG_SYSTEM, {BIT("SCE", 0), BIT("LME", 8), BIT("LMA", 10), BIT("NXE", 11)}},
	{"x86_xcr0",
	 8,
	 REG_SYSTEM,
	 {BIT("X87", 0), BIT("SSE", 1), BIT("AVX", 2), BIT("BNDREGS", 3), BIT("BNDCSR", 4),
	  BIT("OPMASK", 5), BIT("ZMM_HI256", 6), BIT("HI16_ZMM", 7), BIT("PKRU", 9),
	  BIT("TILECFG", 17), BIT("TILEDATA", 18)}},
	{"x86_apic_base",
	 8,
	 REG_SYSTEM,
	 {BIT("BSP", 8), BIT("EXTD", 10), BIT("EN", 11), NUMBER("BASE", 12, 39)}},
	{"x86_dr6",
	 8,
	 REG_SYSTEM,
	 {BIT("B0", 0), BIT("B1", 1), BIT("B2", 2), BIT("B3", 3), BIT("BD", 13), BIT("BS", 14),
	  BIT("BT", 15)}},
	{"x86_dr7",
	 8,
	 REG_SYSTEM,
	 {BIT("L0", 0), BIT("G0", 1), BIT("L1", 2), BIT("G1", 3), BIT("L2", 4), BIT("G2", 5),
	  BIT("L3", 6), BIT("G3", 7), BIT("LE", 8), BIT("GE", 9), BIT("GD", 13),
	  NUMBER("RW0", 16, 1), NUMBER("LEN0", 18, 1), NUMBER("RW1", 20, 1), NUMBER("LEN1", 22, 1),
	  NUMBER("RW2", 24, 1), NUMBER("LEN2", 26, 1), NUMBER("RW3", 28, 1),
	  NUMBER("LEN3", 30, 1)}},
	{"x86_rights",
	 4,
	 REG_SYSTEM,
	 {NUMBER("TYPE", 0, 3), BIT("S", 4), NUMBER("DPL", 5, 1), BIT("P", 7), BIT("AVL", 12),
	  BIT("L", 13), BIT("DB", 14), BIT("G", 15), BIT("UNUSABLE", 16)}},
};

const struct flags_type *flags_at(unsigned index)
{
	return index < UMBRA_ARRAY_SIZE(FLAGS) ? &FLAGS[index] : NULL;
}

const struct flags_type *flags_find(const char *id)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FLAGS); i++) {
		if (strcmp(FLAGS[i].id, id) == 0)
			return &FLAGS[i];
	}
	return NULL;
}

void flags_format(const char *id, uint64_t value, char *buf, size_t size)
{
	const struct flags_type *type = flags_find(id);
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned bit = 64; type && bit-- > 0;) {
		for (const struct flag_bit *b = type->bit; b->name; b++) {
			uint64_t number = value >> bit & ((2ull << b->more) - 1);

			if (b->bit != bit || !b->name[0] || !number || len >= size)
				continue;
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "",
						b->name);
			if (b->more && len < size)
				len += (size_t)snprintf(buf + len, size - len, "=%llu",
							(unsigned long long)number);
		}
	}
}
