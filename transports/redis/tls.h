/*
 * tls.h - encryption of a link, by OpenSSL, with the certificate's host name checked.
 *
 * hiredis can encrypt, but leaves the name unchecked: a certificate for anybody, of an authority that is
 * trusted, would do.  So the session is ours, and hiredis sees plain bytes.  (RFC 6125 for the name.)
 */
#ifndef REDIS_TLS_H
#define REDIS_TLS_H

#include <stddef.h>
#include <sys/types.h>

#include <ferry/transport.h>

struct tls_settings {
	const char *ca_file;   /* NULL: the system's authorities */
	const char *cert_file; /* NULL: no certificate of ours */
	const char *key_file;
};

struct tls_context;
struct tls_session;

enum tls_result { TLS_DONE = 0, TLS_WANT_READ = -1, TLS_WANT_WRITE = -2, TLS_FAILED = -3 };

/* One per connection of a bus.  FERRY_E_CONFIG names the file. */
int tls_context_make(const struct tls_settings *settings, struct tls_context **ret, struct ferry_error *err);
void tls_context_free(struct tls_context *context);

/* A session over a socket, for a server of this name or address; NULL without memory. */
struct tls_session *tls_begin(struct tls_context *context, int fd, const char *host);
/* Go on with the handshake: a tls_result; when it has failed, why is said in `text`. */
int tls_handshake(struct tls_session *session, char *text, size_t size);
/* Bytes, 0 = the other side has closed, or a tls_result. */
ssize_t tls_read(struct tls_session *session, void *data, size_t size);
ssize_t tls_write(struct tls_session *session, const void *data, size_t size);
/* Bytes were decrypted that no poll of the socket will announce. */
int tls_pending(const struct tls_session *session);
void tls_end(struct tls_session *session);

#endif
