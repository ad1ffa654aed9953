/*
 * Exec plug-ins of client.authentication.k8s.io/v1:
 *
 *   1. KUBERNETES_EXEC_INFO = {"kind":"ExecCredential","apiVersion":...,
 *      "spec":{"interactive":false,"cluster":{...}}}     (cluster if provideClusterInfo)
 *   2. the program prints the same kind with
 *      "status":{"token":T,"clientCertificateData":PEM,"clientKeyData":PEM,
 *                "expirationTimestamp":RFC3339}
 *
 * Its output goes to a file in memory that cannot grow beyond EXEC_OUTPUT_BYTES_MAX (a sealed
 * memfd): nothing has to be read while it runs, and a program gone wild fills nothing. Both ends
 * share the file's offset, which tells how much was written. Its standard error is ours: messages
 * for people ("log in again") belong there.
 *
 * Source: kubernetes.io/docs/reference/config-api/client-authentication.v1.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "controller/kube/exec_plugin_internal.h"
#include "lib/json/json.h"

static const uint64_t exec_deadline_ns = 60 * NS_PER_SEC;

struct exec_run {
    struct loop *loop;
    struct reaper *reaper;
    const struct kube_config *config;
    struct child *child;
    struct loop_timer deadline;
    int output_fd;
    bool is_late;
    bool is_gone; /* for exec_run_abandon() */
    exec_done_fn *done;
    void *arg;
};

/* ---- the answer ---- */

static void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void exec_credential_destroy(struct exec_credential *c)
{
    secret_free(c->token);
    free(c->cert_pem);
    secret_free(c->key_pem);
    *c = (struct exec_credential){.token = NULL};
}

static int text_take(struct jsonval status, const char *key, char **out, struct error *err)
{
    const char *text = NULL;

    if (jsonval_str_or(jsonval_get(status, key), NULL, &text, err) < 0)
        return -1;
    if (!text || !*text)
        return 0;
    *out = str_dup(text, err);
    return *out ? 0 : -1;
}

static int credential_check(const struct exec_credential *c, struct jsonval status,
                            struct error *err)
{
    if (!c->cert_pem != !c->key_pem) {
        return jsonval_error(status, err, ERR_CORRUPT,
                             "clientCertificateData and clientKeyData belong together");
    }
    if (!c->token && !c->cert_pem)
        return jsonval_error(status, err, ERR_CORRUPT, "neither a token nor a certificate");
    if (c->token && c->token[strcspn(c->token, "\r\n")] != '\0')
        return jsonval_error(status, err, ERR_CORRUPT, "the token has more than one line");
    return 0;
}

static int credential_read(struct jsonval root, const char *api_version,
                           struct exec_credential *out, struct error *err)
{
    const char *version, *kind, *expires;
    struct jsonval status = jsonval_get(root, "status");

    if (jsonval_str(jsonval_get(root, "kind"), &kind, err) < 0 ||
        jsonval_str(jsonval_get(root, "apiVersion"), &version, err) < 0)
        return -1;
    if (strcmp(kind, "ExecCredential") != 0 || strcmp(version, api_version) != 0) {
        return jsonval_error(root, err, ERR_CORRUPT,
                             "expected ExecCredential of %s, found %.80s of %.80s", api_version,
                             kind, version);
    }
    if (text_take(status, "token", &out->token, err) < 0 ||
        text_take(status, "clientCertificateData", &out->cert_pem, err) < 0 ||
        text_take(status, "clientKeyData", &out->key_pem, err) < 0 ||
        jsonval_str_or(jsonval_get(status, "expirationTimestamp"), "", &expires, err) < 0)
        return -1;
    if (*expires && time_parse_rfc3339(expires, &out->expires_ns, err) < 0) {
        err->code = ERR_CORRUPT;
        return -1;
    }
    return credential_check(out, status, err);
}

int exec_credential_parse(struct slice text, const char *api_version, struct exec_credential *out,
                          struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct exec_credential credential = {.token = NULL};

    if (jsonval_parse(&doc, "answer of the exec plug-in", text, err) < 0)
        return -1;
    if (credential_read(jsonval_root(&doc), api_version, &credential, err) < 0) {
        exec_credential_destroy(&credential);
        return -1;
    }
    *out = credential;
    return 0;
}

/* ---- the question ---- */

static int cluster_write(struct json_writer *w, const struct kube_config *c, const char *ca_pem,
                         struct error *err)
{
    CLEANUP(buf_destroy) struct buf ca = BUF_INIT(2 * KUBE_PEM_BYTES_MAX);

    if (ca_pem && base64_encode(slice_of_str(ca_pem), &ca, err) < 0)
        return -1;
    json_writer_object(w, "cluster");
    json_writer_str(w, "server", c->server);
    if (c->tls_server_name)
        json_writer_str(w, "tls-server-name", c->tls_server_name);
    if (c->skip_verify)
        json_writer_bool(w, "insecure-skip-tls-verify", true);
    if (ca_pem)
        json_writer_slice(w, "certificate-authority-data", buf_slice(&ca));
    if (c->proxy_url)
        json_writer_str(w, "proxy-url", c->proxy_url);
    json_writer_null(w, "config");
    json_writer_end(w);
    return 0;
}

static int info_write(const struct kube_config *c, const char *ca_pem, struct buf *out,
                      struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "kind", "ExecCredential");
    json_writer_str(&w, "apiVersion", c->exec.api_version);
    json_writer_object(&w, "spec");
    if (c->exec.wants_cluster && cluster_write(&w, c, ca_pem, err) < 0)
        return -1;
    json_writer_bool(&w, "interactive", false);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

/* ---- the run ---- */

static void run_free(struct exec_run *run)
{
    loop_timer_stop(&run->deadline);
    if (run->output_fd > 0)
        (void)close(run->output_fd); /* memory: nothing to lose */
    free(run);
}

static int output_open(int *out_fd, struct error *err)
{
    int fd = memfd_create("walferry exec plug-in", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return error_set_errno(err, errno, "memory for the output of the exec plug-in");
    if (ftruncate(fd, EXEC_OUTPUT_BYTES_MAX) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
        (void)error_set_errno(err, errno, "memory for the output of the exec plug-in");
        (void)close(fd); /* memory: nothing to lose */
        return -1;
    }
    *out_fd = fd;
    return 0;
}

static int output_read(const struct exec_run *run, struct exec_credential *out, struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(EXEC_OUTPUT_BYTES_MAX);
    off_t written = lseek(run->output_fd, 0, SEEK_CUR);
    uint8_t *p;

    if (written < 0)
        return error_set_errno(err, errno, "output of the exec plug-in");
    if (buf_extend(&text, (size_t)written, &p, err) < 0 ||
        env_pread_exact(loop_env(run->loop), run->output_fd, p, (size_t)written, 0,
                        "output of the exec plug-in", err) < 0)
        return -1;
    return exec_credential_parse(buf_slice(&text), run->config->exec.api_version, out, err);
}

static int outcome(const struct exec_run *run, const struct child_exit *exit,
                   struct exec_credential *out, struct error *err)
{
    if (run->is_late)
        return error_set(err, ERR_TIMEOUT, 0, "did not end within 60 s");
    if (exit->signum)
        return error_set(err, ERR_ACCESS, 0, "was ended by signal %d", exit->signum);
    if (exit->status != 0)
        return error_set(err, ERR_ACCESS, 0, "exit status %d", exit->status);
    return output_read(run, out, err);
}

static void run_on_exit(void *arg, const struct child_exit *exit)
{
    struct exec_run *run = arg;
    struct exec_credential credential = {.token = NULL};
    struct error err = ERROR_INIT;

    run->child = NULL;
    if (!run->done) {
        run->is_gone = true; /* exec_run_abandon() waits for it and frees */
        return;
    }
    if (outcome(run, exit, &credential, &err) < 0)
        (void)error_wrap(&err, "exec plug-in %s", run->config->exec.argv[0]);
    run->done(run->arg, &credential, &err);
    exec_credential_destroy(&credential);
    run_free(run);
}

static void run_on_deadline(void *arg)
{
    struct exec_run *run = arg;

    run->is_late = true;
    child_signal(run->child, SIGKILL);
}

static int run_spawn(struct exec_run *run, const char *ca_pem, struct error *err)
{
    const struct kube_exec *exec = &run->config->exec;
    CLEANUP(buf_destroy) struct buf info = BUF_INIT(4 * KUBE_PEM_BYTES_MAX);
    CLEANUP(mem_free)
    struct child_variable *variables = mem_new(exec->env_count + 1, sizeof(*variables), err);

    if (!variables || info_write(run->config, ca_pem, &info, err) < 0 ||
        output_open(&run->output_fd, err) < 0)
        return -1;
    for (size_t i = 0; i < exec->env_count; i++) {
        variables[i] =
            (struct child_variable){.name = exec->env_names[i], .value = exec->env_values[i]};
    }
    variables[exec->env_count] =
        (struct child_variable){.name = "KUBERNETES_EXEC_INFO", .value = buf_str(&info)};
    const struct child_config config = {
        .argv = exec->argv,
        .variables = variables,
        .variable_count = exec->env_count + 1,
        .has_empty_stdin = true,
        .stdout_fd = run->output_fd,
    };
    return child_start(run->reaper, &config, run_on_exit, run, &run->child, err);
}

struct exec_run *exec_run_start(struct loop *loop, struct reaper *reaper,
                                const struct kube_config *config, const char *ca_pem,
                                exec_done_fn *done, void *arg, struct error *err)
{
    struct exec_run *run = mem_new(1, sizeof(*run), err);

    if (!run)
        return NULL;
    *run = (struct exec_run){
        .loop = loop, .reaper = reaper, .config = config, .done = done, .arg = arg};
    loop_timer_init(&run->deadline, loop, run_on_deadline, run);
    if (run_spawn(run, ca_pem, err) < 0) {
        run_free(run);
        (void)error_wrap(err, "exec plug-in %s", config->exec.argv[0]);
        if (err->code == ERR_NOT_FOUND && config->exec.install_hint)
            (void)error_hint(err, "%s", config->exec.install_hint);
        return NULL;
    }
    loop_timer_start(&run->deadline, exec_deadline_ns);
    return run;
}

void exec_run_abandon(struct exec_run *run)
{
    run->done = NULL;
    child_signal(run->child, SIGKILL);
    bool is_gone = loop_run_until(run->loop, &run->is_gone);
    ASSERT(is_gone);
    run_free(run);
}
