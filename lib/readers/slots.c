/* slots.c - the reader slots: who reads what, for everybody who wants to reclaim something.
 *
 * Owns:       the slots in the lock file and their high-water mark.
 * Life:       free (owner 0, no snapshot) -> claimed -> published <-> cleared -> free. A slot whose
 *             process died is taken over by whoever finds it, emptied, and freed.
 * Invariants: I1 a slot without an owner has no snapshot: it is cleared before the owner word is.
 *             I2 only the owner changes a slot, and the owner word leaves 0, and a dead owner's
 *             value, by compare-and-swap only. It holds a nonce, so a stale look cannot hit a slot
 *             that was freed and claimed again in between, even by the same pid.
 *             I3 a slot's index is below high_water before a snapshot is published in it.
 * Locks:      none; whether an owner lives is asked of the kernel (alive.c).
 * Source:     own.
 */
#include "readers/lockfile.h"
#include "readers/internal.h"
#include "base/error.h"
#include "os/hook.h"

/* Empties a slot that is ours and frees it. */
static void slot_free(struct reader *slot)
{
    atomic_store_explicit(&slot->snapshot, QS_TXNID_NONE, memory_order_release);
    atomic_store_explicit(&slot->inside, 0, memory_order_release);
    atomic_store_explicit(&slot->thread, 0, memory_order_relaxed);
    /* release; pairs with the compare-and-swap in slot_claim() */
    atomic_store_explicit(&slot->owner, 0, memory_order_release);
}

static bool slot_claim(struct lockfile *lockfile, struct reader *slot)
{
    uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_relaxed);

    return owner == 0 && atomic_compare_exchange_strong(&slot->owner, &owner, lockfile->self);
}

/* Slots that may be in use; never more than there are, whatever the shared word says. */
static unsigned slots_used(const struct lockfile *lockfile)
{
    unsigned high_water = atomic_load(&lockfile->header->high_water);

    return high_water < lockfile->slots_count ? high_water : lockfile->slots_count;
}

void qs_slots_init(struct lockfile *lockfile)
{
    for (unsigned i = 0; i < lockfile->slots_count; i++) {
        struct reader *slot = &lockfile->slots[i];

        /* A look first: a file in good order is not dirtied. */
        if (atomic_load_explicit(&slot->owner, memory_order_relaxed) != 0 ||
            atomic_load_explicit(&slot->snapshot, memory_order_relaxed) != QS_TXNID_NONE)
            slot_free(slot);
    }
}

void qs_slots_clear_own(struct lockfile *lockfile)
{
    unsigned count = slots_used(lockfile);

    for (unsigned i = 0; i < count; i++) {
        if (atomic_load(&lockfile->slots[i].owner) == lockfile->self)
            slot_free(&lockfile->slots[i]);
    }
}

/* ---- one reader ---- */

static void raise_high_water(struct lockfile *lockfile, unsigned count)
{
    _Atomic uint32_t *high_water = &lockfile->header->high_water;
    uint32_t seen = atomic_load_explicit(high_water, memory_order_relaxed);

    while (seen < count && !atomic_compare_exchange_weak(high_water, &seen, count))
        ;
}

/* Claims some free slot: the one released last, else the first. */
static bool claim_any(struct lockfile *lockfile, unsigned *index)
{
    unsigned hint = atomic_load_explicit(&lockfile->hint, memory_order_relaxed);

    if (slot_claim(lockfile, &lockfile->slots[hint])) {
        *index = hint;
        return true;
    }
    for (unsigned i = 0; i < lockfile->slots_count; i++) {
        if (slot_claim(lockfile, &lockfile->slots[i])) {
            *index = i;
            return true;
        }
    }
    return false;
}

int qs_reader_acquire(struct lockfile *lockfile, struct reader **reader)
{
    struct reader *slot;
    unsigned index;

    if (!claim_any(lockfile, &index)) {
        if (qs_reader_check_dead(lockfile) == 0 || !claim_any(lockfile, &index))
            return QS_E_READERS_FULL;
    }
    QS_HOOK("reader.claimed");
    raise_high_water(lockfile, index + 1);
    slot = &lockfile->slots[index];
    atomic_store_explicit(&slot->thread, (uint64_t)pthread_self(), memory_order_relaxed);
    *reader = slot;
    return 0;
}

void qs_reader_release(struct lockfile *lockfile, struct reader *reader)
{
    unsigned index = (unsigned)(reader - lockfile->slots);

    slot_free(reader);
    atomic_store_explicit(&lockfile->hint, index, memory_order_relaxed);
}

void qs_reader_return(struct lockfile *lockfile, struct reader *reader)
{
    uint32_t index = (uint32_t)(reader - lockfile->slots), mark = index + 1;

    /* I3: emptied first, and while it is still ours, so that nobody else relies on the mark yet. */
    qs_reader_clear(reader);
    atomic_compare_exchange_strong(&lockfile->header->high_water, &mark, index);
    qs_reader_release(lockfile, reader);
}

void qs_reader_publish(struct reader *reader, uint64_t checkpoint, txnid_t snapshot)
{
    atomic_store_explicit(&reader->below, QS_TXNID_NONE, memory_order_relaxed);
    atomic_store_explicit(&reader->checkpoint, checkpoint, memory_order_relaxed);
    /* seq_cst: orders the checkpoint before it and the caller's re-read of the positions after it;
     * pairs with the loads in qs_reader_scan(). */
    atomic_store(&reader->snapshot, snapshot);
}

void qs_reader_publish_below(struct reader *reader, txnid_t below)
{
    atomic_store(&reader->below, below);
}

void qs_reader_clear(struct reader *reader)
{
    /* release: what was read under the snapshot was read before; pairs with qs_reader_scan() */
    atomic_store_explicit(&reader->snapshot, QS_TXNID_NONE, memory_order_release);
}

bool qs_reader_active(const struct reader *reader)
{
    return atomic_load_explicit(&reader->snapshot, memory_order_acquire) != QS_TXNID_NONE;
}

/* ---- all readers ---- */

unsigned qs_reader_scan(struct lockfile *lockfile, struct reader_use *uses, unsigned max)
{
    unsigned count = slots_used(lockfile);
    unsigned found = 0;

    for (unsigned i = 0; i < count && found < max; i++) {
        const struct reader *slot = &lockfile->slots[i];
        /* seq_cst; pairs with qs_reader_publish(): a reader whose snapshot is missed here sees the
         * caller's new positions when it looks at them again. */
        txnid_t snapshot = atomic_load(&slot->snapshot);

        if (snapshot == QS_TXNID_NONE)
            continue;
        uses[found].snapshot = snapshot;
        /* relaxed: our own slots keep their owner for as long as they have a snapshot */
        uses[found].own =
            atomic_load_explicit(&slot->owner, memory_order_relaxed) == lockfile->self;
        uint64_t word = atomic_load_explicit(&slot->checkpoint, memory_order_relaxed);
        uses[found].checkpoint = word & ~READER_AND_BEFORE;
        uses[found].and_before = (word & READER_AND_BEFORE) != 0;
        uses[found].below = atomic_load(&slot->below); /* seq_cst; qs_reader_publish_below() */
        found++;
    }
    return found;
}

bool qs_reader_info(struct lockfile *lockfile, unsigned index, struct reader_info *info)
{
    const struct reader *slot;
    uint64_t owner;

    if (index >= lockfile->slots_count)
        return false;
    slot = &lockfile->slots[index];
    owner = atomic_load(&slot->owner);
    if (owner == 0)
        return false;
    info->pid = owner_pid(owner);
    info->thread = atomic_load_explicit(&slot->thread, memory_order_relaxed);
    info->snapshot = atomic_load(&slot->snapshot);
    info->active = info->snapshot != QS_TXNID_NONE;
    return true;
}

unsigned qs_reader_high_water(struct lockfile *lockfile)
{
    return slots_used(lockfile);
}

/* ---- dead processes ---- */

/* Frees the slot if another process, which is dead, owns it. I2: it is taken over first, so that of two who
 * found it dead one empties it, and nobody can claim it before it is empty. */
static bool clear_dead(struct lockfile *lockfile, struct reader *slot, uint64_t owner)
{
    if (owner == 0 || owner == lockfile->self || !qs_alive_is_dead(lockfile, owner))
        return false;
    if (!atomic_compare_exchange_strong(&slot->owner, &owner, lockfile->self))
        return false;
    QS_HOOK("reader.taken_over");
    slot_free(slot);
    return true;
}

unsigned qs_reader_check_dead(struct lockfile *lockfile)
{
    unsigned count = slots_used(lockfile);
    unsigned cleared = 0;

    for (unsigned i = 0; i < count; i++) {
        struct reader *slot = &lockfile->slots[i];

        cleared += clear_dead(lockfile, slot, atomic_load(&slot->owner));
    }
    return cleared;
}

void qs_slots_clear_earlier(struct lockfile *lockfile)
{
    unsigned count = slots_used(lockfile);

    for (unsigned i = 0; i < count; i++) {
        struct reader *slot = &lockfile->slots[i];
        uint64_t owner = atomic_load(&slot->owner);

        if (owner_pid(owner) == lockfile->pid)
            clear_dead(lockfile, slot, owner);
    }
}
