// Package supervisor is what listens on a server's port 6443: K3s's own endpoints, through which nodes join, and the
// Kubernetes API behind them.
package supervisor

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"k8s.io/klog/v2"

	"k3s.local/k3s/bootstrap"
	"k3s.local/k3s/etcd"
	"k3s.local/k3s/pki"
)

// Headers of a joining node, and the groups of K3s's `passwd` file.
const (
	NodeNameHeader     = "K3s-Node-Name"
	NodePasswordHeader = "K3s-Node-Password"
	NodeIPHeader       = "K3s-Node-Ip"

	serverUser = "server"
	nodeUser   = "node"
	nodesGroup = "system:nodes"

	maxRequestBytes = 64 << 10
)

// ClusterConfig is what a node learns from a server about the cluster.
type ClusterConfig struct {
	ClusterCIDR       string
	ServiceCIDR       string
	ClusterDNS        string
	ClusterDomain     string
	FlannelBackend    string
	SecretsEncryption bool
	HTTPSPort         int
}

// Join answers nodes that join or come back.
type Join struct {
	Data      bootstrap.Data
	Cluster   ClusterConfig
	Passwords NodePasswords
	// APIServers lists the cluster's API servers as host:port.
	APIServers func(context.Context) ([]string, error)
	// Members lists the members of the embedded etcd; nil where the datastore is another.
	Members func(context.Context) (etcd.Members, error)
	// Ready says why the API server cannot be used, if so.
	Ready func(context.Context) error

	clientCAs *x509.CertPool
}

// Register puts the endpoints on `mux`. Paths are K3s's own.
func (j *Join) Register(mux *http.ServeMux) error {
	var err error
	if j.clientCAs, err = pki.Pool(j.Data.ClientCA.Certificate); err != nil {
		return err
	}
	mux.HandleFunc("GET /ping", text([]byte("pong")))
	mux.HandleFunc("GET /cacerts", text(j.Data.ServerCA.Certificate))
	mux.Handle("GET /v1-k3s/client-ca.crt", j.forNodes(text(j.Data.ClientCA.Certificate)))
	mux.Handle("GET /v1-k3s/server-ca.crt", j.forNodes(text(j.Data.ServerCA.Certificate)))
	mux.Handle("GET /v1-k3s/config", j.forNodes(func(w http.ResponseWriter, _ *http.Request) { answer(w, j.Cluster) }))
	mux.Handle("GET /v1-k3s/readyz", j.forNodes(j.readyz))
	mux.Handle("GET /v1-k3s/apiservers", j.forNodes(j.apiServers))
	mux.Handle("POST /v1-k3s/client-kubelet.crt", j.forNodes(j.clientKubelet))
	mux.Handle("POST /v1-k3s/serving-kubelet.crt", j.forNodes(j.servingKubelet))
	if j.Members != nil {
		mux.Handle("GET /v1-k3s/server-bootstrap", j.forServers(func(w http.ResponseWriter, _ *http.Request) { answer(w, j.Data) }))
		mux.Handle("GET /db/info", j.forServers(j.members))
	}
	mux.HandleFunc("/v1-k3s/", http.NotFound)
	return nil
}

// forNodes lets in who knows the server or the agent token, and nodes with their client certificate.
func (j *Join) forNodes(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, given := r.BasicAuth()
		switch {
		case given && j.knows(user, password):
		case !given && slices.Contains(verified(r, j.clientCAs).Organization, nodesGroup):
		default:
			http.Error(w, "not authorized", http.StatusUnauthorized)
			return
		}
		next(w, r)
	})
}

// forServers lets in who knows the server token.
func (j *Join) forServers(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, given := r.BasicAuth(); !given || user != serverUser || !j.knows(user, password) {
			http.Error(w, "not authorized", http.StatusUnauthorized)
			return
		}
		next(w, r)
	})
}

func (j *Join) members(w http.ResponseWriter, r *http.Request) {
	members, err := j.Members(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(w, members)
}

func (j *Join) knows(user, password string) bool {
	same := func(secret string) bool {
		return secret != "" && subtle.ConstantTimeCompare([]byte(password), []byte(secret)) == 1
	}
	switch user {
	case serverUser:
		return same(j.Data.ServerToken)
	case nodeUser:
		// A server token also joins agents: docs.k3s.io/cli/token.
		return same(j.Data.AgentToken) || same(j.Data.ServerToken)
	default:
		return false
	}
}

func (j *Join) readyz(w http.ResponseWriter, r *http.Request) {
	if err := j.Ready(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	text([]byte("ok"))(w, r)
}

func (j *Join) apiServers(w http.ResponseWriter, r *http.Request) {
	servers, err := j.APIServers(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(w, servers)
}

func (j *Join) clientKubelet(w http.ResponseWriter, r *http.Request) {
	name, request, ok := j.node(w, r)
	if !ok {
		return
	}
	certificate, err := j.Data.ClientCA.SignClient(request, nodePrefix+name, nodesGroup)
	deliver(w, certificate, err)
}

func (j *Join) servingKubelet(w http.ResponseWriter, r *http.Request) {
	name, request, ok := j.node(w, r)
	if !ok {
		return
	}
	names := []string{name, "localhost", "127.0.0.1"}
	for _, ip := range strings.Split(r.Header.Get(NodeIPHeader), ",") {
		if net.ParseIP(ip) != nil {
			names = append(names, ip)
		}
	}
	certificate, err := j.Data.ServerCA.SignServing(request, name, names)
	deliver(w, certificate, err)
}

// node reads who asks and checks the node's password, so that nobody takes another node's name.
func (j *Join) node(w http.ResponseWriter, r *http.Request) (string, []byte, bool) {
	name := strings.ToLower(r.Header.Get(NodeNameHeader))
	password := r.Header.Get(NodePasswordHeader)
	if name == "" || password == "" {
		http.Error(w, "node name or node password not set", http.StatusBadRequest)
		return "", nil, false
	}
	err := j.Passwords.Check(r.Context(), name, password)
	if errors.Is(err, ErrRejected) {
		klog.Warningf("%s from %s: %v", name, r.RemoteAddr, err)
		http.Error(w, err.Error(), http.StatusForbidden)
		return "", nil, false
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return "", nil, false
	}
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil, false
	}
	return name, request, true
}

func text(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(body)
	}
}

func deliver(w http.ResponseWriter, certificate []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text(certificate)(w, nil)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}
