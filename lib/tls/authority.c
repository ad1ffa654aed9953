/*
 * Certificates made by OpenSSL's X509 functions.
 *
 *                  authority                 server
 *   subject        CN=<name>                 CN=<first name>
 *   issuer         itself                    the authority's subject
 *   basicConstraints  CA, pathlen 0, critical  not a CA, critical
 *   keyUsage       certificate and CRL signing  digital signature      (both critical)
 *   extendedKeyUsage                         server authentication
 *   subjectAltName                           the DNS names
 *   key identifiers   subject                subject and authority
 */
#include "lib/tls/authority.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "lib/tls/keypair_internal.h"

enum {
    SERIAL_BYTES = 16,
    COMMON_NAME_BYTES_MAX = 64,
    NAMES_BYTES_MAX = 8192,
};

/* Clocks of clients may be a little behind ours. */
#define CLOCK_SLACK_NS (5 * NS_PER_MIN)

void tls_pem_destroy(struct tls_pem *pem)
{
    buf_destroy(&pem->cert);
    buf_destroy_secret(&pem->key);
}

static int key_make(EVP_PKEY **out, struct error *err)
{
    *out = EVP_EC_gen("P-256");
    return *out ? 0 : tls_error(err, ERR_NO_MEMORY, "ECDSA key");
}

/* A positive number without meaning. */
static int serial_set(const struct env *env, X509 *cert, struct error *err)
{
    uint8_t bytes[SERIAL_BYTES];
    BIGNUM *number;
    int rc = 0;

    env_random_fill(env, bytes, sizeof(bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    if (!number || !BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)))
        rc = tls_error(err, ERR_NO_MEMORY, "serial number");
    BN_free(number);
    return rc;
}

static int extension_add(X509 *cert, X509V3_CTX *ctx, int nid, const char *value, struct error *err)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

    if (!extension)
        return tls_error(err, ERR_CORRUPT, "extension %s", OBJ_nid2sn(nid));
    int rc = X509_add_ext(cert, extension, -1) ? 0 : tls_error(err, ERR_NO_MEMORY, "extension");
    X509_EXTENSION_free(extension);
    return rc;
}

/* What both kinds have: version, serial, validity, subject, key. */
static int cert_begin(const struct env *env, const char *common_name,
                      const struct tls_validity *validity, EVP_PKEY *key, X509 **out,
                      struct error *err)
{
    uint64_t begin = validity->not_before_ns;
    X509 *cert = X509_new();

    *out = cert;
    if (!cert)
        return tls_error(err, ERR_NO_MEMORY, "certificate");
    begin = begin > CLOCK_SLACK_NS ? begin - CLOCK_SLACK_NS : 0;
    if (serial_set(env, cert, err) < 0)
        return -1;
    if (!X509_set_version(cert, X509_VERSION_3) ||
        !ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(begin / NS_PER_SEC)) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(validity->not_after_ns / NS_PER_SEC)) ||
        !X509_set_pubkey(cert, key) ||
        !X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                    (const unsigned char *)common_name, -1, -1, 0))
        return tls_error(err, ERR_NO_MEMORY, "certificate");
    return 0;
}

static int bio_take(BIO *bio, struct buf *out, struct error *err)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    buf_clear(out);
    return buf_append(out, p, n > 0 ? (size_t)n : 0, err);
}

static int pem_write(X509 *cert, EVP_PKEY *key, struct tls_pem *out, struct error *err)
{
    CLEANUP(tls_bio_free) BIO *cert_bio = BIO_new(BIO_s_mem());
    CLEANUP(tls_bio_free) BIO *key_bio = BIO_new(BIO_s_secmem());

    if (!cert_bio || !key_bio || !PEM_write_bio_X509(cert_bio, cert) ||
        !PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL))
        return tls_error(err, ERR_NO_MEMORY, "PEM");
    return bio_take(cert_bio, &out->cert, err) < 0 || bio_take(key_bio, &out->key, err) < 0 ? -1
                                                                                            : 0;
}

int tls_authority_make(const struct env *env, const char *common_name,
                       const struct tls_validity *validity, struct tls_pem *out, struct error *err)
{
    CLEANUP(tls_key_free) EVP_PKEY *key = NULL;
    CLEANUP(tls_cert_free) X509 *cert = NULL;
    X509V3_CTX ctx;

    ERR_clear_error();
    if (key_make(&key, err) < 0 || cert_begin(env, common_name, validity, key, &cert, err) < 0)
        return -1;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    if (!X509_set_issuer_name(cert, X509_get_subject_name(cert)))
        return tls_error(err, ERR_NO_MEMORY, "issuer");
    if (extension_add(cert, &ctx, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", err) < 0 ||
        extension_add(cert, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign", err) < 0 ||
        extension_add(cert, &ctx, NID_subject_key_identifier, "hash", err) < 0)
        return -1;
    if (!X509_sign(cert, key, EVP_sha256()))
        return tls_error(err, ERR_NO_MEMORY, "signature");
    return pem_write(cert, key, out, err);
}

/* "DNS:a,DNS:b". A name with a comma would be two: refused. */
static int names_write(const char *const *names, size_t count, struct buf *out, struct error *err)
{
    if (count == 0 || count > TLS_NAMES_MAX)
        return error_set(err, ERR_LIMIT, 0, "%zu DNS names, 1 to %d", count, TLS_NAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!names[i][0] || strpbrk(names[i], ", \t\r\n:"))
            return error_set(err, ERR_CORRUPT, 0, "\"%.64s\" is not a DNS name", names[i]);
        if (buf_printf(out, err, "%sDNS:%s", i ? "," : "", names[i]) < 0)
            return -1;
    }
    return 0;
}

static int server_extensions(X509 *cert, X509 *issuer, const char *names, struct error *err)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    if (extension_add(cert, &ctx, NID_basic_constraints, "critical,CA:FALSE", err) < 0 ||
        extension_add(cert, &ctx, NID_key_usage, "critical,digitalSignature", err) < 0 ||
        extension_add(cert, &ctx, NID_ext_key_usage, "serverAuth", err) < 0 ||
        extension_add(cert, &ctx, NID_subject_alt_name, names, err) < 0 ||
        extension_add(cert, &ctx, NID_subject_key_identifier, "hash", err) < 0)
        return -1;
    return extension_add(cert, &ctx, NID_authority_key_identifier, "keyid:always", err);
}

int tls_authority_sign(const struct env *env, const struct tls_pem *authority,
                       const char *const *dns_names, size_t name_count,
                       const struct tls_validity *validity, struct tls_pem *out, struct error *err)
{
    CLEANUP(tls_keypair_cleanup) struct tls_keypair *issuer = NULL;
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(NAMES_BYTES_MAX);
    CLEANUP(tls_key_free) EVP_PKEY *key = NULL;
    CLEANUP(tls_cert_free) X509 *cert = NULL;
    char common_name[COMMON_NAME_BYTES_MAX + 1] = "";
    struct tls_validity life = *validity;

    if (names_write(dns_names, name_count, &names, err) < 0 ||
        tls_keypair_parse(buf_slice(&authority->cert), buf_slice(&authority->key), &issuer, err) <
            0)
        return error_wrap(err, "certificate authority");
    if (life.not_after_ns > issuer->not_after_ns)
        life.not_after_ns = issuer->not_after_ns;
    (void)snprintf(common_name, sizeof(common_name), "%s", dns_names[0]); /* cut on purpose */
    if (key_make(&key, err) < 0 || cert_begin(env, common_name, &life, key, &cert, err) < 0)
        return -1;
    if (!X509_set_issuer_name(cert, X509_get_subject_name(issuer->cert)))
        return tls_error(err, ERR_NO_MEMORY, "issuer");
    if (server_extensions(cert, issuer->cert, buf_str(&names), err) < 0)
        return -1;
    if (!X509_sign(cert, issuer->key, EVP_sha256()))
        return tls_error(err, ERR_NO_MEMORY, "signature");
    return pem_write(cert, key, out, err);
}
