#include "tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "fault.h"

/* The sessions and contexts are OpenSSL's own; the names keep it out of the other files. */
static SSL_CTX *context_of(struct tls_context *context)
{
	return (SSL_CTX *)(void *)context;
}

static SSL *ssl_of(const struct tls_session *session)
{
	return (SSL *)(uintptr_t)(const void *)session;
}

static const char *last_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	return reason ? reason : "no reason given";
}

static int load(SSL_CTX *context, const struct tls_settings *settings, struct ferry_error *err)
{
	if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION))
		return fault(err, FERRY_E_CONFIG, "TLS 1.2 is not available: %s", last_reason());
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (settings->ca_file && SSL_CTX_load_verify_locations(context, settings->ca_file, NULL) != 1)
		return fault(err, FERRY_E_CONFIG, "ca_file=%s: no certificates can be read from it: %s",
			     settings->ca_file, last_reason());
	if (!settings->ca_file && SSL_CTX_set_default_verify_paths(context) != 1)
		return fault(err, FERRY_E_CONFIG, "the system's certificates cannot be read: name a ca_file");
	if (!settings->cert_file != !settings->key_file)
		return fault(err, FERRY_E_CONFIG, "cert_file and key_file need each other: one is missing");
	if (settings->cert_file && SSL_CTX_use_certificate_chain_file(context, settings->cert_file) != 1)
		return fault(err, FERRY_E_CONFIG, "cert_file=%s: no certificate can be read from it: %s",
			     settings->cert_file, last_reason());
	if (settings->key_file &&
	    SSL_CTX_use_PrivateKey_file(context, settings->key_file, SSL_FILETYPE_PEM) != 1)
		return fault(err, FERRY_E_CONFIG,
			     "key_file=%s: no key that fits cert_file can be read from it: %s",
			     settings->key_file, last_reason());
	return 0;
}

int tls_context_make(const struct tls_settings *settings, struct tls_context **ret, struct ferry_error *err)
{
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return fault(err, FERRY_E_NOMEM, "TLS cannot be set up: %s", last_reason());
	int code = load(context, settings, err);
	if (code) {
		SSL_CTX_free(context);
		return code;
	}
	/* A write that was cut short goes on from where it stopped, maybe from memory that has moved. */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	*ret = (struct tls_context *)(void *)context;
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	SSL_CTX_free(context_of(context));
}

/* Whom the certificate must name. */
static int expect_name(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
}

struct tls_session *tls_begin(struct tls_context *context, int fd, const char *host)
{
	ERR_clear_error();
	SSL *ssl = SSL_new(context_of(context));
	if (!ssl)
		return NULL;
	if (!expect_name(ssl, host) || !SSL_set_fd(ssl, fd)) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return (struct tls_session *)(void *)ssl;
}

static int want_of(SSL *ssl, int result)
{
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	default:
		return TLS_FAILED;
	}
}

int tls_handshake(struct tls_session *session, char *text, size_t size)
{
	SSL *ssl = ssl_of(session);
	ERR_clear_error();
	int result = SSL_do_handshake(ssl);
	if (result == 1)
		return TLS_DONE;
	int want = want_of(ssl, result);
	if (want != TLS_FAILED)
		return want;
	long verdict = SSL_get_verify_result(ssl);
	if (verdict != X509_V_OK)
		snprintf(text, size, "its certificate is refused: %s",
			 X509_verify_cert_error_string(verdict));
	else if (ERR_peek_last_error())
		snprintf(text, size, "%s", last_reason());
	else
		snprintf(text, size, "the server closed the connection");
	return TLS_FAILED;
}

ssize_t tls_read(struct tls_session *session, void *data, size_t size)
{
	SSL *ssl = ssl_of(session);
	ERR_clear_error();
	int result = SSL_read(ssl, data, size > INT_MAX ? INT_MAX : (int)size);
	if (result > 0)
		return result;
	if (SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return want_of(ssl, result);
}

ssize_t tls_write(struct tls_session *session, const void *data, size_t size)
{
	SSL *ssl = ssl_of(session);
	ERR_clear_error();
	int result = SSL_write(ssl, data, size > INT_MAX ? INT_MAX : (int)size);
	return result > 0 ? result : want_of(ssl, result);
}

int tls_pending(const struct tls_session *session)
{
	return SSL_pending(ssl_of(session));
}

void tls_end(struct tls_session *session)
{
	SSL_free(ssl_of(session));
}
