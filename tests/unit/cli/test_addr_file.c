/* The file with the debug port's address. */
#include "src/cli/addr_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/umbra-addr-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(chdir(dir) == 0);
}

static void remove_dir(void)
{
	unlink("a");
	unlink("fifo");
	cr_expect(chdir("/") == 0);
	cr_expect(rmdir(dir) == 0, "something was left in %s", dir);
}

TestSuite(cli_addr_file, .init = make_dir, .fini = remove_dir);

static void expect_content(const char *path, const char *wanted)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	cr_assert(fd >= 0);
	cr_expect(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	cr_expect_str_eq(text, wanted);
}

Test(cli_addr_file, write_when_new_then_one_line_and_nothing_else_in_the_folder)
{
	struct stat info;

	cr_assert(addr_file_write("a", "127.0.0.1:5", NULL) == 0);
	expect_content("a", "127.0.0.1:5\n");
	cr_assert(stat("a", &info) == 0);
	cr_expect((info.st_mode & 0777) == 0644);
}

Test(cli_addr_file, write_when_there_already_then_replaced_whole)
{
	cr_assert(addr_file_write("a", "a-rather-long-first-address", NULL) == 0);
	cr_assert(addr_file_write("a", "short", NULL) == 0);
	expect_content("a", "short\n");
}

Test(cli_addr_file, write_when_it_is_a_pipe_then_written_to_and_still_a_pipe)
{
	char text[16] = "";
	struct stat info;
	int fd;

	cr_assert(mkfifo("fifo", 0600) == 0);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	cr_assert(addr_file_write("fifo", "x:1", NULL) == 0);
	cr_expect(read(fd, text, sizeof(text) - 1) == 4);
	close(fd);
	cr_expect_str_eq(text, "x:1\n");
	cr_assert(stat("fifo", &info) == 0);
	cr_expect(S_ISFIFO(info.st_mode));
}

Test(cli_addr_file, write_when_folder_is_missing_then_error_names_the_file)
{
	struct umbra_err err = {""};

	cr_assert(addr_file_write("none/a", "x", &err) == -ENOENT);
	cr_expect(strstr(err.text, "none/a") != NULL, "%s", err.text);
}
