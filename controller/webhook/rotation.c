/*
 * What is due is decided from the certificates alone: from when to when they are valid, who signed
 * what. So any replica of the operator comes to the same answer, and nothing has to be remembered.
 */
#include "controller/webhook/rotation.h"

#include <string.h>

/* Where the parts of a rotation are in a Secret. */
static const struct {
    const char *cert_key;
    const char *private_key; /* NULL: not kept */
    size_t offset;
} parts[] = {
    {"ca.crt", "ca.key", offsetof(struct rotation, ca)},
    {"next-ca.crt", "next-ca.key", offsetof(struct rotation, next)},
    {"old-ca.crt", NULL, offsetof(struct rotation, old)},
    {"tls.crt", "tls.key", offsetof(struct rotation, server)},
};

static struct tls_pem *part_at(struct rotation *r, size_t idx)
{
    return (struct tls_pem *)(void *)((char *)r + parts[idx].offset);
}

static const struct tls_pem *part_of(const struct rotation *r, size_t idx)
{
    return (const struct tls_pem *)(const void *)((const char *)r + parts[idx].offset);
}

void rotation_destroy(struct rotation *r)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        tls_pem_destroy(part_at(r, i));
}

/* ---- in and out ---- */

static int value_read(struct jsonval data, const char *key, struct buf *out, struct error *err)
{
    struct jsonval v = jsonval_get(data, key);
    const char *text = NULL;

    if (jsonval_str_or(v, "", &text, err) < 0)
        return -1;
    if (base64_decode(slice_of_str(text), out, err) < 0)
        return error_wrap(err, "key %s of the Secret", key);
    return 0;
}

int rotation_read(struct jsonval data, struct rotation *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct tls_pem *pem = part_at(out, i);
        if (value_read(data, parts[i].cert_key, &pem->cert, err) < 0 ||
            (parts[i].private_key && value_read(data, parts[i].private_key, &pem->key, err) < 0))
            return -1;
    }
    return 0;
}

static void value_write(struct json_writer *w, const char *key, const struct buf *value)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(TLS_PEM_BYTES_MAX * 2);

    if (w->err.code == ERR_NONE && base64_encode(buf_slice(value), &text, &w->err) < 0)
        return;
    json_writer_slice(w, key, buf_slice(&text));
}

void rotation_write(const struct rotation *r, struct json_writer *w, const char *key)
{
    json_writer_object(w, key);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const struct tls_pem *pem = part_of(r, i);
        value_write(w, parts[i].cert_key, &pem->cert);
        if (parts[i].private_key)
            value_write(w, parts[i].private_key, &pem->key);
    }
    json_writer_end(w);
}

/* ---- what is due ---- */

/* Parses a part; NULL where there is none, or none that can be used. */
static struct tls_keypair *pair_of(const struct tls_pem *pem)
{
    struct tls_keypair *k = NULL;
    struct error ignored = ERROR_INIT;

    if (pem->cert.n == 0 ||
        tls_keypair_parse(buf_slice(&pem->cert), buf_slice(&pem->key), &k, &ignored) < 0)
        return NULL;
    return k;
}

/* Whether two thirds of its life are over. */
static bool is_aging(const struct tls_keypair *k, uint64_t now_ns)
{
    uint64_t begin = tls_keypair_not_before_ns(k);
    uint64_t life = tls_keypair_not_after_ns(k) - begin;

    return now_ns >= begin + life / 3 * 2;
}

static bool server_is_good(const struct rotation *r, const char *const *dns_names,
                           size_t name_count, uint64_t now_ns, uint64_t *out_begin_ns)
{
    CLEANUP(tls_keypair_cleanup) struct tls_keypair *k = pair_of(&r->server);

    if (!k || is_aging(k, now_ns) || !tls_keypair_is_signed_by(k, buf_slice(&r->ca.cert)))
        return false;
    for (size_t i = 0; i < name_count; i++) {
        if (!tls_keypair_has_name(k, dns_names[i]))
            return false;
    }
    *out_begin_ns = tls_keypair_not_before_ns(k);
    return true;
}

enum rotation_step rotation_due(const struct rotation *r, const char *const *dns_names,
                                size_t name_count, uint64_t now_ns, bool is_published)
{
    CLEANUP(tls_keypair_cleanup) struct tls_keypair *ca = pair_of(&r->ca);
    CLEANUP(tls_keypair_cleanup) struct tls_keypair *next = pair_of(&r->next);
    uint64_t server_begin_ns = 0;

    if (!ca || now_ns >= tls_keypair_not_after_ns(ca))
        return ROTATION_MAKE;
    if (next && is_published && now_ns >= tls_keypair_not_before_ns(next) + ROTATION_TRUST_NS)
        return ROTATION_PROMOTE;
    if (!server_is_good(r, dns_names, name_count, now_ns, &server_begin_ns))
        return ROTATION_SIGN;
    if (!next && is_aging(ca, now_ns))
        return ROTATION_PREPARE;
    if (r->old.cert.n > 0 && now_ns >= server_begin_ns + ROTATION_OLD_NS)
        return ROTATION_FORGET;
    return ROTATION_NOTHING;
}

/* ---- steps ---- */

static int authority_make(const struct env *env, uint64_t now_ns, struct tls_pem *out,
                          struct error *err)
{
    const struct tls_validity life = {now_ns, now_ns + ROTATION_CA_NS};

    return tls_authority_make(env, "walferry admission webhook", &life, out, err);
}

static int server_sign(const struct env *env, const char *const *dns_names, size_t name_count,
                       uint64_t now_ns, struct rotation *r, struct error *err)
{
    const struct tls_validity life = {now_ns, now_ns + ROTATION_SERVER_NS};

    return tls_authority_sign(env, &r->ca, dns_names, name_count, &life, &r->server, err);
}

static void pem_clear(struct tls_pem *pem)
{
    tls_pem_destroy(pem);
    *pem = (struct tls_pem)TLS_PEM_INIT;
}

/* next -> ca -> old; the certificate is signed anew. */
static int promote(const struct env *env, const char *const *dns_names, size_t name_count,
                   uint64_t now_ns, struct rotation *r, struct error *err)
{
    pem_clear(&r->old);
    r->old.cert = buf_take(&r->ca.cert);
    pem_clear(&r->ca);
    r->ca.cert = buf_take(&r->next.cert);
    r->ca.key = buf_take(&r->next.key);
    return server_sign(env, dns_names, name_count, now_ns, r, err);
}

int rotation_do(enum rotation_step step, const struct env *env, const char *const *dns_names,
                size_t name_count, uint64_t now_ns, struct rotation *r, struct error *err)
{
    switch (step) {
    case ROTATION_MAKE:
        pem_clear(&r->next);
        pem_clear(&r->old);
        if (authority_make(env, now_ns, &r->ca, err) < 0)
            return -1;
        return server_sign(env, dns_names, name_count, now_ns, r, err);
    case ROTATION_SIGN:
        return server_sign(env, dns_names, name_count, now_ns, r, err);
    case ROTATION_PREPARE:
        return authority_make(env, now_ns, &r->next, err);
    case ROTATION_PROMOTE:
        return promote(env, dns_names, name_count, now_ns, r, err);
    case ROTATION_FORGET:
        pem_clear(&r->old);
        return 0;
    case ROTATION_NOTHING:
    default:
        return 0;
    }
}

int rotation_bundle(const struct rotation *r, struct buf *out, struct error *err)
{
    const struct tls_pem *const trusted[] = {&r->ca, &r->next, &r->old};

    for (size_t i = 0; i < ARRAY_LEN(trusted); i++) {
        if (buf_append_slice(out, buf_slice(&trusted[i]->cert), err) < 0)
            return -1;
    }
    return 0;
}

const char *rotation_step_name(enum rotation_step step)
{
    static const char *const names[] = {
        [ROTATION_NOTHING] = "nothing", [ROTATION_MAKE] = "make",
        [ROTATION_SIGN] = "sign",       [ROTATION_PREPARE] = "prepare",
        [ROTATION_PROMOTE] = "promote", [ROTATION_FORGET] = "forget",
    };
    return names[step];
}
