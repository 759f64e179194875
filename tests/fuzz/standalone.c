// A plain main for fuzz targets, so that their corpora replay in the ordinary suite, with the ordinary compiler.
// TARGET [FILE|FOLDER]...: replays every file; without arguments those of tests/fuzz/corpus/TARGET. Speaks TAP.
#include "base/arena.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    cleanup_free uint8_t *data = memory_alloc(size);
    bool whole = fread(data, 1, size, file) == size;
    (void)fclose(file);
    return whole && LLVMFuzzerTestOneInput(data, size) == 0;
}

// The number of inputs replayed; -1 when one cannot be read. A crash says itself.
static long replay(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0)
        return -1;
    if (S_ISREG(about.st_mode))
        return replay_file(path, (size_t)about.st_size) ? 1 : -1;
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    long total = 0;
    for (const struct dirent *entry; total >= 0 && (entry = readdir(folder));) {
        char inside[4096];
        if (entry->d_name[0] == '.')
            continue;
        int length = snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
        long count = length > 0 && (size_t)length < sizeof(inside) ? replay(inside) : -1;
        total = count < 0 ? -1 : total + count;
    }
    (void)closedir(folder);
    return total;
}

int main(int argc, char **argv) {
    char corpus[512];
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    char *defaults[] = {argv[0], corpus, NULL};
    (void)snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%.200s", name);
    if (argc < 2)
        argv = defaults;
    long total = 0;
    (void)printf("1..1\n");
    for (char **path = argv + 1; *path && total >= 0; path++) {
        long count = replay(*path);
        if (count < 0)
            (void)printf("# cannot replay %s\n", *path);
        total = count < 0 ? -1 : total + count;
    }
    (void)printf("%s 1 - %s: %ld inputs replayed\n", total > 0 ? "ok" : "not ok", name, total < 0 ? 0 : total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
