/*
 * walk.c - runs a fuzz target over every file of a folder, where there is no libFuzzer.
 *
 *     fuzz_config FOLDER
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

/* In memory of just its size, so that a sanitizer sees a read behind the end. */
static void run_file(const char *path, size_t size)
{
	FILE *in = fopen(path, "rb");
	uint8_t *data = malloc(size);
	FUZZ_CHECK(in && (data || !size));
	FUZZ_CHECK(fread(data, 1, size, in) == size);
	fclose(in);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	if (!folder) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		char path[4096];
		struct stat st;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (stat(path, &st) || !S_ISREG(st.st_mode))
			continue;
		run_file(path, (size_t)st.st_size);
		count++;
	}
	closedir(folder);
	printf("%u inputs\n", count);
	return count ? 0 : 1;
}
