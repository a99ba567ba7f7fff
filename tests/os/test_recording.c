/* test_recording.c - the recording I/O itself: what it says a power cut can leave. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mkostemp() */
#endif

#include "recording_io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/qs-test-recording.XXXXXX";
static struct qs_io_file *file; /* "data", attached */

/* A file of 16 KiB of '0', recorded from there. */
static void begin(void)
{
    static char zeros[16384];
    int fd;

    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    fd = open("data", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    memset(zeros, '0', sizeof zeros);
    cr_assert_eq(write(fd, zeros, sizeof zeros), (ssize_t)sizeof zeros);
    recording_start(true);
    cr_assert_eq(recording_io.attach(fd, &file), 0);
}

static void end(void)
{
    recording_io.close(file);
    recording_stop();
    unlink("data");
    unlink("cut");
    cr_assert_eq(chdir("/"), 0);
    rmdir(directory);
}

TestSuite(recording, .init = begin, .fini = end);

/* Fills a stretch with one byte value. */
static int fill(uint64_t offset, int value, size_t size)
{
    static char bytes[65536];
    struct io_write write = {offset, bytes, size};

    memset(bytes, value, size);
    return recording_io.write(file, &write, 1);
}

/* One byte of each 512-byte sector of the cut file from `sector` on, as a string. */
static const char *cut_view(const struct power_cut *cut, unsigned sector, unsigned count)
{
    static char view[129];
    int fd;

    cr_assert_eq(recording_materialise("cut", cut), 0);
    fd = open("cut", O_RDONLY);
    memset(view, 0, sizeof view);
    for (unsigned i = 0; i < count; i++) {
        if (pread(fd, &view[i], 1, (off_t)(sector + i) * 512) != 1)
            view[i] = '-';
        else if (view[i] == 0)
            view[i] = '.';
    }
    close(fd);
    return view;
}

static bool keep_odd_sectors(void *arg, size_t event, uint64_t offset, uint64_t size)
{
    (void)arg;
    (void)event;
    (void)size;
    return offset / 512 % 2 == 1;
}

static bool keep_one_event(void *arg, size_t event, uint64_t offset, uint64_t size)
{
    (void)offset;
    (void)size;
    return event == *(const size_t *)arg;
}

Test(recording, flushed_stays)
{
    struct power_cut lost = {.event = 1};
    struct power_cut kept = {.event = 1, .sector_size = 512, .keep = recording_keep_all};
    struct power_cut torn = {.event = 1, .sector_size = 512, .keep = keep_odd_sectors};

    cr_assert_eq(fill(0, 'a', 2048), 0);
    cr_assert_eq(recording_io.flush(file), 0);
    cr_assert_eq(recording_events(), 2);
    cr_assert_str_eq(cut_view(&lost, 0, 5), "00000");
    cr_assert_str_eq(cut_view(&kept, 0, 5), "aaaa0");
    cr_assert_str_eq(cut_view(&torn, 0, 5), "0a0a0");
    lost.event = torn.event = 2;
    cr_assert_str_eq(cut_view(&lost, 0, 5), "aaaa0");
    cr_assert_str_eq(cut_view(&torn, 0, 5), "aaaa0");
}

/* Of two unflushed writes the later may arrive without the earlier, and the earlier alone. */
Test(recording, unflushed_in_any_order)
{
    size_t event = 0;
    struct power_cut one = {.event = 2, .keep = keep_one_event, .arg = &event};

    cr_assert_eq(fill(0, 'a', 1024), 0);
    cr_assert_eq(fill(512, 'b', 1024), 0);
    cr_assert_str_eq(cut_view(&one, 0, 4), "aa00");
    event = 1;
    cr_assert_str_eq(cut_view(&one, 0, 4), "0bb0");
    one.keep = recording_keep_all;
    cr_assert_str_eq(cut_view(&one, 0, 4), "abb0");
}

/* A range flush holds what it covers of older writes, nothing else. */
Test(recording, range_flush)
{
    struct power_cut lost = {.event = 100};

    cr_assert_eq(fill(0, 'a', 2048), 0);
    cr_assert_eq(recording_io.flush_range(file, 512, 1024), 0);
    cr_assert_eq(fill(1024, 'b', 512), 0);
    cr_assert_str_eq(cut_view(&lost, 0, 5), "0aa00");
    cr_assert_eq(recording_io.flush_range(file, 0, 2048), 0);
    cr_assert_str_eq(cut_view(&lost, 0, 5), "aaba0");
}

/* What a failed flush left behind no later flush is trusted with. */
Test(recording, failed_flush)
{
    struct power_cut lost = {.event = 100};

    cr_assert_eq(fill(0, 'a', 512), 0);
    recording_fail(1, FAULT_EIO, false);
    cr_assert_eq(recording_io.flush(file), EIO);
    cr_assert_eq(fill(512, 'b', 512), 0);
    cr_assert_eq(recording_io.flush(file), 0);
    cr_assert_str_eq(cut_view(&lost, 0, 3), "0b0");
    lost.keep = recording_keep_all;
    cr_assert_str_eq(cut_view(&lost, 0, 3), "ab0");
}

Test(recording, sizes)
{
    struct power_cut lost = {.event = 100};
    struct power_cut kept = {.event = 100, .keep = recording_keep_all};

    cr_assert_eq(recording_io.truncate(file, 1024), 0);
    cr_assert_eq(recording_io.punch(file, 0, 512), 0);
    cr_assert_eq(recording_io.truncate(file, 2048), 0);
    cr_assert_str_eq(cut_view(&lost, 0, 5), "00000");
    cr_assert_str_eq(cut_view(&kept, 0, 5), ".0..-");
    cr_assert_eq(recording_io.flush(file), 0);
    cr_assert_str_eq(cut_view(&lost, 0, 5), ".0..-");
}

Test(recording, faults)
{
    static char bytes[1024];
    struct io_write two[] = {{0, bytes, 1024}, {4096, bytes, 1024}};
    struct power_cut kept = {.event = 100, .keep = recording_keep_all};

    memset(bytes, 'x', sizeof bytes);
    recording_fail(2, FAULT_ENOSPC, false);
    cr_assert_eq(fill(2048, 'a', 512), 0);
    cr_assert_eq(recording_io.write(file, two, 2), ENOSPC);
    cr_assert_eq(fill(2048, 'b', 512), 0);
    cr_assert_eq(recording_events(), 2);
    cr_assert_str_eq(cut_view(&kept, 0, 9), "0000b0000");
    recording_fail(1, FAULT_SHORT, true);
    two[0].size = 512;
    cr_assert_eq(recording_io.write(file, two, 2), EIO);
    cr_assert_eq(recording_io.truncate(file, 0), EIO);
    cr_assert_eq(recording_io.flush(file), EIO);
    recording_fail(0, FAULT_NONE, false);
    cr_assert_eq(recording_io.flush(file), 0);
    cr_assert_str_eq(cut_view(&kept, 0, 9), "x000b000x");
    cr_assert_eq(recording_calls(), 7);
}

/* Stores to a mapping are found at the next flush. */
Test(recording, mapping)
{
    struct power_cut lost = {.event = 100};
    int fd = open("data", O_RDWR);
    char *map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    cr_assert_neq(map, MAP_FAILED);
    memset(map + 1000, 'm', 100);
    memset(map + 16000, 'n', 384);
    cr_assert_eq(recording_io.flush(file), 0);
    cr_assert_eq(recording_events(), 4);
    cr_assert_eq(recording_event(0).offset, 512);
    cr_assert_str_eq(cut_view(&lost, 0, 4), "00m0");
    cr_assert_eq(recording_io.flush(file), 0);
    cr_assert_eq(recording_events(), 5);
    munmap(map, 16384);
    close(fd);
}

/* With everything kept, each cut is the file as it was then. */
Test(recording, replay_is_exact)
{
    unsigned char want[65536], got[65536];
    uint64_t seed = 42;
    struct power_cut cut = {.keep = recording_keep_all, .sector_size = 4096};
    int fd = open("data", O_RDONLY), copy;

    for (unsigned i = 0; i < 200; i++) {
        ssize_t size;

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        if (i % 17 == 16)
            cr_assert_eq(recording_io.truncate(file, seed >> 49), 0);
        else if (i % 13 == 12)
            cr_assert_eq(recording_io.flush(file), 0);
        else
            cr_assert_eq(fill(seed >> 49, (int)i, seed >> 20 & 4095), 0);
        cut.event = recording_events();
        cr_assert_eq(recording_materialise("cut", &cut), 0);
        copy = open("cut", O_RDONLY);
        size = pread(fd, want, sizeof want, 0);
        cr_assert_eq(pread(copy, got, sizeof got, 0), size);
        cr_assert_eq(memcmp(want, got, (size_t)size), 0);
        close(copy);
    }
    close(fd);
}
