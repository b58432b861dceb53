// Package server is a K3s server: the datastore (etcd) or its front (kine), Kubernetes' control plane, K3s's own controllers, and
// port 6443 with all of it behind.
package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"k3s.local/k3s/agent"
	"k3s.local/k3s/bootstrap"
	"k3s.local/k3s/controllers"
	"k3s.local/k3s/etcd"
	"k3s.local/k3s/kine"
	"k3s.local/k3s/kubeconfig"
	kubeprograms "k3s.local/k3s/kubernetes"
	"k3s.local/k3s/packaged"
	"k3s.local/k3s/process"
	"k3s.local/k3s/settings"
	"k3s.local/k3s/supervisor"
	"k3s.local/k3s/token"
)

const (
	tokenBytes       = 16
	datastorePoll    = 250 * time.Millisecond
	datastoreTimeout = 5 * time.Second
	readyPoll        = 200 * time.Millisecond
	readyTimeout     = 5 * time.Second
	headerTimeout    = 10 * time.Second
	// A stop with a dead datastore must end too: each part has so long, and then it is ended.
	controllersPatience = 3 * time.Second
	datastorePatience   = 4 * time.Second
	// The API server goes on for so long, and the datastore, which waits for its clients, with it.
	apiServerDelay = time.Second
)

// Server is a running server.
type Server struct {
	settings  settings.Settings
	folders   folders
	arguments []string
	failed    func(error)

	data      bootstrap.Data
	advertise string
	private   string
	// store is a client of the datastore; member is nil where that is no embedded etcd.
	store  *clientv3.Client
	member *etcd.Member
	config *rest.Config
	client kubernetes.Interface

	// children in the order in which they were started.
	children []*process.Child
	node     *agent.Agent
	front    *http.Server
	tunnel   *supervisor.Tunnel
	// stopControllers ends what `working` waits for.
	stopControllers context.CancelFunc
	working         sync.WaitGroup
}

func newServer(given settings.Settings, arguments []string, failed func(error)) *Server {
	return &Server{
		settings:        given,
		folders:         folders{filepath.Join(given.Text("data-dir"), "server")},
		arguments:       arguments,
		failed:          failed,
		stopControllers: func() {},
	}
}

// Start starts a server and returns when its node is registered. `failed` is called when one of its programs ends by
// itself later on. Call Stop in every case.
func Start(ctx context.Context, given settings.Settings, arguments []string, failed func(error)) (*Server, error) {
	s := newServer(given, arguments, failed)
	for _, step := range []func(context.Context) error{
		func(context.Context) error { return s.folders.make() },
		s.findAddresses,
		s.startDatastore,
		s.loadBootstrap,
		s.prepareFiles,
		s.startAPIServer,
		s.listen,
		s.waitReady,
		s.startControllers,
		s.startNode,
	} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Stop ends the server as SIGTERM ends K3s: port 6443 and the datastore hear it at once, and the API server only later.
// So new requests on connections that stand meet an API server without a datastore, until their connection is closed:
// github.com/k3s-io/k3s, pkg/cluster/https.go, initClusterAndHTTPS (Shutdown when the context ends), and
// github.com/k3s-io/kine, pkg/endpoint/endpoint.go (GracefulStop then).
func (s *Server) Stop() {
	var hearing sync.WaitGroup
	hearing.Go(func() {
		if s.node != nil {
			s.node.Stop()
		}
	})
	hearing.Go(func() {
		s.stopControllers()
		waitAtMost(controllersPatience, &s.working)
	})
	if s.front != nil {
		// Connections without a request under way are closed, and clients of HTTP/2 are told to go.
		go func() { _ = s.front.Shutdown(context.Background()) }()
		defer func() { _ = s.front.Close() }()
	}
	for _, child := range s.children {
		hearing.Go(func() {
			if child.Name == kine.Program || child.Name == etcd.Program {
				child.Stop(datastorePatience)
				return
			}
			time.Sleep(apiServerDelay)
			child.Stop(0)
		})
	}
	hearing.Wait()
	if s.store != nil {
		_ = s.store.Close()
	}
}

func waitAtMost(patience time.Duration, group *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

func (s *Server) run(ctx context.Context, name, executable string, arguments []string, input string) error {
	klog.InfoS("Starting", "program", name)
	child, err := process.Start(name, executable, arguments, nil, input)
	if err != nil {
		return err
	}
	s.children = append(s.children, child)
	child.WatchFor(ctx, s.failed)
	return nil
}

// findAddresses finds where etcd's other members reach this one, and what the API server advertises: as in K3s
// (pkg/cli/server/server.go), advertise-address, else node-external-ip, else node-ip.
func (s *Server) findAddresses(context.Context) error {
	addresses, err := agent.Addresses(s.settings)
	if err != nil {
		return err
	}
	s.private = addresses[0]
	s.advertise = s.private
	if external := s.settings.List("node-external-ip"); len(external) > 0 {
		s.advertise = external[0]
	}
	if address := s.settings.Text("advertise-address"); address != "" {
		s.advertise = address
	}
	return nil
}

func (s *Server) startDatastore(ctx context.Context) error {
	if s.usesEtcd() {
		return s.startEtcd(ctx)
	}
	return s.startKine(ctx)
}

func (s *Server) startKine(ctx context.Context) error {
	self, err := process.Self()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(s.folders.socket()); err != nil {
		return err
	}
	config, err := json.Marshal(kineConfig(s.settings, s.folders))
	if err != nil {
		return err
	}
	if err := s.run(ctx, kine.Program, self, nil, string(config)); err != nil {
		return err
	}
	if err := waitForFile(ctx, s.folders.socket()); err != nil {
		return err
	}
	s.store, err = clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + s.folders.socket()}, DialTimeout: datastoreTimeout})
	return err
}

// loadBootstrap waits for the datastore, and takes the cluster's data from it or makes it for a new cluster.
func (s *Server) loadBootstrap(ctx context.Context) error {
	secret, agentSecret, err := s.tokens()
	if err != nil {
		return err
	}
	var found bool
	for {
		if s.data, found, err = s.loadOnce(ctx, secret); err == nil || errors.Is(err, bootstrap.ErrOtherToken) || ctx.Err() != nil {
			break
		}
		klog.V(1).InfoS("Waiting for the datastore", "err", err)
		time.Sleep(datastorePoll)
	}
	if err != nil {
		return err
	}
	encrypt := s.settings.Bool("secrets-encryption")
	if !found {
		fresh, err := bootstrap.New(encrypt)
		if err != nil {
			return err
		}
		fresh.ServerToken, fresh.AgentToken = secret, agentSecret
		if s.member != nil {
			var server, peer error
			fresh.EtcdServerCA, server = s.folders.readPair(etcdServerCA)
			fresh.EtcdPeerCA, peer = s.folders.readPair(etcdPeerCA)
			if err := errors.Join(server, peer); err != nil {
				return err
			}
		}
		if s.data, err = bootstrap.Save(ctx, s.store, secret, fresh); err != nil {
			return err
		}
	}
	if encrypt != (len(s.data.EncryptionConfig) > 0) {
		return errors.New("secrets-encryption is decided when a cluster is made and is equal on all its servers: " +
			"docs.k3s.io/security/secrets-encryption")
	}
	// The agent token may be another one after a restart, as in K3s; all servers must be given the same.
	s.data.ServerToken, s.data.AgentToken = secret, agentSecret
	return s.checkCA()
}

func waitForFile(ctx context.Context, path string) error {
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(datastorePoll):
		}
	}
}

func (s *Server) loadOnce(ctx context.Context, secret string) (bootstrap.Data, bool, error) {
	attempt, cancel := context.WithTimeout(ctx, datastoreTimeout)
	defer cancel()
	return bootstrap.Load(attempt, s.store, secret)
}

// tokens are the secrets of the server token and the agent token. Without a configured token the one of the last start
// is used, or a new one made.
func (s *Server) tokens() (server, agent string, err error) {
	text, err := s.settings.Secret("token")
	if err != nil {
		return "", "", err
	}
	if text == "" {
		kept, err := os.ReadFile(s.folders.token())
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", "", err
		}
		if text = string(kept); text == "" {
			text = token.Random(tokenBytes)
		}
	}
	parsed, err := token.Parse(text)
	if err != nil {
		return "", "", fmt.Errorf("token: %w", err)
	}
	agentText, err := s.settings.Secret("agent-token")
	if err != nil || agentText == "" {
		return parsed.Secret, parsed.Secret, err
	}
	agentToken, err := token.Parse(agentText)
	if err != nil {
		return "", "", fmt.Errorf("agent-token: %w", err)
	}
	return parsed.Secret, agentToken.Secret, nil
}

// checkCA holds a token in the secure format against the CA that the datastore has.
func (s *Server) checkCA() error {
	text, err := s.settings.Secret("token")
	if err != nil || text == "" {
		return err
	}
	parsed, err := token.Parse(text)
	if err != nil {
		return err
	}
	return parsed.CheckCA(s.data.ServerCA.Certificate)
}

func (s *Server) prepareFiles(context.Context) error {
	addresses, err := agent.Addresses(s.settings)
	if err != nil {
		return err
	}
	if err := s.folders.writeShared(s.data); err != nil {
		return err
	}
	names, err := s.servingNames(addresses)
	if err != nil {
		return err
	}
	if err := s.folders.issue(s.data, names); err != nil {
		return err
	}
	if err := s.folders.writeTokens(s.data); err != nil {
		return err
	}
	for name, user := range map[string]string{"controller": "client-controller", "scheduler": "client-scheduler", "supervisor": "client-supervisor"} {
		path := s.folders.cred(name + ".kubeconfig")
		if err := kubeconfig.Write(path, "https://"+net.JoinHostPort(loopback, strconv.Itoa(apiServerPort)), s.folders.credentials(user), 0o600); err != nil {
			return err
		}
	}
	egress, err := json.Marshal(egressSelection(s.folders, s.port()))
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.folders.egressSelection(), egress, 0o600); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(s.settings.Text("write-kubeconfig-mode"), 8, 32)
	if err != nil {
		return err
	}
	return kubeconfig.Write(s.settings.Text("write-kubeconfig"), s.localURL(), s.folders.credentials("client-admin"), os.FileMode(mode))
}

func (s *Server) localURL() string {
	return "https://" + net.JoinHostPort(loopback, strconv.Itoa(s.port()))
}

func (s *Server) port() int { return s.settings.Number("https-listen-port") }

func (s *Server) advertisePort() int {
	if port := s.settings.Number("advertise-port"); port != 0 {
		return port
	}
	return s.port()
}

func (s *Server) servingNames(addresses []string) ([]string, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	nodeName, err := agent.Name(s.settings)
	if err != nil {
		return nil, err
	}
	service, err := serviceAddress(s.settings.Text("service-cidr"))
	if err != nil {
		return nil, err
	}
	names := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + s.settings.Text("cluster-domain"),
		"localhost", loopback, "::1", service.String(), hostname, nodeName, s.advertise,
	}
	names = append(names, addresses...)
	names = append(names, s.settings.List("node-external-ip")...)
	return append(names, s.settings.List("tls-san")...), nil
}

func (s *Server) startAPIServer(ctx context.Context) error {
	self, err := process.Self()
	if err != nil {
		return err
	}
	arguments := apiServerArguments(s.settings, s.folders, s.advertise, len(s.data.EncryptionConfig) > 0, s.member != nil)
	if err := s.run(ctx, kubeprograms.APIServer, self, arguments, ""); err != nil {
		return err
	}
	if s.config, err = clientcmd.BuildConfigFromFlags("", s.folders.cred("supervisor.kubeconfig")); err != nil {
		return err
	}
	s.config.UserAgent = "k3s-supervisor"
	s.client, err = kubernetes.NewForConfig(s.config)
	return err
}

// listen opens port 6443 for nodes that join and, behind it, the API.
func (s *Server) listen(context.Context) error {
	serving, err := s.folders.load("serving-kube-apiserver")
	if err != nil {
		return err
	}
	identity, err := s.folders.load("client-auth-proxy")
	if err != nil {
		return err
	}
	serverCAs, err := s.folders.pool("server-ca")
	if err != nil {
		return err
	}
	clientCAs, err := s.folders.pool("client-ca")
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "https", Host: net.JoinHostPort(loopback, strconv.Itoa(apiServerPort))}
	mux := http.NewServeMux()
	mux.Handle("/", supervisor.APIProxy(target, serverCAs, clientCAs, identity))
	join := &supervisor.Join{
		Data:       s.data,
		Passwords:  supervisor.NodePasswords{Client: s.client},
		APIServers: func(ctx context.Context) ([]string, error) { return controllers.APIServers(ctx, s.client) },
		Ready:      s.ready,
		Cluster: supervisor.ClusterConfig{
			ClusterCIDR:       s.settings.Text("cluster-cidr"),
			ServiceCIDR:       s.settings.Text("service-cidr"),
			ClusterDNS:        s.settings.Text("cluster-dns"),
			ClusterDomain:     s.settings.Text("cluster-domain"),
			FlannelBackend:    s.settings.Text("flannel-backend"),
			SecretsEncryption: s.settings.Bool("secrets-encryption"),
			HTTPSPort:         s.port(),
		},
	}
	if s.member != nil {
		join.Members = func(ctx context.Context) (etcd.Members, error) { return etcd.Describe(ctx, s.member.Files) }
	}
	if err := join.Register(mux); err != nil {
		return err
	}
	nodeName, err := s.nodeName()
	if err != nil {
		return err
	}
	s.tunnel = supervisor.NewTunnel(nodeName, clientCAs, s.client)
	address := net.JoinHostPort(s.settings.Text("bind-address"), strconv.Itoa(s.port()))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.front = &http.Server{
		Handler:           s.tunnel.Beside(mux),
		ReadHeaderTimeout: headerTimeout,
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{serving},
			ClientAuth:   tls.RequestClientCert,
			ClientCAs:    clientCAs,
		},
	}
	go func() {
		if err := s.front.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.failed(fmt.Errorf("port %s: %w", address, err))
		}
	}()
	return nil
}

func (s *Server) ready(ctx context.Context) error {
	attempt, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return s.client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(attempt).Error()
}

func (s *Server) waitReady(ctx context.Context) error {
	for {
		if err := s.ready(ctx); err == nil {
			klog.Info("Kube API server is now running")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(readyPoll):
		}
	}
}

func (s *Server) startControllers(ctx context.Context) error {
	self, err := process.Self()
	if err != nil {
		return err
	}
	if !s.settings.Bool("disable-controller-manager") {
		arguments := controllerManagerArguments(s.settings, s.folders)
		if err := s.run(ctx, kubeprograms.ControllerManager, self, arguments, ""); err != nil {
			return err
		}
	}
	if !s.settings.Bool("disable-scheduler") {
		if err := s.run(ctx, kubeprograms.Scheduler, self, schedulerArguments(s.settings, s.folders), ""); err != nil {
			return err
		}
	}
	removed, err := packaged.Write(s.folders.manifests(), s.settings.List("disable"), net.ParseIP(s.settings.Text("cluster-dns")))
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(s.config)
	if err != nil {
		return err
	}
	endpoints, err := controllers.NewEndpoints(s.client, s.transport(), net.ParseIP(s.advertise), s.advertisePort())
	if err != nil {
		return err
	}
	nodeName, err := s.nodeName()
	if err != nil {
		return err
	}
	working := []controller{
		endpoints,
		s.tunnel,
		&controllers.Nodes{Client: s.client, ServerNode: nodeName},
		&controllers.Manifests{Folder: s.folders.manifests(), Client: s.client, Dynamic: objects, Disabled: removed},
	}
	if s.member != nil {
		more, err := s.etcdControllers()
		if err != nil {
			return err
		}
		working = append(working, more...)
	}
	var running context.Context
	running, s.stopControllers = context.WithCancel(ctx)
	for _, controller := range working {
		s.working.Add(1)
		go func() {
			defer s.working.Done()
			controller.Run(running)
		}()
	}
	return nil
}

// nodeName is the name of this server's own node, "" if it has none.
func (s *Server) nodeName() (string, error) {
	if s.settings.Bool("disable-agent") {
		return "", nil
	}
	return agent.Name(s.settings)
}

func (s *Server) startNode(ctx context.Context) error {
	if s.settings.Bool("disable-agent") {
		return nil
	}
	s.node = &agent.Agent{
		Settings:  s.settings,
		Token:     token.Format(s.data.ServerCA.Certificate, "server", s.data.ServerToken),
		ServerURL: s.localURL(),
		Arguments: s.arguments,
		Failed:    s.failed,
	}
	return s.node.Start(ctx)
}
