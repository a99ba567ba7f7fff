/* world.c - makes API calls on one library.
 *
 * Owns:       the library objects in its slots.
 * Invariants: W1 what a reader was given stays where and what it is until the reader ends.
 * Locks:      none; one thread.
 */
#include "world.h"
#include "compare.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char untouched_byte;

MDB_val world_untouched(void)
{
    return (MDB_val){0x5a5a5a, &untouched_byte};
}

static uint64_t hash_bytes(const uint8_t *data, size_t size)
{
    uint64_t hash = 1469598103934665603u ^ size;

    for (size_t i = 0; i < size; i++) {
        if (i == 256 && size > 512) {
            i = size - 256;
        }
        hash = (hash ^ data[i]) * 1099511628211u;
    }
    return hash;
}

static void hold(struct world *world, unsigned txn, const MDB_val *value)
{
    struct held *held = &world->held[txn][world->held_next[txn]++ % HELD_COUNT];

    held->data = value->mv_data;
    held->size = value->mv_size;
    held->hash = hash_bytes(held->data, held->size);
}

bool world_check_held(struct world *world, unsigned txn)
{
    bool same = true;

    for (unsigned i = 0; i < HELD_COUNT && i < world->held_next[txn]; i++) {
        const struct held *held = &world->held[txn][i];
        same = same && hash_bytes(held->data, held->size) == held->hash;
    }
    world->held_next[txn] = 0;
    return same;
}

static void environment_path(const struct program *program, const char *directory, char *path,
                             size_t size)
{
    snprintf(path, size, "%s%s", directory, program->env_flags & MDB_NOSUBDIR ? "/file" : "");
}

int world_open(struct world *world, const struct program *program)
{
    const struct api *api = world->api;
    int rc;

    api_enter(api);
    world->program = program;
    environment_path(program, world->directory, world->path, sizeof world->path);
    rc = api->env_create(&world->env);
    if (rc != 0) {
        world->env = NULL;
        return rc;
    }
    if (world->gave_up != NULL) {
        api->env_set_assert(world->env, world->gave_up);
    }
    api->env_set_mapsize(world->env, program->map_size);
    api->env_set_maxdbs(world->env, program->max_dbs);
    if (program->max_readers != 0) {
        api->env_set_maxreaders(world->env, program->max_readers);
    }
    rc = api->env_open(world->env, world->path, program->env_flags, 0644);
    if (rc != 0) {
        world_close(world);
    }
    world->depth = 0;
    for (unsigned i = 0; i <= DB_BAD; i++) {
        world->dbi[i] = i == DB_MAIN ? 1 : i == DB_FREE ? 0 : BAD_HANDLE;
    }
    return rc;
}

void world_close(struct world *world)
{
    api_enter(world->api);
    world->api->env_close(world->env);
    world->env = NULL;
}

int world_copy(struct world *world, const struct program *program, const char *directory,
               unsigned flags)
{
    char path[300];
    int fd;
    int rc;

    api_enter(world->api);
    mkdir(directory, 0755);
    environment_path(program, directory, path, sizeof path);
    if (!(flags & COPY_BY_FD)) {
        return world->api->env_copy2(world->env, path, flags);
    }
    if (!(program->env_flags & MDB_NOSUBDIR)) {
        size_t used = strlen(path);
        snprintf(path + used, sizeof path - used, "/data.mdb");
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    rc = fd < 0 ? -1 : world->api->env_copyfd2(world->env, fd, flags & MDB_CP_COMPACT);
    close(fd);
    return rc;
}

/* ---- calls with numbers ---------------------------------------------------------------------- */

static void add_number(struct result *result, uint64_t number)
{
    result->numbers[result->number_count++] = number;
}

static void add_stat(struct result *result, const MDB_stat *stat)
{
    add_number(result, stat->ms_entries);
    add_number(result, stat->ms_depth != 0);
    add_number(result, (stat->ms_branch_pages | stat->ms_leaf_pages) != 0);
}

static void call_env_info(struct world *world, struct result *result)
{
    const struct api *api = world->api;
    MDB_envinfo info;
    MDB_stat stat;
    unsigned flags = 0;

    result->rc = api->env_info(world->env, &info);
    /* What is used counts when the map is smaller, and that is the library's affair. */
    add_number(result, world->program->map_is_tiny ? 0 : info.me_mapsize);
    add_number(result, info.me_last_txnid);
    add_number(result, info.me_maxreaders);
    add_number(result, info.me_numreaders);
    api->env_get_flags(world->env, &flags);
    add_number(result, flags);
    api->env_stat(world->env, &stat);
    add_number(result, stat.ms_entries);
}

/* Registering a handle anew brings the library's own orders back. */
static void set_orders(const struct world *world, unsigned txn, unsigned db)
{
    const struct program *program = world->program;
    const struct api *api = world->api;

    if (program->key_order[db] != ORDER_DEFAULT) {
        api->set_compare(world->txn[txn], world->dbi[db], compare_function(program->key_order[db]));
    }
    if (program->data_order[db] != ORDER_DEFAULT) {
        api->set_dupsort(world->txn[txn], world->dbi[db],
                         compare_function(program->data_order[db]));
    }
}

static void call_dbi_open(struct world *world, const struct call *call, struct result *result)
{
    MDB_dbi dbi = BAD_HANDLE;

    result->rc = world->api->dbi_open(world->txn[call->txn], call->name, call->flags, &dbi);
    add_number(result, dbi);
    if (result->rc != 0) {
        return;
    }
    /* The number may have belonged to a database that was closed; that slot must not reach this
     * one, whose keys may be of another kind. */
    for (unsigned i = 0; i < DB_COUNT; i++) {
        if (world->dbi[i] == dbi) {
            world->dbi[i] = BAD_HANDLE;
        }
    }
    world->dbi[call->db] = dbi;
    set_orders(world, call->txn, call->db);
}

static void call_by_number(struct world *world, const struct call *call, struct result *result)
{
    MDB_val data[2] = {call->data, {3, NULL}};

    add_number(result, wrong_call(world, call, data));
    add_number(result, data[1].mv_size);
}

static int add_text(const char *text, void *context)
{
    struct world *world = context;
    size_t used = strlen(world->text);

    snprintf(world->text + used, sizeof world->text - used, "%s", text);
    return (int)strlen(world->text);
}

/* Readers are listed by slot, and which of the free ones a reader takes is the library's affair:
 * their lines are put in order, below the heading. */
static void sort_lines(char *text)
{
    enum { LINE_MAX_SIZE = 64, LINES_MAX = 32 };
    char lines[LINES_MAX][LINE_MAX_SIZE];
    char *next = strchr(text, '\n');
    size_t count = 0;

    for (char *from = next == NULL ? NULL : next + 1; from != NULL && *from != '\0';) {
        char *end = strchr(from, '\n');
        size_t size = end == NULL ? strlen(from) : (size_t)(end - from);
        if (count == LINES_MAX || size >= LINE_MAX_SIZE) {
            return;
        }
        memcpy(lines[count], from, size);
        lines[count++][size] = '\0';
        from = end == NULL ? NULL : end + 1;
    }
    qsort(lines, count, sizeof lines[0], (int (*)(const void *, const void *))strcmp);
    for (size_t i = 0; i < count; i++) {
        next += sprintf(next + 1, "%s\n", lines[i]);
    }
}

static void call_reader_list(struct world *world, MDB_val *data, struct result *result)
{
    world->text[0] = '\0';
    result->rc = world->api->reader_list(world->env, add_text, world);
    sort_lines(world->text);
    *data = (MDB_val){strlen(world->text), world->text};
}

/* ---- the call -------------------------------------------------------------------------------- */

static void call_put(struct world *world, const struct call *call, MDB_val *key, MDB_val *data,
                     struct result *result)
{
    const struct api *api = world->api;
    bool by_cursor = call->code == STEP_CURSOR_PUT;
    MDB_val pair[2] = {*data, {call->flags & MDB_MULTIPLE ? (size_t)call->number : 3, NULL}};
    MDB_val *data_or_null = call->no_data ? NULL : pair;

    if (by_cursor) {
        result->rc = api->cursor_put(world->cursor[call->cursor], key, data_or_null, call->flags);
    } else {
        result->rc =
            api->put(world->txn[call->txn], world->dbi[call->db], key, data_or_null, call->flags);
    }
    if (result->rc == 0 && (call->flags & MDB_RESERVE) && !(call->flags & MDB_MULTIPLE) &&
        pair[0].mv_size == call->data.mv_size && call->data.mv_size != 0) {
        memcpy(pair[0].mv_data, call->data.mv_data, call->data.mv_size);
    }
    *data = pair[0];
    add_number(result, pair[1].mv_size);
}

static void call_child_begin(struct world *world, const struct call *call, struct result *result)
{
    MDB_txn *child = NULL;

    result->rc = world->api->txn_begin(world->env, world->txn[call->txn], call->flags, &child);
    add_number(result, child != NULL);
    if (result->rc == 0) {
        world->txn[TXN_OUTER + world->depth++] = world->txn[TXN_WRITE];
        world->txn[TXN_WRITE] = child;
    }
}

/* The slots after the end of a transaction, which takes its descendants with it. */
static void leave_txn(struct world *world, unsigned txn)
{
    unsigned level = txn >= TXN_OUTER ? txn - TXN_OUTER : world->depth;

    if (txn != TXN_WRITE && txn < TXN_OUTER) {
        world->txn[txn] = NULL;
        return;
    }
    world->txn[TXN_WRITE] = level == 0 ? NULL : world->txn[TXN_OUTER + level - 1];
    world->depth = level == 0 ? 0 : level - 1;
    for (unsigned i = world->depth; i < NEST_MAX; i++) {
        world->txn[TXN_OUTER + i] = NULL;
    }
}

/* Calls on transactions, databases and the environment. */
static void call_other(struct world *world, const struct call *call, struct result *result)
{
    const struct api *api = world->api;
    MDB_txn *txn = world->txn[call->txn];
    MDB_dbi dbi = world->dbi[call->db];
    MDB_stat stat = {0};
    unsigned flags = 0;

    switch (call->code) {
    case STEP_TXN_BEGIN:
        result->rc = api->txn_begin(world->env, NULL, call->flags, &world->txn[call->txn]);
        break;
    case STEP_CHILD_BEGIN:
        call_child_begin(world, call, result);
        break;
    case STEP_TXN_COMMIT:
        result->rc = api->txn_commit(txn);
        leave_txn(world, call->txn);
        break;
    case STEP_TXN_ABORT:
        api->txn_abort(txn);
        leave_txn(world, call->txn);
        break;
    case STEP_TXN_RESET:
        api->txn_reset(txn);
        break;
    case STEP_TXN_RENEW:
        result->rc = api->txn_renew(txn);
        break;
    case STEP_TXN_ID:
        add_number(result, api->txn_id(txn));
        break;
    case STEP_DBI_OPEN:
        call_dbi_open(world, call, result);
        break;
    case STEP_DBI_CLOSE:
        api->dbi_close(world->env, dbi);
        break;
    case STEP_DBI_FLAGS:
        result->rc = api->dbi_flags(txn, dbi, &flags);
        add_number(result, flags);
        break;
    case STEP_STAT:
        result->rc = api->stat(txn, dbi, &stat);
        add_stat(result, &stat);
        break;
    case STEP_DROP:
        result->rc = api->drop(txn, dbi, call->number);
        break;
    case STEP_ENV_INFO:
        call_env_info(world, result);
        break;
    case STEP_ENV_SYNC:
        result->rc = api->env_sync(world->env, call->number);
        break;
    default:
        call_by_number(world, call, result);
        break;
    }
}

static void call_cursor(struct world *world, const struct call *call, MDB_val *key, MDB_val *data,
                        struct result *result)
{
    const struct api *api = world->api;
    MDB_cursor **cursor = &world->cursor[call->cursor];
    size_t count = 0;

    switch (call->code) {
    case STEP_CURSOR_OPEN:
        result->rc = api->cursor_open(world->txn[call->txn], world->dbi[call->db], cursor);
        break;
    case STEP_CURSOR_CLOSE:
        api->cursor_close(*cursor);
        *cursor = call->number ? *cursor : NULL;
        break;
    case STEP_CURSOR_RENEW:
        result->rc = api->cursor_renew(world->txn[call->txn], *cursor);
        break;
    case STEP_CURSOR_GET:
        result->rc = api->cursor_get(*cursor, key, call->no_data ? NULL : data,
                                     (MDB_cursor_op)call->cursor_op);
        break;
    case STEP_CURSOR_PUT:
        call_put(world, call, key, data, result);
        break;
    case STEP_CURSOR_DEL:
        result->rc = api->cursor_del(*cursor, call->flags);
        break;
    default:
        result->rc = api->cursor_count(*cursor, &count);
        add_number(result, count);
        break;
    }
}

void world_read_multiple(struct world *world, const struct call *call, struct result *result)
{
    MDB_cursor *cursor = world->cursor[call->cursor];
    bool back = call->cursor_op == MDB_PREV_MULTIPLE;
    size_t used = 0;
    MDB_val key = world_untouched();
    MDB_val data = world_untouched();
    int rc = world->api->cursor_get(cursor, &key, &data, MDB_GET_MULTIPLE);

    while (rc == 0 && data.mv_size + used <= MANY_SIZE) {
        memmove(world->many + (back ? data.mv_size : used), world->many, back ? used : 0);
        memcpy(world->many + (back ? 0 : used), data.mv_data, data.mv_size);
        used += data.mv_size;
        result->numbers[0] |= data.mv_size > 4080 && world->api->page_size_override == 0;
        result->number_count = 1;
        rc = world->api->cursor_get(cursor, &key, &data,
                                    back ? MDB_PREV_MULTIPLE : MDB_NEXT_MULTIPLE);
    }
    result->rc = rc;
    result->key_touched = false;
    result->data_touched = true;
    result->data = (MDB_val){used, world->many};
}

static bool differs(const MDB_val *a, const MDB_val *b)
{
    return a->mv_size != b->mv_size || a->mv_data != b->mv_data;
}

void world_call(struct world *world, const struct call *call, struct result *result)
{
    const struct api *api = world->api;
    MDB_txn *txn = world->txn[call->txn];
    MDB_dbi dbi = world->dbi[call->db];
    MDB_val key = call->key;
    MDB_val data = call->data;
    MDB_val *key_or_null = call->no_key ? NULL : &key;
    MDB_val *data_or_null = call->no_data ? NULL : &data;
    int order;

    memset(result, 0, sizeof *result);
    world->calls++;
    api_enter(api);
    if (call->code == STEP_READ_MULTIPLE) {
        world_read_multiple(world, call, result);
        return;
    }
    if (call->code == STEP_GET) {
        result->rc = api->get(txn, dbi, key_or_null, data_or_null);
    } else if (call->code == STEP_PUT) {
        call_put(world, call, key_or_null, &data, result);
    } else if (call->code == STEP_DEL) {
        result->rc = api->del(txn, dbi, key_or_null, data_or_null);
    } else if (call->code == STEP_CMP) {
        order = api->cmp(txn, dbi, &key, &data);
        add_number(result, order < 0 ? 0 : order == 0 ? 1 : 2);
    } else if (call->code == STEP_READER_LIST) {
        call_reader_list(world, &data, result);
    } else if (call->code == STEP_DCMP) {
        order = api->dcmp(txn, dbi, &key, &data);
        add_number(result, order < 0 ? 0 : order == 0 ? 1 : 2);
    } else if (call->code >= STEP_CURSOR_OPEN && call->code <= STEP_CURSOR_COUNT) {
        call_cursor(world, call, key_or_null, &data, result);
    } else {
        call_other(world, call, result);
    }
    result->key = key;
    result->data = data;
    result->key_touched = differs(&key, &call->key);
    result->data_touched = differs(&data, &call->data);
    if (result->rc == 0 && call->txn != TXN_WRITE &&
        (call->code == STEP_GET || call->code == STEP_CURSOR_GET)) {
        if (result->key_touched) {
            hold(world, call->txn, &key);
        }
        if (result->data_touched) {
            hold(world, call->txn, &data);
        }
    }
}
