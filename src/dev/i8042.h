/* The keyboard controller's state, for i8042.c and its unit test. */
#ifndef DEV_I8042_H
#define DEV_I8042_H

#include "ps2kbd.h"

/* What the device calls its addresses: ports 0x60 and 0x64. */
enum { I8042_DATA = 0, I8042_COMMAND = 4 };

/* Status. */
#define KBC_STATUS_OUT	   0x01u /* output buffer full */
#define KBC_STATUS_SYS	   0x04u
#define KBC_STATUS_COMMAND 0x08u /* the last byte written was to port 0x64 */
#define KBC_STATUS_OPEN	   0x10u /* not locked */
#define KBC_STATUS_MOUSE   0x20u
#define KBC_STATUS_TIMEOUT 0x40u

/* Command byte. */
#define KBC_MODE_KEY_IRQ   0x01u
#define KBC_MODE_MOUSE_IRQ 0x02u
#define KBC_MODE_SYS	   0x04u
#define KBC_MODE_NO_KEY	   0x10u
#define KBC_MODE_NO_MOUSE  0x20u
#define KBC_MODE_XLATE	   0x40u
#define KBC_MODE_KEPT	   0x7fu

/* Output port. */
#define KBC_OUT_RUN   0x01u /* low: reset */
#define KBC_OUT_A20   0x02u
#define KBC_OUT_IRQ   0x10u
#define KBC_OUT_MOUSE 0x20u
#define KBC_OUT_ONES  0xccu

#define KBC_RAM_BYTES 32u

struct kbc_chip {
	uint8_t ram[KBC_RAM_BYTES]; /* [0] is the command byte */
	uint8_t expecting;	    /* the command whose data byte is next; 0: none */
	bool was_command;	    /* the last write was to the command port */
	bool is_a20_open;	    /* as written; it is open whatever this says */
	bool is_break;		    /* translation has swallowed a break prefix */
	/* The output buffer: the controller's own answer, or else the keyboard's byte. */
	bool has_reply, has_key;
	uint8_t reply, key, last;
	uint8_t reply_status; /* KBC_STATUS_MOUSE, KBC_STATUS_TIMEOUT */
};

struct i8042 {
	struct device *dev;		 /* [const] */
	struct i8042_config config;	 /* [const] */
	struct gate_timer *timer;	 /* [const] for keys that are to come */
	bool is_key_high, is_mouse_high; /* [dev] what the lines were told last */
	uint64_t armed_ns;		 /* [dev] what timer was told last */
	struct kbc_chip chip;		 /* [dev] */
	struct ps2kbd kbd;		 /* [dev] */
};

extern const struct dev_ops i8042_ops;

#endif
