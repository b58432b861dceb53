package supervisor

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"k3s.local/k3s/pki"
)

// proxyTo is the proxy with authorities of its own in front of `api`, and the CA of its clients.
func proxyTo(t *testing.T, api http.Handler) (*httptest.Server, pki.Pair) {
	t.Helper()
	backend := httptest.NewTLSServer(api)
	t.Cleanup(backend.Close)
	target, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	backendCAs := x509.NewCertPool()
	backendCAs.AddCert(backend.Certificate())
	clientCA, err := pki.NewAuthority("clients")
	if err != nil {
		t.Fatal(err)
	}
	clientCAs, err := pki.Pool(clientCA.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(APIProxy(target, backendCAs, clientCAs, tls.Certificate{}))
	front.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	front.StartTLS()
	t.Cleanup(front.Close)
	return front, clientCA
}

func as(t *testing.T, front *httptest.Server, authority pki.Pair, user string, groups ...string) *http.Client {
	t.Helper()
	pair, err := authority.Client(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	client := front.Client()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{certificate}
	// An open connection goes on as whoever opened it.
	client.CloseIdleConnections()
	return client
}

func forgedRequest(t *testing.T, address string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Remote-User", "system:admin")
	request.Header.Set("X-Remote-Group", "system:masters")
	request.Header.Set("X-Remote-Extra-Scopes", "all")
	return request
}

func TestIdentityComesFromTheCertificateAlone(t *testing.T) {
	var seen http.Header
	front, clientCA := proxyTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))

	if _, err := front.Client().Do(forgedRequest(t, front.URL)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Remote-User", "X-Remote-Group", "X-Remote-Extra-Scopes"} {
		if values := seen.Values(name); len(values) > 0 {
			t.Errorf("a client without certificate passed %s: %q", name, values)
		}
	}
	if _, err := as(t, front, clientCA, "jane", "dev", "ops").Do(forgedRequest(t, front.URL)); err != nil {
		t.Fatal(err)
	}
	if user, groups := seen.Get("X-Remote-User"), seen.Values("X-Remote-Group"); user != "jane" || !slices.Equal(groups, []string{"dev", "ops"}) {
		t.Errorf("jane of dev and ops arrived as %q of %q", user, groups)
	}
	if values := seen.Values("X-Remote-Extra-Scopes"); len(values) > 0 {
		t.Errorf("extra passed: %q", values)
	}
}

func TestStrangersCertificatesCountForNothing(t *testing.T) {
	var seen http.Header
	front, _ := proxyTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	stranger, err := pki.NewAuthority("stranger")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := as(t, front, stranger, "system:admin", "system:masters").Get(front.URL); err != nil {
		t.Fatal(err)
	}
	if user := seen.Get("X-Remote-User"); user != "" {
		t.Errorf("a stranger's certificate made %q", user)
	}
}

func TestWatchesFlowAtOnce(t *testing.T) {
	proceed := make(chan struct{})
	front, _ := proxyTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("event"))
		w.(http.Flusher).Flush()
		<-proceed
	}))
	response, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	event := make([]byte, len("event"))
	_, err = io.ReadFull(response.Body, event)
	close(proceed)
	if err != nil || string(event) != "event" {
		t.Errorf("read %q, %v", event, err)
	}
}
