/*
 * Verbs of the API server for tests: get, list, create, update, apply, merge patch, delete. A
 * watch is kube_server_watch.c's.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/testing/kube_server_internal.h"

/* ---- answers ---- */

static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= (uint8_t)p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void le_put(char **at, uint32_t value, unsigned bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *(*at)++ = (char)value;
}

/* The text as a gzip file of stored blocks (RFC 1951 3.2.4, RFC 1952), which is one like any other
 * to who reads it. The caller frees. */
static char *gzip_of(const char *text, size_t n, bool is_damaged, size_t *out_n)
{
    static const char head[10] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    char *bytes = kube_grow(NULL, n + (n / UINT16_MAX + 1) * 5 + sizeof(head) + 8);
    char *at = bytes + sizeof(head);

    memcpy(bytes, head, sizeof(head));
    for (size_t done = 0, block = 0; done < n || done == 0; done += block) {
        block = n - done < UINT16_MAX ? n - done : UINT16_MAX;
        *at++ = (char)(done + block == n); /* the last one? */
        le_put(&at, (uint32_t)block, 2);
        le_put(&at, ~(uint32_t)block, 2);
        memcpy(at, text + done, block);
        at += block;
        if (n == 0)
            break;
    }
    le_put(&at, crc32_of(text, n) ^ (is_damaged ? 1 : 0), 4);
    le_put(&at, (uint32_t)n, 4);
    *out_n = (size_t)(at - bytes);
    return bytes;
}

/* Compressed, if the server does so and the client takes it; NULL: not. The caller frees. */
static char *gzip_if_wanted(const struct kube_http *r, const char *json, size_t *out_n)
{
    struct kube_server *s = r->connection->server;
    const char *accepts = strcasestr(r->head, "\r\naccept-encoding:");
    bool is_damaged = false;

    (void)pthread_mutex_lock(&s->mu);
    bool is_wanted = s->faults.gzips && accepts && strncmp(accepts + 18, " gzip", 5) == 0;
    if (is_wanted) {
        is_damaged = s->gzipped < s->faults.gzip_damages;
        s->gzipped++;
    }
    (void)pthread_mutex_unlock(&s->mu);
    return is_wanted ? gzip_of(json, strlen(json), is_damaged, out_n) : NULL;
}

bool kube_answer_text(struct kube_http *r, int status, const char *headers, const char *json)
{
    char head[512];
    size_t n = strlen(json);
    CLEANUP(mem_free) char *packed = gzip_if_wanted(r, json, &n);
    int head_n =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %d Some\r\nContent-Type: application/json\r\n%s%s"
                 "Content-Length: %zu\r\n\r\n",
                 status, headers ? headers : "", packed ? "Content-Encoding: gzip\r\n" : "", n);

    return kube_send_bytes(r->connection, head, (size_t)head_n) &&
           kube_send_bytes(r->connection, packed ? packed : json, n);
}

bool kube_answer_status(struct kube_http *r, int code, const char *reason, const char *message)
{
    char json[1024];

    (void)snprintf(json, sizeof(json),
                   "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
                   "\"Failure\",\"message\":\"%s\",\"reason\":\"%s\",\"code\":%d}\n",
                   message, reason, code);
    return kube_answer_text(r, code, NULL, json);
}

static bool answer_object(struct kube_http *r, int status, struct cJSON *object)
{
    char *json = cJSON_PrintUnformatted(object);
    bool is_open = kube_answer_text(r, status, NULL, json);

    free(json);
    cJSON_Delete(object);
    return is_open;
}

bool kube_query(const struct kube_http *r, const char *name, char *out, size_t out_bytes)
{
    size_t name_n = strlen(name);

    for (const char *at = r->query; *at; at += strcspn(at, "&") + (strchr(at, '&') ? 1 : 0)) {
        if (strncmp(at, name, name_n) != 0 || at[name_n] != '=')
            continue;
        size_t n = 0;
        for (at += name_n + 1; *at && *at != '&' && n + 1 < out_bytes; at++) {
            unsigned code;
            if (*at == '%' && sscanf(at + 1, "%2x", &code) == 1) {
                out[n++] = (char)code;
                at += 2;
            } else {
                out[n++] = *at;
            }
        }
        out[n] = '\0';
        return true;
    }
    return false;
}

bool kube_wants_metadata(const struct kube_http *r)
{
    return strstr(r->head, "as=PartialObjectMetadata") != NULL;
}

struct cJSON *kube_shown(const struct kube_http *r, const struct cJSON *body)
{
    if (!kube_wants_metadata(r))
        return cJSON_Duplicate(body, true);
    struct cJSON *shown = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(shown, "kind", "PartialObjectMetadata");
    (void)cJSON_AddStringToObject(shown, "apiVersion", "meta.k8s.io/v1");
    (void)cJSON_AddItemToObject(
        shown, "metadata",
        cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(body, "metadata"), true));
    return shown;
}

/* ---- reading ---- */

/* Pages: the token is the number of objects that were shown. With mu held. */
static struct cJSON *list_make(struct kube_server *s, struct kube_http *r)
{
    char selector[1024], limit_text[32] = "0", token[32] = "0", version[32];
    bool has_selector = kube_query(r, "labelSelector", selector, sizeof(selector));
    (void)kube_query(r, "limit", limit_text, sizeof(limit_text));
    (void)kube_query(r, "continue", token, sizeof(token));
    unsigned long limit = strtoul(limit_text, NULL, 10);
    unsigned long from = strtoul(token, NULL, 10);
    unsigned long seen = 0;
    struct cJSON *list = cJSON_CreateObject();
    struct cJSON *metadata = cJSON_AddObjectToObject(list, "metadata");
    struct cJSON *items = cJSON_AddArrayToObject(list, "items");

    (void)snprintf(version, sizeof(version), "%" PRIu64, s->store.version);
    (void)cJSON_AddStringToObject(list, "kind", "List");
    (void)cJSON_AddStringToObject(metadata, "resourceVersion", version);
    for (size_t i = 0; i < s->store.count; i++) {
        const struct kube_stored *o = &s->store.objects[i];
        if (!kube_store_matches(&r->what, &o->target, o->body, has_selector ? selector : NULL))
            continue;
        if (seen++ < from)
            continue;
        if (limit > 0 && seen > from + limit) {
            (void)snprintf(token, sizeof(token), "%lu", from + limit);
            (void)cJSON_AddStringToObject(metadata, "continue", token);
            break;
        }
        (void)cJSON_AddItemToArray(items, kube_shown(r, o->body));
    }
    return list;
}

static bool list_answer(struct kube_http *r)
{
    struct kube_server *s = r->connection->server;
    char ignored[64];

    (void)pthread_mutex_lock(&s->mu);
    bool is_expired = s->faults.expires_continue && kube_query(r, "continue", ignored, 64);
    struct cJSON *list = is_expired ? NULL : list_make(s, r);
    (void)pthread_mutex_unlock(&s->mu);
    if (!list)
        return kube_answer_status(r, 410, "Expired", "The provided continue parameter is too old");
    return answer_object(r, 200, list);
}

static bool get_answer(struct kube_http *r)
{
    struct kube_server *s = r->connection->server;

    (void)pthread_mutex_lock(&s->mu);
    const struct kube_stored *o = kube_store_find(&s->store, &r->what);
    struct cJSON *shown = o ? kube_shown(r, o->body) : NULL;
    (void)pthread_mutex_unlock(&s->mu);
    return shown ? answer_object(r, 200, shown)
                 : kube_answer_status(r, 404, "NotFound", "object not found");
}

/* ---- writing: with mu held; they answer what is to be sent ---- */

struct outcome {
    int status;
    const char *reason, *message;
    struct cJSON *object;
};

static bool is_dry_run(const struct kube_http *r)
{
    char text[16];

    return kube_query(r, "dryRun", text, sizeof(text)) || strstr(r->body, "\"dryRun\":[\"All\"]");
}

static const char *version_of(const struct cJSON *body)
{
    const struct cJSON *v = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(body, "metadata"), "resourceVersion");

    return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* Keeps body (taken) unless it is a dry run. */
static struct outcome keep(struct kube_server *s, struct kube_http *r, struct cJSON *body,
                           int status)
{
    if (is_dry_run(r))
        return (struct outcome){.status = status, .object = body};
    const struct kube_stored *o = kube_store_put(&s->store, &r->what, body);
    (void)pthread_cond_broadcast(&s->changed);
    return (struct outcome){.status = status, .object = cJSON_Duplicate(o->body, true)};
}

static struct outcome refused(struct cJSON *body, int status, const char *reason,
                              const char *message)
{
    cJSON_Delete(body);
    return (struct outcome){.status = status, .reason = reason, .message = message};
}

static struct outcome create(struct kube_server *s, struct kube_http *r, struct cJSON *body)
{
    const struct cJSON *name = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(body, "metadata"), "name");

    if (!cJSON_IsString(name))
        return refused(body, 422, "Invalid", "name or generateName is required");
    (void)snprintf(r->what.name, sizeof(r->what.name), "%s", name->valuestring);
    if (kube_store_find(&s->store, &r->what))
        return refused(body, 409, "AlreadyExists", "object already exists");
    return keep(s, r, body, 201);
}

static struct outcome update(struct kube_server *s, struct kube_http *r, struct cJSON *body)
{
    const struct kube_stored *o = kube_store_find(&s->store, &r->what);
    const char *version = version_of(body);

    if (!o)
        return refused(body, 404, "NotFound", "object not found");
    if (version && strcmp(version, version_of(o->body)) != 0)
        return refused(body, 409, "Conflict", "the object has been modified");
    return keep(s, r, body, 200);
}

/* Merge patch and apply; an apply creates what is not there, one of a subresource does not. */
static struct outcome patch(struct kube_server *s, struct kube_http *r, struct cJSON *body)
{
    const struct kube_stored *o = kube_store_find(&s->store, &r->what);
    bool is_apply = strcasestr(r->head, "application/apply-patch+yaml") != NULL;
    const char *version = version_of(body);
    char manager[128];

    if (is_apply && !kube_query(r, "fieldManager", manager, sizeof(manager)))
        return refused(body, 400, "BadRequest", "fieldManager is required for apply patch");
    if (!o && (!is_apply || r->what.subresource[0]))
        return refused(body, 404, "NotFound", "object not found");
    if (o && version && strcmp(version, version_of(o->body)) != 0)
        return refused(body, 409, "Conflict", "the object has been modified");
    if (strcmp(r->what.subresource, "status") == 0) {
        struct cJSON *status = cJSON_DetachItemFromObjectCaseSensitive(body, "status");
        cJSON_Delete(body);
        body = cJSON_CreateObject();
        (void)cJSON_AddItemToObject(body, "status", status ? status : cJSON_CreateObject());
    }
    struct cJSON *merged = kube_merge(o ? cJSON_Duplicate(o->body, true) : NULL, body);
    cJSON_Delete(body);
    return keep(s, r, merged, o ? 200 : 201);
}

static struct outcome remove_object(struct kube_server *s, struct kube_http *r, struct cJSON *body)
{
    const struct kube_stored *o = kube_store_find(&s->store, &r->what);
    const struct cJSON *wanted = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(body, "preconditions"), "uid");

    if (!o)
        return refused(body, 404, "NotFound", "object not found");
    const struct cJSON *uid = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(o->body, "metadata"), "uid");
    if (cJSON_IsString(wanted) && strcmp(wanted->valuestring, uid->valuestring) != 0)
        return refused(body, 409, "Conflict", "the UID in the precondition does not match");
    struct outcome done = {.status = 200, .object = cJSON_Duplicate(o->body, true)};
    if (!is_dry_run(r))
        (void)kube_store_delete(&s->store, &r->what);
    cJSON_Delete(body);
    (void)pthread_cond_broadcast(&s->changed);
    return done;
}

static bool write_answer(struct kube_http *r)
{
    static const struct {
        const char *method;
        struct outcome (*fn)(struct kube_server *s, struct kube_http *r, struct cJSON *body);
    } writers[] = {{"POST", create}, {"PUT", update}, {"PATCH", patch}, {"DELETE", remove_object}};
    struct kube_server *s = r->connection->server;
    struct cJSON *body = cJSON_Parse(r->body);

    if (!body)
        return kube_answer_status(r, 400, "BadRequest", "the body is not JSON");
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        if (strcmp(writers[i].method, r->method) != 0)
            continue;
        (void)pthread_mutex_lock(&s->mu);
        struct outcome o = writers[i].fn(s, r, body);
        (void)pthread_mutex_unlock(&s->mu);
        return o.object ? answer_object(r, o.status, o.object)
                        : kube_answer_status(r, o.status, o.reason, o.message);
    }
    cJSON_Delete(body);
    return kube_answer_status(r, 405, "MethodNotAllowed", "no such verb");
}

/* ---- all ---- */

/* Whether the script lets this request fail; then *out_is_open tells whether it goes on. */
static bool fails(struct kube_http *r, bool *out_is_open)
{
    struct kube_server *s = r->connection->server;
    CLEANUP(mem_free) char *line = calloc(1, strlen(r->method) + strlen(r->target) + 2);

    (void)snprintf(line, strlen(r->method) + strlen(r->target) + 2, "%s %s", r->method, r->target);
    (void)pthread_mutex_lock(&s->mu);
    struct kube_faults f = s->faults;
    bool is_hit = f.fail_count > 0 && f.fail_part && strstr(line, f.fail_part);
    if (is_hit && f.fail_skip > 0) {
        s->faults.fail_skip--;
        is_hit = false;
    }
    if (is_hit)
        s->faults.fail_count--;
    (void)pthread_mutex_unlock(&s->mu);
    if (is_hit && f.fail_status < 0) {
        *out_is_open = kube_read_until_close(r->connection);
        return true;
    }
    if (is_hit) {
        *out_is_open = f.fail_status != 0 && kube_answer_text(r, f.fail_status, f.fail_headers,
                                                              f.fail_body ? f.fail_body : "");
        return true;
    }
    if (f.token) {
        char wanted[1024];
        (void)snprintf(wanted, sizeof(wanted), "\r\nAuthorization: Bearer %s\r\n", f.token);
        if (!strcasestr(r->head, wanted)) {
            *out_is_open = kube_answer_status(r, 401, "Unauthorized", "Unauthorized");
            return true;
        }
    }
    return false;
}

/* The text of the page for r, copied; NULL: there is none. */
static char *page_of(struct kube_http *r, int *out_status)
{
    struct kube_server *s = r->connection->server;
    char *text = NULL;

    (void)pthread_mutex_lock(&s->mu);
    for (size_t i = s->page_count; i-- > 0 && !text;) {
        const struct kube_page *p = &s->pages[i];
        if (strcmp(p->method, r->method) == 0 && strcmp(p->path, r->path) == 0 &&
            (!p->part || strstr(r->body, p->part))) {
            text = strdup(p->text);
            *out_status = p->status;
        }
    }
    (void)pthread_mutex_unlock(&s->mu);
    return text;
}

bool kube_api_answer(struct kube_http *r)
{
    bool is_open;
    char watch[8];
    int status = 0;

    if (fails(r, &is_open))
        return is_open;
    CLEANUP(mem_free) char *page = page_of(r, &status);
    if (page)
        return kube_answer_text(r, status, NULL, page);
    if (strcmp(r->path, "/readyz") == 0)
        return kube_answer_text(r, 200, NULL, "ok");
    if (strcmp(r->path, "/version") == 0)
        return kube_answer_text(r, 200, NULL, "{\"gitVersion\":\"v1.36.4\"}");
    if (!kube_target_parse(r->path, &r->what))
        return kube_answer_text(r, 404, NULL, "404 page not found\n");
    if (strcmp(r->method, "GET") != 0)
        return write_answer(r);
    if (r->what.name[0])
        return get_answer(r);
    if (kube_query(r, "watch", watch, sizeof(watch)))
        return kube_watch_answer(r);
    return list_answer(r);
}
