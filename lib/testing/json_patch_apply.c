/*
 * RFC 6902 on cJSON trees. A pointer is walked step by step to the parent of its last step; there
 * an operation is done.
 */
#include "lib/testing/json_patch_apply.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

static void tree_free(cJSON **tree)
{
    cJSON_Delete(*tree);
}

/* Decodes one step of a pointer ("~1" is a slash) into out and moves *at behind it. */
static void step_take(const char **at, char *out, size_t bytes)
{
    size_t n = 0;

    for ((*at)++; **at && **at != '/'; (*at)++) {
        char c = **at;
        if (c == '~') {
            (*at)++;
            c = **at == '1' ? '/' : '~';
        }
        if (n + 1 < bytes)
            out[n++] = c;
    }
    out[n] = '\0';
}

/* The index that a step names in a list; -1 if it names none. "-" is the end. */
static int index_of(const cJSON *list, const char *step)
{
    int count = cJSON_GetArraySize(list);
    char *end = NULL;

    if (strcmp(step, "-") == 0)
        return count;
    errno = 0;
    long at = strtol(step, &end, 10);
    return *step && !*end && errno == 0 && at >= 0 && at <= count ? (int)at : -1;
}

static cJSON *child_of(cJSON *parent, const char *step)
{
    if (cJSON_IsArray(parent))
        return cJSON_GetArrayItem(parent, index_of(parent, step));
    return cJSON_GetObjectItemCaseSensitive(parent, step);
}

/* Adds at the end, then moves what has to stand behind it there, one by one. */
static bool array_insert(cJSON *list, int at, cJSON *item)
{
    int behind = cJSON_GetArraySize(list) - at;

    if (!cJSON_AddItemToArray(list, item))
        return false;
    for (int i = 0; i < behind; i++) {
        if (!cJSON_AddItemToArray(list, cJSON_DetachItemFromArray(list, at)))
            return false;
    }
    return true;
}

static bool op_add(cJSON *parent, const char *step, const cJSON *value)
{
    cJSON *copy = cJSON_Duplicate(value, true);

    if (cJSON_IsArray(parent)) {
        int at = index_of(parent, step);
        if (at >= 0)
            return array_insert(parent, at, copy);
    } else if (cJSON_IsObject(parent)) {
        cJSON_DeleteItemFromObjectCaseSensitive(parent, step);
        return cJSON_AddItemToObject(parent, step, copy);
    }
    cJSON_Delete(copy);
    return false;
}

static bool op_remove(cJSON *parent, const char *step)
{
    if (!child_of(parent, step))
        return false;
    if (cJSON_IsArray(parent))
        cJSON_DeleteItemFromArray(parent, index_of(parent, step));
    else
        cJSON_DeleteItemFromObjectCaseSensitive(parent, step);
    return true;
}

static bool op_apply(cJSON *root, const cJSON *op)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(op, "op"));
    const char *at = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(op, "path"));
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(op, "value");
    cJSON *parent = root;
    char step[1024];

    if (!name || !at || *at != '/')
        return false;
    for (step_take(&at, step, sizeof(step)); *at && parent; step_take(&at, step, sizeof(step)))
        parent = child_of(parent, step);
    if (!parent)
        return false;
    if (strcmp(name, "add") == 0)
        return value && op_add(parent, step, value);
    return strcmp(name, "remove") == 0 && op_remove(parent, step);
}

static int print(const cJSON *tree, bool is_pretty, struct buf *out, struct error *err)
{
    char *text = is_pretty ? cJSON_Print(tree) : cJSON_PrintUnformatted(tree);

    if (!text)
        return error_set(err, ERR_NO_MEMORY, 0, "printing JSON");
    int rc = buf_append_str(out, text, err);
    free(text);
    return rc;
}

static cJSON *parse(struct slice text)
{
    return cJSON_ParseWithLength(text.p ? (const char *)text.p : "", text.n);
}

int json_patch_apply(struct slice document, struct slice patch, struct buf *out, struct error *err)
{
    CLEANUP(tree_free) cJSON *root = parse(document);
    CLEANUP(tree_free) cJSON *ops = parse(patch);
    const cJSON *op;

    if (!root || !cJSON_IsArray(ops))
        return error_set(err, ERR_CORRUPT, 0, "document or patch is not JSON");
    cJSON_ArrayForEach(op, ops)
    {
        char *text = cJSON_PrintUnformatted(op);
        bool is_done = op_apply(root, op);
        if (!is_done)
            (void)error_set(err, ERR_CORRUPT, 0, "cannot apply %s", text ? text : "");
        free(text);
        if (!is_done)
            return -1;
    }
    return print(root, false, out, err);
}

int json_pretty(struct slice text, struct buf *out, struct error *err)
{
    CLEANUP(tree_free) cJSON *tree = parse(text);

    if (!tree)
        return error_set(err, ERR_CORRUPT, 0, "not JSON");
    return print(tree, true, out, err);
}
