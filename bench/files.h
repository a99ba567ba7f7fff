/* files.h - the directories of the measurements. */
#ifndef QS_BENCH_FILES_H
#define QS_BENCH_FILES_H

/* Makes an empty directory, whatever there was. 0 or errno. */
int files_empty(const char *directory);
/* Removes a directory of environments, with all that is in it. */
void files_remove(const char *directory);
/* Copies the data file of one environment into another, to the device. 0 or errno. */
int files_copy_database(const char *from, const char *to);

#endif
