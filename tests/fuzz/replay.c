/* Runs a fuzz target without a fuzzer: a fixed sequence of pseudo-random inputs, then the files named on the command line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDS = 4000, INPUT_MAX = 2048 };

static uint64_t state = 0x9e3779b97f4a7c15ull;
static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int replay_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return 1;
	}
	size_t size = fread(data, 1, sizeof(data), f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

int main(int argc, char **argv)
{
	static uint8_t data[INPUT_MAX];
	int failed = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t size = next_random() % INPUT_MAX;
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)(next_random() >> 32);
		LLVMFuzzerTestOneInput(data, size);
	}
	for (int i = 1; i < argc; i++)
		failed |= replay_file(argv[i]);
	printf("%d pseudo-random inputs and %d files\n", ROUNDS, argc - 1);
	return failed;
}
