/* slot.c - which reader slot a read transaction uses: its thread's, or one of its own.
 *
 * Owns:       the thread-specific key of an environment and the list of slots threads hold.
 * Life:       a thread's slot is taken at its first read transaction and given back when the thread
 *             ends or the environment is closed, whichever comes first.
 */
#include "env/env.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void forget(struct qs_env *env, struct thread_slot *slot)
{
    struct thread_slot **link = &env->slots;
    while (*link != slot)
        link = &(*link)->next;
    *link = slot->next;
}

/* Runs when a thread ends. */
static void thread_ended(void *value)
{
    struct thread_slot *slot = value;
    struct qs_env *env = slot->env;
    pthread_mutex_lock(&env->slots_lock);
    forget(env, slot);
    qs_reader_release(env->core->lockfile, slot->reader);
    pthread_mutex_unlock(&env->slots_lock);
    free(slot);
}

int qs_slots_open(struct qs_env *env)
{
    pthread_mutex_init(&env->slots_lock, NULL);
    if ((env->open_flags & (QS_NOTLS | QS_NOLOCK)) != 0)
        return 0;
    int rc = pthread_key_create(&env->slot_key, thread_ended);
    if (rc == EAGAIN)
        return QS_E_TLS_FULL;
    env->has_key = rc == 0;
    return rc;
}

void qs_slots_close(struct qs_env *env)
{
    /* First the key, so that no thread that ends later comes here. */
    if (env->has_key)
        pthread_key_delete(env->slot_key);
    bool forked = env->core->pid != getpid();
    /* A thread that is ending may be at it right now. Not in a forked child, where the lock may have
     * been held by a thread that is not there. */
    if (!forked)
        pthread_mutex_lock(&env->slots_lock);
    while (env->slots != NULL) {
        struct thread_slot *slot = env->slots;
        env->slots = slot->next;
        if (!forked)
            qs_reader_release(env->core->lockfile, slot->reader);
        free(slot);
    }
    if (!forked)
        pthread_mutex_unlock(&env->slots_lock);
    pthread_mutex_destroy(&env->slots_lock);
}

static int make_slot(struct qs_env *env, struct thread_slot **out)
{
    struct thread_slot *slot = malloc(sizeof *slot);
    if (slot == NULL)
        return ENOMEM;
    slot->env = env;
    int rc = qs_reader_acquire(env->core->lockfile, &slot->reader);
    if (rc == 0) {
        rc = pthread_setspecific(env->slot_key, slot);
        if (rc != 0)
            qs_reader_release(env->core->lockfile, slot->reader);
    }
    if (rc != 0) {
        free(slot);
        return rc;
    }
    pthread_mutex_lock(&env->slots_lock);
    slot->next = env->slots;
    env->slots = slot;
    pthread_mutex_unlock(&env->slots_lock);
    *out = slot;
    return 0;
}

int qs_slot_get(struct qs_env *env, struct reader **reader)
{
    if (!env->has_key)
        return qs_reader_acquire(env->core->lockfile, reader);
    struct thread_slot *slot = pthread_getspecific(env->slot_key);
    if (slot == NULL) {
        int rc = make_slot(env, &slot);
        if (rc != 0)
            return rc;
    }
    if (qs_reader_active(slot->reader))
        return QS_E_BAD_RSLOT;
    *reader = slot->reader;
    return 0;
}

void qs_slot_put(struct qs_env *env, struct reader *reader)
{
    if (!env->has_key)
        qs_reader_release(env->core->lockfile, reader);
}
