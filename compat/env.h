/* env.h - struct MDB_env: what LMDB lets a program set before, and ask after, opening.
 */
#ifndef QS_COMPAT_ENV_H
#define QS_COMPAT_ENV_H

#include "api.h"
#include "handles.h"

#include "quickstep.h"

#include <stdatomic.h>
#include <stdbool.h>

/*     new --open--> open
 *      |  \--open failed before the data file--> new
 *      +-----open failed after it--------------> spoiled (every later open is refused)
 */
enum env_state { ENV_NEW, ENV_OPEN, ENV_SPOILED };

struct MDB_env {
    /* constant after open */
    struct qs_env *qs;     /* the engine's environment; NULL unless open */
    enum env_state state;  /* see above */
    char *path;            /* as given to mdb_env_open(), for mdb_env_get_path() */
    unsigned readers_max;  /* wanted; what there are is the engine's to say */
    MDB_dbi named_max;     /* named trees that may be open at a time */
    size_t map_size_bytes; /* wanted at open; 0: what the file says */
    /* any thread, as the program orders it */
    _Atomic unsigned flags;     /* MDB_ flags in force, exactly those mdb_env_get_flags() shows */
    void *user_context;         /* the program's; never looked at */
    MDB_assert_func *on_assert; /* the program's, told by the engine's assertions */
    /* any thread */
    struct handle_table handles; /* what an MDB_dbi means */
};

/* Set once a program has called mdb_env_set_assert(): until then, listen is all but free. */
extern _Atomic bool qs_compat_listening;
void qs_compat_listen_now(MDB_env *env);

/* From now on the assertions that fail on this thread are `env`'s. */
static inline void qs_compat_listen(MDB_env *env)
{
    if (atomic_load_explicit(&qs_compat_listening, memory_order_relaxed))
        qs_compat_listen_now(env);
}

/* `path` followed by `suffix`, from malloc(); NULL without memory. */
char *qs_compat_path(const char *path, const char *suffix);

#endif
