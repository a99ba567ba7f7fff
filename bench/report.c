/* report.c - medians, ratio and spread of the measurements; see report.h.
 *
 * Owns:       nothing.
 * Invariants: P1 a ratio above 1 means that ours is better, whichever direction the metric has. Its
 *                spread is that of the pairs: two measurements made one right after the other.
 */
#include "report.h"

#include "stats.h"

#include <string.h>

struct row {
    const struct metric *metric;       /* name, unit, direction */
    unsigned pairs;                    /* in which both libraries came to their end */
    struct summary library[LIBRARIES]; /* of the values */
    struct summary ratio;              /* of each pair */
    double ratio_of_medians;           /* the figure to quote */
};

static const struct outcome *any_done(const struct report *report)
{
    for (unsigned pair = 0; pair < report->pairs; pair++)
        for (unsigned library = 0; library < LIBRARIES; library++)
            if (report->outcome[pair][library].done)
                return &report->outcome[pair][library];
    return NULL;
}

static double better(const struct metric *metric, double real, double ours)
{
    double above = metric->low ? real : ours;
    double below = metric->low ? ours : real;
    return below > 0 ? above / below : 0;
}

static bool make_row(const struct report *report, const struct outcome *pattern, unsigned m,
                     struct row *row)
{
    double values[LIBRARIES][PAIRS_MAX];
    double ratios[PAIRS_MAX];
    unsigned count = 0;

    row->metric = &pattern->metric[m];
    for (unsigned pair = 0; pair < report->pairs; pair++) {
        const struct outcome *both = report->outcome[pair];
        if (!both[REAL].done || !both[OURS].done)
            continue;
        for (unsigned library = 0; library < LIBRARIES; library++)
            values[library][count] = both[library].metric[m].value;
        ratios[count] = better(row->metric, values[REAL][count], values[OURS][count]);
        count++;
    }
    row->pairs = count;
    if (count == 0)
        return false;
    for (unsigned library = 0; library < LIBRARIES; library++)
        row->library[library] = stats_summary(values[library], count);
    row->ratio = stats_summary(ratios, count);
    row->ratio_of_medians =
        better(row->metric, row->library[REAL].median, row->library[OURS].median);
    return true;
}

/* Four significant digits, with a letter for the thousands. */
static const char *show(char *text, size_t size, double value)
{
    const char *letter = value >= 999950 ? "M" : value >= 9999.5 ? "k" : "";
    double scaled = value >= 999950 ? value / 1e6 : value >= 9999.5 ? value / 1e3 : value;
    int digits = scaled >= 999.5 ? 0 : scaled >= 99.95 ? 1 : scaled >= 9.995 ? 2 : 3;

    snprintf(text, size, "%.*f%s", digits, scaled, letter);
    return text;
}

static double spread_percent(const struct summary *summary)
{
    return summary->median > 0 ? 100 * (summary->most - summary->least) / summary->median : 0;
}

void report_table_head(FILE *table)
{
    fprintf(table, "%-18s %-8s %-6s %9s %7s %9s %7s %7s  %s\n", "workload", "metric", "unit",
            "real", "spread", "ours", "spread", "ratio", "of pairs");
}

static void table_row(FILE *table, const struct report *report, const struct row *row)
{
    char real[24];
    char ours[24];

    fprintf(table, "%-18s %-8s %-6s %9s %6.0f%% %9s %6.0f%% %7.2f  %.2f-%.2f\n", report->workload,
            row->metric->name, row->metric->unit,
            show(real, sizeof real, row->library[REAL].median), spread_percent(&row->library[REAL]),
            show(ours, sizeof ours, row->library[OURS].median), spread_percent(&row->library[OURS]),
            row->ratio_of_medians, row->ratio.least, row->ratio.most);
}

static void table_failures(FILE *table, const struct report *report)
{
    static const char *const names[LIBRARIES] = {"real", "ours"};

    for (unsigned library = 0; library < LIBRARIES; library++) {
        unsigned count = 0;
        const char *why = "";
        for (unsigned pair = 0; pair < report->pairs; pair++) {
            if (!report->outcome[pair][library].done) {
                count++;
                why = report->outcome[pair][library].error;
            }
        }
        if (count > 0)
            fprintf(table, "%-18s %s failed %u of %u times: %s\n", report->workload, names[library],
                    count, report->pairs, why);
    }
}

void report_table(FILE *table, const struct report *report)
{
    const struct outcome *pattern = any_done(report);
    struct row row;

    for (unsigned m = 0; pattern != NULL && m < pattern->count; m++)
        if (make_row(report, pattern, m, &row))
            table_row(table, report, &row);
    table_failures(table, report);
    fflush(table);
}

void report_csv_head(FILE *csv)
{
    fprintf(csv, "workload,metric,unit,better,pairs,real_median,real_least,real_most,ours_median,"
                 "ours_least,ours_most,ratio,ratio_least,ratio_most\n");
}

void report_csv(FILE *csv, const struct report *report)
{
    const struct outcome *pattern = any_done(report);
    struct row row;

    for (unsigned m = 0; pattern != NULL && m < pattern->count; m++) {
        if (!make_row(report, pattern, m, &row))
            continue;
        fprintf(csv, "%s,%s,%s,%s,%u", report->workload, row.metric->name, row.metric->unit,
                row.metric->low ? "less" : "more", row.pairs);
        for (unsigned library = 0; library < LIBRARIES; library++)
            fprintf(csv, ",%.6g,%.6g,%.6g", row.library[library].median, row.library[library].least,
                    row.library[library].most);
        fprintf(csv, ",%.4g,%.4g,%.4g\n", row.ratio_of_medians, row.ratio.least, row.ratio.most);
    }
    fflush(csv);
}

bool report_failed(const struct report *report)
{
    for (unsigned pair = 0; pair < report->pairs; pair++)
        for (unsigned library = 0; library < LIBRARIES; library++)
            if (!report->outcome[pair][library].done)
                return true;
    return false;
}
