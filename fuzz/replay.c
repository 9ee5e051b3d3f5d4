/* replay.c - a fuzz target as a plain program: runs the files that are named on the command line. */
#include "input.h"

static int run(const char *name)
{
    static uint8_t held[1 << 20];
    FILE *file = fopen(name, "rb");
    uint8_t *data;
    size_t size;
    if (!file)
        return 0;
    size = fread(held, 1, sizeof held, file);
    fclose(file);
    data = filled(size, 0); /* of exactly this size */
    memcpy(data, held, size);
    fprintf(stderr, "%s\n", name); /* the last one named is the one that broke */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        if (!run(argv[i])) {
            perror(argv[i]);
            return 2;
        }
    }
    return 0;
}
