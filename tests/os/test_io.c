/* test_io.c - the same properties for all implementations of os/io.h, then what is particular to
 * each: refused rings, forked children, faults, power cuts.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_DIRECT */
#endif

#include "recording_io.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_BYTES (4u << 20)

static const struct qs_io_ops *const all_io[] = {&qs_io_posix, &qs_io_uring, &recording_io};
#define IO_COUNT 3

/* Parameters are indices: Criterion runs a test in a process of its own, where pointers differ. */
static const int io_indices[IO_COUNT] = {0, 1, 2};

#define FOR_ALL_IO(test)                                                                           \
    ParameterizedTestParameters(io, test)                                                          \
    {                                                                                              \
        return cr_make_param_array(const int, (void *)io_indices, IO_COUNT);                       \
    }                                                                                              \
    ParameterizedTest(const int *index, io, test)

/* ---- helpers ---- */

struct fixture {
    const struct qs_io_ops *io; /* under test */
    struct qs_io_file *file;    /* attached */
    int fd;                     /* of our own, to look at the result */
};

static char *temp_path(char *buffer, size_t size)
{
    const char *dir = getenv("TMPDIR");
    int fd;

    snprintf(buffer, size, "%s/qs-test-io.XXXXXX", dir != NULL ? dir : "/tmp");
    fd = mkstemp(buffer);
    cr_assert_geq(fd, 0);
    close(fd);
    return buffer;
}

/* An unlinked file, attached; with O_DIRECT if `flags` say so. Skips the test where the file system
 * has no O_DIRECT. */
static struct fixture fixture_open_with(const struct qs_io_ops *io, int flags)
{
    struct fixture fixture = {.io = io};
    char path[256];
    int fd;

    if (io == &recording_io)
        recording_start(false);
    temp_path(path, sizeof path);
    fixture.fd = open(path, O_RDWR | O_CLOEXEC);
    fd = open(path, O_RDWR | O_CLOEXEC | flags);
    if (fd < 0 && flags != 0) {
        unlink(path);
        cr_skip_test("no O_DIRECT in the directory for temporary files");
    }
    cr_assert(fixture.fd >= 0 && fd >= 0);
    unlink(path);
    cr_assert_eq(io->attach(fd, &fixture.file), 0);
    return fixture;
}

static struct fixture fixture_open(const struct qs_io_ops *io)
{
    return fixture_open_with(io, 0);
}

static void fixture_close(struct fixture *fixture)
{
    fixture->io->close(fixture->file);
    close(fixture->fd);
    recording_stop();
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static off_t file_size(int fd)
{
    struct stat st;

    cr_assert_eq(fstat(fd, &st), 0);
    return st.st_size;
}

/* Compares the whole file with what it should be. */
static void expect_content(int fd, const unsigned char *model, size_t size)
{
    unsigned char *got = malloc(size + 1);

    cr_assert_eq(file_size(fd), (off_t)size);
    cr_assert_eq(pread(fd, got, size, 0), (ssize_t)size);
    cr_assert_eq(memcmp(got, model, size), 0);
    free(got);
}

/* Cuts [0, size) into pieces of random length, in random order, some left out, some empty, filled
 * with random bytes that are also put into the model. Returns their number. */
static size_t make_pieces(struct io_write *pieces, size_t max, unsigned char *model, size_t size,
                          size_t longest, uint64_t *seed)
{
    size_t count = 0, at = 0;

    while (at < size && count < max) {
        size_t length = random_next(seed) % (longest + 1);

        if (length > size - at)
            length = size - at;
        if (random_next(seed) % 4 != 0) {
            for (size_t i = 0; i < length; i++)
                model[at + i] = (unsigned char)random_next(seed);
            pieces[count++] = (struct io_write){at, model + at, length};
        }
        at += length;
    }
    for (size_t i = count; i > 1 && random_next(seed) % 8 != 0; i--) {
        size_t other = random_next(seed) % i;
        struct io_write swap = pieces[i - 1];

        pieces[i - 1] = pieces[other];
        pieces[other] = swap;
    }
    return count;
}

static void run_random_batches(const struct qs_io_ops *io, size_t longest, uint64_t seed)
{
    struct fixture fixture = fixture_open(io);
    unsigned char *model = calloc(1, FILE_BYTES);
    struct io_write *pieces = malloc(4096 * sizeof *pieces);

    cr_assert_eq(io->truncate(fixture.file, FILE_BYTES), 0);
    for (int round = 0; round < 8; round++) {
        size_t count = make_pieces(pieces, 4096, model, FILE_BYTES, longest, &seed);

        cr_assert_eq(io->write(fixture.file, pieces, count), 0);
        cr_assert_eq(io->flush(fixture.file), 0);
        expect_content(fixture.fd, model, FILE_BYTES);
    }
    free(pieces);
    free(model);
    fixture_close(&fixture);
}

/* As make_pieces(), in whole blocks: up to eight a piece, in mixed order. */
static size_t make_blocks(struct io_write *pieces, unsigned char *model, uint64_t *seed)
{
    const size_t blocks = FILE_BYTES / 4096;
    size_t count = 0;

    for (size_t i = 0; i < blocks; i += 8) {
        size_t block = i * 37 % blocks;
        size_t size = (1 + random_next(seed) % 8) * 4096;

        memset(model + block * 4096, (int)random_next(seed), size);
        pieces[count++] = (struct io_write){block * 4096, model + block * 4096, size};
    }
    return count;
}

/* Whole blocks in mixed order to an O_DIRECT file: the way that goes through the ring. */
static void run_direct_batches(const struct qs_io_ops *io, uint64_t seed)
{
    struct fixture fixture = fixture_open_with(io, O_DIRECT);
    unsigned char *model = aligned_alloc(4096, FILE_BYTES);
    struct io_write *pieces = malloc(1024 * sizeof *pieces);

    memset(model, 0, FILE_BYTES);
    cr_assert_eq(io->truncate(fixture.file, FILE_BYTES), 0);
    for (int round = 0; round < 8; round++) {
        size_t count = make_blocks(pieces, model, &seed);

        cr_assert_eq(io->write(fixture.file, pieces, count), 0);
        cr_assert_eq(io->flush_range(fixture.file, 4096, 65536), 0);
        expect_content(fixture.fd, model, FILE_BYTES);
    }
    free(pieces);
    free(model);
    fixture_close(&fixture);
}

/* ---- the same for all ---- */

FOR_ALL_IO(batches)
{
    const struct qs_io_ops *io = all_io[*index];
    run_random_batches(io, 16, 11);
    run_random_batches(io, 4096, 12);
    run_random_batches(io, 300000, 13);
}

FOR_ALL_IO(edges)
{
    const struct qs_io_ops *io = all_io[*index];
    struct fixture fixture = fixture_open(io);
    struct io_write none[] = {{0, "", 0}, {100, "", 0}};
    struct io_write one = {5, "hello", 5};

    cr_assert_eq(io->write(fixture.file, NULL, 0), 0);
    cr_assert_eq(io->write(fixture.file, none, 2), 0);
    cr_assert_eq(file_size(fixture.fd), 0);
    cr_assert_eq(io->write(fixture.file, &one, 1), 0);
    expect_content(fixture.fd, (const unsigned char *)"\0\0\0\0\0hello", 10);
    cr_assert_eq(io->flush_range(fixture.file, 0, 0), 0);
    cr_assert_eq(io->flush_range(fixture.file, 3, 5), 0);
    cr_assert_eq(io->flush_range(fixture.file, 3, 1 << 20), 0);
    cr_assert_eq(io->flush_range(fixture.file, 4096, UINT64_C(1) << 40), 0);
    cr_assert_eq(io->flush_range(fixture.file, 1 << 30, 4096), 0);
    fixture_close(&fixture);
}

/* One flush ahead at a time, also beside other calls, and one that is under way at the close. */
FOR_ALL_IO(flushes_ahead)
{
    const struct qs_io_ops *io = all_io[*index];
    struct fixture fixture = fixture_open(io);
    static const unsigned char data[100000];
    struct io_write all = {0, data, sizeof data};

    cr_assert(io->flush_ahead_ended(fixture.file));
    for (unsigned i = 0; i < 3; i++) {
        unsigned asked = 0;

        cr_assert_eq(io->write(fixture.file, &all, 1), 0);
        io->flush_ahead(fixture.file);
        io->flush_ahead(fixture.file);
        cr_assert_eq(io->flush_range(fixture.file, 0, 4096), 0);
        for (; !io->flush_ahead_ended(fixture.file); asked++) {
            cr_assert_lt(asked, 10000, "it does not end");
            usleep(1000);
        }
    }
    cr_assert_eq(io->write(fixture.file, &all, 1), 0);
    io->flush_ahead(fixture.file);
    fixture_close(&fixture);
}

FOR_ALL_IO(sizes)
{
    const struct qs_io_ops *io = all_io[*index];
    struct fixture fixture = fixture_open(io);
    unsigned char *model = calloc(1, 65536);
    struct io_write all = {0, model, 65536};

    memset(model, 7, 65536);
    cr_assert_eq(io->write(fixture.file, &all, 1), 0);
    cr_assert_eq(io->punch(fixture.file, 8192, 16384), 0);
    memset(model + 8192, 0, 16384);
    expect_content(fixture.fd, model, 65536);
    cr_assert_eq(io->punch(fixture.file, 65536, 1 << 20), 0);
    cr_assert_eq(io->punch(fixture.file, 0, 0), 0);
    expect_content(fixture.fd, model, 65536);
    cr_assert_eq(io->truncate(fixture.file, 32768), 0);
    expect_content(fixture.fd, model, 32768);
    free(model);
    fixture_close(&fixture);
}

/* A read-only descriptor, a full device, a size limit in the middle of a batch. */
FOR_ALL_IO(errors)
{
    const struct qs_io_ops *io = all_io[*index];
    static unsigned char data[65536];
    struct rlimit limit = {40000, RLIM_INFINITY};
    struct io_write scattered[100];
    struct qs_io_file *file;
    struct fixture fixture;

    for (size_t i = 0; i < 100; i++)
        scattered[i] = (struct io_write){i * 8192, data, 4096};
    cr_assert_eq(io->attach(open("/dev/null", O_RDONLY), &file), 0);
    cr_assert_eq(io->write(file, scattered, 1), EBADF);
    cr_assert_eq(io->write(file, scattered, 100), EBADF);
    io->close(file);
    cr_assert_eq(io->attach(open("/dev/full", O_RDWR), &file), 0);
    cr_assert_eq(io->write(file, scattered, 100), ENOSPC);
    io->close(file);

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fixture = fixture_open(io);
    cr_assert_eq(io->write(fixture.file, scattered, 4), 0);
    cr_assert_eq(io->write(fixture.file, scattered, 100), EFBIG);
    scattered[0].size = sizeof data;
    cr_assert_eq(io->write(fixture.file, scattered, 1), EFBIG);
    cr_assert_eq(io->truncate(fixture.file, 50000), EFBIG);
    cr_assert_eq(io->truncate(fixture.file, 30000), 0);
    cr_assert_eq(io->write(fixture.file, scattered + 1, 2), 0);
    fixture_close(&fixture);
}

struct stress {
    const struct qs_io_ops *io; /* under test */
    struct qs_io_file *file;    /* shared by all */
    unsigned index;             /* of the thread */
};

static void *stress_run(void *arg)
{
    struct stress *stress = arg;
    unsigned char block[512];
    struct io_write pieces[150];

    memset(block, (int)stress->index + 1, sizeof block);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 150; i++)
            pieces[i] = (struct io_write){(i * 4 + stress->index) * 512, block, 512};
        if (stress->io->write(stress->file, pieces, 150) != 0)
            return stress;
        if (stress->io->flush_range(stress->file, stress->index * 4096, 4096) != 0)
            return stress;
    }
    return NULL;
}

FOR_ALL_IO(threads)
{
    const struct qs_io_ops *io = all_io[*index];
    struct fixture fixture = fixture_open(io);
    unsigned char *model = malloc(600 * 512);
    struct stress stress[4];
    pthread_t threads[4];
    void *failed;

    for (unsigned i = 0; i < 4; i++) {
        stress[i] = (struct stress){io, fixture.file, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, stress_run, &stress[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    for (unsigned i = 0; i < 600; i++)
        memset(model + i * 512, (int)(i % 4) + 1, 512);
    expect_content(fixture.fd, model, 600 * 512);
    free(model);
    fixture_close(&fixture);
}

/* ---- forked children and refused rings ---- */

static const struct io_write far_apart[] = {{0, "abcd", 4}, {8192, "efgh", 4}, {100, "ijkl", 4}};

/* A child that inherits an attached file may use and close it; the parent's goes on. */
FOR_ALL_IO(forked)
{
    const struct qs_io_ops *io = all_io[*index];
    struct fixture fixture = fixture_open(io);
    char got[4];
    int status;
    pid_t child;

    cr_assert_eq(io->write(fixture.file, far_apart, 2), 0);
    cr_assert_eq(io->flush_range(fixture.file, 0, 4096), 0);
    child = fork();
    if (child == 0) {
        int bad = io->write(fixture.file, far_apart, 3) != 0 ||
                  io->flush_range(fixture.file, 0, 4096) != 0;

        io->close(fixture.file);
        _exit(bad);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(pread(fixture.fd, got, 4, 100), 4);
    cr_assert_eq(memcmp(got, "ijkl", 4), 0);
    cr_assert_eq(io->write(fixture.file, far_apart, 3), 0);
    cr_assert_eq(io->flush_range(fixture.file, 0, 4096), 0);
    fixture_close(&fixture);
}

/* Makes one system call answer EPERM from here on. */
static void refuse(unsigned call)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

FOR_ALL_IO(direct)
{
    run_direct_batches(all_io[*index], 14);
}

static const struct io_write *aligned_pieces(void)
{
    static _Alignas(4096) unsigned char block[4096] = "aligned";
    static struct io_write pieces[200];

    for (size_t i = 0; i < 200; i++)
        pieces[i] = (struct io_write){i * 8192, block, 4096};
    return pieces;
}

Test(uring, refused_at_setup)
{
    refuse(SYS_io_uring_setup);
    run_direct_batches(&qs_io_uring, 21);
    run_random_batches(&qs_io_uring, 4096, 21);
}

Test(uring, refused_in_use)
{
    struct fixture fixture = fixture_open_with(&qs_io_uring, O_DIRECT);
    const struct io_write *pieces = aligned_pieces();

    cr_assert_eq(qs_io_uring.write(fixture.file, pieces, 200), 0);
    cr_assert_eq(qs_io_uring.flush_range(fixture.file, 0, 4096), 0);
    qs_io_uring.flush_ahead(fixture.file);
    refuse(SYS_io_uring_enter);
    for (int i = 0; i < 3; i++) {
        qs_io_uring.flush_ahead(fixture.file);
        (void)qs_io_uring.flush_ahead_ended(fixture.file);
        cr_assert_eq(qs_io_uring.write(fixture.file, pieces, 200), 0);
        cr_assert_eq(qs_io_uring.flush_range(fixture.file, 0, 4096), 0);
    }
    fixture_close(&fixture);
    run_direct_batches(&qs_io_uring, 22);
}

/* The ring's own errors and short writes: past a size limit, unaligned, then in a child. */
Test(uring, direct_errors)
{
    struct fixture fixture = fixture_open_with(&qs_io_uring, O_DIRECT);
    const struct io_write *pieces = aligned_pieces();
    struct rlimit limit = {40960, RLIM_INFINITY};
    int status;
    pid_t child;

    cr_assert_eq(qs_io_uring.write(fixture.file, pieces, 200), 0);
    child = fork();
    if (child == 0) {
        int bad = qs_io_uring.write(fixture.file, pieces, 200);

        qs_io_uring.close(fixture.file);
        _exit(bad);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(qs_io_uring.write(fixture.file, pieces, 200), EFBIG);
    cr_assert_eq(qs_io_uring.write(fixture.file, pieces, 5), 0);
    cr_assert_eq(qs_io_uring.write(fixture.file, far_apart, 3), EINVAL);
    cr_assert_eq(qs_io_uring.write(fixture.file, pieces, 5), 0);
    fixture_close(&fixture);
}

Test(uring, is_default_or_posix)
{
    cr_assert(qs_io_default() == &qs_io_uring || qs_io_default() == &qs_io_posix);
}
