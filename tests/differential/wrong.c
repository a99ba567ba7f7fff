/* wrong.c - makes the calls that wrong.h lists.
 *
 * Owns:       nothing.
 * Invariants: N1 a number beyond a list's end wraps around.
 * Locks:      none; one thread.
 */
#include "wrong.h"
#include "world.h"

#include <string.h>

#define TEXT(...) #__VA_ARGS__,
#define CALL(name, ...) api->name(__VA_ARGS__)
#define ANSWER(...)                                                                                \
    if (wanted-- == 0) {                                                                           \
        return (uint64_t)(__VA_ARGS__);                                                            \
    }

static const char *const wrong_texts[] = {WRONG_CALLS(TEXT)};
static const char *const wrong_txn_texts[] = {WRONG_TXN_CALLS(TEXT)};
static const char *const question_texts[] = {QUESTIONS(TEXT)};
static const char *const cursor_texts[] = {CURSOR_QUESTIONS(TEXT)};

#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))

static uint64_t call_wrong(const struct world *world, MDB_dbi dbi, MDB_val key, MDB_val *data,
                           int wanted)
{
    const struct api *api = world->api;
    MDB_env *env = world->env;
    const char *path = world->directory;
    MDB_cursor *cursor;
    MDB_stat stat;
    unsigned flags;
    size_t count;

    WRONG_CALLS(ANSWER)
    return 0;
}

static uint64_t call_wrong_txn(const struct world *world, MDB_txn *txn, MDB_dbi dbi, MDB_val key,
                               MDB_val *data, int wanted)
{
    const struct api *api = world->api;
    unsigned flags;

    WRONG_TXN_CALLS(ANSWER)
    return 0;
}

static uint64_t ask_environment(const struct world *world, int wanted)
{
    const struct api *api = world->api;
    MDB_env *env = world->env;
    const char *path = world->path;
    const char *text = NULL;
    size_t grown = world->program->map_size * 2;
    unsigned flags = 0;
    int dead = 77;
    int fd = -1;
    MDB_val key;

    QUESTIONS(ANSWER)
    return 0;
}

static uint64_t ask_cursor(const struct world *world, MDB_txn *txn, MDB_cursor *cursor, int wanted)
{
    const struct api *api = world->api;
    MDB_env *env = world->env;

    CURSOR_QUESTIONS(ANSWER)
    return 0;
}

const char *wrong_text(const struct call *call)
{
    int wrong = call->number % (COUNT(wrong_texts) + COUNT(wrong_txn_texts));
    int question = call->number % (COUNT(question_texts) + COUNT(cursor_texts));

    if (call->code == STEP_BAD_CALL) {
        return wrong < COUNT(wrong_texts) ? wrong_texts[wrong]
                                          : wrong_txn_texts[wrong - COUNT(wrong_texts)];
    }
    return question < COUNT(question_texts) ? question_texts[question]
                                            : cursor_texts[question - COUNT(question_texts)];
}

bool wrong_needs_txn(const struct call *call)
{
    return call->code == STEP_BAD_CALL &&
           call->number % (COUNT(wrong_texts) + COUNT(wrong_txn_texts)) >= COUNT(wrong_texts);
}

bool wrong_needs_cursor(const struct call *call)
{
    return call->code == STEP_ASK &&
           call->number % (COUNT(question_texts) + COUNT(cursor_texts)) >= COUNT(question_texts);
}

uint64_t wrong_call(struct world *world, const struct call *call, MDB_val *data)
{
    int wrong = call->number % (COUNT(wrong_texts) + COUNT(wrong_txn_texts));
    int question = call->number % (COUNT(question_texts) + COUNT(cursor_texts));
    MDB_txn *txn = world->txn[call->txn];
    MDB_dbi dbi = world->dbi[call->db];

    if (call->code == STEP_BAD_CALL) {
        return wrong < COUNT(wrong_texts)
                   ? call_wrong(world, dbi, call->key, data, wrong)
                   : call_wrong_txn(world, txn, dbi, call->key, data, wrong - COUNT(wrong_texts));
    }
    return question < COUNT(question_texts) ? ask_environment(world, question)
                                            : ask_cursor(world, txn, world->cursor[call->cursor],
                                                         question - COUNT(question_texts));
}
