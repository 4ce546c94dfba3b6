# tls.sh - certificates for a service, made anew with it: nothing here is secret, or worth keeping.
# shellcheck shell=sh disable=SC2154

# tls_authority NAME - NAME.crt and NAME.key, which sign.
tls_authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$1" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
		-keyout "$1.key" -out "$1.crt"
}

# tls_certificate NAME EXTENSIONS - NAME.crt and NAME.key, signed by ca; NAME.pem is both, and the authority.
tls_certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
		-keyout "$1.key" -out "$1.csr" &&
		printf '%b' "$2" >"$1.ext" &&
		openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
			-extfile "$1.ext" -out "$1.crt" &&
		cat "$1.key" "$1.crt" ca.crt >"$1.pem" &&
		rm -f "$1.csr" "$1.ext"
}

# tls_make - in the service's folder tls/: ca and other-ca (which signed nothing), server (for localhost and
# 127.0.0.1), wronghost (the same authority, another name) and client.
tls_make() (
	mkdir -p "$folder/tls"
	cd "$folder/tls" || exit 1
	{
		tls_authority ca && tls_authority other-ca &&
			tls_certificate server \
				'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' &&
			tls_certificate wronghost \
				'subjectAltName=DNS:elsewhere.invalid\nextendedKeyUsage=serverAuth\n' &&
			tls_certificate client 'extendedKeyUsage=clientAuth\n'
	} >openssl.log 2>&1 || {
		cat openssl.log >&2
		fail "$service: openssl has not made the certificates"
	}
)
