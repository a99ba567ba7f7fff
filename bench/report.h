/* report.h - the measurements of one workload, as rows of the table and of the CSV file. */
#ifndef QS_BENCH_REPORT_H
#define QS_BENCH_REPORT_H

#include "run.h"

#include <stdio.h>

enum { REAL, OURS, LIBRARIES };
enum { PAIRS_MAX = 99 };

struct report {
    const char *workload;                         /* its name */
    unsigned pairs;                               /* measurements of each library */
    struct outcome outcome[PAIRS_MAX][LIBRARIES]; /* in the order they were made */
};

void report_table_head(FILE *table);
void report_table(FILE *table, const struct report *report);
void report_csv_head(FILE *csv);
void report_csv(FILE *csv, const struct report *report);
/* True when a measurement did not come to its end. */
bool report_failed(const struct report *report);

#endif
