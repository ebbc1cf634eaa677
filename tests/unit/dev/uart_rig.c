/* The test rig of the UART. */
#include "uart_rig.h"

#include <criterion/criterion.h>

static void line_set(void *ctx, unsigned gsi, bool is_high)
{
	struct uart_rig *rig = ctx;

	cr_assert_eq(gsi, 4);
	cr_assert_neq(rig->is_high, is_high, "the line was told what it was already");
	rig->is_high = is_high;
	rig->changes++;
}

void rig_open(struct uart_rig *rig)
{
	struct irq_line irq = {.set = line_set, .ctx = rig, .gsi = 4};

	*rig = (struct uart_rig){.changes = 0};
	cr_assert_eq(loop_create(&rig->loop, NULL), 0);
	cr_assert_eq(gate_create(&rig->gate, NULL), 0);
	cr_assert_eq(chardev_open(&rig->chardev, "null", 0, rig->loop, rig->gate, NULL), 0);
	uart16550_init(&rig->uart, "serial0", irq, rig->chardev);
}

void rig_close(struct uart_rig *rig)
{
	chardev_close(rig->chardev);
	gate_destroy(rig->gate);
	loop_destroy(rig->loop);
}

uint8_t rig_in(struct uart_rig *rig, unsigned offset)
{
	return (uint8_t)uart16550_ops.read(&rig->uart, offset, 1);
}

void rig_out(struct uart_rig *rig, unsigned offset, uint8_t value)
{
	uart16550_ops.write(&rig->uart, offset, 1, value);
}

size_t rig_receive(struct uart_rig *rig, const char *text)
{
	return uart16550_receive(&rig->uart, (const uint8_t *)text, strlen(text));
}
