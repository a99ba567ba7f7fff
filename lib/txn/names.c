/* names.c - trees by name; see names.h. */
#include "txn/names.h"

#include "base/vector.h"

#include <string.h>

static void free_tree(struct qs_tree *tree)
{
    free(tree->name);
    free(tree);
}

static int add(struct names *names, const char *name, struct qs_tree **out)
{
    if (names->count == TREES_MAX)
        return ENOMEM;
    int rc = qs_vector_reserve((void **)&names->tree, &names->capacity, names->count + 1,
                               sizeof(struct qs_tree *));
    if (rc != 0)
        return rc;
    struct qs_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL)
        return ENOMEM;
    if (name != NULL) {
        tree->name = strdup(name);
        tree->size = strlen(name);
    }
    if (name != NULL && tree->name == NULL) {
        free_tree(tree);
        return ENOMEM;
    }
    tree->index = (uint32_t)names->count;
    names->tree[names->count++] = tree;
    *out = tree;
    return 0;
}

int qs_names_open(struct names *names)
{
    struct qs_tree *main_tree;
    memset(names, 0, sizeof *names);
    pthread_mutex_init(&names->lock, NULL);
    int rc = add(names, NULL, &main_tree);
    if (rc != 0)
        qs_names_close(names);
    return rc;
}

void qs_names_close(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free_tree(names->tree[i]);
    free(names->tree);
    pthread_mutex_destroy(&names->lock);
}

int qs_names_get(struct names *names, const char *name, struct qs_tree **tree)
{
    int rc = 0;
    pthread_mutex_lock(&names->lock);
    *tree = names->tree[0];
    if (name != NULL) {
        size_t i = 1;
        while (i < names->count && strcmp(names->tree[i]->name, name) != 0)
            i++;
        if (i < names->count)
            *tree = names->tree[i];
        else
            rc = add(names, name, tree);
    }
    pthread_mutex_unlock(&names->lock);
    return rc;
}

struct qs_tree *qs_names_at(struct names *names, uint32_t index)
{
    pthread_mutex_lock(&names->lock);
    struct qs_tree *tree = names->tree[index];
    pthread_mutex_unlock(&names->lock);
    return tree;
}
