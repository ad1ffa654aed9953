/*
 * The store: an array of objects, an array of changes, and a counter. Small numbers, so searches go
 * from front to back.
 */
#include "lib/testing/kube_store.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"

void kube_store_init(struct kube_store *s)
{
    *s = (struct kube_store){.version = 100};
}

void kube_store_destroy(struct kube_store *s)
{
    for (size_t i = 0; i < s->count; i++)
        cJSON_Delete(s->objects[i].body);
    for (size_t i = 0; i < s->history_count; i++)
        free(s->history[i].json);
    free(s->objects);
    free(s->history);
    *s = (struct kube_store){.objects = NULL};
}

void *kube_grow(void *p, size_t bytes)
{
    void *more = realloc(p, bytes);

    ASSERT(more);
    return more;
}

/* ---- paths ---- */

/* Cuts path into segments; false if there are more than max or one is too long. */
static bool segments_cut(const char *path, char out[][KUBE_STORE_SEGMENT_BYTES], size_t max,
                         size_t *out_count)
{
    *out_count = 0;
    while (*path == '/') {
        size_t n = strcspn(++path, "/");
        if (*out_count == max || n == 0 || n >= KUBE_STORE_SEGMENT_BYTES)
            return false;
        memcpy(out[*out_count], path, n);
        out[(*out_count)++][n] = '\0';
        path += n;
    }
    return true;
}

bool kube_target_parse(const char *path, struct kube_target *out)
{
    char part[9][KUBE_STORE_SEGMENT_BYTES];
    char *const into[] = {out->plural, out->name, out->subresource};
    size_t count;
    size_t at;

    *out = (struct kube_target){.base = ""};
    if (!segments_cut(path, part, ARRAY_LEN(part), &count) || count < 3)
        return false;
    bool is_core = strcmp(part[0], "api") == 0;
    if (!is_core && strcmp(part[0], "apis") != 0)
        return false;
    at = is_core ? 2 : 3;
    int n = is_core ? snprintf(out->base, sizeof(out->base), "/api/%.60s", part[1])
                    : snprintf(out->base, sizeof(out->base), "/apis/%.90s/%.60s", part[1], part[2]);
    ASSERT(n > 0 && (size_t)n < sizeof(out->base));
    if (at + 2 < count && strcmp(part[at], "namespaces") == 0) {
        memcpy(out->namespace_name, part[at + 1], KUBE_STORE_SEGMENT_BYTES);
        at += 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(into) && at < count; i++, at++)
        memcpy(into[i], part[at], KUBE_STORE_SEGMENT_BYTES);
    return out->plural[0] != '\0' && at == count;
}

static bool is_same_collection(const struct kube_target *a, const struct kube_target *b)
{
    return strcmp(a->base, b->base) == 0 && strcmp(a->plural, b->plural) == 0;
}

struct kube_stored *kube_store_find(struct kube_store *s, const struct kube_target *target)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct kube_target *t = &s->objects[i].target;
        if (is_same_collection(t, target) && strcmp(t->name, target->name) == 0 &&
            strcmp(t->namespace_name, target->namespace_name) == 0)
            return &s->objects[i];
    }
    return NULL;
}

static bool label_matches(const struct cJSON *labels, const char *term, size_t n)
{
    char key[256];
    const char *equals = memchr(term, '=', n);
    size_t key_n = equals ? (size_t)(equals - term) : n;

    ASSERT(key_n < sizeof(key));
    memcpy(key, term, key_n);
    key[key_n] = '\0';
    const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(labels, key);
    if (!equals || !cJSON_IsString(value))
        return value != NULL;
    size_t value_n = n - key_n - 1;
    return strlen(value->valuestring) == value_n &&
           memcmp(value->valuestring, equals + 1, value_n) == 0;
}

bool kube_store_matches(const struct kube_target *collection, const struct kube_target *object,
                        const struct cJSON *body, const char *selector)
{
    if (!is_same_collection(collection, object) ||
        (collection->namespace_name[0] &&
         strcmp(collection->namespace_name, object->namespace_name) != 0))
        return false;
    const struct cJSON *labels = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(body, "metadata"), "labels");
    while (selector && *selector) {
        size_t n = strcspn(selector, ",");
        if (!label_matches(labels, selector, n))
            return false;
        selector += n + (selector[n] == ',' ? 1 : 0);
    }
    return true;
}

/* ---- writes ---- */

static void record(struct kube_store *s, const char *type, const struct kube_stored *object)
{
    s->history = kube_grow(s->history, (s->history_count + 1) * sizeof(*s->history));
    s->history[s->history_count++] =
        (struct kube_change_record){.version = s->version,
                                    .type = type,
                                    .target = object->target,
                                    .json = cJSON_PrintUnformatted(object->body)};
}

static void text_set(struct cJSON *object, const char *key, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    ASSERT(cJSON_AddStringToObject(object, key, text));
}

static void version_stamp(struct kube_store *s, struct cJSON *body)
{
    char text[32];

    s->version++;
    (void)snprintf(text, sizeof(text), "%" PRIu64, s->version);
    text_set(cJSON_GetObjectItemCaseSensitive(body, "metadata"), "resourceVersion", text);
}

/* Fills what the server decides: name, namespace, uid, version. */
static void body_stamp(struct kube_store *s, const struct kube_target *target, struct cJSON *body,
                       const struct cJSON *before)
{
    struct cJSON *metadata = cJSON_GetObjectItemCaseSensitive(body, "metadata");
    const struct cJSON *old = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(before, "metadata"), "uid");
    char uid[64];

    if (!metadata)
        metadata = cJSON_AddObjectToObject(body, "metadata");
    ASSERT(metadata);
    if (old)
        (void)snprintf(uid, sizeof(uid), "%s", old->valuestring);
    else
        (void)snprintf(uid, sizeof(uid), "uid-%" PRIu64, ++s->uid_count);
    text_set(metadata, "uid", uid);
    text_set(metadata, "name", target->name);
    if (target->namespace_name[0])
        text_set(metadata, "namespace", target->namespace_name);
    version_stamp(s, body);
}

struct kube_stored *kube_store_put(struct kube_store *s, const struct kube_target *target,
                                   struct cJSON *body)
{
    struct kube_stored *object = kube_store_find(s, target);
    bool is_new = !object;

    body_stamp(s, target, body, object ? object->body : NULL);
    if (is_new) {
        s->objects = kube_grow(s->objects, (s->count + 1) * sizeof(*s->objects));
        object = &s->objects[s->count++];
        *object = (struct kube_stored){.target = *target};
        object->target.subresource[0] = '\0';
    } else {
        cJSON_Delete(object->body);
    }
    object->body = body;
    record(s, is_new ? "ADDED" : "MODIFIED", object);
    return object;
}

bool kube_store_delete(struct kube_store *s, const struct kube_target *target)
{
    struct kube_stored *object = kube_store_find(s, target);

    if (!object)
        return false;
    version_stamp(s, object->body);
    record(s, "DELETED", object);
    cJSON_Delete(object->body);
    *object = s->objects[--s->count];
    return true;
}

struct cJSON *kube_merge(struct cJSON *target, const struct cJSON *patch)
{
    if (!cJSON_IsObject(patch)) {
        cJSON_Delete(target);
        return cJSON_Duplicate(patch, true);
    }
    if (!cJSON_IsObject(target)) {
        cJSON_Delete(target);
        target = cJSON_CreateObject();
    }
    for (const struct cJSON *p = patch->child; p; p = p->next) {
        struct cJSON *old = cJSON_DetachItemFromObjectCaseSensitive(target, p->string);
        if (cJSON_IsNull(p))
            cJSON_Delete(old);
        else
            ASSERT(cJSON_AddItemToObject(target, p->string, kube_merge(old, p)));
    }
    return target;
}
