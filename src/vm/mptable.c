/* The MP configuration table: see mptable.h.
 *   header | processors | ISA bus | IO APIC | ISA irqs | local interrupts
 * The mode at the start is virtual wire: the 8259A pair interrupts through LINT0 of the first
 * processor; there is no interrupt mode configuration register. */
#include "mptable.h"

#include "umbra/blob.h"

#define SPEC_REVISION	 4 /* 1.4 */
#define HEADER_BYTES	 44u
#define HEADER_SUM	 7u
#define POINTER_SUM	 10u
#define LAPIC_VERSION	 0x14 /* on the processor's chip (SDM 3A 11.4.8) */
#define IOAPIC_VERSION	 0x11 /* 82093AA, 3.2.2 */
#define IOAPIC_ENABLED	 1
#define CPU_ENABLED	 1
#define CPU_BOOTSTRAP	 2
#define CPU_LAPIC_ID_MAX 254u
#define ISA_BUS		 0
#define ISA_IRQS	 16u
#define ISA_CASCADE	 2u
#define ALL_LAPICS	 0xff
#define CONFORMS	 0 /* trigger and polarity as is usual for the bus */

enum entry { MP_PROCESSOR = 0, MP_BUS = 1, MP_IOAPIC = 2, MP_IO_IRQ = 3, MP_LOCAL_IRQ = 4 };
enum irq_type { MP_INT = 0, MP_NMI = 1, MP_EXTINT = 3 };

/* What CPUID leaf 1 gives in EAX and EDX.  The table is made before the back end has a processor to
 * ask; systems ask the processor themselves.  What matters is that it says APIC. */
#define CPU_SIGNATURE 0x600u /* family 6 */
#define CPU_FEATURES  0x201u /* bit 9 APIC | bit 0 FPU */

static uint8_t sum_of(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	while (len-- > 0)
		sum = (uint8_t)(sum + bytes[len]);
	return sum;
}

void mptable_make_pointer(uint8_t out[MP_POINTER_BYTES], uint32_t table)
{
	struct blob blob = blob_over(out, MP_POINTER_BYTES);

	memset(out, 0, MP_POINTER_BYTES);
	blob_put_bytes(&blob, "_MP_", 4);
	blob_put_u32(&blob, table);
	blob_put_u8(&blob, MP_POINTER_BYTES / 16);
	blob_put_u8(&blob, SPEC_REVISION);
	/* Feature bytes all 0: there is a table, and the mode is virtual wire. */
	out[POINTER_SUM] = (uint8_t)-sum_of(out, MP_POINTER_BYTES);
}

static void put_processor(struct blob *out, uint8_t id)
{
	static const uint8_t reserved[8];

	blob_put_u8(out, MP_PROCESSOR);
	blob_put_u8(out, id);
	blob_put_u8(out, LAPIC_VERSION);
	blob_put_u8(out, (uint8_t)(CPU_ENABLED | (id == 0 ? CPU_BOOTSTRAP : 0)));
	blob_put_u32(out, CPU_SIGNATURE);
	blob_put_u32(out, CPU_FEATURES);
	blob_put_bytes(out, reserved, sizeof(reserved));
}

static void put_bus(struct blob *out)
{
	blob_put_u8(out, MP_BUS);
	blob_put_u8(out, ISA_BUS);
	blob_put_bytes(out, "ISA   ", 6);
}

static void put_ioapic(struct blob *out, const struct pc_facts *facts)
{
	blob_put_u8(out, MP_IOAPIC);
	blob_put_u8(out, facts->ioapic_id);
	blob_put_u8(out, IOAPIC_VERSION);
	blob_put_u8(out, IOAPIC_ENABLED);
	blob_put_u32(out, facts->ioapic);
}

/* From ISA irq @irq to input @pin of the APIC @apic. */
static void put_irq(struct blob *out, enum entry entry, enum irq_type type, unsigned irq,
		    uint8_t apic, unsigned pin)
{
	blob_put_u8(out, (uint8_t)entry);
	blob_put_u8(out, (uint8_t)type);
	blob_put_u16(out, CONFORMS);
	blob_put_u8(out, ISA_BUS);
	blob_put_u8(out, (uint8_t)irq);
	blob_put_u8(out, apic);
	blob_put_u8(out, (uint8_t)pin);
}

/* Returns how many entries there are. */
static unsigned put_irqs(struct blob *out, const struct pc_facts *facts)
{
	unsigned count = 0;

	for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
		if (irq == ISA_CASCADE)
			continue;
		put_irq(out, MP_IO_IRQ, MP_INT, irq, facts->ioapic_id,
			irq == 0 ? facts->pin_of_irq0 : irq);
		count++;
	}
	/* One processor alone may take ExtINT (SDM 3A 11.5.1): the first. */
	put_irq(out, MP_LOCAL_IRQ, MP_EXTINT, 0, 0, 0);
	put_irq(out, MP_LOCAL_IRQ, MP_NMI, 0, ALL_LAPICS, 1);
	return count + 2;
}

static void fill_header(uint8_t *at, size_t len, unsigned entries, const struct pc_facts *facts)
{
	struct blob blob = blob_over(at, HEADER_BYTES);

	blob_put_bytes(&blob, "PCMP", 4);
	blob_put_u16(&blob, (uint16_t)len);
	blob_put_u8(&blob, SPEC_REVISION);
	blob_put_u8(&blob, 0); /* checksum */
	blob_put_bytes(&blob, "UMBRA   PC          ", 20);
	blob_put_u32(&blob, 0); /* OEM table: none */
	blob_put_u16(&blob, 0);
	blob_put_u16(&blob, (uint16_t)entries);
	blob_put_u32(&blob, facts->lapic);
	blob_put_u32(&blob, 0); /* extended table: none */
	at[HEADER_SUM] = (uint8_t)-sum_of(at, len);
}

size_t mptable_make(uint8_t *out, size_t size, const struct pc_facts *facts)
{
	static const uint8_t header[HEADER_BYTES];
	struct blob blob = blob_over(out, size);
	unsigned entries = 2; /* bus and IO APIC */

	blob_put_bytes(&blob, header, sizeof(header));
	/* There is no entry for a processor that needs x2APIC. */
	for (unsigned id = 0; id < facts->cpus && id <= CPU_LAPIC_ID_MAX; id++, entries++)
		put_processor(&blob, (uint8_t)id);
	put_bus(&blob);
	put_ioapic(&blob, facts);
	entries += put_irqs(&blob, facts);
	if (blob.is_failed)
		return 0;
	fill_header(out, blob.pos, entries, facts);
	return blob.pos;
}
