/*
 * template_test.c - the transport alone, driven by a small host: what a conformance run cannot look at.
 *
 *     template_test PLUGIN.so [TEST...]
 *
 * A test that needs a process that dies starts this program again with `--role NAME FILE`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_cases.h"

static const char *program, *plugin_path;
char test_folder[64];

const char *new_file(void)
{
	static char names[4][128];
	static unsigned serial;
	char *name = names[serial % 4];
	snprintf(name, sizeof names[0], "%s/%u.db", test_folder, serial);
	serial++;
	return name;
}

const struct consumer_options shop = {.group = "shop", .topic = "orders"};

void settle_all(struct consumer *consumer, size_t count, int32_t verb)
{
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(consumer_settle(consumer, i, verb, 0, 0), 0);
}

void check_text(struct ferry_view view, const char *expected)
{
	CHECK_EQ(view.size, strlen(expected));
	CHECK(!memcmp(view.data, expected, view.size + 1)); /* with the NUL behind it */
}

int start_role(const char *role, const char *file)
{
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		execl(program, program, plugin_path, "--role", role, file, (char *)NULL);
		_exit(127);
	}
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void lock_file(struct lock *lock, const char *file)
{
	CHECK_EQ(sqlite3_open(file, &lock->db), SQLITE_OK);
	sqlite3_busy_timeout(lock->db, WAIT_MS);
	CHECK_EQ(sqlite3_exec(lock->db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

void unlock_file(struct lock *lock)
{
	CHECK_EQ(sqlite3_exec(lock->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_close(lock->db), SQLITE_OK);
}

/* ---- running ---- */

static int run_role(const char *name, const char *file)
{
	const struct test_role *const lists[] = {publish_roles, claim_roles, start_roles};
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		for (const struct test_role *role = lists[i]; role->name; role++)
			if (!strcmp(role->name, name))
				role->run(file);
	return 1;
}

static bool is_selected(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void clean_up(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", test_folder);
	CHECK_EQ(system(command), 0);
}

static void run_tests(const struct test_case *test, char **names)
{
	for (; test->name; test++) {
		if (!is_selected(test->name, names))
			continue;
		int64_t begin = test_now_us();
		test->run();
		printf("ok %s (%lld ms)\n", test->name, (long long)(test_now_us() - begin) / 1000);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: template_test PLUGIN.so [TEST...]\n");
		return 2;
	}
	const struct test_case *const lists[] = {publish_tests, claim_tests, broadcast_tests, start_tests};
	program = argv[0];
	plugin_path = argv[1];
	test_load(plugin_path);
	snprintf(test_folder, sizeof test_folder, "/tmp/ferry-template-XXXXXX");
	if (argc == 5 && !strcmp(argv[2], "--role"))
		return run_role(argv[3], argv[4]);
	CHECK(mkdtemp(test_folder));
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		run_tests(lists[i], argv + 2);
	clean_up();
	return 0;
}
