package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"k8s.io/klog/v2"
)

// Headers of the API server's authenticating proxy:
// kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy.
const (
	remoteHeaders = "X-Remote-"
	remoteUser    = "X-Remote-User"
	remoteGroup   = "X-Remote-Group"
)

// APIProxy hands requests to the API server at `target`, in the name of who proved to be who with a client
// certificate. Watches and logs flow at once; exec and port-forward switch protocols.
//
// `identity` is the proxy's own certificate, which the API server knows by its request-header CA.
func APIProxy(target *url.URL, serverCAs, clientCAs *x509.CertPool, identity tls.Certificate) http.Handler {
	trust := func() *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: serverCAs, Certificates: []tls.Certificate{identity}}
	}
	streams := &http.Transport{TLSClientConfig: trust(), ForceAttemptHTTP2: true}
	// Protocol switches (SPDY, WebSocket) exist in HTTP/1.1 only.
	upgrades := &http.Transport{TLSClientConfig: trust(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     byUpgrade{streams, upgrades},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			for name := range r.Out.Header {
				if strings.HasPrefix(name, remoteHeaders) {
					delete(r.Out.Header, name)
				}
			}
			if subject := verified(r.In, clientCAs); subject.CommonName != "" {
				r.Out.Header.Set(remoteUser, subject.CommonName)
				r.Out.Header[remoteGroup] = subject.Organization
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				klog.V(2).InfoS("The API server does not answer", "path", r.URL.Path, "err", err)
			}
			http.Error(w, "apiserver not ready", http.StatusServiceUnavailable)
		},
	}
}

type byUpgrade struct{ streams, upgrades http.RoundTripper }

func (t byUpgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgrades.RoundTrip(r)
	}
	return t.streams.RoundTrip(r)
}

// verified is the subject of the client certificate, if `authorities` vouch for it.
func verified(r *http.Request, authorities *x509.CertPool) pkix.Name {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return pkix.Name{}
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range r.TLS.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := r.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         authorities,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return pkix.Name{}
	}
	return r.TLS.PeerCertificates[0].Subject
}
