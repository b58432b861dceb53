// Package etcd is K3s's embedded etcd: a real etcd in a process of its own, and what a server does to be a member.
//
// Paths, names and ports are K3s's own (docs.k3s.io/datastore/ha-embedded; its pkg/etcd).
package etcd

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"k3s.local/k3s/pki"
	"k3s.local/k3s/token"
)

// Endpoint is where a server's own programs find its member.
const Endpoint = "https://127.0.0.1:2379"

const (
	tombstone       = "tombstone"
	nameBytes       = 4
	dialTimeout     = 2 * time.Second
	questionTimeout = 5 * time.Second
	pollInterval    = 250 * time.Millisecond
	// K3s's own, in milliseconds.
	heartbeat       = 500
	electionTimeout = 5000
)

// Files are a member's certificates: of the server that it is for its clients, for its peers, and those that its
// clients on this machine use.
type Files struct {
	ServerCA, ServerCertificate, ServerKey string
	PeerCA, PeerCertificate, PeerKey       string
	ClientCertificate, ClientKey           string
}

// Member is this server's part of the cluster. `Address` is what other members reach it by.
type Member struct {
	Folder   string
	NodeName string
	Address  string
	Name     string
	Files    Files
	// ExposeMetrics opens the metrics to others; Arguments are the user's `name=value` for etcd.
	ExposeMetrics bool
	Arguments     []string
}

// Initialized says whether `folder` holds a member's data: then that counts, and neither cluster-init nor server does.
func Initialized(folder string) bool {
	state, err := os.Stat(filepath.Join(folder, "member", "wal"))
	return err == nil && state.IsDir()
}

// BuryRemoved puts the data of a member that was removed from its cluster aside, so that it can join anew.
func BuryRemoved(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, tombstone)); err != nil {
		return nil
	}
	return PutAside(folder)
}

// PutAside renames a data folder to `<folder>-old-<seconds>`; where there is none, nothing happens.
func PutAside(folder string) error {
	err := os.Rename(folder, fmt.Sprintf("%s-old-%d", folder, time.Now().Unix()))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// TakeName reads the member's name, or makes a new one: `<node>-<8 hex digits>`.
func (m *Member) TakeName() error {
	path := filepath.Join(m.Folder, "name")
	kept, err := os.ReadFile(path)
	if err == nil && len(kept) > 0 {
		m.Name = string(kept)
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	m.newName()
	return m.keepName()
}

func (m *Member) newName() { m.Name = m.NodeName + "-" + token.Random(nameBytes) }

func (m *Member) keepName() error {
	return errors.Join(os.MkdirAll(m.Folder, 0o700), os.WriteFile(filepath.Join(m.Folder, "name"), []byte(m.Name), 0o600))
}

// PeerURL is where other members reach this one.
func (m *Member) PeerURL() string { return "https://" + net.JoinHostPort(m.Address, "2380") }

// WriteConfig writes etcd's configuration file and returns its path. `cluster` is `name=URL` of every member for a
// member's first start, "" for a later one.
func (m *Member) WriteConfig(cluster string, existing, forceNew bool) (string, error) {
	client := "https://" + net.JoinHostPort(m.Address, "2379")
	metrics := "http://127.0.0.1:2381"
	if m.ExposeMetrics {
		metrics += ",http://" + net.JoinHostPort(m.Address, "2381")
	}
	config := map[string]any{
		"name":                        m.Name,
		"data-dir":                    m.Folder,
		"listen-client-urls":          client + "," + Endpoint,
		"listen-client-http-urls":     "https://127.0.0.1:2382",
		"listen-metrics-urls":         metrics,
		"listen-peer-urls":            m.PeerURL(),
		"advertise-client-urls":       client,
		"initial-advertise-peer-urls": m.PeerURL(),
		"heartbeat-interval":          heartbeat,
		"election-timeout":            electionTimeout,
		"client-transport-security":   transport(m.Files.ServerCertificate, m.Files.ServerKey, m.Files.ServerCA),
		"peer-transport-security":     transport(m.Files.PeerCertificate, m.Files.PeerKey, m.Files.PeerCA),
		"force-new-cluster":           forceNew,
		"logger":                      "zap",
		"log-level":                   "warn",
		"log-outputs":                 []string{"stderr"},
	}
	if cluster == "" {
		cluster = m.Name + "=" + m.PeerURL()
	}
	config["initial-cluster"] = cluster
	config["initial-cluster-state"] = "new"
	if existing {
		config["initial-cluster-state"] = "existing"
	}
	for _, argument := range m.Arguments {
		name, value, found := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if !found {
			return "", fmt.Errorf("etcd-arg %q: name=value is expected", argument)
		}
		var plain any
		if json.Unmarshal([]byte(value), &plain) != nil {
			plain = value
		}
		config[name] = plain
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(m.Folder, "config")
	return path, os.WriteFile(path, append(text, '\n'), 0o600)
}

func transport(certificate, key, ca string) map[string]any {
	return map[string]any{"cert-file": certificate, "key-file": key, "client-cert-auth": true, "trusted-ca-file": ca}
}

// Client is a client of the members at `endpoints`.
func Client(files Files, endpoints ...string) (*clientv3.Client, error) {
	config, err := clientConfig(files, endpoints...)
	if err != nil {
		return nil, err
	}
	return clientv3.New(config)
}

func clientConfig(files Files, endpoints ...string) (clientv3.Config, error) {
	certificate, err := tls.LoadX509KeyPair(files.ClientCertificate, files.ClientKey)
	if err != nil {
		return clientv3.Config{}, err
	}
	bundle, err := os.ReadFile(files.ServerCA)
	if err != nil {
		return clientv3.Config{}, err
	}
	pool, err := pki.Pool(bundle)
	if err != nil {
		return clientv3.Config{}, err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{certificate}}
	return clientv3.Config{Endpoints: endpoints, TLS: trust, DialTimeout: dialTimeout}, nil
}

// WaitForVote returns when this member takes part in votes and answers; a joining one is a learner first.
func (m *Member) WaitForVote(ctx context.Context, client *clientv3.Client) error {
	for {
		if m.votes(ctx, client) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

func (m *Member) votes(ctx context.Context, client *clientv3.Client) error {
	attempt, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	status, err := client.Status(attempt, Endpoint)
	if err != nil {
		return err
	}
	if status.IsLearner {
		return errors.New("this server has not yet been promoted from learner to voting member")
	}
	_, err = client.Get(attempt, "health")
	return err
}

// PromoteLearners makes voters of learners that have caught up, where this member is the leader.
func PromoteLearners(ctx context.Context, client *clientv3.Client) error {
	attempt, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	status, err := client.Status(attempt, Endpoint)
	if err != nil || status.Leader != status.Header.MemberId {
		return err
	}
	members, err := client.MemberList(attempt)
	if err != nil {
		return err
	}
	for _, member := range members.Members {
		if member.IsLearner {
			// One that has not caught up yet is refused; the next turn asks again.
			_, _ = client.MemberPromote(attempt, member.ID)
		}
	}
	return nil
}

// Remove takes the member called `name` at `address` out of the cluster; one that is not there is no error.
func Remove(ctx context.Context, client *clientv3.Client, name, address string) error {
	attempt, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	members, err := client.MemberList(attempt)
	if err != nil {
		return err
	}
	for _, member := range members.Members {
		if member.Name != name || !hasAddress(member, address) {
			continue
		}
		if _, err := client.MemberRemove(attempt, member.ID); err != nil {
			return fmt.Errorf("failed to remove member %s: %w", name, err)
		}
	}
	return nil
}

func hasAddress(member *etcdserverpb.Member, address string) bool {
	for _, peer := range member.PeerURLs {
		if hostOf(peer) == address {
			return true
		}
	}
	return false
}
