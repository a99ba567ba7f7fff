/* emit.c - writes a program that failed down as C, one line a call.
 *
 * Owns:       the form of those programs; replay.h is what they include.
 * Invariants: E1 what is written makes the calls that the real library was given.
 * Locks:      none; one thread.
 */
#include "pair.h"

#include <ctype.h>
#include <string.h>

enum { LITERAL_MAX = 4096 };

static void emit_bytes(FILE *out, const uint8_t *bytes, size_t size)
{
    bool after_hex = false;

    for (size_t i = 0; i < size; i++) {
        bool plain = isprint(bytes[i]) && bytes[i] != '"' && bytes[i] != '\\' && bytes[i] != '?';
        if (plain) {
            fprintf(out, after_hex && isxdigit(bytes[i]) ? "\" \"%c" : "%c", bytes[i]);
        } else {
            fprintf(out, "\\x%02x", bytes[i]);
        }
        after_hex = !plain;
    }
}

static void emit_value(FILE *out, const MDB_val *value, size_t count, bool null)
{
    const uint8_t *bytes = value->mv_data;
    const uint8_t *pool = program_pool();

    if (null) {
        fprintf(out, ", NULL");
    } else if (bytes == world_untouched().mv_data) {
        fprintf(out, ", NONE");
    } else if (bytes == NULL) {
        fprintf(out, ", V(NULL, %zu)", value->mv_size);
    } else if (bytes >= pool && bytes < pool + POOL_SIZE && value->mv_size > 24) {
        fprintf(out, ", P(%zu, %zu)", (size_t)(bytes - pool), value->mv_size);
    } else {
        fprintf(out, ", V(\"");
        emit_bytes(out, bytes, value->mv_size * count);
        fprintf(out, "\", %zu)", value->mv_size);
    }
}

static void emit_flags(FILE *out, unsigned flags)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{MDB_NOOVERWRITE, "MDB_NOOVERWRITE"}, {MDB_NODUPDATA, "MDB_NODUPDATA"},
                 {MDB_CURRENT, "MDB_CURRENT"},         {MDB_RESERVE, "MDB_RESERVE"},
                 {MDB_APPEND, "MDB_APPEND"},           {MDB_APPENDDUP, "MDB_APPENDDUP"},
                 {MDB_MULTIPLE, "MDB_MULTIPLE"}};
    const char *before = ", ";

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (flags & names[i].bit) {
            fprintf(out, "%s%s", before, names[i].name);
            flags &= ~names[i].bit;
            before = " | ";
        }
    }
    if (flags != 0 || before[0] == ',') {
        fprintf(out, "%s%#x", before, flags);
    }
}

static void emit_op(FILE *out, int cursor_op)
{
    if (cursor_op >= 0 && cursor_op <= MDB_PREV_MULTIPLE) {
        fprintf(out, ", MDB_%s", program_cursor_op_name(cursor_op));
    } else {
        fprintf(out, ", %d", cursor_op);
    }
}

static void emit_data_call(FILE *out, const struct call *call)
{
    fprintf(out, "%u, %u", call->txn, call->db);
    emit_value(out, &call->key, 1, call->no_key);
    if (call->code != STEP_GET) {
        emit_value(out, &call->data, 1, call->no_data);
    }
    if (call->code == STEP_PUT) {
        emit_flags(out, call->flags);
    }
}

static void emit_cursor_call(FILE *out, const struct call *call)
{
    size_t count = call->flags & MDB_MULTIPLE ? (size_t)call->number : 1;

    fprintf(out, "%u", call->cursor);
    switch (call->code) {
    case STEP_CURSOR_OPEN:
        fprintf(out, ", %u, %u", call->txn, call->db);
        break;
    case STEP_CURSOR_RENEW:
        fprintf(out, ", %u", call->txn);
        break;
    case STEP_CURSOR_GET:
        emit_op(out, call->cursor_op);
        emit_value(out, &call->key, 1, call->no_key);
        emit_value(out, &call->data, 1, call->no_data);
        break;
    case STEP_READ_MULTIPLE:
        emit_op(out, call->cursor_op);
        break;
    case STEP_CURSOR_PUT:
        emit_value(out, &call->key, 1, call->no_key);
        emit_value(out, &call->data, count, call->no_data);
        emit_flags(out, call->flags);
        fprintf(out, ", %d", call->flags & MDB_MULTIPLE ? call->number : 3);
        break;
    case STEP_CURSOR_DEL:
        emit_flags(out, call->flags);
        break;
    default:
        break;
    }
}

static void emit_other_call(FILE *out, const struct call *call)
{
    switch (call->code) {
    case STEP_TXN_BEGIN:
    case STEP_CHILD_BEGIN:
        fprintf(out, "%u, %#x", call->txn, call->flags);
        break;
    case STEP_DBI_OPEN:
        fprintf(out, call->name == NULL ? "%u, %u, %s, %#x" : "%u, %u, \"%s\", %#x", call->txn,
                call->db, call->name == NULL ? "NULL" : call->name, call->flags);
        break;
    case STEP_DROP:
        fprintf(out, "%u, %u, %d", call->txn, call->db, call->number);
        break;
    case STEP_DBI_CLOSE:
        fprintf(out, "%u", call->db);
        break;
    case STEP_DBI_FLAGS:
    case STEP_STAT:
        fprintf(out, "%u, %u", call->txn, call->db);
        break;
    case STEP_ENV_SYNC:
        fprintf(out, "%d", call->number);
        break;
    case STEP_ENV_INFO:
    case STEP_READER_LIST:
        break;
    default:
        fprintf(out, "%u", call->txn);
        break;
    }
}

/* Wrong arguments and questions are expressions over the variables that ASK() makes. */
static void emit_by_number(FILE *out, const struct call *call)
{
    fprintf(out, "    ASK(%u, %u, %u", call->txn, call->db, call->cursor);
    emit_value(out, &call->key, 1, false);
    emit_value(out, &call->data, 1, false);
    fprintf(out, ", %s);\n", wrong_text(call));
}

void emit_call(const struct pair *pair, const struct call *call)
{
    FILE *out = pair->script;

    if (out == NULL || call->cursor == CURSOR_SCRATCH) {
        return;
    }
    if (call->code == STEP_BAD_CALL || call->code == STEP_ASK) {
        emit_by_number(out, call);
        return;
    }
    fprintf(out, "    %s(", call->code == STEP_STAT ? "db_stat" : program_step_name(call->code));
    if (call->code == STEP_GET || call->code == STEP_PUT || call->code == STEP_DEL ||
        call->code == STEP_CMP || call->code == STEP_DCMP) {
        emit_data_call(out, call);
    } else if ((call->code >= STEP_CURSOR_OPEN && call->code <= STEP_CURSOR_COUNT) ||
               call->code == STEP_READ_MULTIPLE) {
        emit_cursor_call(out, call);
    } else {
        emit_other_call(out, call);
    }
    fprintf(out, ");\n");
    fflush(out); /* the call may be the last thing that this process does */
}

void emit_walk(const struct pair *pair, unsigned txn, unsigned db)
{
    if (pair->script != NULL) {
        fprintf(pair->script, "    walk(%u, %u);\n", txn, db);
        fflush(pair->script);
    }
}

void emit_open(const struct pair *pair)
{
    const struct program *program = pair->program;

    if (pair->script != NULL) {
        fprintf(pair->script, "    env_open(%#x, %u, %u, %zu);\n", program->env_flags,
                program->max_dbs, program->max_readers, program->map_size);
        fflush(pair->script);
    }
}

void emit_close(const struct pair *pair)
{
    if (pair->script != NULL) {
        fprintf(pair->script, "    env_close();\n");
        fflush(pair->script);
    }
}

void emit_copy(const struct pair *pair, unsigned number, unsigned flags)
{
    if (pair->script != NULL) {
        fprintf(pair->script, "    env_copy(\"copy%u\", %#x);\n", number, flags & MDB_CP_COMPACT);
        fflush(pair->script);
    }
}

void emit_begin(const struct pair *pair)
{
    const struct program *program = pair->program;
    FILE *out = pair->script;

    if (out == NULL) {
        return;
    }
    fprintf(
        out,
        "/* generator %s, seed %llu. Build: cc -g -I tests/differential FILE -llmdb; run it with\n"
        " * each library in LD_LIBRARY_PATH, and compare what it prints. */\n"
        "#include \"replay.h\"\n\nint main(void)\n{\n",
        program->generator, (unsigned long long)program->seed);
    for (unsigned i = 0; i <= program->named_count; i++) {
        if (program->key_order[i] != ORDER_DEFAULT || program->data_order[i] != ORDER_DEFAULT) {
            fprintf(out, "    orders(%u, %d, %d);\n", i, (int)program->key_order[i],
                    (int)program->data_order[i]);
        }
    }
}

void emit_end(const struct pair *pair)
{
    if (pair->script != NULL) {
        fprintf(pair->script, "    return 0;\n}\n");
        fflush(pair->script);
    }
}
