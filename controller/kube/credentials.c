/*
 * Credentials: files that are read again when they change, and the exec plug-in.
 *
 * A file counts as changed when inode, size or modification time differ: the kubelet replaces
 * projected tokens by renaming a symbolic link, and stat() follows it. Reading also happens when
 * the last reading is 60 s old, as client-go does it, whatever stat() says.
 *
 * Those who wait for the plug-in are in a list; one run answers them all.
 */
#include "controller/kube/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "controller/kube/exec_plugin_internal.h"
#include "lib/io/file_read.h"

static const uint64_t look_interval_ns = 1 * NS_PER_SEC;
static const uint64_t read_interval_ns = 60 * NS_PER_SEC;
static const uint64_t exec_early_ns = 5 * NS_PER_SEC; /* before its answer expires */

/* A small file that is followed. */
struct followed_file {
    const char *path; /* borrowed; NULL: none */
    char *text;       /* as read last; NULL: never */
    struct stat seen;
    uint64_t read_ns;
};

struct waiter {
    struct waiter *next;
    credentials_done_fn *done;
    void *arg;
};

struct credentials {
    struct loop *loop;
    const struct kube_config *config;
    struct followed_file token, ca, cert, key;
    uint64_t looked_ns;
    bool must_read; /* at the next look: a 401 came */
    char *authorization;
    uint64_t tls_generation;

    struct reaper *reaper; /* with an exec plug-in only */
    struct exec_run *run;  /* under way */
    struct exec_credential exec;
    bool has_exec; /* exec holds an answer that is not known to be bad */
    struct waiter *waiters;
};

/* ---- files ---- */

static void text_free(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(TAKE(*text));
}

static bool stat_differs(const struct stat *a, const struct stat *b)
{
    return a->st_ino != b->st_ino || a->st_dev != b->st_dev || a->st_size != b->st_size ||
           a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

static int text_read(const struct env *env, const char *path, char **out, struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(KUBE_PEM_BYTES_MAX);

    if (file_read(env, path, &text, err) < 0)
        return -1;
    if (text.n > 0 && memchr(text.p, 0, text.n))
        return error_set(err, ERR_CORRUPT, 0, "%s: holds a zero byte", path);
    while (text.n > 0 && strchr(" \r\n", text.p[text.n - 1]))
        text.p[--text.n] = 0;
    if (text.n == 0)
        return error_set(err, ERR_CORRUPT, 0, "%s: is empty", path);
    *out = str_dup(buf_str(&text), err);
    return *out ? 0 : -1;
}

/* Reads f again if there is a reason to. *out_changed is set when its content is another. */
static int file_look(struct credentials *c, struct followed_file *f, bool *out_changed,
                     struct error *err)
{
    const struct env *env = loop_env(c->loop);
    uint64_t now = env_monotonic_ns(env);
    struct stat st;
    char *text = NULL;

    if (!f->path)
        return 0;
    if (env_stat(env, f->path, &st, err) < 0)
        return -1;
    if (f->text && !c->must_read && !stat_differs(&st, &f->seen) &&
        now - f->read_ns < read_interval_ns)
        return 0;
    if (text_read(env, f->path, &text, err) < 0)
        return -1;
    f->seen = st;
    f->read_ns = now;
    if (!f->text || strcmp(f->text, text) != 0)
        *out_changed = true;
    text_free(&f->text);
    f->text = text;
    return 0;
}

static int authorization_make(struct credentials *c, struct error *err)
{
    const struct kube_config *config = c->config;
    const char *token = c->exec.token;
    char *made = NULL;

    if (config->token_file)
        token = c->token.text;
    else if (config->token)
        token = config->token;
    if (token) {
        made = str_printf(err, "Bearer %s", token);
    } else if (config->username) {
        CLEANUP(buf_destroy_secret) struct buf basic = BUF_INIT(4096);
        CLEANUP(text_free)
        char *pair =
            str_printf(err, "%s:%s", config->username, config->password ? config->password : "");
        if (!pair || base64_encode(slice_of_str(pair), &basic, err) < 0)
            return -1;
        made = str_printf(err, "Basic %s", buf_str(&basic));
    } else {
        text_free(&c->authorization);
        return 0;
    }
    if (!made)
        return -1;
    text_free(&c->authorization);
    c->authorization = made;
    return 0;
}

/* Looks at all files. -1: the first error; what could be read is taken nevertheless. */
static int files_look(struct credentials *c, struct error *err)
{
    bool is_token_new = false;
    bool is_tls_new = false;
    struct error first = ERROR_INIT;
    struct error other = ERROR_INIT;

    struct {
        struct followed_file *file;
        bool *is_new;
    } files[] = {{&c->token, &is_token_new},
                 {&c->ca, &is_tls_new},
                 {&c->cert, &is_tls_new},
                 {&c->key, &is_tls_new}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (file_look(c, files[i].file, files[i].is_new, &other) < 0 && first.code == ERR_NONE)
            first = other;
    }
    c->must_read = false;
    if (is_tls_new)
        c->tls_generation++;
    if (is_token_new && authorization_make(c, err) < 0)
        return -1;
    if (first.code == ERR_NONE)
        return 0;
    *err = first;
    return -1;
}

/* Whether every file that the configuration names has been read once. */
static bool files_are_there(const struct credentials *c)
{
    return (!c->token.path || c->token.text) && (!c->ca.path || c->ca.text) &&
           (!c->cert.path || c->cert.text) && (!c->key.path || c->key.text);
}

/* ---- the plug-in ---- */

static const char *ca_of(const struct credentials *c)
{
    return c->config->ca_pem ? c->config->ca_pem : c->ca.text;
}

static void view_fill(const struct credentials *c, struct credentials_view *out)
{
    const struct kube_config *config = c->config;

    *out = (struct credentials_view){
        .authorization = c->authorization,
        .ca_pem = ca_of(c),
        .cert_pem = config->cert_pem ? config->cert_pem : c->cert.text,
        .key_pem = config->key_pem ? config->key_pem : c->key.text,
        .tls_generation = c->tls_generation,
    };
    if (!out->cert_pem && c->exec.cert_pem) {
        out->cert_pem = c->exec.cert_pem;
        out->key_pem = c->exec.key_pem;
    }
}

void credentials_peek(const struct credentials *c, struct credentials_view *out_view)
{
    view_fill(c, out_view);
}

static bool exec_is_valid(const struct credentials *c)
{
    uint64_t now = env_wall_ns(loop_env(c->loop));

    return c->has_exec && (c->exec.expires_ns == 0 || now + exec_early_ns < c->exec.expires_ns);
}

static void waiters_answer(struct credentials *c, const struct error *err)
{
    struct credentials_view view = {.authorization = NULL};

    if (err->code == ERR_NONE)
        view_fill(c, &view);
    /* An answered one may ask again at once: those are of the next list. */
    struct waiter *w = TAKE(c->waiters);
    while (w) {
        struct waiter *next = w->next;
        if (w->done)
            w->done(w->arg, &view, err);
        free(w);
        w = next;
    }
}

static void exec_on_done(void *arg, struct exec_credential *credential, const struct error *run_err)
{
    struct credentials *c = arg;
    struct error err = *run_err;

    c->run = NULL;
    if (err.code == ERR_NONE) {
        exec_credential_destroy(&c->exec);
        c->exec = *credential;
        *credential = (struct exec_credential){.token = NULL};
        c->has_exec = true;
        if (c->exec.cert_pem)
            c->tls_generation++;
        if (authorization_make(c, &err) < 0)
            c->has_exec = false;
    }
    waiters_answer(c, &err);
}

static int waiter_add(struct credentials *c, credentials_done_fn *done, void *arg,
                      struct error *err)
{
    struct waiter *w = mem_new(1, sizeof(*w), err);
    struct waiter **at = &c->waiters;

    if (!w)
        return -1;
    *w = (struct waiter){.done = done, .arg = arg};
    while (*at)
        at = &(*at)->next;
    *at = w;
    return 0;
}

void credentials_forget(struct credentials *c, void *arg)
{
    for (struct waiter *w = c->waiters; w; w = w->next) {
        if (w->arg == arg)
            w->done = NULL;
    }
}

/* ---- asking ---- */

int credentials_get(struct credentials *c, struct credentials_view *out_view,
                    credentials_done_fn *done, void *arg, struct error *err)
{
    uint64_t now = env_monotonic_ns(loop_env(c->loop));

    if (c->must_read || c->looked_ns == 0 || now - c->looked_ns >= look_interval_ns) {
        c->looked_ns = now;
        if (files_look(c, err) < 0 && !files_are_there(c))
            return -1;
        error_clear(err); /* an older content is there: it is used, the next look tries again */
    }
    if (!c->config->exec.argv || exec_is_valid(c)) {
        view_fill(c, out_view);
        return 1;
    }
    if (!c->run)
        c->run = exec_run_start(c->loop, c->reaper, c->config, ca_of(c), exec_on_done, c, err);
    if (!c->run)
        return -1;
    return waiter_add(c, done, arg, err);
}

bool credentials_refused(struct credentials *c)
{
    c->must_read = true;
    c->has_exec = false;
    return c->config->exec.argv || c->token.path || c->cert.path;
}

/* ---- life ---- */

int credentials_new(struct loop *loop, const struct kube_config *config, struct credentials **out,
                    struct error *err)
{
    struct credentials *c = mem_new(1, sizeof(*c), err);

    if (!c)
        return -1;
    *c = (struct credentials){.loop = loop, .config = config, .tls_generation = 1};
    c->token.path = config->token_file;
    c->ca.path = config->ca_pem ? NULL : config->ca_file;
    c->cert.path = config->cert_pem ? NULL : config->cert_file;
    c->key.path = config->key_pem ? NULL : config->key_file;
    if (files_look(c, err) < 0 || authorization_make(c, err) < 0 ||
        (config->exec.argv && reaper_new(loop, &c->reaper, err) < 0)) {
        credentials_free(c);
        return error_wrap(err, "credentials");
    }
    *out = c;
    return 0;
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    if (c->run)
        exec_run_abandon(c->run);
    reaper_free(c->reaper);
    while (c->waiters) {
        struct waiter *w = c->waiters;
        c->waiters = w->next;
        free(w);
    }
    text_free(&c->token.text);
    text_free(&c->ca.text);
    text_free(&c->cert.text);
    text_free(&c->key.text);
    text_free(&c->authorization);
    exec_credential_destroy(&c->exec);
    free(c);
}
