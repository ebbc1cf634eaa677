#include "facts_rig.h"

struct pc_facts facts_of(unsigned cpus)
{
	static const struct isa_facts device[] = {
		{"COM1", "PNP0501", 1, 4, {{0x3f8, 8}}},
		{"COM2", "PNP0501", 2, 3, {{0x2f8, 8}}},
		{"KBD_", "PNP0303", 1, 1, {{0x60, 1}, {0x64, 1}}},
		{"RTC_", "PNP0B00", 1, FACTS_NO_IRQ, {{0x70, 2}}},
	};

	return (struct pc_facts){
		.cpus = cpus,
		.lapic = 0xfee00000,
		.ioapic = 0xfec00000,
		.ioapic_id = 7,
		.pin_of_irq0 = 2,
		.pm_base = 0x600,
		.sci = 9,
		.reset_port = 0xcf9,
		.reset_value = 6,
		.century = 0x32,
		.crtc = 0x3d4,
		.device = device,
		.device_count = UMBRA_ARRAY_SIZE(device),
	};
}

bool sums_to_zero(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	while (len-- > 0)
		sum = (uint8_t)(sum + bytes[len]);
	return sum == 0;
}
