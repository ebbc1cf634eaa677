/* A keyboard controller on a bus, with guest time that a test sets. */
#ifndef TEST_KBC_RIG_H
#define TEST_KBC_RIG_H

#include "src/dev/i8042.h"

#define KBC_MS 1000000ull

struct kbc_rig {
	struct bus *bus;
	struct gate *gate;
	struct i8042 *kbc;
	uint64_t now_ns;
	bool is_high[16];
	unsigned rises[16];
	unsigned resets;
};

void kbc_rig_open(struct kbc_rig *rig);
void kbc_rig_close(struct kbc_rig *rig);
void kbc_command(struct kbc_rig *rig, uint8_t value); /* port 0x64 */
void kbc_write(struct kbc_rig *rig, uint8_t value);   /* port 0x60 */
uint8_t kbc_status(struct kbc_rig *rig);
uint8_t kbc_read(struct kbc_rig *rig);
/* All that is to be read, as hexadecimal with blanks between. */
const char *kbc_drain(struct kbc_rig *rig, char text[256]);
/* Set the command byte. */
void kbc_set_mode(struct kbc_rig *rig, uint8_t mode);
/* Let guest time go on by @ms; timers fire at their deadlines. */
void kbc_pass(struct kbc_rig *rig, uint64_t ms);
/* Press and let go of @names; what the guest reads until 10 s later. */
const char *kbc_keys(struct kbc_rig *rig, const char *names, char text[256]);

#endif
