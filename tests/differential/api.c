/* api.c - loads LMDB libraries and finds the system's.
 *
 * Owns:       the library that is being called now (for page sizes).
 * Invariants: A1 no symbol of one library resolves to the other: RTLD_LOCAL, and this program
 *                exports none of their names.
 * Locks:      none; one thread.
 */
#define _GNU_SOURCE /* RTLD_NEXT */

#include "api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct api *entered; /* library being called, NULL before the first call */

void api_enter(const struct api *api)
{
    entered = api;
}

/* The libraries ask for the page size here, because the program's own symbols are looked up first
 * (it is linked with -rdynamic). The real library lays its pages out by the answer: run against
 * itself with two page sizes it shows which results depend on the layout and must not be compared.
 */
long sysconf(int name)
{
    static long (*next)(int);

    if (name == _SC_PAGESIZE && entered != NULL && entered->page_size_override != 0) {
        return entered->page_size_override;
    }
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "sysconf");
    }
    return next(name);
}

static int copy_file(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    size_t size;
    int rc = in == NULL || out == NULL ? -1 : 0;

    while (rc == 0 && (size = fread(buffer, 1, sizeof buffer, in)) > 0) {
        rc = fwrite(buffer, 1, size, out) == size ? 0 : -1;
    }
    if (in != NULL) {
        fclose(in);
    }
    if (out != NULL && fclose(out) != 0) {
        rc = -1;
    }
    return rc;
}

int api_load(struct api *api, const char *label, const char *path, int as_copy)
{
    char copy[] = "/tmp/qs-lmdb-copy-XXXXXX";

    memset(api, 0, sizeof *api);
    api->label = label;
    if (as_copy) {
        int fd = mkstemp(copy);
        if (fd < 0 || copy_file(path, copy) != 0) {
            fprintf(stderr, "cannot copy %s\n", path);
            return -1;
        }
        close(fd);
        path = copy;
    }
    api->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (as_copy) {
        unlink(copy);
    }
    if (api->handle == NULL) {
        fprintf(stderr, "cannot load %s: %s\n", path, dlerror());
        return -1;
    }
#define API_LOOK_UP(name)                                                                          \
    *(void **)&api->name = dlsym(api->handle, "mdb_" #name);                                       \
    if (api->name == NULL) {                                                                       \
        fprintf(stderr, "%s lacks mdb_" #name "\n", path);                                         \
        return -1;                                                                                 \
    }
    API_FUNCTIONS(API_LOOK_UP)
#undef API_LOOK_UP
    return 0;
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

    if (named != NULL) {
        return named;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0) {
            return places[i];
        }
    }
    return NULL;
}
