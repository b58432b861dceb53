package agent

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rancher/remotedialer"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/cluster/ports"

	"k3s.local/k3s/pki"
	"k3s.local/k3s/supervisor"
)

const (
	tunnelRetry = time.Second
	tunnelPoll  = 50 * time.Millisecond
)

// tunnels are the connections that a node holds to servers, through which their API servers reach its kubelet.
// Source: github.com/k3s-io/k3s, pkg/agent/tunnel/tunnel.go (Setup, watchEndpoints, connect).
type tunnels struct {
	dialer *websocket.Dialer

	mutex sync.Mutex
	held  map[string]*tunnel
}

type tunnel struct {
	cancel    context.CancelFunc
	connected bool
}

// newTunnels holds none yet. `folder` has the node's client certificate and the cluster's CA.
func newTunnels(folder string, caBundle []byte) (*tunnels, error) {
	roots, err := pki.Pool(caBundle)
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "client-kubelet.crt"), filepath.Join(folder, "client-kubelet.key"))
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{certificate}}
	return &tunnels{
		dialer: &websocket.Dialer{TLSClientConfig: trust, HandshakeTimeout: requestTimeout},
		held:   map[string]*tunnel{},
	}, nil
}

// hold connects to the servers at `addresses` (host:port) until ctx ends, each again and again, and lets others go.
func (t *tunnels) hold(ctx context.Context, addresses []string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	wanted := map[string]bool{}
	for _, address := range addresses {
		wanted[address] = true
		if t.held[address] == nil {
			running, cancel := context.WithCancel(ctx)
			t.held[address] = &tunnel{cancel: cancel}
			go t.connect(running, address)
		}
	}
	for address, one := range t.held {
		if !wanted[address] {
			one.cancel()
			delete(t.held, address)
			klog.Infof("Stopped tunnel to %s", address)
		}
	}
}

func (t *tunnels) connect(ctx context.Context, address string) {
	url := "wss://" + address + supervisor.TunnelPath
	noted := func(context.Context, *remotedialer.Session) error {
		klog.InfoS("Remotedialer connected to proxy", "url", url)
		t.mutex.Lock()
		defer t.mutex.Unlock()
		if one := t.held[address]; one != nil {
			one.connected = true
		}
		return nil
	}
	for ctx.Err() == nil {
		err := remotedialer.ConnectToProxy(ctx, url, nil, ownKubelet, t.dialer, noted)
		if err == nil || ctx.Err() != nil {
			continue
		}
		klog.Errorf("Remotedialer proxy error; reconnecting...: url=%s: %v", url, err)
		select {
		case <-ctx.Done():
		case <-time.After(tunnelRetry):
		}
	}
}

// ownKubelet says whether a server may reach `address` through the tunnel.
func ownKubelet(protocol, address string) bool {
	return protocol == "tcp" && address == net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.KubeletPort))
}

// stand says whether each tunnel has been there, within `patience`.
func (t *tunnels) stand(ctx context.Context, patience time.Duration) bool {
	deadline := time.Now().Add(patience)
	for {
		if t.allConnected() {
			return true
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(tunnelPoll)
	}
}

func (t *tunnels) allConnected() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, one := range t.held {
		if !one.connected {
			return false
		}
	}
	return true
}
