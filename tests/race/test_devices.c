/* Devices under TSan: two vCPU threads that use one UART, a debug console and the reset ports,
 * while the control thread drains their output, feeds their input, shows and resets them. What is
 * checked besides races: nothing that was sent is lost or doubled, in either direction. */
#include "umbra/bus.h"
#include "umbra/dev.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define UART_BASE	0x3f8
#define KEY_DATA	0x60
#define KEY_COMMAND	0x64
#define KEY_PULSE_RESET 0xfe
#define VCPUS		2
#define SENT		6000u /* bytes by each vCPU */
#define TYPED		6000u /* bytes to the guest */

struct fixture {
	struct loop *loop;
	struct gate *gate;
	struct chardev *chardev;
	struct bus *bus;
	int client;
	unsigned got;	/* bytes that came out at the client */
	unsigned typed; /* bytes written by the client */
	atomic_uint read_by_guest;
	atomic_uint level; /* of the interrupt line */
	atomic_uint resets;
};

static void require(bool is_true, const char *what)
{
	if (is_true)
		return;
	printf("not ok - %s\n", what);
	exit(1);
}

static void line_set(void *ctx, unsigned gsi, bool is_high)
{
	struct fixture *f = ctx;

	(void)gsi;
	atomic_store(&f->level, is_high);
}

static void drop_line(void *ctx, unsigned gsi, bool is_high)
{
	(void)ctx;
	(void)gsi;
	(void)is_high;
}

static void count_request(void *ctx, enum machine_request request, int code)
{
	struct fixture *f = ctx;

	(void)request;
	(void)code;
	atomic_fetch_add(&f->resets, 1);
}

static void out(struct bus *bus, uint16_t port, uint8_t value)
{
	bus_pio(bus, port, true, 1, 1, &value);
}

static uint8_t in(struct bus *bus, uint16_t port)
{
	uint8_t value = 0;

	bus_pio(bus, port, false, 1, 1, &value);
	return value;
}

/* Only one of the two reads RBR: between LSR and RBR the other could take the character. */
struct vcpu {
	struct fixture *f;
	bool is_reader;
};

static void *run_vcpu(void *arg)
{
	const struct vcpu *vcpu = arg;
	struct fixture *f = vcpu->f;
	unsigned sent = 0;

	while (sent < SENT || (vcpu->is_reader && atomic_load(&f->read_by_guest) < TYPED)) {
		if (sent < SENT) {
			out(f->bus, UART_BASE, 'x');
			sent++;
		}
		in(f->bus, UART_BASE + 2);
		out(f->bus, UART_BASE + 7, (uint8_t)sent);
		in(f->bus, KEY_COMMAND);
		in(f->bus, 0xcf9);
		if (vcpu->is_reader && (in(f->bus, UART_BASE + 5) & 1)) {
			in(f->bus, UART_BASE);
			atomic_fetch_add(&f->read_by_guest, 1);
		}
	}
	out(f->bus, KEY_COMMAND, KEY_PULSE_RESET);
	return NULL;
}

static void swallow(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	(void)text;
	(void)len;
}

/* The client's turn, again and again: take what came, type what fits, look at the devices. */
static void client_turn(void *ctx, int fd, unsigned events)
{
	struct fixture *f = ctx;
	struct print_sink sink = {.text = swallow};
	char bytes[4096];
	ssize_t n;

	(void)events;
	n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		f->got += (unsigned)n;
	memset(bytes, 't', sizeof(bytes));
	n = TYPED - f->typed < 100 ? (ssize_t)(TYPED - f->typed) : 100;
	n = n > 0 ? send(fd, bytes, (size_t)n, MSG_DONTWAIT) : 0;
	if (n > 0)
		f->typed += (unsigned)n;
	bus_show_device(f->bus, 0, &sink);
	chardev_show(f->chardev, &sink);
	if (f->got == VCPUS * SENT && atomic_load(&f->read_by_guest) == TYPED)
		loop_quit(f->loop, 0);
}

static void set_up(struct fixture *f, const char *path)
{
	struct irq_line irq = {.set = line_set, .ctx = f, .gsi = 4};
	struct machine_hook hook = {.post = count_request, .ctx = f};
	struct i8042_config keyboard = {
		.data_port = KEY_DATA,
		.command_port = KEY_COMMAND,
		.key_irq = {.set = drop_line, .gsi = 1},
		.mouse_irq = {.set = drop_line, .gsi = 12},
		.hook = hook,
		.gate = NULL,
		.source = 1,
	};
	struct i8042 *i8042;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct umbra_err err = {.text = ""};
	char spec[128];

	snprintf(spec, sizeof(spec), "unix:%s", path);
	require(loop_create(&f->loop, &err) == 0, "loop");
	require(gate_create(&f->gate, &err) == 0, "gate");
	require(bus_create(&f->bus, &err) == 0, "bus");
	require(chardev_open(&f->chardev, spec, 0, f->loop, f->gate, &err) == 0, err.text);
	require(uart16550_create(f->bus, "serial0", UART_BASE, irq, f->chardev, &err) == 0, "UART");
	require(resetport_create(f->bus, hook, &err) == 0, "reset ports");
	keyboard.gate = f->gate;
	require(i8042_create(&i8042, f->bus, &keyboard, &err) == 0, "keyboard controller");
	memcpy(addr.sun_path, path, strlen(path));
	f->client = socket(AF_UNIX, SOCK_STREAM, 0);
	require(connect(f->client, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
	require(loop_add(f->loop, f->client, LOOP_READ | LOOP_WRITE, client_turn, f) == 0, "watch");
	out(f->bus, UART_BASE + 2, 0xc1);
	out(f->bus, UART_BASE + 4, 0x0b);
	out(f->bus, UART_BASE + 1, 0x0f);
}

static void tear_down(struct fixture *f)
{
	loop_del(f->loop, f->client);
	close(f->client);
	bus_destroy(f->bus);
	chardev_close(f->chardev);
	gate_destroy(f->gate);
	loop_destroy(f->loop);
}

int main(void)
{
	struct fixture f = {.got = 0};
	struct vcpu vcpu[VCPUS];
	pthread_t thread[VCPUS];
	char dir[] = "/tmp/umbra-race-XXXXXX";
	char path[64];

	printf("1..1\n");
	require(mkdtemp(dir) != NULL, "directory");
	snprintf(path, sizeof(path), "%s/s", dir);
	set_up(&f, path);
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpu[i] = (struct vcpu){.f = &f, .is_reader = i == 0};
		require(pthread_create(&thread[i], NULL, run_vcpu, &vcpu[i]) == 0, "thread");
	}
	loop_run(f.loop);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	require(f.got == VCPUS * SENT, "every byte of the guest came out once");
	require(atomic_load(&f.read_by_guest) == TYPED, "every byte typed came in once");
	require(atomic_load(&f.resets) == VCPUS, "each reset was asked for once");
	tear_down(&f);
	rmdir(dir);
	printf("ok 1 - devices used by several threads lose nothing\n");
	return 0;
}
