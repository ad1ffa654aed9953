/*
 * lib/tls: certificates and who serves them.
 *
 *   keypair.h    a certificate chain with its private key, parsed and checked
 *   identity.h   what a listener serves; replaced while connections go on
 *   authority.h  a certificate authority of our own, and what it signs
 *
 * On OpenSSL 3. Clients verify through libcurl (lib/http/client.h); nothing of that is here.
 */
#ifndef WALFERRY_LIB_TLS_TLS_H
#define WALFERRY_LIB_TLS_TLS_H

#include "lib/tls/authority.h"
#include "lib/tls/identity.h"
#include "lib/tls/keypair.h"

#endif
