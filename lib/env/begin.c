/* begin.c - beginning and ending transactions; see quickstep.h.
 *
 * A read transaction publishes (checkpoint, snapshot) in its slot and looks again: either nothing
 * has moved, or it takes the newer state. So whoever reclaims after moving the state either sees
 * the slot or is seen (engine rule 5). Nothing of the file is touched before, but for the meta page of a
 * newer checkpoint, which is copied out and verified; then the log is read ahead, if need be.
 */
#include "env/env.h"

#include "base/error.h"
#include "base/zeroed.h"
#include "os/hook.h"
#include "txn/nested.h"

#include <errno.h>
#include <stdlib.h>

/* The snapshot is newer than what the replica has applied. That is left for later: until the transaction asks for
 * more than `ahead` can tell, it reads the pages of an older one, which its slot names as well. */
static int begin_behind(struct core *core, struct qs_txn *txn)
{
    struct replica *replica = txn->replica;
    txnid_t applied;
    int rc = 0;
    while (rc == 0 && (applied = atomic_load(&replica->applied)) < txn->id) {
        qs_reader_publish_below(txn->slot, applied);
        QS_HOOK("read.behind");
        struct ahead *ahead = atomic_load(&replica->ahead);
        bool enough = ahead != NULL && atomic_load(&ahead->upto) >= txn->id;
        /* Nothing was applied since: so its pages stay, whoever unlinks what, and `ahead` lacks nothing
         * between. It leaves out what is applied before it comes to that. */
        if (atomic_load(&replica->applied) != applied)
            continue;
        if (enough) {
            txn->view.snapshot = applied;
            txn->ahead = ahead;
            break;
        }
        rc = qs_core_look_ahead(core, replica, txn->id, txn->log_limit);
    }
    txn->view.file = qs_store_map(core->store)->base;
    return rc;
}

/* Whether the snapshot fits into the map that the environment was given. */
static int check_map(const struct qs_env *env, struct qs_txn *txn)
{
    /* relaxed: numbers, each for itself */
    uint64_t accepted = atomic_load_explicit(&env->accepted_pages, memory_order_relaxed);
    if (txn->ahead != NULL &&
        atomic_load_explicit(&txn->ahead->pages, memory_order_relaxed) > accepted) {
        int rc = qs_txn_catch_up(txn);
        if (rc != 0)
            return rc;
    }
    return atomic_load_explicit(&txn->replica->used_pages, memory_order_relaxed) > accepted
               ? QS_E_MAP_RESIZED
               : 0;
}

int qs_read_begin(struct qs_env *env, struct qs_txn *txn)
{
    struct core *core = env->core;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct replica_state state, again;
    struct replica *replica;
    uint64_t written;
    int rc = 0;
    if (atomic_load_explicit(&core->panicked, memory_order_relaxed))
        return QS_E_PANIC;
    for (;;) {
        replica = qs_core_use(core);
        uint64_t newest = qs_core_newest(core);
        qs_replica_state(replica, &state);
        if (newest > state.checkpoint) {
            qs_core_unuse(replica);
            rc = qs_core_follow(core, newest);
            if (rc != 0) {
                qs_reader_clear(txn->slot); /* an earlier round may have published */
                return rc;
            }
            continue;
        }
        if (!core->has_lock_file && (rc = qs_core_probe(core, replica)) != 0) {
            qs_core_unuse(replica);
            qs_reader_clear(txn->slot);
            return rc;
        }
        txnid_t visible = atomic_load(&header->visible);
        /* A checkpoint is published before its transaction is. */
        txnid_t snapshot = visible > state.txn ? visible : state.txn;
        QS_HOOK("read.loaded");
        qs_reader_publish(txn->slot, state.checkpoint | (state.linking ? READER_AND_BEFORE : 0),
                          snapshot);
        QS_HOOK("read.published");
        /* Before the look at the checkpoint's number: the log of a later one goes on at positions that
         * this replica's log does not have. */
        written = atomic_load(&header->written);
        qs_replica_state(replica, &again);
        if (again.sequence == state.sequence && qs_core_newest(core) <= state.checkpoint &&
            atomic_load(&header->visible) == visible) {
            qs_txn_init_read(txn, replica, &core->names, &state, snapshot,
                             &((struct reader *)txn->slot)->inside);
            break;
        }
        qs_core_unuse(replica);
    }
    /* acquire: pairs with the release when it was applied; what it linked is there */
    if (atomic_load_explicit(&replica->applied, memory_order_acquire) < txn->id) {
        QS_HOOK("read.follow");
        txn->log_limit = written;
        rc = begin_behind(core, txn);
    }
    if (rc == 0)
        rc = check_map(env, txn);
    if (rc != 0)
        qs_read_end(txn);
    return rc;
}

void qs_read_end(struct qs_txn *txn)
{
    qs_reader_clear(txn->slot);
    qs_core_unuse(txn->replica);
    txn->status = TXN_RESET;
    txn->known = NULL;
}

static int begin_read(struct qs_env *env, struct qs_txn *txn)
{
    struct reader *reader;
    int rc = qs_slot_get(env, &reader);
    if (rc != 0)
        return rc;
    txn->slot = reader;
    rc = qs_read_begin(env, txn);
    if (rc != 0)
        qs_slot_put(env, reader);
    return rc;
}

static int begin_child(struct qs_txn *parent, struct qs_txn *txn, bool read)
{
    return read ? qs_nested_begin_read(parent, txn) : qs_nested_begin(parent, txn);
}

int qs_txn_begin(struct qs_env *env, struct qs_txn *parent, unsigned flags, struct qs_txn **out)
{
    bool read = (flags & QS_RDONLY) != 0;
    if (!read && (env->open_flags & QS_RDONLY) != 0)
        return EACCES;
    if (parent != NULL && parent->writer == NULL)
        return EINVAL;
    if (parent != NULL && parent->status != TXN_READY)
        return QS_E_BAD_TXN;
    struct qs_txn *txn = qs_zeroed(sizeof *txn);
    if (txn == NULL)
        return ENOMEM;
    txn->env = env;
    int rc = parent != NULL ? begin_child(parent, txn, read)
             : read         ? begin_read(env, txn)
                            : qs_write_begin(env, txn);
    if (rc != 0) {
        free(txn);
        return rc;
    }
    *out = txn;
    return 0;
}

static void end_read(struct qs_txn *txn)
{
    if (txn->parent != NULL) {
        qs_nested_end_read(txn);
    } else {
        if (txn->status == TXN_READY)
            qs_read_end(txn);
        qs_slot_put(txn->env, txn->slot);
    }
    free(txn);
}

int qs_txn_commit(struct qs_txn *txn)
{
    if (txn->writer == NULL) {
        end_read(txn);
        return 0;
    }
    if (txn->parent != NULL) {
        int nested_rc = qs_nested_commit(txn);
        free(txn);
        return nested_rc;
    }
    int rc = txn->status == TXN_READY ? 0 : QS_E_BAD_TXN;
    int end_rc = qs_write_end(txn->env, txn, rc == 0);
    free(txn);
    return rc != 0 ? rc : end_rc;
}

void qs_txn_abort(struct qs_txn *txn)
{
    if (txn->writer == NULL) {
        end_read(txn);
        return;
    }
    if (txn->parent != NULL)
        qs_nested_abort(txn);
    else
        qs_write_end(txn->env, txn, false);
    free(txn);
}

void qs_txn_reset(struct qs_txn *txn)
{
    if (txn->writer != NULL || txn->status != TXN_READY)
        return;
    if (txn->parent != NULL)
        txn->status = TXN_RESET;
    else
        qs_read_end(txn);
}

int qs_txn_renew(struct qs_txn *txn)
{
    if (txn->writer != NULL || txn->status != TXN_RESET)
        return EINVAL;
    if (txn->parent != NULL) {
        txn->status = TXN_READY;
        return 0;
    }
    /* The thread may have begun another one in the slot meanwhile. */
    if (qs_reader_active(txn->slot))
        return QS_E_BAD_RSLOT;
    return qs_read_begin(txn->env, txn);
}
