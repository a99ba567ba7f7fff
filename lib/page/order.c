/* order.c - searching by an order that is not built in; see order.h. */
#include "page/order.h"

#include <string.h>

int qs_order_compare(const struct order *order, const void *key, size_t key_size,
                     const void *stored, size_t stored_size)
{
    qs_compare_function *function = qs_order_function(order);
    if (function == NULL)
        return qs_key_compare(order->built_in, key, key_size, stored, stored_size);
    const struct qs_val a = {key_size, key}, b = {stored_size, stored};
    return function(atomic_load_explicit(&order->program->context, memory_order_relaxed), &a, &b);
}

int qs_order_search(const struct order *order, order_item *item, void *keys, unsigned first,
                    unsigned count, const struct qs_val *key, unsigned *at, bool *found)
{
    unsigned low = first, end = count; /* the place is in low..end */
    *found = false;
    while (low < end) {
        unsigned middle = (low + end - 1) / 2;
        struct qs_val stored = {0, NULL};
        int rc = item(keys, middle, &stored);
        if (rc != 0)
            return rc;
        int difference = qs_order_compare(order, key->data, key->size, stored.data, stored.size);
        if (difference == 0) {
            *found = true;
            low = end = middle;
        } else if (difference > 0) {
            low = middle + 1;
        } else {
            end = middle;
        }
    }
    *at = low;
    return 0;
}

static int item_of_set(void *keys, unsigned i, struct qs_val *item)
{
    const struct set *set = keys;
    *item = qs_set_item(set, i);
    return 0;
}

unsigned qs_order_search_set(const struct order *order, const struct set *set,
                             const struct qs_val *item, bool *found)
{
    struct set copy = *set;
    unsigned at;
    if (!qs_order_asks(order))
        return qs_set_search(set, order->built_in, item->data, item->size, found);
    qs_order_search(order, item_of_set, &copy, 0, set->count, item, &at, found);
    return at;
}

unsigned qs_order_find_set(const struct order *order, const struct set *set,
                           const struct qs_val *item, bool *found)
{
    if (!order->custom)
        return qs_set_search(set, order->built_in, item->data, item->size, found);
    unsigned i = 0;
    for (*found = false; i < set->count && !*found; i += !*found) {
        struct qs_val other = qs_set_item(set, i);
        *found = other.size == item->size && memcmp(other.data, item->data, item->size) == 0;
    }
    return i;
}
