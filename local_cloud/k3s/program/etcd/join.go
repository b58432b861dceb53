package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"k8s.io/klog/v2"
)

const (
	joinInterval = 2 * time.Second
	joinPatience = 20 * time.Second
)

// ErrDuplicateName is K3s's own message for a node whose former member is still in the cluster.
var ErrDuplicateName = errors.New("duplicate node name found, please use a unique name for this node")

// Members is what a server tells of its cluster at /db/info, as K3s's does.
type Members struct {
	Members []*etcdserverpb.Member `json:"members"`
}

// Join adds this member to the cluster as a learner, once the cluster lets it, and returns what etcd must be told of
// the members. `ask` gets a server's list of members.
func (m *Member) Join(ctx context.Context, ask func(context.Context) (Members, error)) (string, error) {
	for {
		cluster, err := m.joinOnce(ctx, ask)
		if err == nil || errors.Is(err, ErrDuplicateName) || ctx.Err() != nil {
			return cluster, err
		}
		klog.Errorf("etcd cluster join failed, trying again: %v", err)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(joinInterval):
		}
	}
}

func (m *Member) joinOnce(ctx context.Context, ask func(context.Context) (Members, error)) (string, error) {
	attempt, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	known, err := ask(attempt)
	if err != nil {
		return "", err
	}
	client, err := Client(m.Files, clientURLs(known.Members, m.Address)...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	found, err := client.MemberList(attempt)
	if err != nil {
		return "", err
	}
	cluster, add, err := m.joinPlan(found.Members)
	if err != nil || !add {
		return cluster, err
	}
	klog.Infof("Adding member %s=%s to etcd cluster %s", m.Name, m.PeerURL(), cluster)
	if _, err := client.MemberAddAsLearner(attempt, []string{m.PeerURL()}); err != nil {
		return "", err
	}
	return cluster, nil
}

// joinPlan says what the initial cluster of this member is, and whether it must first be added. A member that was
// added and never started has no name; with our address it is us.
func (m *Member) joinPlan(members []*etcdserverpb.Member) (cluster string, add bool, err error) {
	add = true
	parts := []string{}
	for _, member := range members {
		name := member.Name
		if hasAddress(member, m.Address) && (name == "" || name == m.Name) {
			name = m.Name
			add = false
		}
		if node := name[:max(0, strings.LastIndex(name, "-"))]; name != m.Name && node == m.NodeName {
			return "", false, ErrDuplicateName
		}
		for _, peer := range member.PeerURLs {
			parts = append(parts, name+"="+peer)
		}
	}
	if add {
		parts = append(parts, m.Name+"="+m.PeerURL())
	}
	return strings.Join(parts, ","), add, nil
}

// clientURLs are those of all voting members but the one at `own`.
func clientURLs(members []*etcdserverpb.Member, own string) []string {
	found := []string{}
	for _, member := range members {
		if !member.IsLearner && !hasAddress(member, own) {
			found = append(found, member.ClientURLs...)
		}
	}
	return found
}

func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

// Describe reads the cluster's members from this server's own.
func Describe(ctx context.Context, files Files) (Members, error) {
	client, err := Client(files, Endpoint)
	if err != nil {
		return Members{}, err
	}
	defer client.Close()
	attempt, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	found, err := client.MemberList(attempt)
	if err != nil {
		return Members{}, fmt.Errorf("the members cannot be listed: %w", err)
	}
	return Members{Members: found.Members}, nil
}
