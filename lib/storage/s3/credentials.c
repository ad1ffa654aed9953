/*
 * The chain of credentials: which source, when to ask again, who waits.
 *
 *   current    what peek answers while it is good: not rejected, and not within five minutes of its
 *              end, or there because a refresh has failed and its end has not come
 *   waiters    all get the outcome of one refresh
 *   refresh    begun by the first waiter, from a timer: static, folder, environment and files at once
 * (small files on a local disk: read on the loop), the others by a fetch
 *
 * After a failed refresh with credentials that still serve, the next one waits 30 s.
 */
#include "lib/storage/s3/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "lib/http/client.h"
#include "lib/storage/s3/credentials_internal.h"

static const uint64_t refresh_pause_ns = 30 * NS_PER_SEC;

struct s3_credentials_chain {
    struct loop *loop;
    struct http_client *http; /* for the sources; made when first needed */
    char *region;
    char *folder;                /* NULL: none */
    struct s3_credentials fixed; /* of the configuration */
    struct s3_credentials current;
    bool is_rejected;
    uint64_t pause_until_ns; /* monotonic; no refresh before, as long as current serves */
    struct s3_credentials_wait *waiters;
    struct loop_timer timer; /* a refresh is to begin */
    struct credentials_fetch *fetch;
};

const char *credentials_env(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): nobody sets any
    return value && *value ? value : NULL;
}

/* ---- values ---- */

static void secret_free(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(TAKE(*text));
}

void s3_credentials_destroy(struct s3_credentials *c)
{
    secret_free(&c->access_key_id);
    secret_free(&c->secret);
    secret_free(&c->session_token);
    c->expires_ns = 0;
    c->source = NULL;
}

static bool text_is_header_safe(const char *text)
{
    for (; *text; text++) {
        if (*text < '!' || *text > '~')
            return false;
    }
    return true;
}

int s3_credentials_set(struct s3_credentials *out, const char *source, const char *access_key_id,
                       const char *secret, const char *session_token, uint64_t expires_ns,
                       struct error *err)
{
    struct s3_credentials made = {.expires_ns = expires_ns, .source = source};
    const char *token = session_token && *session_token ? session_token : NULL;

    if (!text_is_header_safe(access_key_id) || !text_is_header_safe(secret) ||
        (token && !text_is_header_safe(token))) {
        return error_set(err, ERR_ACCESS, 0,
                         "credentials (%s) contain white space or characters that no key has",
                         source);
    }
    if (strlen(secret) > 512 || strlen(access_key_id) > 512 ||
        (token && strlen(token) > S3_CREDENTIAL_BYTES_MAX))
        return error_set(err, ERR_ACCESS, 0, "credentials (%s) are too long to be some", source);
    made.access_key_id = str_dup(access_key_id, err);
    made.secret = str_dup(secret, err);
    made.session_token = token ? str_dup(token, err) : NULL;
    if (!made.access_key_id || !made.secret || (token && !made.session_token)) {
        s3_credentials_destroy(&made);
        return -1;
    }
    s3_credentials_destroy(out);
    *out = made;
    return 0;
}

/* ---- sources that answer at once: 1 has some, 0 is not configured, -1 ---- */

static int source_environment(struct s3_credentials *out, struct error *err)
{
    static const struct {
        const char *id, *secret, *token;
    } names[] = {
        {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
        {"LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *id = credentials_env(names[i].id);
        const char *secret = credentials_env(names[i].secret);
        if (!id && !secret)
            continue;
        if (!id || !secret) {
            return error_set(err, ERR_ACCESS, 0, "%s is set, but not %s",
                             id ? names[i].id : names[i].secret,
                             id ? names[i].secret : names[i].id);
        }
        const char *token = names[i].token ? credentials_env(names[i].token) : NULL;
        return s3_credentials_set(out, "environment", id, secret, token, 0, err) < 0 ? -1 : 1;
    }
    return 0;
}

/* 2 when the profile names a web identity: then *out_profile is to be fetched with. */
static int source_profile(const struct s3_credentials_chain *chain, const char *name,
                          struct s3_credentials *out, struct s3_profile *out_profile,
                          struct error *err)
{
    if (s3_profile_load(loop_env(chain->loop), name, out_profile, err) < 0)
        return -1;
    if (out_profile->access_key_id && out_profile->secret) {
        return s3_credentials_set(out, "shared files", out_profile->access_key_id,
                                  out_profile->secret, out_profile->session_token, 0, err) < 0
                   ? -1
                   : 1;
    }
    if (out_profile->role_arn && out_profile->web_identity_token_file)
        return 2;
    if (out_profile->refused) {
        (void)error_set(err, ERR_UNSUPPORTED, 0, "profile %s uses %s, which is not supported", name,
                        out_profile->refused);
        return error_hint(err, "use keys, a web identity, or the role of the container or machine");
    }
    if (out_profile->access_key_id || out_profile->secret)
        return error_set(err, ERR_ACCESS, 0, "profile %s has half a key pair", name);
    return 0;
}

/* ---- outcome ---- */

static void waiters_call(struct s3_credentials_chain *chain,
                         const struct s3_credentials *credentials, const struct error *err)
{
    /* One by one off the list: a waiter may cancel another, or wait again (behind the last). */
    struct s3_credentials_wait *last = chain->waiters;
    bool was_last = false;

    while (last && last->next)
        last = last->next;
    while (chain->waiters && !was_last) {
        struct s3_credentials_wait *w = chain->waiters;
        was_last = w == last;
        chain->waiters = TAKE(w->next);
        w->chain = NULL;
        w->fn(w->arg, credentials, err);
    }
}

static bool current_serves(const struct s3_credentials_chain *chain)
{
    const struct s3_credentials *c = &chain->current;

    return c->access_key_id && !chain->is_rejected &&
           (c->expires_ns == 0 || env_wall_ns(loop_env(chain->loop)) < c->expires_ns);
}

static void refresh_succeeded(struct s3_credentials_chain *chain, struct s3_credentials *made)
{
    static const struct error none = ERROR_INIT;

    s3_credentials_destroy(&chain->current);
    chain->current = *made;
    *made = (struct s3_credentials){0};
    chain->is_rejected = false;
    chain->pause_until_ns = 0;
    waiters_call(chain, &chain->current, &none);
}

static void refresh_failed(struct s3_credentials_chain *chain, const struct error *err)
{
    static const struct error none = ERROR_INIT;

    if (current_serves(chain)) {
        chain->pause_until_ns = env_monotonic_ns(loop_env(chain->loop)) + refresh_pause_ns;
        waiters_call(chain, &chain->current, &none);
        return;
    }
    waiters_call(chain, NULL, err);
}

static void on_fetched(void *arg, struct s3_credentials *credentials, const struct error *err)
{
    struct s3_credentials_chain *chain = arg;

    chain->fetch = NULL;
    if (credentials)
        refresh_succeeded(chain, credentials);
    else
        refresh_failed(chain, err);
}

/* ---- refresh ---- */

static int fetch_start(struct s3_credentials_chain *chain,
                       const struct credentials_fetch_config *config, struct error *err)
{
    static const struct http_client_config http = {.connect_timeout_ns = 2 * NS_PER_SEC};

    if (!chain->http && http_client_new(chain->loop, &http, &chain->http, err) < 0)
        return -1;
    return credentials_fetch_start(chain->loop, chain->http, config, on_fetched, chain,
                                   &chain->fetch, err);
}

static int fetch_of_profile(struct s3_credentials_chain *chain, const struct s3_profile *profile,
                            struct error *err)
{
    const struct credentials_fetch_config config = {.kind = CREDENTIALS_FETCH_WEB_IDENTITY,
                                                    .role_arn = profile->role_arn,
                                                    .role_session_name = profile->role_session_name,
                                                    .token_file = profile->web_identity_token_file,
                                                    .region = chain->region};

    return fetch_start(chain, &config, err);
}

static int none_found(struct error *err)
{
    (void)error_set(err, ERR_ACCESS, 0, "no credentials found");
    return error_hint(err, "looked at: configuration, AWS_ACCESS_KEY_ID, LITESTREAM_ACCESS_KEY_ID, "
                           "AWS_WEB_IDENTITY_TOKEN_FILE, ~/.aws/credentials, container and EC2 "
                           "metadata");
}

/* The sources that are asked over HTTP and need no profile. */
static int fetch_of_environment(struct s3_credentials_chain *chain, struct error *err)
{
    const char *disabled = credentials_env("AWS_EC2_METADATA_DISABLED");
    struct credentials_fetch_config config = {.kind = CREDENTIALS_FETCH_METADATA,
                                              .region = chain->region};

    if (credentials_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
        credentials_env("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
        config.kind = CREDENTIALS_FETCH_CONTAINER;
    else if (disabled && strcasecmp(disabled, "true") == 0)
        return none_found(err);
    return fetch_start(chain, &config, err);
}

static int fetch_of_web_identity(struct s3_credentials_chain *chain, struct error *err)
{
    const struct credentials_fetch_config config = {
        .kind = CREDENTIALS_FETCH_WEB_IDENTITY,
        .role_arn = credentials_env("AWS_ROLE_ARN"),
        .role_session_name = credentials_env("AWS_ROLE_SESSION_NAME"),
        .token_file = credentials_env("AWS_WEB_IDENTITY_TOKEN_FILE"),
        .region = chain->region};

    if (!config.role_arn) {
        return error_set(err, ERR_ACCESS, 0,
                         "AWS_WEB_IDENTITY_TOKEN_FILE is set, but not AWS_ROLE_ARN");
    }
    return fetch_start(chain, &config, err);
}

static int named_profile(struct s3_credentials_chain *chain, const char *name,
                         struct s3_credentials *made, struct error *err)
{
    struct s3_profile profile = {.is_found = false};
    int rc = source_profile(chain, name, made, &profile, err);

    if (rc == 2 && fetch_of_profile(chain, &profile, err) < 0)
        rc = -1;
    s3_profile_destroy(&profile);
    return rc;
}

/* Goes through the sources: 1 made has the outcome, 2 a fetch was started, -1. */
static int refresh_begin(struct s3_credentials_chain *chain, struct s3_credentials *made,
                         struct error *err)
{
    const struct s3_credentials *fixed = &chain->fixed;
    const char *name = credentials_env("AWS_PROFILE");
    int rc;

    if (fixed->access_key_id) {
        return s3_credentials_set(made, "configuration", fixed->access_key_id, fixed->secret,
                                  fixed->session_token, 0, err) < 0
                   ? -1
                   : 1;
    }
    if (chain->folder) {
        return s3_credentials_folder_read(loop_env(chain->loop), chain->folder, made, err) < 0 ? -1
                                                                                               : 1;
    }
    if (name) {
        rc = named_profile(chain, name, made, err);
        return rc ? rc
                  : error_set(err, ERR_ACCESS, 0, "profile %s (AWS_PROFILE) has no keys", name);
    }
    rc = source_environment(made, err);
    if (rc != 0)
        return rc;
    if (credentials_env("AWS_WEB_IDENTITY_TOKEN_FILE"))
        return fetch_of_web_identity(chain, err) < 0 ? -1 : 2;
    rc = named_profile(chain, "default", made, err);
    if (rc != 0)
        return rc;
    return fetch_of_environment(chain, err) < 0 ? -1 : 2;
}

static void on_timer(void *arg)
{
    struct s3_credentials_chain *chain = arg;
    struct s3_credentials made = {.access_key_id = NULL};
    struct error err = ERROR_INIT;
    const struct s3_credentials *good;

    if (chain->fetch || !chain->waiters)
        return;
    good = s3_credentials_peek(chain);
    if (good) {
        waiters_call(chain, good, &err);
        return;
    }
    int rc = refresh_begin(chain, &made, &err);
    if (rc == 1) {
        refresh_succeeded(chain, &made);
    } else if (rc < 0) {
        if (err.code == ERR_NOT_FOUND || err.code == ERR_USAGE || err.code == ERR_CORRUPT)
            err.code = ERR_ACCESS; /* for the operation: no credentials */
        refresh_failed(chain, &err);
    }
}

/* ---- interface ---- */

const struct s3_credentials *s3_credentials_peek(struct s3_credentials_chain *chain)
{
    const struct s3_credentials *c = &chain->current;
    const struct env *env = loop_env(chain->loop);

    if (!current_serves(chain))
        return NULL;
    if (c->expires_ns == 0 || env_wall_ns(env) + S3_CREDENTIALS_EARLY_NS < c->expires_ns ||
        env_monotonic_ns(env) < chain->pause_until_ns)
        return c;
    return NULL;
}

void s3_credentials_get(struct s3_credentials_chain *chain, struct s3_credentials_wait *wait,
                        void (*fn)(void *arg, const struct s3_credentials *credentials,
                                   const struct error *err),
                        void *arg)
{
    struct s3_credentials_wait **at = &chain->waiters;

    loop_assert_owner(chain->loop);
    ASSERT(!wait->chain);
    wait->fn = fn;
    wait->arg = arg;
    wait->chain = chain;
    wait->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = wait;
    if (!chain->fetch && !loop_timer_is_armed(&chain->timer))
        loop_timer_start(&chain->timer, 0);
}

void s3_credentials_get_cancel(struct s3_credentials_wait *wait)
{
    if (!wait->chain)
        return;
    struct s3_credentials_wait **at = &wait->chain->waiters;
    while (*at && *at != wait)
        at = &(*at)->next;
    if (*at)
        *at = wait->next;
    wait->chain = NULL;
    wait->next = NULL;
}

bool s3_credentials_reject(struct s3_credentials_chain *chain)
{
    if (chain->fixed.access_key_id || !chain->current.source ||
        strcmp(chain->current.source, "environment") == 0)
        return false;
    chain->is_rejected = true;
    return true;
}

int s3_credentials_chain_new(struct loop *loop, const struct s3_credentials_config *config,
                             struct s3_credentials_chain **out, struct error *err)
{
    const char *id = config->access_key_id ? config->access_key_id : "";
    bool has_folder = config->folder && *config->folder;
    const char *secret = config->secret_access_key ? config->secret_access_key : "";

    if (!*id != !*secret) {
        return error_set(err, ERR_USAGE, 0, "%s is set, but not %s",
                         *id ? "access-key-id" : "secret-access-key",
                         *id ? "secret-access-key" : "access-key-id");
    }
    struct s3_credentials_chain *chain = mem_new(1, sizeof(*chain), err);
    if (!chain)
        return -1;
    chain->loop = loop;
    loop_timer_init(&chain->timer, loop, on_timer, chain);
    chain->region = str_dup(config->region ? config->region : "us-east-1", err);
    chain->folder = has_folder ? str_dup(config->folder, err) : NULL;
    if (!chain->region || (has_folder && !chain->folder) ||
        (*id && s3_credentials_set(&chain->fixed, "configuration", id, secret,
                                   config->session_token, 0, err) < 0)) {
        s3_credentials_chain_free(chain);
        return -1;
    }
    *out = chain;
    return 0;
}

void s3_credentials_chain_free(struct s3_credentials_chain *chain)
{
    if (!chain)
        return;
    ASSERT(!chain->waiters);
    loop_timer_stop(&chain->timer);
    if (chain->fetch)
        credentials_fetch_abandon(TAKE(chain->fetch));
    http_client_free(chain->http);
    s3_credentials_destroy(&chain->fixed);
    s3_credentials_destroy(&chain->current);
    free(chain->region);
    free(chain->folder);
    free(chain);
}
