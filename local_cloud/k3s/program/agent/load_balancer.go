package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

const (
	dialTimeout   = 2 * time.Second
	checkInterval = 3 * time.Second
	// A server that misses this many checks loses its connections: a machine that lost power never closes them.
	missedChecks = 2
)

// loadBalancer is the agent's way to the servers: it listens on loopback and passes connections to a server that
// answers. It knows the address the agent was told to join, and those it has learned since.
type loadBalancer struct {
	listener net.Listener
	file     string
	joinHost string
	joinPort string

	mutex   sync.Mutex
	learned []string
	// failing servers are tried last.
	failing     map[string]int
	connections map[net.Conn]string
}

type keptServers struct{ ServerAddresses []string }

// newLoadBalancer listens on `address`. What it learns is kept in `file`, so that a restarted agent finds a server
// even if the one it joined is gone.
func newLoadBalancer(address, joinHost, joinPort, file string) (*loadBalancer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	balancer := &loadBalancer{
		listener:    listener,
		file:        file,
		joinHost:    joinHost,
		joinPort:    joinPort,
		failing:     map[string]int{},
		connections: map[net.Conn]string{},
	}
	var kept keptServers
	if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &kept) == nil {
		balancer.learned = kept.ServerAddresses
	}
	return balancer, nil
}

// run serves until ctx ends.
func (b *loadBalancer) run(ctx context.Context) {
	context.AfterFunc(ctx, func() { _ = b.listener.Close() })
	go b.watch(ctx)
	for {
		client, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go b.serve(ctx, client)
	}
}

// learn replaces the list of servers; an empty one is ignored.
func (b *loadBalancer) learn(servers []string) {
	slices.Sort(servers)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if len(servers) == 0 || slices.Equal(servers, b.learned) {
		return
	}
	klog.InfoS("Servers of the cluster", "addresses", servers)
	b.learned = servers
	text, err := json.Marshal(keptServers{servers})
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(b.file), 0o700), os.WriteFile(b.file, text, 0o600))
	}
	if err != nil {
		klog.ErrorS(err, "The list of servers cannot be kept", "file", b.file)
	}
}

// servers lists all known servers, those that failed last at the end.
func (b *loadBalancer) servers(ctx context.Context) []string {
	lookup, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	joined, err := net.DefaultResolver.LookupHost(lookup, b.joinHost)
	if err != nil {
		klog.V(2).InfoS("The server's name is unknown", "name", b.joinHost, "err", err)
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	servers := slices.Clone(b.learned)
	for _, address := range joined {
		if server := net.JoinHostPort(address, b.joinPort); !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	slices.SortStableFunc(servers, func(a, c string) int { return b.failing[a] - b.failing[c] })
	return servers
}

func (b *loadBalancer) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	for _, server := range b.servers(ctx) {
		upstream, err := net.DialTimeout("tcp", server, dialTimeout)
		b.note(server, err)
		if err != nil {
			continue
		}
		b.pass(client, upstream, server)
		return
	}
}

func (b *loadBalancer) pass(client, upstream net.Conn, server string) {
	b.mutex.Lock()
	b.connections[upstream] = server
	b.mutex.Unlock()
	defer func() {
		b.mutex.Lock()
		delete(b.connections, upstream)
		b.mutex.Unlock()
		_ = upstream.Close()
	}()
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, upstream)
}

func (b *loadBalancer) note(server string, err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err == nil {
		delete(b.failing, server)
		return
	}
	b.failing[server]++
	if b.failing[server] < missedChecks {
		return
	}
	for connection, to := range b.connections {
		if to == server {
			klog.InfoS("Server does not answer; closing its connection", "server", server)
			_ = connection.Close()
		}
	}
}

// watch checks the servers that connections go to.
func (b *loadBalancer) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkInterval):
		}
		b.mutex.Lock()
		used := map[string]bool{}
		for _, server := range b.connections {
			used[server] = true
		}
		b.mutex.Unlock()
		for server := range used {
			connection, err := net.DialTimeout("tcp", server, dialTimeout)
			b.note(server, err)
			if err == nil {
				_ = connection.Close()
			}
		}
	}
}
