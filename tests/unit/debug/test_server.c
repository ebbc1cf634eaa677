/* Unit tests of the debug port: clients that come and go. */
#include "server_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Coming. */

Test(server, connect_when_nothing_is_sent_then_guest_untouched, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd;

	t.world->state = WORLD_RUNNING;
	fd = rig_join();
	cr_assert_not(debug_server_is_attached(t.server));
	close(fd);
	rig_settle();
	cr_assert_eq(t.world->stop_count + t.world->resume_count + t.world->clear_count, 0);
}

Test(server, http_when_it_carries_a_packet_then_closed_and_guest_untouched, .init = rig_set_up,
     .fini = rig_tear_down)
{
	static const char request[] = "POST / HTTP/1.1\r\nHost: x\r\n\r\n$qRcmd,71756974#fc";
	int fd;

	t.world->state = WORLD_RUNNING;
	fd = rig_join();
	rig_send_bytes(fd, request, strlen(request));
	cr_assert_str_eq(rig_receive(fd), "(closed)");
	cr_assert_eq(t.world->stop_count, 0);
	cr_assert_eq(t.quit_count, 0);
	close(fd);
}

Test(server, attach_when_running_then_stopped_and_told, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd;

	t.world->state = WORLD_RUNNING;
	fd = rig_join();
	rig_send_packet(fd, "?");
	cr_assert_eq(t.world->stop_count, 1);
	cr_assert_eq(t.world->stop_kind, STOP_ATTACH);
	cr_assert_not(rig_says(rig_receive(fd), "T05"));
	cr_assert(rig_stop_world(STOP_ATTACH, ""));
	cr_assert(rig_says(rig_receive(fd), "T05"));
	cr_assert(debug_server_is_attached(t.server));
	close(fd);
}

Test(server, attach_when_a_stop_is_not_taken_yet_then_waits_for_it, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd;

	fake_world_set_stopped(t.world);
	fd = rig_join();
	rig_send_packet(fd, "?");
	cr_assert_not(rig_says(rig_receive(fd), "T"));
	fake_world_take(t.world);
	cr_assert(rig_stop_world(STOP_SHUTDOWN, "triple fault"));
	cr_assert(rig_says(rig_receive(fd), "T06"));
	close(fd);
}

/* A halt under way may be withdrawn; the world then runs and has forgotten who waits. */
Test(server, attach_when_machine_died_before_then_same_reason_again, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd;

	cr_assert_not(rig_stop_world(STOP_SHUTDOWN, "triple fault"));
	fd = rig_join();
	rig_send_packet(fd, "?");
	cr_assert(rig_says(rig_receive(fd), "T06"));
	close(fd);
}

/* One controls and seven look; there is no room for more. */
Test(server, clients_when_too_many_then_refused_with_reason, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int first = rig_attach();
	int second[9];

	for (unsigned i = 0; i < 9; i++) {
		second[i] = rig_join();
		if (i >= 7)
			cr_assert(rig_says(rig_receive(second[i]), "E.umbra is busy"), "%u", i);
		else
			rig_send_packet(second[i], "qAttached");
	}
	rig_send_packet(first, "qC");
	cr_assert(rig_says(rig_receive(first), "QC"), "the first one goes on");
	for (unsigned i = 0; i < 9; i++)
		close(second[i]);
	rig_settle();
	close(first);
	rig_settle();
	t.world->state = WORLD_STOPPED;
	first = rig_attach();
	close(first);
}

/* Both events lie in one batch of the loop, the new client's first. */
Test(server, second_client_when_the_first_has_just_left_then_served, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int first = rig_attach();
	int second = rig_connect();

	rig_send_packet_unseen(first, "Z0,1000,1");
	close(first);
	rig_settle();
	t.world->state = WORLD_STOPPED;
	rig_send_packet(second, "?");
	cr_assert(rig_says(rig_receive(second), "T05"));
	cr_assert_eq(t.world->bp_count, 0);
	cr_assert_eq(t.world->clear_count, 1);
	close(second);
}

Test(server, packet_when_cut_by_the_hang_up_then_next_client_starts_clean, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_bytes(fd, "$m0,4", 5);
	close(fd);
	rig_settle();
	t.world->state = WORLD_STOPPED;
	fd = rig_attach();
	rig_send_packet(fd, "qC");
	cr_assert(rig_says(rig_receive(fd), "$QC"));
	close(fd);
}

Test(server, clients_when_many_come_and_go_then_no_descriptor_is_left, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int before = dup(0), after;

	close(before);
	for (int i = 0; i < 300; i++) {
		int fd = rig_join();

		rig_send_bytes(fd, i % 2 ? "$?#3f" : "$?#", i % 2 ? 5 : 3);
		close(fd);
		rig_settle();
		t.world->state = WORLD_STOPPED;
	}
	after = dup(0);
	close(after);
	cr_assert_eq(after, before);
}

/* Going. */

static void assert_all_run(void)
{
	cr_assert_eq(t.world->resume_count, 1);
	cr_assert_eq(t.world->bp_count, 0);
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		cr_assert_eq(t.world->plan[i].action, PLAN_RUN);
}

Test(server, detach_when_stopped_then_breakpoints_go_and_machine_runs, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "Z0,1000,1");
	cr_assert_eq(t.world->bp_count, 1);
	rig_send_packet(fd, "D");
	cr_assert(rig_says(rig_receive(fd), "$OK#9a(closed)"));
	assert_all_run();
	cr_assert_not(debug_server_is_attached(t.server));
	close(fd);
}

Test(server, hang_up_when_stopped_then_policy_resume, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "Z1,1000,1");
	close(fd);
	rig_settle();
	assert_all_run();
	cr_assert_eq(t.quit_count, 0);
}

Test(server, hang_up_when_running_then_stopped_cleaned_and_resumed, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "Z0,1000,1");
	rig_send_packet(fd, "vCont;s:1"); /* the other one is held */
	cr_assert_eq(t.world->plan[1].action, PLAN_HOLD);
	t.world->resume_count = 0;
	close(fd);
	rig_settle();
	cr_assert_eq(t.world->stop_count, 1);
	cr_assert_eq(t.world->bp_count, 1, "the table is not touched while the world runs");
	cr_assert(rig_stop_world(STOP_STEP, ""), "nobody is there, and the machine runs again");
	assert_all_run();
}

Test(server, hang_up_when_machine_dies_meanwhile_then_its_owner_decides, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "Z0,1000,1");
	rig_send_packet(fd, "c");
	t.world->resume_count = 0;
	close(fd);
	rig_settle();
	cr_assert_not(rig_stop_world(STOP_SHUTDOWN, ""));
	cr_assert_eq(t.world->bp_count, 0);
	cr_assert_eq(t.world->resume_count, 0);
}

Test(server, hang_up_when_a_new_client_is_faster_than_the_stop_then_it_gets_a_clean_machine,
     .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "Z0,1000,1");
	rig_send_packet(fd, "c");
	t.world->resume_count = 0;
	close(fd);
	rig_settle();
	fd = rig_join();
	rig_send_packet(fd, "?");
	cr_assert(rig_stop_world(STOP_ATTACH, ""));
	cr_assert(rig_says(rig_receive(fd), "T05"));
	cr_assert_eq(t.world->bp_count, 0);
	cr_assert_eq(t.world->resume_count, 0);
	close(fd);
}

static void set_up_stay(void)
{
	rig_start(DEBUG_ON_DISCONNECT_STAY);
}

Test(server, hang_up_when_policy_is_stay_then_breakpoints_go_and_machine_stays, .init = set_up_stay,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "Z0,1000,1");
	close(fd);
	rig_settle();
	cr_assert_eq(t.world->bp_count, 0);
	cr_assert_eq(t.world->resume_count, 0);
	cr_assert_eq(t.quit_count, 0);
}

static void set_up_exit(void)
{
	rig_start(DEBUG_ON_DISCONNECT_EXIT);
}

Test(server, hang_up_when_policy_is_exit_then_quit_but_not_for_a_stranger, .init = set_up_exit,
     .fini = rig_tear_down)
{
	int fd = rig_join();

	rig_send_bytes(fd, "GET /", 5);
	close(fd);
	rig_settle();
	cr_assert_eq(t.quit_count, 0);
	fd = rig_attach();
	close(fd);
	rig_settle();
	cr_assert_eq(t.quit_count, 1);
	cr_assert_eq(t.quit_code, DEBUG_KILLED_CODE);
}

Test(server, kill_when_sent_then_quit_once, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "vKill;1");
	cr_assert(rig_says(rig_receive(fd), "OK"));
	cr_assert_eq(t.quit_count, 1);
	cr_assert_eq(t.quit_code, DEBUG_KILLED_CODE);
	cr_assert_eq(t.world->resume_count, 0);
	close(fd);
}

Test(server, monitor_quit_when_given_a_code_then_that_code, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "qRcmd,717569742035"); /* quit 5 */
	cr_assert(rig_says(rig_receive(fd), "OK"));
	cr_assert_eq(t.quit_code, 5);
	close(fd);
}

/* Stdio. */

Test(server, stdio_when_the_client_goes_then_machine_ends, .fini = rig_tear_down)
{
	int fd = rig_start_stdio();

	cr_assert_str_eq(debug_server_address(t.server), "stdio");
	rig_send_packet(fd, "?");
	cr_assert(rig_says(rig_receive(fd), "T05"));
	close(fd);
	rig_settle();
	cr_assert_eq(t.quit_count, 1);
	cr_assert_eq(t.quit_code, DEBUG_KILLED_CODE);
}

Test(server, stdio_when_detached_then_told_and_ended, .fini = rig_tear_down)
{
	int fd = rig_start_stdio();

	rig_send_packet(fd, "D");
	cr_assert(rig_says(rig_receive(fd), "$OK#9a"));
	cr_assert_eq(t.quit_count, 1);
	close(fd);
}

Test(server, stdio_when_closed_then_modes_of_the_terminal_are_back, .fini = rig_tear_down)
{
	int fd = rig_start_stdio();

	cr_assert(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK);
	close(fd);
	rig_settle();
	cr_assert_not(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK);
}
