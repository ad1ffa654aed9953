/*
 * The shared files of AWS's tools: ~/.aws/credentials and ~/.aws/config.
 *
 *   # comment            ; comment
 *   [default]            in the config file: [default] or [profile NAME]
 *   aws_access_key_id = AKIA...
 *   s3 =
 *     max_concurrent_requests = 20      indented: belongs to the line above, skipped
 *
 * Of a section that stands there twice the later line wins; what the credentials file says wins
 * over the config file. Ways to get credentials that need a program, a browser or a second role
 * are recorded by name, so that an error can say why they do not work here.
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/credentials_internal.h"

static void text_free(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(TAKE(*text));
}

void s3_profile_destroy(struct s3_profile *p)
{
    text_free(&p->access_key_id);
    text_free(&p->secret);
    text_free(&p->session_token);
    text_free(&p->role_arn);
    text_free(&p->role_session_name);
    text_free(&p->web_identity_token_file);
    text_free(&p->refused);
    p->is_found = false;
}

static struct slice trim(struct slice s)
{
    if (!s.p)
        return SLICE_EMPTY;
    while (s.n > 0 && isspace(s.p[0]))
        s = slice_sub(s, 1, s.n);
    while (s.n > 0 && isspace(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* The value without a comment behind it: '#' or ';' after white space. */
static struct slice value_trim(struct slice s)
{
    s = trim(s);
    for (size_t i = 1; i < s.n; i++) {
        if ((s.p[i] == '#' || s.p[i] == ';') && isspace(s.p[i - 1]))
            return trim(slice_sub(s, 0, i));
    }
    return s;
}

static bool section_is(struct slice header, const char *name, bool is_config)
{
    struct slice s = trim(header);

    if (is_config && slice_starts_with(s, SLICE_LIT("profile")) && s.n > 7 && isspace(s.p[7]))
        s = trim(slice_sub(s, 7, s.n));
    else if (is_config && strcmp(name, "default") != 0)
        return false;
    return slice_eq_str(s, name);
}

static int field_set(char **field, struct slice value, bool is_kept, struct error *err)
{
    if ((*field && is_kept) || value.n == 0 || value.n > S3_CREDENTIAL_BYTES_MAX)
        return 0;
    text_free(field);
    *field = str_printf(err, "%.*s", (int)value.n, (const char *)value.p);
    return *field ? 0 : -1;
}

/* Which fields another file has filled: they stay. */
struct profile_kept {
    bool id, secret, token, role, session, file;
};

static int line_apply(struct s3_profile *out, const struct profile_kept *kept, struct slice name,
                      struct slice value, struct error *err)
{
    static const char *const refused[] = {"credential_process", "source_profile",
                                          "credential_source", "sso_session", "sso_start_url"};

    if (slice_eq_str(name, "aws_access_key_id"))
        return field_set(&out->access_key_id, value, kept->id, err);
    if (slice_eq_str(name, "aws_secret_access_key"))
        return field_set(&out->secret, value, kept->secret, err);
    if (slice_eq_str(name, "aws_session_token"))
        return field_set(&out->session_token, value, kept->token, err);
    if (slice_eq_str(name, "role_arn"))
        return field_set(&out->role_arn, value, kept->role, err);
    if (slice_eq_str(name, "role_session_name"))
        return field_set(&out->role_session_name, value, kept->session, err);
    if (slice_eq_str(name, "web_identity_token_file"))
        return field_set(&out->web_identity_token_file, value, kept->file, err);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (slice_eq_str(name, refused[i]))
            return field_set(&out->refused, name, true, err);
    }
    return 0;
}

static int section_line(struct s3_profile *out, const struct profile_kept *kept, struct slice line,
                        struct error *err)
{
    const uint8_t *equals = line.n > 0 ? memchr(line.p, '=', line.n) : NULL;
    char lowered[64];

    if (!equals)
        return 0;
    size_t at = (size_t)(equals - line.p);
    struct slice name = trim(slice_sub(line, 0, at));
    if (name.n >= sizeof(lowered))
        return 0;
    for (size_t i = 0; i < name.n; i++)
        lowered[i] = (char)tolower(name.p[i]);
    return line_apply(out, kept, slice_of(lowered, name.n),
                      value_trim(slice_sub(line, at + 1, line.n)), err);
}

int s3_profile_parse(struct slice text, const char *name, bool is_config, struct s3_profile *out,
                     struct error *err)
{
    const struct profile_kept kept = {.id = out->access_key_id,
                                      .secret = out->secret,
                                      .token = out->session_token || out->access_key_id,
                                      .role = out->role_arn,
                                      .session = out->role_session_name,
                                      .file = out->web_identity_token_file};
    bool is_inside = false;

    if (!text.p)
        return 0;
    if (memchr(text.p, '\0', text.n))
        return error_set(err, ERR_CORRUPT, 0, "not a text file");
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        struct slice line = slice_sub(text, 0, end ? (size_t)(end - text.p) : text.n);
        text = slice_sub(text, line.n + 1, text.n);
        bool is_indented = line.n > 0 && isspace(line.p[0]);
        struct slice trimmed = trim(line);
        if (trimmed.n == 0 || trimmed.p[0] == '#' || trimmed.p[0] == ';')
            continue;
        if (trimmed.p[0] == '[' && !is_indented) {
            const uint8_t *close = memchr(trimmed.p, ']', trimmed.n);
            is_inside = close && section_is(slice_sub(trimmed, 1, (size_t)(close - trimmed.p) - 1),
                                            name, is_config);
            out->is_found = out->is_found || is_inside;
        } else if (is_inside && !is_indented && section_line(out, &kept, trimmed, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- files ---- */

static int file_read(const struct env *env, const char *path, struct buf *out, struct error *err)
{
    int fd = -1;
    size_t n = 0;
    uint8_t *p = NULL;
    struct stat st;

    if (env_open(env, path, O_RDONLY, 0, &fd, err) < 0)
        return -1;
    int rc = env_fstat(env, fd, path, &st, err);
    if (rc == 0 && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > out->max))
        rc = error_set(err, ERR_LIMIT, 0, "%s: not a file of at most %zu bytes", path, out->max);
    if (rc == 0)
        rc = buf_extend(out, (size_t)st.st_size, &p, err);
    if (rc == 0)
        rc = env_pread(env, fd, p, (size_t)st.st_size, 0, path, &n, err);
    if (rc == 0) {
        out->n = n;
        if (out->p)
            out->p[n] = 0;
    }
    env_close_quietly(env, fd); /* only read from */
    return rc;
}

/* The file named by a variable (with "~/" for home), else below ~/.aws; NULL if there is no home.
 */
static int shared_path(const char *variable, const char *name, char **out, struct error *err)
{
    const char *path = credentials_env(variable);
    const char *home = credentials_env("HOME");

    *out = NULL;
    if (path && strncmp(path, "~/", 2) == 0 && home)
        *out = str_printf(err, "%s/%s", home, path + 2);
    else if (path)
        *out = str_dup(path, err);
    else if (home)
        *out = str_printf(err, "%s/.aws/%s", home, name);
    else
        return 0;
    return *out ? 0 : -1;
}

static int shared_file(const struct env *env, const char *path, const char *name, bool is_config,
                       struct s3_profile *out, struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(S3_CREDENTIAL_FILE_BYTES_MAX);

    if (!path)
        return 0;
    if (file_read(env, path, &text, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    if (s3_profile_parse(buf_slice(&text), name, is_config, out, err) < 0)
        return error_wrap(err, "%s", path);
    return 0;
}

int s3_profile_load(const struct env *env, const char *name, struct s3_profile *out,
                    struct error *err)
{
    CLEANUP(mem_free) char *credentials = NULL;
    CLEANUP(mem_free) char *config = NULL;

    if (shared_path("AWS_SHARED_CREDENTIALS_FILE", "credentials", &credentials, err) < 0 ||
        shared_path("AWS_CONFIG_FILE", "config", &config, err) < 0)
        return -1;
    if (shared_file(env, credentials, name, false, out, err) < 0)
        return -1;
    return shared_file(env, config, name, true, out, err);
}

int credentials_token_read(const struct env *env, const char *path, struct buf *out,
                           struct error *err)
{
    if (file_read(env, path, out, err) < 0)
        return error_wrap(err, "token file");
    struct slice s = trim(buf_slice(out));
    if (s.n == 0)
        return error_set(err, ERR_USAGE, 0, "token file %s is empty", path);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '!' || s.p[i] > '~')
            return error_set(err, ERR_USAGE, 0, "token file %s does not hold one token", path);
    }
    memmove(out->p, s.p, s.n);
    out->n = s.n;
    out->p[s.n] = 0;
    return 0;
}
