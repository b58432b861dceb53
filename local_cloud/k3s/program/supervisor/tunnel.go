package supervisor

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rancher/remotedialer"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// TunnelPath is where nodes hold a connection to every server.
	TunnelPath = "/v1-k3s/connect"

	nodePrefix   = "system:node:"
	mastersGroup = "system:masters"
	loopback     = "127.0.0.1"
	established  = "HTTP/1.1 200 OK\r\n\r\n"
)

var (
	errHijack  = errors.New("the connection cannot be taken over")
	errNoNode  = errors.New("only a node holds a tunnel")
	errNoProxy = errors.New("only the API server goes through the tunnels")
)

// Tunnel is the API server's way to kubelets: through the connections that nodes hold, and no other. A kubelet whose
// node holds none is not reached. Source: github.com/k3s-io/k3s, pkg/daemons/control/tunnel.go.
type Tunnel struct {
	serverNode string
	clientCAs  *x509.CertPool
	client     kubernetes.Interface

	sessions *remotedialer.Server
	mutex    sync.RWMutex
	kubelets map[string]kubelet
}

// kubelet is where a node's own says that it listens.
type kubelet struct{ node, port string }

// NewTunnel is one that no node holds yet; Run learns of nodes from `client`. `serverNode` is the name of this server's
// own node, whose kubelet is next door, "" if it has none.
func NewTunnel(serverNode string, clientCAs *x509.CertPool, client kubernetes.Interface) *Tunnel {
	tunnel := &Tunnel{serverNode: serverNode, clientCAs: clientCAs, client: client, kubelets: map[string]kubelet{}}
	tunnel.sessions = remotedialer.New(tunnel.node, func(w http.ResponseWriter, _ *http.Request, code int, err error) {
		http.Error(w, err.Error(), code)
	})
	return tunnel
}

// Beside is `next`, with the tunnel for what the API server wants of kubelets (CONNECT, which has no path).
func (t *Tunnel) Beside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			t.connect(w, r)
		case r.URL.Path == TunnelPath:
			t.sessions.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// Run follows the nodes' addresses until ctx ends.
func (t *Tunnel) Run(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(t.client, 0)
	_, err := factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { t.learn(object) },
		UpdateFunc: func(_, object any) { t.learn(object) },
		DeleteFunc: func(object any) { t.forget(object) },
	})
	if err != nil {
		klog.ErrorS(err, "Nodes cannot be watched")
		return
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
}

func (t *Tunnel) learn(object any) {
	node, ok := object.(*v1.Node)
	if !ok {
		return
	}
	at := kubelet{node.Name, strconv.Itoa(int(node.Status.DaemonEndpoints.KubeletEndpoint.Port))}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, address := range node.Status.Addresses {
		if address.Type == v1.NodeInternalIP || address.Type == v1.NodeExternalIP {
			t.kubelets[address.Address] = at
		}
	}
}

func (t *Tunnel) forget(object any) {
	name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	maps.DeleteFunc(t.kubelets, func(_ string, at kubelet) bool { return at.node == name })
}

// node says whose tunnel a connection would be: a node shows its client certificate.
func (t *Tunnel) node(r *http.Request) (string, bool, error) {
	name, isNode := strings.CutPrefix(verified(r, t.clientCAs).CommonName, nodePrefix)
	if !isNode {
		return "", false, errNoNode
	}
	return name, true, nil
}

func (t *Tunnel) connect(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(verified(r, t.clientCAs).Organization, mastersGroup) {
		http.Error(w, errNoProxy.Error(), http.StatusForbidden)
		return
	}
	there, err := t.dial(r.Context(), r.Host)
	if err != nil {
		klog.InfoS("The tunnel does not lead there", "address", r.Host, "err", err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, errHijack.Error(), http.StatusInternalServerError)
		return
	}
	here, buffered, err := hijacker.Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer here.Close()
	if _, err := io.WriteString(here, established); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from)
		ended <- struct{}{}
	}
	go pass(there, buffered)
	go pass(here, there)
	// Either end ends both: the API server's requests are over when one side hangs up.
	<-ended
}

// dial is dialBackend of K3s: a kubelet is reached on its own node's loopback, everything else as it is.
func (t *Tunnel) dial(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	direct := &net.Dialer{}
	name, isKubelet := t.kubeletAt(host, port)
	switch {
	case !isKubelet:
		return direct.DialContext(ctx, "tcp", address)
	case name == t.serverNode:
		return direct.DialContext(ctx, "tcp", net.JoinHostPort(loopback, port))
	default:
		return t.sessions.Dialer(name)(ctx, "tcp", net.JoinHostPort(loopback, port))
	}
}

func (t *Tunnel) kubeletAt(host, port string) (string, bool) {
	if net.ParseIP(host) == nil {
		// A node by its name.
		return host, true
	}
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	found, known := t.kubelets[host]
	return found.node, known && found.port == port
}
