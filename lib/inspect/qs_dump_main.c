/* qs_dump_main.c - the program qs_dump: prints what a data file holds. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr,
            "usage: qs_dump FILE [meta|trees|space|page NUMBER]\n"
            "Prints the inside of a Quickstep data file (data.mdb): meta page and trees, or\n"
            "what is named.\n");
    return 2;
}

static int show(struct inspect *inspect, int argc, char **argv)
{
    if (argc == 2) {
        qs_dump_meta(inspect);
        return qs_dump_trees(inspect);
    }
    if (argc == 4 && strcmp(argv[2], "page") == 0)
        return qs_dump_page(inspect, strtoull(argv[3], NULL, 0));
    if (argc == 3 && strcmp(argv[2], "trees") == 0)
        return qs_dump_trees(inspect);
    if (argc == 3 && strcmp(argv[2], "space") == 0)
        return qs_dump_space(inspect);
    if (argc == 3 && strcmp(argv[2], "meta") == 0) {
        qs_dump_meta(inspect);
        return 0;
    }
    exit(usage());
}

int main(int argc, char **argv)
{
    struct inspect inspect;
    if (argc < 2)
        return usage();
    int rc = qs_inspect_open(&inspect, argv[1]);
    if (rc == 0) {
        rc = show(&inspect, argc, argv);
        qs_inspect_close(&inspect);
    }
    if (rc != 0)
        fprintf(stderr, "qs_dump: %s: %s\n", argv[1], qs_strerror(rc));
    return rc == 0 ? 0 : 1;
}
