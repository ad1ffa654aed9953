/*
 * One pass over the text. At each place the rules are asked in turn whether a secret begins here;
 * the first that says so tells how long it is.
 *
 *   rule      begins behind                        ends before
 *   URL       "://" if a '@' comes before '/'      that '@'
 *   bearer    "Bearer ", "Basic "                  blank, quote, end of line
 *   key       a word that names a secret, then     blank, comma, '&', end of line; or the closing
 *             ':' or '=' with quotes and blanks    quote if it began with one
 *   PEM       "-----BEGIN ... PRIVATE KEY-----"    "-----END"
 */
#include "controller/plugin/redact.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    TEXT_BYTES_MAX = 16 << 20,
    URL_USER_BYTES_MAX = 1024,
    PEM_HEAD_BYTES_MAX = 48,
};

/* Words that name a secret, in small letters; '-', '_' and capitals make no difference. */
static const char *const secret_words[] = {
    "password",    "passwd",        "passphrase",    "secretaccesskey", "secretkey",
    "accesskeyid", "accesskey",     "sessiontoken",  "securitytoken",   "apikey",
    "privatekey",  "clientsecret",  "xamzsignature", "xamzcredential",  "xamzsecuritytoken",
    "token",       "authorization",
};

/* ---- words ---- */

static bool is_word_byte(uint8_t c)
{
    return isalnum(c) || c == '-' || c == '_';
}

/* Whether the n bytes end with a word of the list: "AWS_SECRET_ACCESS_KEY" does. */
static bool names_secret(const uint8_t *word, size_t n)
{
    char plain[64];
    size_t k = 0;

    for (size_t i = n > 60 ? n - 60 : 0; i < n; i++) {
        if (word[i] != '-' && word[i] != '_')
            plain[k++] = (char)tolower(word[i]);
    }
    plain[k] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(secret_words); i++) {
        size_t len = strlen(secret_words[i]);
        if (k >= len && strcmp(plain + k - len, secret_words[i]) == 0)
            return true;
    }
    return false;
}

/* ---- rules: length of the secret at text[at..], 0: none ---- */

static bool is_at(struct slice text, size_t at, const char *what)
{
    size_t n = strlen(what);

    return text.n - at >= n && strncasecmp((const char *)text.p + at, what, n) == 0;
}

/* Behind "://". */
static size_t url_secret(struct slice text, size_t at)
{
    if (at < 3 || memcmp(text.p + at - 3, "://", 3) != 0)
        return 0;
    for (size_t i = at; i < text.n && i - at < URL_USER_BYTES_MAX; i++) {
        if (text.p[i] == '@')
            return i - at;
        if (strchr("/ \t\r\n\"'<>", text.p[i]) && text.p[i])
            return 0;
    }
    return 0;
}

/* The run up to one of the ends. */
static size_t run_of(struct slice text, size_t at, const char *ends)
{
    size_t i = at;

    while (i < text.n && text.p[i] && !strchr(ends, text.p[i]))
        i++;
    return i - at;
}

static size_t bearer_secret(struct slice text, size_t at)
{
    bool is_behind = (at >= 7 && is_at((struct slice){text.p, at}, at - 7, "bearer ")) ||
                     (at >= 6 && is_at((struct slice){text.p, at}, at - 6, "basic "));

    return is_behind ? run_of(text, at, " \t\r\n\"',;\\") : 0;
}

/* Steps back over blanks. */
static size_t before_blanks(struct slice text, size_t i)
{
    while (i > 0 && text.p[i - 1] == ' ')
        i--;
    return i;
}

/* Steps back over one quote, also an escaped one; *out is the quote, or 0. */
static size_t before_quote(struct slice text, size_t i, char *out)
{
    *out = '\0';
    if (i == 0 || (text.p[i - 1] != '"' && text.p[i - 1] != '\''))
        return i;
    *out = (char)text.p[i - 1];
    i--;
    return i > 0 && text.p[i - 1] == '\\' ? i - 1 : i;
}

/* Behind a word that names a secret, a ':' or '=', blanks, and perhaps quotes. */
static size_t key_secret(struct slice text, size_t at)
{
    char quote, key_quote;
    size_t i = before_blanks(text, before_quote(text, at, &quote));

    if (text.p[at] == '\0' || strchr(" \"'\\{[\r\n", text.p[at]))
        return 0; /* not the value yet, or no text */
    if (i == 0 || (text.p[i - 1] != ':' && text.p[i - 1] != '='))
        return 0;
    size_t end = before_quote(text, before_blanks(text, i - 1), &key_quote);
    for (i = end; i > 0 && is_word_byte(text.p[i - 1]);)
        i--;
    if (end == i || !names_secret(text.p + i, end - i))
        return 0;
    const char quoted_ends[] = {quote, '\\', '\n', '\r', '\0'};
    return run_of(text, at, quote ? quoted_ends : " &,;\"'\n\r");
}

/* Behind "-----BEGIN ... PRIVATE KEY-----". */
static size_t pem_secret(struct slice text, size_t at)
{
    static const char mark[] = "PRIVATE KEY-----";
    static const char begin[] = "-----BEGIN ";
    size_t n = sizeof(mark) - 1;
    size_t from = at > PEM_HEAD_BYTES_MAX ? at - PEM_HEAD_BYTES_MAX : 0;

    if (at < n || memcmp(text.p + at - n, mark, n) != 0 ||
        !memmem(text.p + from, at - from, begin, sizeof(begin) - 1) ||
        memmem(text.p + from, at - from, "-----END ", 9))
        return 0;
    const uint8_t *end = memmem(text.p + at, text.n - at, "-----END", 8);
    return end ? (size_t)(end - text.p) - at : text.n - at;
}

static size_t secret_at(struct slice text, size_t at)
{
    static size_t (*const rules[])(struct slice text, size_t at) = {pem_secret, url_secret,
                                                                    bearer_secret, key_secret};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        size_t n = rules[i](text, at);
        if (n > 0)
            return n;
    }
    return 0;
}

int redact_text(struct slice text, struct buf *out, struct error *err)
{
    size_t begin = 0; /* of what was not added yet */
    size_t at = 0;

    while (at < text.n) {
        size_t n = secret_at(text, at);
        bool is_done = n == sizeof(REDACTED) - 1 && memcmp(text.p + at, REDACTED, n) == 0;
        if (n == 0 || is_done) {
            at += n ? n : 1;
            continue;
        }
        if (buf_append(out, text.p + begin, at - begin, err) < 0 ||
            buf_append_str(out, REDACTED, err) < 0)
            return -1;
        at += n;
        begin = at;
    }
    return begin == text.n ? 0 : buf_append(out, text.p + begin, text.n - begin, err);
}

/* ---- JSON ---- */

static const char *text_of(struct jsonval v)
{
    struct error ignored = ERROR_INIT; /* no text: "" */
    const char *text = "";

    return jsonval_str(v, &text, &ignored) == 0 ? text : "";
}

/* Members that are noise, or hold the manifest once more. */
static bool is_left_out(const char *key)
{
    return strcmp(key, "managedFields") == 0 ||
           strcmp(key, "kubectl.kubernetes.io/last-applied-configuration") == 0;
}

static int str_write(struct jsonval v, struct json_writer *w, const char *key, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    bool is_secret = key && names_secret((const uint8_t *)key, strlen(key));

    if (is_secret && *text_of(v)) {
        json_writer_str(w, key, REDACTED);
        return 0;
    }
    if (redact_text(slice_of_str(text_of(v)), &text, err) < 0)
        return -1;
    json_writer_slice(w, key, buf_slice(&text));
    return 0;
}

/* An environment variable: its value is nobody's business, where it comes from is. */
static int env_write(struct jsonval v, struct json_writer *w, struct error *err)
{
    json_writer_object(w, NULL);
    for (struct jsonval m = jsonval_first(v); jsonval_exists(m); m = jsonval_next(m)) {
        if (strcmp(jsonval_key(m), "value") == 0)
            json_writer_str(w, "value", REDACTED);
        else if (redact_json(m, w, jsonval_key(m), err) < 0)
            return -1;
    }
    json_writer_end(w);
    return 0;
}

static bool is_secret_object(struct jsonval v)
{
    return strcmp(text_of(jsonval_get(v, "kind")), "Secret") == 0 &&
           jsonval_exists(jsonval_get(v, "metadata"));
}

static int members_write(struct jsonval v, struct json_writer *w, bool is_env, struct error *err)
{
    bool is_secret = is_secret_object(v);

    for (struct jsonval m = jsonval_first(v); jsonval_exists(m); m = jsonval_next(m)) {
        const char *key = jsonval_key(m);
        bool holds_secrets =
            is_secret && (strcmp(key, "data") == 0 || strcmp(key, "stringData") == 0);
        if (is_left_out(key))
            continue;
        if (holds_secrets)
            json_writer_str(w, key, REDACTED);
        else if (is_env && jsonval_is_object(m) ? env_write(m, w, err) < 0
                                                : redact_json(m, w, *key ? key : NULL, err) < 0)
            return -1;
    }
    return 0;
}

int redact_json(struct jsonval v, struct json_writer *w, const char *key, struct error *err)
{
    if (jsonval_is_str(v))
        return str_write(v, w, key, err);
    if (!jsonval_is_object(v) && !jsonval_is_array(v)) {
        jsonval_write(v, w, key);
        return 0;
    }
    if (w->depth + 2 >= JSON_WRITER_DEPTH_MAX) {
        json_writer_str(w, key, "nested too deep");
        return 0;
    }
    bool is_env = jsonval_is_array(v) && key && strcmp(key, "env") == 0;
    if (jsonval_is_array(v))
        json_writer_array(w, key);
    else
        json_writer_object(w, key);
    if (members_write(v, w, is_env, err) < 0)
        return -1;
    json_writer_end(w);
    return 0;
}
