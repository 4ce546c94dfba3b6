#include "unit_test.h"

char **unit_arguments;
long unit_allocations;
size_t unit_bytes;
long unit_allocs_allowed = -1;

/* In front of each allocation, so that the bytes can be counted; as wide as any alignment. */
union head {
	size_t bytes;
	long double widest;
	void *pointer;
};

static void host_log(void *core, int level, const char *text)
{
	(void)core, (void)level;
	fprintf(stderr, "%s\n", text);
}

static int64_t host_now(void *core)
{
	(void)core;
	return 1000;
}

static int64_t host_wall(void *core)
{
	(void)core;
	return 1700000000000000;
}

static void *host_resize(void *core, void *memory, size_t bytes)
{
	union head *head = memory ? (union head *)memory - 1 : NULL;
	(void)core;
	if (unit_allocs_allowed == 0)
		return NULL;
	if (unit_allocs_allowed > 0)
		unit_allocs_allowed--;
	size_t before = head ? head->bytes : 0;
	union head *made = realloc(head, sizeof *made + bytes);
	CHECK(made);
	unit_allocations += !head;
	unit_bytes += bytes - before;
	made->bytes = bytes;
	return made + 1;
}

static void *host_alloc(void *core, size_t bytes)
{
	return host_resize(core, NULL, bytes);
}

static void host_free(void *core, void *memory)
{
	union head *head = (union head *)memory - 1;
	(void)core;
	unit_allocations--;
	unit_bytes -= head->bytes;
	free(head);
}

static void host_format_id(const uint64_t id_bits[2], char text[FERRY_ID_TEXT_SIZE])
{
	snprintf(text, FERRY_ID_TEXT_SIZE, "%013llx%013llx", (unsigned long long)id_bits[0],
		 (unsigned long long)id_bits[1]);
}

const struct ferry_host unit_host = {
	.size = sizeof unit_host,
	.abi_major = FERRY_ABI_MAJOR,
	.abi_minor = FERRY_ABI_MINOR,
	.version = "test",
	.log = host_log,
	.now_us = host_now,
	.wall_us = host_wall,
	.alloc = host_alloc,
	.resize = host_resize,
	.free = host_free,
	.format_id = host_format_id,
};

struct ferry_view unit_view(const char *text)
{
	return (struct ferry_view){text, strlen(text)};
}

int main(int argc, char **argv)
{
	(void)argc;
	unit_arguments = argv + 1;
	for (const struct unit_test *test = unit_tests; test->name; test++) {
		unit_allocs_allowed = -1;
		test->run();
		CHECK_EQ(unit_allocations, 0);
		printf("ok %s\n", test->name);
		fflush(stdout);
	}
	return 0;
}
