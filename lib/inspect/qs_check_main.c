/* qs_check_main.c - the program qs_check: verifies a data file. */
#include "quickstep.h"

#include <inttypes.h>
#include <stdio.h>

static void complain(void *context, const char *sentence)
{
    printf("%s: %s\n", (const char *)context, sentence);
}

int main(int argc, char **argv)
{
    int worst = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: qs_check FILE...\n"
                        "Verifies Quickstep data files (data.mdb) that nobody is writing.\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        struct qs_check_report report;
        int rc = qs_check(argv[i], complain, argv[i], &report);
        if (rc != 0) {
            printf("%s: cannot be checked: %s\n", argv[i], qs_strerror(rc));
            worst = 2;
            continue;
        }
        printf("%s: %" PRIu64 " trees, %" PRIu64 " entries, %" PRIu64 " pages in use, %" PRIu64
               " free, %" PRIu64 " faults\n",
               argv[i], report.trees, report.entries, report.pages_reachable, report.pages_free,
               report.faults);
        if (report.faults != 0 && worst == 0)
            worst = 1;
    }
    return worst;
}
