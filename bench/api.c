/* api.c - loads an LMDB library; finds the system's.
 *
 * Owns:       nothing; a table belongs to its caller.
 * Invariants: A1 no symbol of the library resolves to another's: RTLD_LOCAL, and one library a
 * process. Locks:      none.
 */
#include "api.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

const char *api_load(struct api *api, const char *path)
{
    api->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (api->handle == NULL)
        return dlerror();
#define API_LOOK_UP(name)                                                                          \
    *(void **)&api->name = dlsym(api->handle, "mdb_" #name);                                       \
    if (api->name == NULL)                                                                         \
        return "the library lacks mdb_" #name;
    API_FUNCTIONS(API_LOOK_UP)
#undef API_LOOK_UP
    return NULL;
}

const char *api_find_real(void)
{
    static const char *const places[] = {
        "/usr/lib/x86_64-linux-gnu/liblmdb.so.0",
        "/usr/lib/aarch64-linux-gnu/liblmdb.so.0",
        "/usr/lib64/liblmdb.so.0",
        "/usr/lib/liblmdb.so.0",
        "/usr/local/lib/liblmdb.so.0",
    };
    const char *named = getenv("QS_REAL_LMDB");

    if (named != NULL && named[0] != '\0')
        return named;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}
