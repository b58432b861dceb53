// Package agent is a node: it joins a cluster through a server and runs the kubelet. A server runs it too, for its own
// node.
package agent

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"k3s.local/k3s/kubeconfig"
	kubeprograms "k3s.local/k3s/kubernetes"
	"k3s.local/k3s/pki"
	"k3s.local/k3s/process"
	"k3s.local/k3s/settings"
	"k3s.local/k3s/supervisor"
	"k3s.local/k3s/token"
)

const (
	joinInterval = 2 * time.Second
	// K3s watches the endpoints, and waits for a second after a change.
	serversInterval = 3 * time.Second
	killPatience    = 2 * time.Second
)

// Agent is one node.
type Agent struct {
	Settings  settings.Settings
	Token     string
	ServerURL string
	// Balance makes the node keep to all servers of the cluster, not only to the one it joined; a server uses itself.
	Balance   bool
	Arguments []string
	// Failed is called when the node's programs end by themselves.
	Failed func(error)

	kubelet *process.Child
}

// Start joins the cluster, however long that takes, and returns when the node is registered.
func (a *Agent) Start(ctx context.Context) error {
	node, err := newIdentity(a.Settings)
	if err != nil {
		return err
	}
	if a.Settings.Bool("protect-kernel-defaults") {
		if err := checkKernel("/"); err != nil {
			return err
		}
	}
	secret, err := token.Parse(a.Token)
	if err != nil {
		return err
	}
	folder := filepath.Join(a.Settings.Text("data-dir"), "agent")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	server := a.ServerURL
	var balancer *loadBalancer
	if a.Balance {
		if balancer, server, err = a.balance(ctx, folder); err != nil {
			return err
		}
	}
	client, cluster, err := a.join(ctx, server, secret)
	if err != nil {
		return err
	}
	if err := a.collectCertificates(ctx, client, folder, node); err != nil {
		return err
	}
	config := filepath.Join(folder, "kubelet.kubeconfig")
	if err := kubeconfig.Write(config, server, files(folder, "server-ca.crt", "client-kubelet.crt", "client-kubelet.key"), 0o600); err != nil {
		return err
	}
	held, err := a.holdTunnels(ctx, client, folder)
	if err != nil {
		return err
	}
	if err := a.startKubelet(ctx, folder, config, node, cluster); err != nil {
		return err
	}
	api, err := clientFor(config)
	if err != nil {
		return err
	}
	go followServers(ctx, client, held, balancer)
	return describe(ctx, api, node, a.Settings.Raw("node-label"), safeArguments(a.Arguments))
}

// Stop ends the kubelet. (K3s leaves Pods running meanwhile; over the fake runtime there are none to leave.)
func (a *Agent) Stop() {
	if a.kubelet != nil {
		a.kubelet.Stop(killPatience)
	}
}

func (a *Agent) balance(ctx context.Context, folder string) (*loadBalancer, string, error) {
	address, err := url.Parse(a.ServerURL)
	if err != nil {
		return nil, "", err
	}
	port := address.Port()
	if port == "" {
		port = "443"
	}
	local := net.JoinHostPort("127.0.0.1", a.Settings.Text("lb-server-port"))
	balancer, err := newLoadBalancer(local, address.Hostname(), port, filepath.Join(folder, "etc", "k3s-agent-load-balancer.json"))
	if err != nil {
		return nil, "", err
	}
	go balancer.run(ctx)
	return balancer, "https://" + local, nil
}

func (a *Agent) join(ctx context.Context, server string, secret token.Token) (*serverClient, supervisor.ClusterConfig, error) {
	if secret.CAHash == "" && a.Balance {
		klog.Warning("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. " +
			"Use the full token from the server's node-token file to enable Cluster CA validation.")
	}
	for {
		client, err := trustServer(ctx, server, secret)
		if err == nil {
			var cluster supervisor.ClusterConfig
			if cluster, err = client.cluster(ctx); err == nil {
				return client, cluster, nil
			}
		}
		klog.Errorf("Failed to validate connection to cluster at %s: %v", a.ServerURL, err)
		if err := pause(ctx); err != nil {
			return nil, supervisor.ClusterConfig{}, err
		}
	}
}

func (a *Agent) collectCertificates(ctx context.Context, client *serverClient, folder string, node identity) error {
	if err := os.WriteFile(filepath.Join(folder, "server-ca.crt"), client.caBundle, 0o600); err != nil {
		return err
	}
	for {
		err := collect(ctx, client, folder, node)
		if err == nil {
			return nil
		}
		klog.Errorf("Waiting to retrieve agent configuration; server is not ready: %v", err)
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func collect(ctx context.Context, client *serverClient, folder string, node identity) error {
	bundle, err := client.clientCA(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "client-ca.crt"), bundle, 0o600); err != nil {
		return err
	}
	for _, name := range []string{"client-kubelet", "serving-kubelet"} {
		request, key, err := pki.NewRequest()
		if err != nil {
			return err
		}
		certificate, err := client.sign(ctx, "/v1-k3s/"+name+".crt", request, node)
		if err != nil {
			return err
		}
		err = errors.Join(
			os.WriteFile(filepath.Join(folder, name+".crt"), certificate, 0o600),
			os.WriteFile(filepath.Join(folder, name+".key"), key, 0o600),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) startKubelet(ctx context.Context, folder, config string, node identity, cluster supervisor.ClusterConfig) error {
	// What the fake runtime leaves behind means nothing to the next one.
	scratch := filepath.Join(folder, "kubelet")
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return err
	}
	arguments := []string{
		"--kubeconfig=" + config,
		"--hostname-override=" + node.name,
		"--node-ip=" + strings.Join(node.internal, ","),
		"--cloud-provider=external",
		"--provider-id=" + "k3s://" + node.name,
		"--root-dir=" + scratch,
		"--address=0.0.0.0",
		"--anonymous-auth=false",
		"--authentication-token-webhook=true",
		"--authorization-mode=Webhook",
		"--client-ca-file=" + filepath.Join(folder, "client-ca.crt"),
		"--tls-cert-file=" + filepath.Join(folder, "serving-kubelet.crt"),
		"--tls-private-key-file=" + filepath.Join(folder, "serving-kubelet.key"),
		"--read-only-port=0",
		"--healthz-bind-address=127.0.0.1",
		"--cluster-dns=" + cluster.ClusterDNS,
		"--cluster-domain=" + cluster.ClusterDomain,
		"--node-labels=" + strings.Join(append([]string{"node.kubernetes.io/instance-type=k3s"}, a.Settings.Raw("node-label")...), ","),
		"--v=" + strconv.Itoa(a.Settings.Number("v")),
	}
	if taints := a.Settings.Raw("node-taint"); len(taints) > 0 {
		arguments = append(arguments, "--register-with-taints="+strings.Join(taints, ","))
	}
	for _, argument := range a.Settings.Raw("kubelet-arg") {
		arguments = append(arguments, "--"+strings.TrimLeft(argument, "-"))
	}
	self, err := process.Self()
	if err != nil {
		return err
	}
	a.kubelet, err = process.Start(kubeprograms.Kubelet, self, arguments, []string{"TMPDIR=" + scratch}, "")
	if err != nil {
		return err
	}
	a.kubelet.WatchFor(ctx, a.Failed)
	return nil
}

// holdTunnels returns when a tunnel stands to every server that is advertised: K3s has no kubelet before all do
// (pkg/agent/run.go). A server that is no longer advertised is not waited for. A server's own node waits for its own.
func (a *Agent) holdTunnels(ctx context.Context, client *serverClient, folder string) (*tunnels, error) {
	held, err := newTunnels(folder, client.caBundle)
	if err != nil {
		return nil, err
	}
	for {
		servers := []string{strings.TrimPrefix(a.ServerURL, "https://")}
		if a.Balance {
			servers, err = client.servers(ctx)
			if err != nil {
				klog.Errorf("Failed to retrieve list of apiservers from server: %v", err)
			}
		}
		if err == nil && len(servers) > 0 {
			held.hold(ctx, servers)
			if held.stand(ctx, joinInterval) {
				return held, nil
			}
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// followServers keeps the tunnels, and an agent's balancer, to the servers that are advertised.
func followServers(ctx context.Context, client *serverClient, held *tunnels, balancer *loadBalancer) {
	for {
		if servers, err := client.servers(ctx); err == nil && len(servers) > 0 {
			held.hold(ctx, servers)
			if balancer != nil {
				balancer.learn(servers)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(serversInterval):
		}
	}
}

func clientFor(path string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func files(folder, ca, certificate, key string) kubeconfig.Credentials {
	return kubeconfig.Credentials{
		CAFile:          filepath.Join(folder, ca),
		CertificateFile: filepath.Join(folder, certificate),
		KeyFile:         filepath.Join(folder, key),
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(joinInterval):
		return nil
	}
}
