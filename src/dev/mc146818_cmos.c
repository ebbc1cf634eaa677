/* What the firmware of a PC leaves in the clock's RAM, for kernels that are entered without one and
 * for firmware that asks the machine.
 * Source: PC/AT technical reference, "Real-time clock RAM"; from 0x34 on what QEMU tells SeaBIOS
 * (hw/i386/pc.c, docs of SeaBIOS):
 *   0x0f shutdown status 0      0x10 no floppy drive         0x12 no fixed disk
 *   0x14 equipment: FPU, VGA    0x15 KiB below 640 K         0x17, 0x30 KiB above 1 MiB
 *   0x2e sum of 0x10..0x2d, high byte first                  0x34 64 KiB above 16 MiB
 *   0x38, 0x3d boot order       0x5b 64 KiB above 4 GiB      0x5f processors beside the first */
#include "mc146818.h"

#define CMOS_EQUIPMENT	0x14u
#define CMOS_BASE	0x15u
#define CMOS_EXTENDED	0x17u
#define CMOS_SUM_FIRST	0x10u
#define CMOS_SUM_LAST	0x2du
#define CMOS_SUM	0x2eu
#define CMOS_EXTENDED_2 0x30u
#define CMOS_ABOVE_16M	0x34u
#define CMOS_BOOT_THIRD 0x38u
#define CMOS_BOOT	0x3du
#define CMOS_ABOVE_4G	0x5bu
#define CMOS_CPUS	0x5fu

#define EQUIPMENT_FPU 0x02u
#define BASE_KIB      640u
/* QEMU's order: disk, then CD; then floppy, whose boot sector is to have a signature. */
#define BOOT_ORDER 0x32u
#define BOOT_THIRD 0x10u

#define KIB (1ull << 10)
#define K64 (64 * KIB)
#define MIB (1ull << 20)
#define M16 (16 * MIB)

/* @value as @bytes bytes, the largest that fit when it does not. */
static void put(uint8_t *reg, unsigned index, unsigned bytes, uint64_t value)
{
	uint64_t left = u64_min(value, (1ull << 8 * bytes) - 1);

	for (unsigned i = 0; i < bytes; i++)
		reg[index + i] = (uint8_t)(left >> 8 * i);
}

/* Units of @unit in what @bytes has above @base. */
static uint64_t above(uint64_t bytes, uint64_t base, uint64_t unit)
{
	return bytes > base ? (bytes - base) / unit : 0;
}

void rtc_cmos_fill(uint8_t *reg, const struct mc146818_pc *pc)
{
	unsigned sum = 0;

	put(reg, CMOS_EQUIPMENT, 1, EQUIPMENT_FPU);
	put(reg, CMOS_BASE, 2, u64_min(pc->low_bytes / KIB, BASE_KIB));
	put(reg, CMOS_EXTENDED, 2, above(pc->low_bytes, MIB, KIB));
	put(reg, CMOS_EXTENDED_2, 2, above(pc->low_bytes, MIB, KIB));
	put(reg, CMOS_ABOVE_16M, 2, above(pc->low_bytes, M16, K64));
	put(reg, CMOS_ABOVE_4G, 3, pc->high_bytes / K64);
	put(reg, CMOS_BOOT, 1, BOOT_ORDER);
	put(reg, CMOS_BOOT_THIRD, 1, BOOT_THIRD);
	put(reg, CMOS_CPUS, 1, pc->cpus - 1);
	for (unsigned i = CMOS_SUM_FIRST; i <= CMOS_SUM_LAST; i++)
		sum += reg[i];
	reg[CMOS_SUM] = (uint8_t)(sum >> 8);
	reg[CMOS_SUM + 1] = (uint8_t)sum;
}
