/* Unit tests of catch.c: what gdb's tables of signals mean, and siginfo. */
#include "server_rig.h"
#include "src/debug/catch.h"
#include "umbra/types.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#define PF (1u << X86_EXC_PF)
#define UD (1u << X86_EXC_UD)

static void set(uint8_t bytes[RSP_SIGNAL_BYTES], const char *signals)
{
	memset(bytes, 0, RSP_SIGNAL_BYTES);
	for (; *signals; signals++)
		bytes[*signals / 8] |= (uint8_t)(1u << *signals % 8);
}

static void pass(struct catch *c, const char *signals)
{
	uint8_t bytes[RSP_SIGNAL_BYTES];

	set(bytes, signals);
	catch_pass(c, bytes);
}

static void program(struct catch *c, const char *signals)
{
	uint8_t bytes[RSP_SIGNAL_BYTES];

	set(bytes, signals);
	catch_program(c, bytes);
}

/* 14 (SIGALRM) is one that gdb passes by itself; 11 is SIGSEGV, 4 SIGILL. */
Test(catch, tables_when_a_person_changed_nothing_then_nothing_stops)
{
	struct catch c = {.has_pass = false};

	program(&c, "\1\4\13\16");
	for (unsigned i = 0; i < 3; i++) {
		pass(&c, "\16");
		pass(&c, ""); /* gdb steps over a breakpoint */
	}
	cr_assert_eq(catch_vectors(&c), 0);
}

Test(catch, tables_when_a_signal_was_changed_then_it_counts)
{
	struct catch c = {.has_pass = false};

	pass(&c, "\16");
	pass(&c, "\16\13");
	cr_assert_eq(catch_vectors(&c), 0, "handle SIGSEGV nostop noprint");
	pass(&c, "");
	cr_assert_eq(catch_vectors(&c), 0, "what gdb does by itself");
	pass(&c, "\16");
	cr_assert_eq(catch_vectors(&c), PF, "handle SIGSEGV stop");
	pass(&c, "");
	pass(&c, "\16\4");
	cr_assert_eq(catch_vectors(&c), PF, "SIGILL is not to stop");
	pass(&c, "\16");
	cr_assert_eq(catch_vectors(&c), PF | UD);
	catch_clear(&c);
	pass(&c, "\16");
	cr_assert_eq(catch_vectors(&c), 0, "another client");
}

Test(catch, tables_when_a_signal_is_not_given_to_the_program_then_it_counts)
{
	struct catch c = {.has_pass = false};

	program(&c, "\1\4\13\16");
	program(&c, "\1\4\16");
	cr_assert_eq(catch_vectors(&c), PF, "handle SIGSEGV nopass");
}

Test(catch, signals_when_all_are_taken_then_those_that_are_not_passed)
{
	static const uint32_t all = 1u << X86_EXC_DE | UD | 1u << X86_EXC_NP | 1u << X86_EXC_SS |
				    1u << X86_EXC_GP | PF | 1u << X86_EXC_MF | 1u << X86_EXC_XM;
	struct catch c = {.takes_all = true};

	pass(&c, "\16");
	cr_assert_eq(catch_vectors(&c), all);
	pass(&c, "\16\13");
	cr_assert_eq(catch_vectors(&c), all & ~PF);
	c.wanted.vectors = 1u << X86_EXC_NM;
	cr_assert_eq(catch_vectors(&c), (all & ~PF) | 1u << X86_EXC_NM);
}

Test(catch, siginfo_when_an_exception_then_linux_layout)
{
	struct accel_caught caught = {.kind = ACCEL_CAUGHT_EXCEPTION,
				      .number = X86_EXC_PF,
				      .has_error = true,
				      .error = 7,
				      .cr2 = 0xffff800012345678};
	uint8_t info[128];

	cr_assert_eq(catch_siginfo(&caught, 0x1000, info, 64), 0);
	cr_assert_eq(catch_siginfo(&caught, 0x1000, info, sizeof(info)), sizeof(info));
	cr_assert_eq(le32_get(info), 11);
	cr_assert_eq(le32_get(info + 4), 7);
	cr_assert_eq(le32_get(info + 8), 14);
	cr_assert_eq(le64_get(info + 16), 0xffff800012345678);
	caught.number = X86_EXC_UD;
	catch_siginfo(&caught, 0x1000, info, sizeof(info));
	cr_assert_eq(le64_get(info + 16), 0x1000);
	caught.kind = ACCEL_CAUGHT_SYSCALL;
	cr_assert_eq(catch_siginfo(&caught, 0x1000, info, sizeof(info)), 0);
}

/* Through the port. */

static bool asks(int fd, const char *packet, const char *answer)
{
	rig_send_packet(fd, packet);
	return rig_says(rig_receive(fd), answer);
}

Test(catch, system_calls_when_named_then_the_world_is_told, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	cr_assert(asks(fd, "QCatchSyscalls:1;3b;41", "$OK#"));
	cr_assert(t.world->has_catch && t.world->catch.has_syscalls);
	cr_assert_eq(t.world->catch.syscall[0], 1ull << 59);
	cr_assert_eq(t.world->catch.syscall[1], 2);
	cr_assert(asks(fd, "QCatchSyscalls:1;400", "$E16#"), "one that cannot be told");
	cr_assert(asks(fd, "QCatchSyscalls:1", "$OK#"));
	cr_assert(t.world->catch.has_all_syscalls);
	cr_assert(asks(fd, "D", "$OK#"));
	cr_assert_not(t.world->has_catch, "it goes with its owner");
	close(fd);
}

Test(catch, monitor_word_when_said_then_the_world_is_told, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	cr_assert(asks(fd, "qRcmd,6361746368207066", "$OK#")); /* catch pf */
	cr_assert_eq(t.world->catch.vectors, PF);
	cr_assert(asks(fd, "qRcmd,636174636820706f7274203078332d3078352072", "$OK#"));
	cr_assert_eq(t.world->catch.port_count, 1); /* catch port 0x3-0x5 r */
	cr_assert(t.world->catch.port[0].on_read && !t.world->catch.port[0].on_write);
	cr_assert(asks(fd, "qRcmd,636174636820706f727420352d34", "$E01#")); /* catch port 5-4 */
	cr_assert_eq(t.world->catch.port_count, 1);
	cr_assert(asks(fd, "qRcmd,6361746368206f6666", "$OK#")); /* catch off */
	cr_assert_not(t.world->has_catch);
	t.world->cannot_catch = true;
	cr_assert(asks(fd, "qRcmd,6361746368207066", "$E01#"));
	cr_assert(asks(fd, "QCatchSyscalls:1", "$E5f#"));
	close(fd);
}
