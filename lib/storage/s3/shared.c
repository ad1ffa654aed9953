/*
 * A list of what is shared, each with the number of its users. What makes two equal is the SHA-256
 * of the settings' texts, each behind its length, so no secret is kept here.
 *
 * The list is the process's, guarded by mu; the things in it belong to the thread of their loop.
 */
#include "lib/storage/s3/shared.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/sigv4.h"

enum {
    SHARED_SETTINGS_MAX = 5,
    SHARED_KEY_BYTES_MAX = 64 * 1024,
};

enum shared_kind {
    SHARED_CLIENT,
    SHARED_CREDENTIALS,
    SHARED_GATE,
};

struct shared {
    struct shared *next;
    const struct loop *loop;
    enum shared_kind kind;
    char key[SIGV4_HEX_BYTES];
    unsigned users;
    void *thing;
};

/* What a thing is made of. */
struct shared_recipe {
    struct loop *loop;
    enum shared_kind kind;
    const char *settings[SHARED_SETTINGS_MAX]; /* NULL: not set */
    int (*make)(struct loop *loop, const void *config, void **out, struct error *err);
    const void *config;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct shared *list; /* guarded by mu */

static void list_lock(void)
{
    (void)pthread_mutex_lock(&mu); /* cannot fail: a plain mutex that we do not hold */
}

static void list_unlock(void)
{
    (void)pthread_mutex_unlock(&mu); /* cannot fail: we hold it */
}

static int key_make(const struct shared_recipe *recipe, char out[static SIGV4_HEX_BYTES],
                    struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(SHARED_KEY_BYTES_MAX);

    for (size_t i = 0; i < SHARED_SETTINGS_MAX; i++) {
        const char *setting = recipe->settings[i] ? recipe->settings[i] : "";
        if (buf_printf(&text, err, "%zu:%s", strlen(setting), setting) < 0)
            return -1;
    }
    return sigv4_hash_hex(buf_slice(&text), out, err);
}

static struct shared *list_find(const struct shared_recipe *recipe, const char *key)
{
    for (struct shared *s = list; s; s = s->next) {
        if (s->loop == recipe->loop && s->kind == recipe->kind && strcmp(s->key, key) == 0)
            return s;
    }
    return NULL;
}

static int shared_add(const struct shared_recipe *recipe, const char *key, struct shared **out,
                      struct error *err)
{
    struct shared *s = mem_new(1, sizeof(*s), err);

    if (!s)
        return -1;
    if (recipe->make(recipe->loop, recipe->config, &s->thing, err) < 0) {
        free(s);
        return -1;
    }
    s->loop = recipe->loop;
    s->kind = recipe->kind;
    memcpy(s->key, key, SIGV4_HEX_BYTES);
    s->next = list;
    list = s;
    *out = s;
    return 0;
}

static int shared_take(const struct shared_recipe *recipe, void **out, struct error *err)
{
    char key[SIGV4_HEX_BYTES];
    int rc = 0;

    loop_assert_owner(recipe->loop);
    if (key_make(recipe, key, err) < 0)
        return -1;
    list_lock();
    struct shared *s = list_find(recipe, key);
    if (!s)
        rc = shared_add(recipe, key, &s, err);
    if (rc == 0) {
        s->users++;
        *out = s->thing;
    }
    list_unlock();
    return rc;
}

/* True if the caller was the last user: he ends the thing, which is off the list. */
static bool shared_drop(const void *thing)
{
    bool was_last = false;

    if (!thing)
        return false;
    list_lock();
    for (struct shared **at = &list; *at; at = &(*at)->next) {
        struct shared *s = *at;
        if (s->thing != thing)
            continue;
        was_last = --s->users == 0;
        if (was_last) {
            *at = s->next;
            free(s);
        }
        break;
    }
    list_unlock();
    return was_last;
}

/* ---- the three kinds ---- */

static int client_make(struct loop *loop, const void *config, void **out, struct error *err)
{
    const struct s3_client_config *c = config;
    const struct http_client_config http = {
        .ca_file = c->ca_file, .skip_verify = c->skip_verify, .connections_max = S3_GATE_PLACES};
    struct http_client *made = NULL;

    if (http_client_new(loop, &http, &made, err) < 0)
        return -1;
    *out = made;
    return 0;
}

int s3_shared_client_take(struct loop *loop, const struct s3_client_config *config,
                          struct http_client **out, struct error *err)
{
    const struct shared_recipe recipe = {
        .loop = loop,
        .kind = SHARED_CLIENT,
        .settings = {config->ca_file, config->skip_verify ? "skip" : "verify"},
        .make = client_make,
        .config = config,
    };
    void *thing = NULL;

    if (shared_take(&recipe, &thing, err) < 0)
        return -1;
    *out = thing;
    return 0;
}

void s3_shared_client_drop(struct http_client *client)
{
    if (shared_drop(client))
        http_client_free(client);
}

static int credentials_make(struct loop *loop, const void *config, void **out, struct error *err)
{
    struct s3_credentials_chain *made = NULL;

    if (s3_credentials_chain_new(loop, config, &made, err) < 0)
        return -1;
    *out = made;
    return 0;
}

int s3_shared_credentials_take(struct loop *loop, const struct s3_credentials_config *config,
                               struct s3_credentials_chain **out, struct error *err)
{
    const struct shared_recipe recipe = {
        .loop = loop,
        .kind = SHARED_CREDENTIALS,
        .settings = {config->access_key_id, config->secret_access_key, config->session_token,
                     config->folder, config->region},
        .make = credentials_make,
        .config = config,
    };
    void *thing = NULL;

    if (shared_take(&recipe, &thing, err) < 0)
        return -1;
    *out = thing;
    return 0;
}

void s3_shared_credentials_drop(struct s3_credentials_chain *chain)
{
    if (shared_drop(chain))
        s3_credentials_chain_free(chain);
}

static int gate_make(struct loop *loop, const void *config UNUSED, void **out, struct error *err)
{
    struct s3_gate *made = NULL;

    if (s3_gate_new(loop, &made, err) < 0)
        return -1;
    *out = made;
    return 0;
}

int s3_shared_gate_take(struct loop *loop, const char *host, struct s3_gate **out,
                        struct error *err)
{
    const struct shared_recipe recipe = {
        .loop = loop, .kind = SHARED_GATE, .settings = {host}, .make = gate_make};
    void *thing = NULL;

    if (shared_take(&recipe, &thing, err) < 0)
        return -1;
    *out = thing;
    return 0;
}

void s3_shared_gate_drop(struct s3_gate *gate)
{
    if (shared_drop(gate))
        s3_gate_free(gate);
}
