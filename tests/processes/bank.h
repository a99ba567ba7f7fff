/* bank.h - the bank: what its processes share, and what they do with accounts.
 *
 * Accounts lie in several named databases; amounts move between them, accounts come and go, and the
 * sum of all amounts never changes. Every writing thread has a counter in one more database, which it
 * raises by one in each transaction; it notes in shared memory which one was acknowledged last. The
 * parent never opens the environment, so that its children may be killed and started at will.
 */
#ifndef TESTS_PROCESSES_BANK_H
#define TESTS_PROCESSES_BANK_H

#include <lmdb.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    BANKS = 4,         /* databases with accounts */
    ACCOUNTS = 1500,   /* account numbers in each */
    VAULT = 1000000,   /* in account 0 of each bank at the beginning */
    PROCESSES = 7,     /* children at work at a time */
    WRITERS = 16,      /* counters: two a process, and some to spare */
    PATH_BYTES = 128,  /* of a path, terminator included */
    FILL_BYTES = 6000, /* after an account's head, at most */
    HANG_SECONDS = 60  /* without a commit, or until all have stopped: something hangs */
};

/* In memory that parent and children share. */
struct bank_shared {
    unsigned large;   /* of 100 values so many are up to FILL_BYTES; set before all else */
    unsigned waiting; /* of 100 readers so many keep their snapshot for a while */
    _Atomic uint64_t acknowledged[WRITERS]; /* counter of the last commit that returned */
    _Atomic bool stop;                      /* everybody ends when he can */
    _Atomic unsigned failures;              /* sentences written by BANK_FAIL */
    _Atomic unsigned long commits, aborts;  /* transactions ended so */
    _Atomic unsigned long snapshots;        /* sums made */
    _Atomic unsigned long copies;           /* verified */
    _Atomic unsigned long cleared;          /* reader slots of the dead */
};

extern struct bank_shared *bank_shared;
extern char bank_directory[PATH_BYTES];

#define BANK_FAIL(...)                                                                             \
    do {                                                                                           \
        fprintf(stderr, "FAIL (%s:%d) ", __FILE__, __LINE__);                                      \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fputc('\n', stderr);                                                                       \
        atomic_fetch_add(&bank_shared->failures, 1);                                               \
        atomic_store(&bank_shared->stop, true);                                                    \
    } while (0)

/* An open environment with its databases. */
struct bank {
    MDB_env *env;
    MDB_dbi accounts[BANKS]; /* of each bank */
    MDB_dbi counters;        /* of the writing threads */
};

static inline uint64_t bank_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline unsigned bank_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(bank_random(state) % limit);
}

/* ---- bank_accounts.c: one environment; LMDB's codes ---- */

/* Opens the environment in `directory`; `create` makes databases and vaults. */
int bank_open(struct bank *bank, const char *directory, unsigned flags, bool create);
void bank_close(struct bank *bank);

/* Some changes that keep the sum, nested transactions among them. */
int bank_work(struct bank *bank, MDB_txn *txn, uint64_t *random);

int bank_counter_get(struct bank *bank, MDB_txn *txn, unsigned writer, uint64_t *value);
int bank_counter_put(struct bank *bank, MDB_txn *txn, unsigned writer, uint64_t value);

/* Looks at everything in a snapshot: the sum, the numbers of records, every byte of every account;
 * says what is wrong by BANK_FAIL. `digest` comes out the same whenever the content is. */
int bank_check(struct bank *bank, MDB_txn *txn, uint64_t *digest);

/* ---- bank_roles.c: a child ---- */

/* Works as the process of that number does, until told to stop: the exit status. */
int bank_child(unsigned process, uint64_t seed);

/* Verifies the environment when nobody else has it open: sum and counters. */
int bank_verify(uint64_t seed);

/* Runs qs_check on `directory`/data.mdb; false when it finds something. */
bool bank_qs_check(const char *directory);

#endif
