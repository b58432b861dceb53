package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"

	"k3s.local/k3s/agent"
	"k3s.local/k3s/bootstrap"
	"k3s.local/k3s/controllers"
	"k3s.local/k3s/etcd"
	"k3s.local/k3s/pki"
	"k3s.local/k3s/process"
	"k3s.local/k3s/settings"
	"k3s.local/k3s/token"
)

// Names of the embedded etcd's certificates below server/tls, as K3s has them.
const (
	etcdServerCA = "etcd/server-ca"
	etcdPeerCA   = "etcd/peer-ca"
	etcdServer   = "etcd/server-client"
	etcdPeer     = "etcd/peer-server-client"
	etcdClient   = "etcd/client"

	joinInterval = 2 * time.Second
)

// usesEtcd: data on disk counts before any flag (docs.k3s.io/datastore/ha-embedded, "If an etcd datastore is found on
// disk").
func (s *Server) usesEtcd() bool {
	if etcd.Initialized(s.folders.etcd()) {
		return true
	}
	asked := s.settings.Bool("cluster-init") || s.settings.Text("server") != "" || s.settings.Bool("cluster-reset")
	return s.settings.Text("datastore-endpoint") == "" && asked
}

func (f folders) etcdFiles() etcd.Files {
	return etcd.Files{
		ServerCA:          f.certificate(etcdServerCA),
		ServerCertificate: f.certificate(etcdServer),
		ServerKey:         f.key(etcdServer),
		PeerCA:            f.certificate(etcdPeerCA),
		PeerCertificate:   f.certificate(etcdPeer),
		PeerKey:           f.key(etcdPeer),
		ClientCertificate: f.certificate(etcdClient),
		ClientKey:         f.key(etcdClient),
	}
}

// SnapshotsOf are the snapshots of the server with these settings.
func SnapshotsOf(given settings.Settings) (etcd.Snapshots, error) {
	f := folders{filepath.Join(given.Text("data-dir"), "server")}
	node, err := agent.Name(given)
	if err != nil {
		return etcd.Snapshots{}, err
	}
	folder := given.Text("etcd-snapshot-dir")
	if folder == "" {
		folder = filepath.Join(f.database(), "snapshots")
	}
	bucket, err := bucketOf(given, node)
	if err != nil {
		return etcd.Snapshots{}, err
	}
	return etcd.Snapshots{
		Folder:    folder,
		NodeName:  node,
		Name:      given.Text("etcd-snapshot-name"),
		Retention: given.Number("etcd-snapshot-retention"),
		Files:     f.etcdFiles(),
		Bucket:    bucket,
	}, nil
}

// bucketOf is the bucket that snapshots go to, or nil.
func bucketOf(given settings.Settings, node string) (*etcd.Bucket, error) {
	if !given.Bool("etcd-s3") {
		return nil, nil
	}
	timeout, err := time.ParseDuration(given.Text("etcd-s3-timeout"))
	if err != nil {
		return nil, err
	}
	text, err := given.Secret("token")
	if err != nil {
		return nil, err
	}
	hash := ""
	if secret, err := token.Parse(text); err == nil {
		hash = secret.ShortHash()
	}
	return &etcd.Bucket{
		Endpoint:      given.Text("etcd-s3-endpoint"),
		Name:          given.Text("etcd-s3-bucket"),
		Region:        given.Text("etcd-s3-region"),
		Folder:        given.Text("etcd-s3-folder"),
		AccessKey:     given.Text("etcd-s3-access-key"),
		SecretKey:     given.Text("etcd-s3-secret-key"),
		EndpointCA:    given.Text("etcd-s3-endpoint-ca"),
		SkipSSLVerify: given.Bool("etcd-s3-skip-ssl-verify"),
		Insecure:      given.Bool("etcd-s3-insecure"),
		Timeout:       timeout,
		Retention:     given.Number("etcd-s3-retention"),
		NodeName:      node,
		TokenHash:     hash,
	}, nil
}

// startEtcd starts this server's member: again, as the first of a new cluster, or as one more of the cluster that
// `server` belongs to. It returns when the member votes.
func (s *Server) startEtcd(ctx context.Context) error {
	if err := etcd.BuryRemoved(s.folders.etcd()); err != nil {
		return err
	}
	if err := os.RemoveAll(s.folders.resetFlag()); err != nil {
		return err
	}
	if err := s.takeMember(); err != nil {
		return err
	}
	initialized := etcd.Initialized(s.folders.etcd())
	joins := !initialized && s.settings.Text("server") != ""
	var secret token.Token
	var err error
	if joins {
		if secret, err = s.fetchBootstrap(ctx); err != nil {
			return err
		}
	}
	if err := s.issueEtcd(); err != nil {
		return err
	}
	cluster := ""
	if joins {
		cluster, err = s.member.Join(ctx, func(ctx context.Context) (etcd.Members, error) {
			var members etcd.Members
			text, err := agent.Ask(ctx, s.settings.Text("server"), secret, "/db/info")
			if err != nil {
				return members, err
			}
			return members, json.Unmarshal(text, &members)
		})
		if err != nil {
			return fmt.Errorf("etcd cluster join failed: %w", err)
		}
	}
	return s.runEtcd(ctx, cluster, joins, false)
}

func (s *Server) takeMember() error {
	node, err := agent.Name(s.settings)
	if err != nil {
		return err
	}
	s.member = &etcd.Member{
		Folder:        s.folders.etcd(),
		NodeName:      node,
		Address:       s.private,
		Files:         s.folders.etcdFiles(),
		ExposeMetrics: s.settings.Bool("etcd-expose-metrics"),
		Arguments:     s.settings.Raw("etcd-arg"),
	}
	return s.member.TakeName()
}

func (s *Server) runEtcd(ctx context.Context, cluster string, existing, forceNew bool) error {
	config, err := s.member.WriteConfig(cluster, existing, forceNew)
	if err != nil {
		return err
	}
	self, err := process.Self()
	if err != nil {
		return err
	}
	if err := s.run(ctx, etcd.Program, self, []string{config}, ""); err != nil {
		return err
	}
	if s.store, err = etcd.Client(s.member.Files, etcd.Endpoint); err != nil {
		return err
	}
	return s.member.WaitForVote(ctx, s.store)
}

// fetchBootstrap gets what all servers have in common from the server that this one joins.
func (s *Server) fetchBootstrap(ctx context.Context) (token.Token, error) {
	text, err := s.settings.Secret("token")
	if err != nil {
		return token.Token{}, err
	}
	secret, err := token.Parse(text)
	if err != nil {
		return secret, fmt.Errorf("token: %w", err)
	}
	for {
		text, err := agent.Ask(ctx, s.settings.Text("server"), secret, "/v1-k3s/server-bootstrap")
		if err == nil {
			var data bootstrap.Data
			if err := json.Unmarshal(text, &data); err != nil {
				return secret, err
			}
			return secret, s.folders.writeShared(data)
		}
		if errors.Is(err, agent.ErrNotAuthorized) {
			return secret, fmt.Errorf("starting kubernetes: failed to validate token: %w", err)
		}
		klog.Errorf("Waiting to retrieve bootstrap data from %s: %v", s.settings.Text("server"), err)
		select {
		case <-ctx.Done():
			return secret, ctx.Err()
		case <-time.After(joinInterval):
		}
	}
}

// issueEtcd makes the member's certificates, and the authorities where there are none yet: those of a new cluster.
func (s *Server) issueEtcd() error {
	authorities := map[string]pki.Pair{}
	for _, name := range []string{etcdServerCA, etcdPeerCA} {
		pair, err := s.folders.readPair(name)
		if errors.Is(err, os.ErrNotExist) {
			if pair, err = pki.NewAuthority(authorityNames[name]); err == nil {
				err = s.folders.writePair(name, pair)
			}
		}
		if err != nil {
			return err
		}
		authorities[name] = pair
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	names := []string{"localhost", loopback, "::1", hostname, s.member.NodeName, s.member.Address}
	server, err := authorities[etcdServerCA].Peer("etcd-server", names)
	if err != nil {
		return err
	}
	peer, err := authorities[etcdPeerCA].Peer("etcd-peer", names)
	if err != nil {
		return err
	}
	client, err := authorities[etcdServerCA].Client("etcd-client")
	if err != nil {
		return err
	}
	return errors.Join(
		s.folders.writePair(etcdServer, server),
		s.folders.writePair(etcdPeer, peer),
		s.folders.writePair(etcdClient, client),
	)
}

var authorityNames = map[string]string{etcdServerCA: "etcd-server-ca", etcdPeerCA: "etcd-peer-ca"}

func (f folders) readPair(name string) (pki.Pair, error) {
	certificate, err := os.ReadFile(f.certificate(name))
	if err != nil {
		return pki.Pair{}, err
	}
	key, err := os.ReadFile(f.key(name))
	return pki.Pair{Certificate: certificate, Key: key}, err
}

// Reset makes this server's member the only one of its cluster, from a snapshot if one is given, and returns. As in K3s
// a second reset is refused until the server has run, and the token must be the one of the snapshot's cluster.
func Reset(parent context.Context, given settings.Settings) (err error) {
	ctx, cancel := context.WithCancelCause(parent)
	s := newServer(given, nil, func(err error) { cancel(err) })
	defer func() {
		failure := context.Cause(ctx)
		// From here on an etcd that ends is no failure.
		cancel(nil)
		s.Stop()
		if failure != nil && parent.Err() == nil {
			err = failure
		}
	}()
	if err := errors.Join(s.folders.make(), s.findAddresses(ctx)); err != nil {
		return err
	}
	if _, err := os.Stat(s.folders.resetFlag()); err == nil {
		return fmt.Errorf("Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start k3s normally. "+ //nolint:staticcheck // K3s's own words.
			"If you need to perform another cluster reset, you must first manually delete the file at %s", s.folders.resetFlag())
	}
	path := given.Text("cluster-reset-restore-path")
	if path == "" && !etcd.Initialized(s.folders.etcd()) {
		return errors.New("there is no embedded etcd on this server to reset; give a snapshot with --cluster-reset-restore-path")
	}
	if path != "" {
		if path, err = fetched(ctx, given, path); err != nil {
			return err
		}
	}
	if err := s.takeMember(); err != nil {
		return err
	}
	if path != "" {
		klog.Infof("Restoring etcd snapshot %s", path)
		if err := s.member.Restore(path); err != nil {
			return err
		}
	}
	if err := s.issueEtcd(); err != nil {
		return err
	}
	if err := s.runEtcd(ctx, "", false, true); err != nil {
		return err
	}
	if err := s.loadBootstrap(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.folders.writeShared(s.data), s.folders.writeTokens(s.data)); err != nil {
		return err
	}
	if err := os.WriteFile(s.folders.resetFlag(), nil, 0o600); err != nil {
		return err
	}
	klog.Infof("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. "+
		"Backup and delete %s on each peer etcd server and rejoin the nodes", s.folders.database())
	return nil
}

// fetched is the path of a snapshot to restore. With etcd-s3 it is the name of one in the bucket, and never a file: it
// is downloaded first, as in K3s.
func fetched(ctx context.Context, given settings.Settings, path string) (string, error) {
	snapshots, err := SnapshotsOf(given)
	if err != nil || snapshots.Bucket == nil {
		return path, err
	}
	if err := os.MkdirAll(snapshots.Folder, 0o700); err != nil {
		return "", err
	}
	klog.Infof("Retrieving etcd snapshot %s from S3", path)
	file, err := snapshots.Bucket.Download(ctx, path, snapshots.Folder)
	if err != nil {
		return "", err
	}
	klog.Infof("S3 download complete for %s", file)
	return file, nil
}

type controller interface{ Run(context.Context) }

// etcdControllers are the controllers that only an embedded etcd needs.
func (s *Server) etcdControllers() ([]controller, error) {
	members := &controllers.EtcdMembers{Client: s.client, Store: s.store, Member: s.member}
	if s.settings.Bool("etcd-disable-snapshots") {
		return []controller{members}, nil
	}
	snapshots, err := SnapshotsOf(s.settings)
	if err != nil {
		return nil, err
	}
	schedule, err := etcd.ParseSchedule(s.settings.Text("etcd-snapshot-schedule-cron"))
	return []controller{members, etcd.Scheduled{Snapshots: snapshots, Schedule: schedule}}, err
}

// transport is how clients of Kubernetes' own reach the datastore.
func (s *Server) transport() storagebackend.TransportConfig {
	if s.member == nil {
		return storagebackend.TransportConfig{ServerList: []string{"unix://" + s.folders.socket()}}
	}
	files := s.member.Files
	return storagebackend.TransportConfig{
		ServerList:    []string{etcd.Endpoint},
		TrustedCAFile: files.ServerCA,
		CertFile:      files.ClientCertificate,
		KeyFile:       files.ClientKey,
	}
}
