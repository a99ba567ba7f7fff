/* test_lockfile.c - opening, sharing and closing the lock file, by one process and by several. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2() */
#endif

#include "children.h"

TestSuite(lockfile, .init = enter_directory, .fini = leave_directory);

static off_t size_of(const char *path)
{
    struct stat st;

    cr_assert_eq(stat(path, &st), 0);
    return st.st_size;
}

static void write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, size), (ssize_t)size);
    close(fd);
}

Test(lockfile, created_and_kept)
{
    struct lockfile *lockfile;
    struct stat st;

    umask(022);
    cr_assert_eq(qs_lockfile_max_readers(lockfile = open_with(8, true)), 8);
    qs_lockfile_close(lockfile, false);
    cr_assert_eq(stat("lock", &st), 0);
    cr_assert_eq(st.st_size, LOCKFILE_SLOTS_OFFSET + 8 * 64);
    cr_assert_eq(st.st_mode & 0777, 0644);
}

Test(lockfile, size_decides)
{
    struct lockfile *lockfile = open_with(200, true);

    qs_lockfile_close(lockfile, false);
    lockfile = open_with(10, true);
    cr_assert_eq(qs_lockfile_max_readers(lockfile), 200);
    qs_lockfile_close(lockfile, false);
    lockfile = open_with(300, true);
    cr_assert_eq(qs_lockfile_max_readers(lockfile), 300);
    qs_lockfile_close(lockfile, false);
    cr_assert_eq(size_of("lock"), LOCKFILE_SLOTS_OFFSET + 300 * 64);
}

Test(lockfile, errors)
{
    struct lockfile *lockfile;
    bool first;

    cr_assert_eq(qs_lockfile_open("none/lock", 0644, 8, &lockfile, &first), ENOENT);
    cr_assert_eq(qs_lockfile_open(directory, 0644, 8, &lockfile, &first), EISDIR);
    cr_assert_eq(qs_lockfile_open("/dev/null", 0644, 8, &lockfile, &first), ENODEV);
}

Test(lockfile, first_starts_afresh)
{
    struct lockfile *lockfile = open_with(8, true);
    struct lock_header *header = qs_lockfile_header(lockfile);
    struct reader_use uses[8];
    struct reader *reader;

    atomic_store(&header->checkpoint, 17);
    atomic_store(&header->failed, 1);
    cr_assert_eq(qs_reader_acquire(lockfile, &reader), 0);
    qs_reader_publish(reader, 3, 4);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 8), 1);
    qs_lockfile_close(lockfile, false);

    lockfile = open_with(8, true);
    header = qs_lockfile_header(lockfile);
    cr_assert_eq(atomic_load(&header->checkpoint), 0);
    cr_assert_eq(atomic_load(&header->failed), 0);
    cr_assert_eq(qs_reader_high_water(lockfile), 0);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 8), 0);
    qs_lockfile_close(lockfile, false);
}

/* Any bytes at all are fine while nobody has it open. */
Test(lockfile, garbage_alone)
{
    static const size_t sizes[] = {0, 1, 100, 255, 256, 300, 319, 320, 5000, 70000};
    unsigned char *garbage = malloc(70000);
    struct reader_use uses[2000];
    struct lockfile *lockfile;
    struct reader *reader;
    bool recovered;

    for (size_t i = 0; i < 70000; i++)
        garbage[i] = (unsigned char)(i * 2654435761u >> 13 | 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_file("lock", garbage, sizes[i]);
        lockfile = open_with(4, true);
        cr_assert_geq(qs_lockfile_max_readers(lockfile), 4);
        cr_assert_eq(qs_reader_scan(lockfile, uses, 2000), 0);
        for (unsigned n = qs_lockfile_max_readers(lockfile); n > 0; n--)
            cr_assert_eq(qs_reader_acquire(lockfile, &reader), 0);
        cr_assert_eq(qs_reader_acquire(lockfile, &reader), QS_E_READERS_FULL);
        cr_assert_eq(qs_reader_scan(lockfile, uses, 2000), 0);
        cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
        cr_assert_not(recovered);
        qs_writer_unlock(lockfile);
        qs_lockfile_close(lockfile, false);
    }
    free(garbage);
}

/* In a child: holds a read lock on byte 0 of a file as it stands. */
static void child_hold(struct signals *signals)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int fd = open("lock", O_RDWR);

    CHILD_EXPECT(fcntl(fd, F_SETLK, &lock) == 0);
    signal_send(signals->to_parent);
    signal_wait(signals->to_child);
    _exit(0);
}

static int open_held(const void *data, size_t size)
{
    struct lockfile *lockfile;
    struct signals signals;
    bool first;
    pid_t child;
    int rc;

    write_file("lock", data, size);
    signals_open(&signals);
    child = fork();
    if (child == 0)
        child_hold(&signals);
    signal_wait(signals.to_parent);
    rc = qs_lockfile_open("lock", 0644, 8, &lockfile, &first);
    signal_send(signals.to_child);
    wait_exit(child);
    return rc;
}

Test(lockfile, garbage_in_use)
{
    union {
        struct lock_header header;
        unsigned char bytes[LOCKFILE_SLOTS_OFFSET + 4 * 64];
    } file;

    memset(&file, 'g', sizeof file);
    cr_assert_eq(open_held(&file, 0), QS_E_INVALID);
    cr_assert_eq(open_held(&file, 100), QS_E_INVALID);
    cr_assert_eq(open_held(&file, sizeof file), QS_E_INVALID);
    memset(&file, 0, sizeof file);
    file.header.magic = LOCKFILE_MAGIC;
    file.header.format = LOCKFILE_FORMAT + 1;
    cr_assert_eq(open_held(&file, sizeof file), QS_E_VERSION_MISMATCH);
    file.header.format = LOCKFILE_FORMAT;
    cr_assert_eq(open_held(&file, sizeof file), QS_E_INVALID);
    file.header.slots = 5;
    cr_assert_eq(open_held(&file, sizeof file), QS_E_INVALID);
}

Test(lockfile, second_joins)
{
    struct lockfile *lockfile = open_with(5, true);
    struct data_identity identity = {1, 2, {3, 4}};
    struct data_identity other = {1, 2, {3, 5}};
    pid_t child;

    cr_assert_eq(qs_lockfile_bind(lockfile, true, &identity), 0);
    atomic_store(&qs_lockfile_header(lockfile)->checkpoint, 99);
    cr_assert_not(qs_lockfile_shared(lockfile));
    child = fork();
    if (child == 0) {
        struct lockfile *mine = child_open();

        CHILD_EXPECT(qs_lockfile_max_readers(mine) == 5);
        CHILD_EXPECT(qs_lockfile_bind(mine, false, &identity) == 0);
        CHILD_EXPECT(qs_lockfile_bind(mine, false, &other) == EBUSY);
        CHILD_EXPECT(atomic_load(&qs_lockfile_header(mine)->checkpoint) == 99);
        CHILD_EXPECT(qs_lockfile_shared(mine));
        CHILD_EXPECT(!qs_lockfile_alone(mine));
        qs_lockfile_close(mine, false);
        child_leave(lockfile);
    }
    wait_exit(child);
    cr_assert_not(qs_lockfile_shared(lockfile));
    cr_assert(qs_lockfile_alone(lockfile));
    qs_lockfile_close(lockfile, false);
}

/* The second waits until the first shares, and sees what it did until then. */
Test(lockfile, second_waits_for_first)
{
    struct lockfile *lockfile;
    struct timespec pause = {0, 50000000};
    bool first;
    pid_t child;

    cr_assert_eq(qs_lockfile_open("lock", 0644, 8, &lockfile, &first), 0);
    child = fork();
    if (child == 0) {
        struct lockfile *mine = child_open();

        CHILD_EXPECT(atomic_load(&qs_lockfile_header(mine)->checkpoint) == 7);
        qs_lockfile_close(mine, false);
        child_leave(lockfile);
    }
    nanosleep(&pause, NULL);
    atomic_store(&qs_lockfile_header(lockfile)->checkpoint, 7);
    qs_lockfile_share(lockfile);
    wait_exit(child);
    qs_lockfile_close(lockfile, false);
}

/* A first opener that is killed half way, or a last closer at work, leaves the next one first. */
Test(lockfile, first_dies_initialising)
{
    struct lockfile *lockfile;
    struct signals signals;
    bool first;
    pid_t child;

    signals_open(&signals);
    child = fork();
    if (child == 0) {
        CHILD_EXPECT(qs_lockfile_open("lock", 0644, 8, &lockfile, &first) == 0 && first);
        atomic_store(&qs_lockfile_header(lockfile)->checkpoint, 5);
        signal_send(signals.to_parent);
        pause();
    }
    signal_wait(signals.to_parent);
    kill_and_wait(child);
    lockfile = open_with(8, true);
    cr_assert_eq(atomic_load(&qs_lockfile_header(lockfile)->checkpoint), 0);
    qs_lockfile_close(lockfile, false);
}

Test(lockfile, last_closer_keeps_others_out)
{
    struct lockfile *lockfile = open_with(8, true);
    struct timespec pause = {0, 50000000};
    pid_t child;

    cr_assert(qs_lockfile_alone(lockfile));
    child = fork();
    if (child == 0) {
        struct lockfile *mine;
        bool first = false;

        CHILD_EXPECT(qs_lockfile_open("lock", 0644, 8, &mine, &first) == 0);
        CHILD_EXPECT(first);
        CHILD_EXPECT(atomic_load(&qs_lockfile_header(mine)->checkpoint) == 0);
        qs_lockfile_close(mine, false);
        child_leave(lockfile);
    }
    nanosleep(&pause, NULL);
    atomic_store(&qs_lockfile_header(lockfile)->checkpoint, 7);
    qs_lockfile_close(lockfile, false);
    wait_exit(child);
}

/* Many processes that open and close at once: always exactly one is first at a time. */
Test(lockfile, opening_race, .timeout = 60)
{
    pid_t children[6];

    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        for (int round = 0; round < 150; round++) {
            struct lockfile *mine;
            struct reader *reader;
            bool first;

            CHILD_EXPECT(qs_lockfile_open("lock", 0644, 8, &mine, &first) == 0);
            if (first) {
                CHILD_EXPECT(atomic_load(&qs_lockfile_header(mine)->checkpoint) == 0);
                CHILD_EXPECT(qs_reader_high_water(mine) == 0);
                atomic_store(&qs_lockfile_header(mine)->checkpoint, 1);
                qs_lockfile_share(mine);
            } else {
                CHILD_EXPECT(atomic_load(&qs_lockfile_header(mine)->checkpoint) == 1);
            }
            CHILD_EXPECT(qs_reader_acquire(mine, &reader) == 0);
            if (round % 3 == 0)
                unlink("lock.none");
            qs_lockfile_close(mine, false);
        }
        _exit(0);
    }
    for (int i = 0; i < 6; i++)
        wait_exit(children[i]);
}

/* Deleting the file while openers come: nobody ends up alone on a file without a name. */
Test(lockfile, deleted_while_opening, .timeout = 60)
{
    pid_t child = fork();

    if (child == 0) {
        for (int round = 0; round < 2000; round++) {
            unlink("lock");
            usleep(20);
        }
        _exit(0);
    }
    for (int round = 0; round < 500; round++) {
        struct lockfile *lockfile;
        bool first;
        int rc = qs_lockfile_open("lock", 0644, 8, &lockfile, &first);

        cr_assert_eq(rc, 0);
        cr_assert(first);
        qs_lockfile_close(lockfile, false);
    }
    wait_exit(child);
}

/* A forked child that closes what it inherited disturbs nobody, also after opening anew. */
Test(lockfile, forked_close_is_harmless)
{
    struct lockfile *lockfile = open_with(8, true);
    struct reader *reader;
    struct reader_info info;
    bool recovered;
    pid_t child;

    cr_assert_eq(qs_reader_acquire(lockfile, &reader), 0);
    qs_reader_publish(reader, 1, 2);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    child = fork();
    if (child == 0) {
        struct lockfile *mine = child_open();
        struct reader *own;
        pid_t grandchild;

        CHILD_EXPECT(qs_reader_acquire(mine, &own) == 0);
        qs_lockfile_close(lockfile, true);
        grandchild = fork();
        if (grandchild == 0) {
            /* The child's locks are still there: its slot is not taken for a dead one's. */
            struct lockfile *third = child_open();

            CHILD_EXPECT(qs_reader_check_dead(third) == 0);
            _exit(0);
        }
        int status;

        CHILD_EXPECT(waitpid(grandchild, &status, 0) == grandchild && status == 0);
        qs_lockfile_close(mine, false);
        _exit(0);
    }
    wait_exit(child);
    cr_assert(qs_reader_info(lockfile, 0, &info));
    cr_assert_eq(info.pid, getpid());
    cr_assert_eq(info.snapshot, 2);
    cr_assert_not(qs_reader_info(lockfile, 1, &info));
    qs_writer_unlock(lockfile);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    cr_assert_not(recovered);
    qs_writer_unlock(lockfile);
    qs_lockfile_close(lockfile, false);
}
