/*
 * The settings of a client: checked once, copied, and given to every exchange.
 *
 * Certificates and keys are read here by OpenSSL before libcurl sees them, so that a mistake is
 * told when it is made and by its name, and not as a failed handshake hours later.
 */
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/exchange_internal.h"

static const uint64_t connect_timeout_ns_default = 10 * NS_PER_SEC;

static void store_free(X509_STORE **store)
{
    X509_STORE_free(*store);
}

static void bio_free(BIO **bio)
{
    (void)BIO_free(*bio); /* memory: cannot fail */
}

static void certificate_free(X509 **certificate)
{
    X509_free(*certificate);
}

static void key_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* Reads the bundle once. */
static int ca_file_check(const char *path, struct error *err)
{
    CLEANUP(store_free) X509_STORE *store = X509_STORE_new();

    if (!store)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for CA certificates");
    errno = 0;
    if (X509_STORE_load_file(store, path) == 1)
        return 0;
    unsigned long reason = ERR_peek_last_error();
    int errnum = errno;
    ERR_clear_error();
    const char *text = ERR_reason_error_string(reason);
    (void)(errnum == ENOENT || errnum == EACCES ? error_set_errno(err, errnum, "CA file %s", path)
                                                : error_set(err, ERR_USAGE, 0, "CA file %s: %s",
                                                            path, text ? text : "cannot be read"));
    err->code = ERR_USAGE;
    return error_hint(err, "it must hold certificates in PEM form (BEGIN CERTIFICATE)");
}

static int bio_of(const char *pem, BIO **out, struct error *err)
{
    size_t n = strlen(pem);

    *out = n <= INT_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
    return *out ? 0 : error_set(err, ERR_NO_MEMORY, 0, "out of memory for PEM");
}

static int certificate_read(const char *pem, const char *what, X509 **out, struct error *err)
{
    CLEANUP(bio_free) BIO *bio = NULL;

    if (bio_of(pem, &bio, err) < 0)
        return -1;
    *out = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    ERR_clear_error();
    if (*out)
        return 0;
    (void)error_set(err, ERR_USAGE, 0, "%s holds no certificate", what);
    return error_hint(err, "it must hold certificates in PEM form (BEGIN CERTIFICATE)");
}

/* A key that wants a password has none to give: OpenSSL must not ask at the terminal. */
static int no_password(char *out UNUSED, int size UNUSED, int is_writing UNUSED, void *arg UNUSED)
{
    return 0;
}

static int client_pair_check(const char *cert_pem, const char *key_pem, struct error *err)
{
    CLEANUP(certificate_free) X509 *certificate = NULL;
    CLEANUP(key_free) EVP_PKEY *key = NULL;
    CLEANUP(bio_free) BIO *bio = NULL;

    if (certificate_read(cert_pem, "client certificate", &certificate, err) < 0 ||
        bio_of(key_pem, &bio, err) < 0)
        return -1;
    key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    bool fits = key && X509_check_private_key(certificate, key) == 1;
    ERR_clear_error();
    if (!key)
        return error_set(err, ERR_USAGE, 0, "client key holds no (unencrypted) private key");
    if (!fits)
        return error_set(err, ERR_USAGE, 0, "client key does not belong to the client certificate");
    return 0;
}

static int settings_check(const struct http_client_config *config, struct error *err)
{
    CLEANUP(certificate_free) X509 *authority = NULL;

    ASSERT(!config->cert_pem == !config->key_pem);
    if (config->ca_pem && certificate_read(config->ca_pem, "CA bundle", &authority, err) < 0)
        return -1;
    if (config->cert_pem && client_pair_check(config->cert_pem, config->key_pem, err) < 0)
        return -1;
    return config->ca_file && !config->ca_pem ? ca_file_check(config->ca_file, err) : 0;
}

/* Copies text (NULL stays NULL); -1 if memory is out. */
static int copy(char **out, const char *text, struct error *err)
{
    if (!text)
        return 0;
    *out = str_dup(text, err);
    return *out ? 0 : -1;
}

int settings_make(struct exchange_settings *s, const struct http_client_config *config,
                  struct error *err)
{
    *s = (struct exchange_settings){
        .skip_verify = config->skip_verify,
        .accepts_gzip = config->accepts_gzip,
        .shares_connection = config->shares_connection,
        .connect_timeout_ns =
            config->connect_timeout_ns ? config->connect_timeout_ns : connect_timeout_ns_default,
    };
    if (settings_check(config, err) < 0)
        return -1;
    if (copy(&s->user_agent, config->user_agent ? config->user_agent : "walferry", err) == 0 &&
        copy(&s->ca_file, config->ca_pem ? NULL : config->ca_file, err) == 0 &&
        copy(&s->ca_pem, config->ca_pem, err) == 0 &&
        copy(&s->cert_pem, config->cert_pem, err) == 0 &&
        copy(&s->key_pem, config->key_pem, err) == 0 &&
        copy(&s->tls_server_name, config->tls_server_name, err) == 0 &&
        copy(&s->proxy_url, config->proxy_url, err) == 0)
        return 0;
    settings_destroy(s);
    return -1;
}

void settings_destroy(struct exchange_settings *s)
{
    if (s->key_pem)
        explicit_bzero(s->key_pem, strlen(s->key_pem));
    free(s->user_agent);
    free(s->ca_file);
    free(s->ca_pem);
    free(s->cert_pem);
    free(s->key_pem);
    free(s->tls_server_name);
    free(s->proxy_url);
    *s = (struct exchange_settings){.user_agent = NULL};
}
