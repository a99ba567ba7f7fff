/* bank_accounts.c - accounts in an environment: opening, moving amounts, looking at all of them.
 *
 * Owns:       nothing.
 * Invariants: the amounts of all accounts sum up to BANKS * VAULT at the end of every transaction,
 *             child transactions included; account 0 of each bank is always there.
 * Locks:      none; LMDB's rules for transactions.
 */
#include "processes/bank.h"

#include <stdlib.h>
#include <string.h>

/* An account's value; `fill` bytes follow. */
struct account {
    int64_t amount;
    uint32_t stamp; /* decides what the fill is */
    uint32_t fill;
};

static uint8_t fill_byte(uint32_t stamp, uint32_t i)
{
    return (uint8_t)(stamp * 31 + i * 7);
}

/* False when the value is no whole account. */
static bool decode(const MDB_val *value, struct account *account)
{
    const uint8_t *bytes = value->mv_data;

    if (value->mv_size < sizeof *account)
        return false;
    memcpy(account, bytes, sizeof *account);
    if (value->mv_size != sizeof *account + account->fill)
        return false;
    for (uint32_t i = 0; i < account->fill; i++)
        if (bytes[sizeof *account + i] != fill_byte(account->stamp, i))
            return false;
    return true;
}

static MDB_val make_key(char bytes[16], unsigned number)
{
    return (MDB_val){(size_t)snprintf(bytes, 16, "account%06u", number), bytes};
}

static int get_amount(MDB_txn *txn, MDB_dbi dbi, unsigned number, int64_t *amount)
{
    struct account account;
    char bytes[16];
    MDB_val key = make_key(bytes, number), value;
    int rc = mdb_get(txn, dbi, &key, &value);

    if (rc == 0 && !decode(&value, &account))
        BANK_FAIL("account %u is torn: %zu bytes", number, value.mv_size);
    *amount = rc == 0 ? account.amount : 0;
    return rc;
}

static int put_amount(MDB_txn *txn, MDB_dbi dbi, unsigned number, int64_t amount, uint64_t *random)
{
    uint8_t buffer[sizeof(struct account) + FILL_BYTES];
    unsigned dice = bank_below(random, 100), large = bank_shared->large;
    struct account account = {amount, (uint32_t)bank_random(random),
                              dice < large       ? bank_below(random, FILL_BYTES)
                              : dice < large + 2 ? bank_below(random, 1500)
                                                 : bank_below(random, 120)};
    char bytes[16];
    MDB_val key = make_key(bytes, number);
    MDB_val value = {sizeof account + account.fill, buffer};

    memcpy(buffer, &account, sizeof account);
    for (uint32_t i = 0; i < account.fill; i++)
        buffer[sizeof account + i] = fill_byte(account.stamp, i);
    return mdb_put(txn, dbi, &key, &value, 0);
}

/* ---- opening ---- */

static int open_databases(struct bank *bank, MDB_txn *txn, unsigned flags)
{
    int rc = mdb_dbi_open(txn, "counters", flags | MDB_INTEGERKEY, &bank->counters);

    for (unsigned i = 0; rc == 0 && i < BANKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "bank%u", i);
        rc = mdb_dbi_open(txn, name, flags, &bank->accounts[i]);
    }
    return rc;
}

int bank_open(struct bank *bank, const char *directory, unsigned flags, bool create)
{
    uint64_t random = 1;
    MDB_txn *txn;
    int rc = mdb_env_create(&bank->env);

    if (rc != 0)
        return rc;
    rc = mdb_env_set_maxdbs(bank->env, BANKS + 1);
    if (rc == 0)
        rc = mdb_env_set_mapsize(bank->env, 256u << 20);
    if (rc == 0)
        rc = mdb_env_open(bank->env, directory, flags, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(bank->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (rc != 0) {
        mdb_env_close(bank->env);
        return rc;
    }
    rc = open_databases(bank, txn, create ? MDB_CREATE : 0);
    for (unsigned i = 0; create && rc == 0 && i < BANKS; i++)
        rc = put_amount(txn, bank->accounts[i], 0, VAULT, &random);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (rc != 0)
        mdb_env_close(bank->env);
    return rc;
}

void bank_close(struct bank *bank)
{
    mdb_env_close(bank->env);
}

/* ---- changes ---- */

/* Moves an amount; an account that is not there is opened. */
static int transfer(struct bank *bank, MDB_txn *txn, uint64_t *random)
{
    MDB_dbi from = bank->accounts[bank_below(random, BANKS)];
    MDB_dbi to = bank->accounts[bank_below(random, BANKS)];
    unsigned giver = bank_below(random, ACCOUNTS), taker = bank_below(random, ACCOUNTS);
    int64_t moved = bank_below(random, 1000), had;
    int rc = get_amount(txn, from, giver, &had);

    if (rc == 0 || rc == MDB_NOTFOUND)
        rc = put_amount(txn, from, giver, had - moved, random);
    if (rc == 0)
        rc = get_amount(txn, to, taker, &had);
    if (rc == 0 || rc == MDB_NOTFOUND)
        rc = put_amount(txn, to, taker, had + moved, random);
    return rc;
}

/* Opens the accounts of a stretch that are not there: pages split. */
static int open_stretch(struct bank *bank, MDB_txn *txn, uint64_t *random)
{
    MDB_dbi dbi = bank->accounts[bank_below(random, BANKS)];
    unsigned first = bank_below(random, ACCOUNTS), count = bank_below(random, 60);
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < count; i++) {
        unsigned number = (first + i) % ACCOUNTS;
        int64_t had;
        rc = get_amount(txn, dbi, number, &had);
        if (rc == MDB_NOTFOUND)
            rc = put_amount(txn, dbi, number, 0, random);
    }
    return rc;
}

/* Closes the accounts of a stretch, what they had goes to the vault: pages merge. */
static int close_stretch(struct bank *bank, MDB_txn *txn, uint64_t *random)
{
    MDB_dbi dbi = bank->accounts[bank_below(random, BANKS)];
    unsigned count = bank_below(random, 80);
    struct account account;
    int64_t sum = 0, had;
    MDB_cursor *cursor;
    char bytes[16];
    MDB_val key = make_key(bytes, 1 + bank_below(random, ACCOUNTS - 1)), value;
    int rc = mdb_cursor_open(txn, dbi, &cursor);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && count-- > 0) {
        if (!decode(&value, &account))
            BANK_FAIL("an account is torn: %zu bytes", value.mv_size);
        sum += account.amount;
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    rc = get_amount(txn, dbi, 0, &had);
    return rc == 0 ? put_amount(txn, dbi, 0, had + sum, random) : rc;
}

static int change(struct bank *bank, MDB_txn *txn, uint64_t *random, unsigned depth)
{
    unsigned dice = bank_below(random, 20);
    MDB_txn *child;
    int rc;

    if (dice == 0)
        return open_stretch(bank, txn, random);
    if (dice == 1)
        return close_stretch(bank, txn, random);
    if (dice > 3 || depth == 3)
        return transfer(bank, txn, random);
    rc = mdb_txn_begin(bank->env, txn, 0, &child);
    for (unsigned n = bank_below(random, 5); rc == 0 && n > 0; n--) {
        rc = change(bank, child, random, depth + 1);
        if (rc != 0)
            mdb_txn_abort(child);
    }
    if (rc != 0)
        return rc;
    if (bank_below(random, 3) == 0) {
        /* An amount out of nowhere, taken back with everything else. */
        rc = put_amount(child, bank->accounts[0], 0, -1, random);
        mdb_txn_abort(child);
        return rc;
    }
    return mdb_txn_commit(child);
}

int bank_work(struct bank *bank, MDB_txn *txn, uint64_t *random)
{
    int rc = 0;

    for (unsigned n = 1 + bank_below(random, 6); rc == 0 && n > 0; n--)
        rc = change(bank, txn, random, 0);
    return rc;
}

int bank_counter_get(struct bank *bank, MDB_txn *txn, unsigned writer, uint64_t *value)
{
    size_t number = writer;
    MDB_val key = {sizeof number, &number}, data;
    int rc = mdb_get(txn, bank->counters, &key, &data);

    *value = 0;
    if (rc == 0)
        memcpy(value, data.mv_data, sizeof *value);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int bank_counter_put(struct bank *bank, MDB_txn *txn, unsigned writer, uint64_t value)
{
    size_t number = writer;
    MDB_val key = {sizeof number, &number}, data = {sizeof value, &value};

    return mdb_put(txn, bank->counters, &key, &data, 0);
}

/* ---- looking at everything ---- */

static int check_bank(struct bank *bank, MDB_txn *txn, unsigned number, int64_t *sum,
                      uint64_t *digest)
{
    MDB_dbi dbi = bank->accounts[number];
    struct account account = {0};
    uint64_t entries = 0;
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_stat stat;
    int rc = mdb_stat(txn, dbi, &stat);

    if (rc == 0)
        rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (!decode(&value, &account))
            BANK_FAIL("snapshot %zu, bank %u: %.*s is torn", mdb_txn_id(txn), number,
                      (int)key.mv_size, (char *)key.mv_data);
        *sum += account.amount;
        *digest = (*digest ^ (uint64_t)account.amount ^ account.stamp) * 0x100000001b3u;
        entries++;
    }
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND && entries != stat.ms_entries)
        BANK_FAIL("snapshot %zu, bank %u: %llu entries, %zu recorded", mdb_txn_id(txn), number,
                  (unsigned long long)entries, stat.ms_entries);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int bank_check(struct bank *bank, MDB_txn *txn, uint64_t *digest)
{
    int64_t sum = 0;
    int rc = 0;

    *digest = 0;
    for (unsigned i = 0; rc == 0 && i < BANKS; i++)
        rc = check_bank(bank, txn, i, &sum, digest);
    if (rc == 0 && sum != (int64_t)BANKS * VAULT)
        BANK_FAIL("snapshot %zu: the sum is %lld, not %lld", mdb_txn_id(txn), (long long)sum,
                  (long long)BANKS * VAULT);
    atomic_fetch_add_explicit(&bank_shared->snapshots, 1, memory_order_relaxed);
    return rc;
}
