// Package settings reads K3s's command line and config.yaml.
//
// Names, kinds and environment variables are those of docs.k3s.io/cli/server and docs.k3s.io/cli/agent.
package settings

// Kind is how a flag's values are read.
type Kind int

// The kinds of flags K3s has. A list may be given several times, or as a YAML list.
const (
	Text Kind = iota
	List
	Bool
	Number
)

// Use says what the stand-in makes of a flag.
type Use int

const (
	// Honoured flags do here what they do in K3s.
	Honoured Use = iota
	// Logged flags change nothing that can be observed here; the log says why.
	Logged
	// Refused flags would promise something that the stand-in does not have.
	Refused
)

// Flag is one option of `k3s server` or `k3s agent`, with the same name in config.yaml.
type Flag struct {
	Name        string
	Short       string
	Kind        Kind
	Server      bool
	Agent       bool
	Environment string
	Default     string
	Use         Use
	// Reason says why a flag is only logged, or refused.
	Reason string
}

func (f Flag) has(role Role) bool { return role == Server && f.Server || role == Agent && f.Agent }

const (
	noContainers = "no containers run here"
	noPodNetwork = "there is no pod network here"
	noHelm       = "the stand-in has no Helm controller"
	noProxy      = "the stand-in has no kube-proxy"
	onePort      = "API server and supervisor share https-listen-port here, as they do in K3s by default"
)

// Flags is every option of both commands, of the newest K3s: github.com/k3s-io/k3s, pkg/cli/cmds, server.go (ServerFlags)
// and agent.go (NewAgentCommand). k3s_cluster/settings/k3s_flags.py has the same list for the program, and
// tests/unit/test_k3s_flags.py compares the two.
var Flags = []Flag{
	{Name: "config", Short: "c", Server: true, Agent: true, Environment: "K3S_CONFIG_FILE", Default: "/etc/rancher/k3s/config.yaml"},
	{Name: "debug", Kind: Bool, Server: true, Agent: true, Environment: "K3S_DEBUG"},
	{Name: "v", Kind: Number, Server: true, Agent: true, Default: "0"},
	{Name: "data-dir", Short: "d", Server: true, Agent: true, Environment: "K3S_DATA_DIR", Default: "/var/lib/rancher/k3s"},
	{Name: "token", Short: "t", Server: true, Agent: true, Environment: "K3S_TOKEN"},
	{Name: "token-file", Server: true, Agent: true, Environment: "K3S_TOKEN_FILE"},
	{Name: "server", Short: "s", Server: true, Agent: true, Environment: "K3S_URL"},
	{Name: "agent-token", Server: true, Environment: "K3S_AGENT_TOKEN"},
	{Name: "agent-token-file", Server: true, Environment: "K3S_AGENT_TOKEN_FILE"},

	{Name: "bind-address", Server: true, Agent: true, Default: "0.0.0.0"},
	{Name: "https-listen-port", Kind: Number, Server: true, Default: "6443"},
	{Name: "supervisor-port", Kind: Number, Server: true, Use: Refused, Reason: onePort},
	{Name: "apiserver-port", Kind: Number, Server: true, Use: Refused, Reason: onePort},
	{Name: "apiserver-bind-address", Server: true, Use: Refused, Reason: onePort},
	{Name: "advertise-address", Server: true},
	{Name: "advertise-port", Kind: Number, Server: true},
	{Name: "tls-san", Kind: List, Server: true},
	{Name: "write-kubeconfig", Short: "o", Server: true, Environment: "K3S_KUBECONFIG_OUTPUT", Default: "/etc/rancher/k3s/k3s.yaml"},
	{Name: "write-kubeconfig-mode", Server: true, Environment: "K3S_KUBECONFIG_MODE", Default: "0600"},

	{Name: "datastore-endpoint", Server: true, Environment: "K3S_DATASTORE_ENDPOINT"},
	{Name: "datastore-cafile", Server: true, Environment: "K3S_DATASTORE_CAFILE"},
	{Name: "datastore-certfile", Server: true, Environment: "K3S_DATASTORE_CERTFILE"},
	{Name: "datastore-keyfile", Server: true, Environment: "K3S_DATASTORE_KEYFILE"},

	{Name: "cluster-cidr", Kind: List, Server: true, Default: "10.42.0.0/16"},
	{Name: "service-cidr", Kind: List, Server: true, Default: "10.43.0.0/16"},
	{Name: "service-node-port-range", Server: true, Default: "30000-32767"},
	{Name: "cluster-dns", Kind: List, Server: true, Default: "10.43.0.10"},
	{Name: "cluster-domain", Server: true, Default: "cluster.local"},
	{Name: "flannel-backend", Server: true, Default: "vxlan", Use: Logged, Reason: noPodNetwork + "; servers with different ones are not refused, as they are by K3s"},
	{Name: "secrets-encryption", Kind: Bool, Server: true},
	{Name: "disable", Kind: List, Server: true},
	{Name: "disable-scheduler", Kind: Bool, Server: true},
	{Name: "disable-controller-manager", Kind: Bool, Server: true},
	{Name: "disable-agent", Kind: Bool, Server: true},
	{Name: "default-local-storage-path", Server: true, Use: Logged, Reason: noContainers},
	{Name: "kube-apiserver-arg", Kind: List, Server: true},
	{Name: "kube-controller-manager-arg", Kind: List, Server: true},
	{Name: "kube-scheduler-arg", Kind: List, Server: true},

	{Name: "node-name", Server: true, Agent: true, Environment: "K3S_NODE_NAME"},
	{Name: "with-node-id", Kind: Bool, Server: true, Agent: true, Use: Refused, Reason: "give the node its name with node-name"},
	{Name: "node-label", Kind: List, Server: true, Agent: true},
	{Name: "node-taint", Kind: List, Server: true, Agent: true},
	{Name: "node-ip", Short: "i", Kind: List, Server: true, Agent: true},
	{Name: "node-external-ip", Kind: List, Server: true, Agent: true},
	{Name: "flannel-iface", Server: true, Agent: true},
	{Name: "lb-server-port", Kind: Number, Server: true, Agent: true, Environment: "K3S_LB_SERVER_PORT", Default: "6444"},
	{Name: "kubelet-arg", Kind: List, Server: true, Agent: true},
	{Name: "protect-kernel-defaults", Kind: Bool, Server: true, Agent: true},
	{Name: "kube-proxy-arg", Kind: List, Server: true, Agent: true, Use: Logged, Reason: noProxy},
	{Name: "disable-kube-proxy", Kind: Bool, Server: true, Use: Logged, Reason: noProxy},
	{Name: "disable-network-policy", Kind: Bool, Server: true, Use: Logged, Reason: noPodNetwork},
	{Name: "disable-helm-controller", Kind: Bool, Server: true, Use: Logged, Reason: noHelm},
	{Name: "disable-apiserver", Kind: Bool, Server: true, Use: Refused, Reason: "every server here runs its own API server"},
	{Name: "disable-etcd", Kind: Bool, Server: true, Use: Refused, Reason: "every server of an etcd cluster is a member here"},
	{Name: "disable-cloud-controller", Kind: Bool, Server: true, Use: Refused, Reason: "node addresses come from it"},
	{Name: "cluster-init", Kind: Bool, Server: true, Environment: "K3S_CLUSTER_INIT"},
	{Name: "cluster-reset", Kind: Bool, Server: true, Environment: "K3S_CLUSTER_RESET"},
	{Name: "cluster-reset-restore-path", Server: true},
	{Name: "etcd-arg", Kind: List, Server: true},
	{Name: "etcd-expose-metrics", Kind: Bool, Server: true},
	{Name: "etcd-disable-snapshots", Kind: Bool, Server: true},
	{Name: "etcd-snapshot-name", Server: true, Default: "etcd-snapshot"},
	{Name: "etcd-snapshot-schedule-cron", Server: true, Default: "0 */12 * * *"},
	{Name: "etcd-snapshot-reconcile-interval", Server: true, Use: Logged, Reason: "snapshots are listed from the disk and the bucket themselves"},
	{Name: "etcd-snapshot-retention", Kind: Number, Server: true, Default: "5"},
	{Name: "etcd-snapshot-dir", Server: true},
	{Name: "etcd-snapshot-compress", Kind: Bool, Server: true, Use: Refused, Reason: "snapshots are kept as etcd writes them"},
	{Name: "etcd-s3", Kind: Bool, Server: true},
	{Name: "etcd-s3-endpoint", Server: true, Default: "s3.amazonaws.com"},
	{Name: "etcd-s3-endpoint-ca", Server: true},
	{Name: "etcd-s3-skip-ssl-verify", Kind: Bool, Server: true},
	{Name: "etcd-s3-access-key", Server: true, Environment: "AWS_ACCESS_KEY_ID"},
	{Name: "etcd-s3-secret-key", Server: true, Environment: "AWS_SECRET_ACCESS_KEY"},
	{Name: "etcd-s3-session-token", Server: true, Environment: "AWS_SESSION_TOKEN", Use: Refused, Reason: "keys of the local cloud's Spaces have none"},
	{Name: "etcd-s3-bucket", Server: true},
	{Name: "etcd-s3-bucket-lookup-type", Server: true, Use: Refused, Reason: "the local cloud's Spaces take the bucket in the path"},
	{Name: "etcd-s3-region", Server: true, Default: "us-east-1"},
	{Name: "etcd-s3-folder", Server: true},
	{Name: "etcd-s3-proxy", Server: true, Use: Refused, Reason: "there is no proxy in the local cloud"},
	{Name: "etcd-s3-insecure", Kind: Bool, Server: true},
	{Name: "etcd-s3-timeout", Server: true, Default: "5m0s"},
	{Name: "etcd-s3-config-secret", Server: true, Use: Refused, Reason: "give the bucket's settings themselves"},
	{Name: "etcd-s3-retention", Kind: Number, Server: true, Default: "5"},
	{Name: "embedded-registry", Kind: Bool, Server: true, Use: Refused, Reason: noContainers},
	{Name: "rootless", Kind: Bool, Server: true, Agent: true, Use: Refused, Reason: "it runs as root only"},
	{Name: "vpn-auth", Server: true, Agent: true, Environment: "K3S_VPN_AUTH", Use: Refused, Reason: "there is no VPN here"},
	{Name: "vpn-auth-file", Server: true, Agent: true, Environment: "K3S_VPN_AUTH_FILE", Use: Refused, Reason: "there is no VPN here"},
	{Name: "write-kubeconfig-group", Server: true, Environment: "K3S_KUBECONFIG_GROUP", Use: Refused, Reason: "use write-kubeconfig-mode"},
	{Name: "write-kubeconfig-name", Server: true, Use: Refused, Reason: "the kubeconfig's names are K3s's default ones"},
	{Name: "tls-san-security", Kind: Bool, Server: true, Use: Logged, Reason: "the certificate never holds a name that was not configured"},
	{Name: "egress-selector-mode", Server: true, Default: "agent"},
	{Name: "flannel-conf", Server: true, Agent: true, Use: Logged, Reason: noPodNetwork},
	{Name: "flannel-cni-conf", Server: true, Agent: true, Use: Logged, Reason: noPodNetwork},
	{Name: "flannel-ipv6-masq", Kind: Bool, Server: true, Use: Logged, Reason: noPodNetwork},
	{Name: "flannel-external-ip", Kind: Bool, Server: true, Use: Logged, Reason: noPodNetwork},
	{Name: "resolv-conf", Server: true, Agent: true, Environment: "K3S_RESOLV_CONF", Use: Logged, Reason: noContainers},
	{Name: "node-internal-dns", Kind: List, Server: true, Agent: true, Use: Refused, Reason: "nodes have addresses and no names here"},
	{Name: "node-external-dns", Kind: List, Server: true, Agent: true, Use: Refused, Reason: "nodes have addresses and no names here"},
	{Name: "disable-apiserver-lb", Kind: Bool, Agent: true, Use: Refused, Reason: "an agent reaches its servers through its load balancer here"},
	{Name: "kine-tls", Kind: Bool, Server: true, Use: Logged, Reason: "kine listens on a socket that root alone may open"},
	{Name: "secrets-encryption-provider", Server: true, Use: Refused, Reason: "it encrypts with aescbc, K3s's default"},
	{Name: "servicelb-namespace", Server: true, Use: Logged, Reason: "the stand-in has no ServiceLB"},
	{Name: "helm-controller-arg", Kind: List, Server: true, Use: Logged, Reason: noHelm},
	{Name: "helm-job-image", Server: true, Use: Logged, Reason: noHelm},
	{Name: "kube-cloud-controller-manager-arg", Kind: List, Server: true, Use: Logged, Reason: "K3s's cloud controller is part of the server process here"},
	{Name: "kube-controller-arg", Kind: List, Server: true, Use: Refused, Reason: "use kube-controller-manager-arg"},
	{Name: "kube-cloud-controller-arg", Kind: List, Server: true, Use: Refused, Reason: "use kube-cloud-controller-manager-arg"},
	{Name: "selinux", Kind: Bool, Server: true, Agent: true, Environment: "K3S_SELINUX", Use: Logged, Reason: noContainers},
	{Name: "docker", Kind: Bool, Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "container-runtime-endpoint", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "image-service-endpoint", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "default-runtime", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "disable-default-registry-endpoint", Kind: Bool, Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "nonroot-devices", Kind: Bool, Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "airgap-extra-registry", Kind: List, Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "pause-image", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "snapshotter", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "private-registry", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "system-default-registry", Server: true, Environment: "K3S_SYSTEM_DEFAULT_REGISTRY", Use: Logged, Reason: noContainers},
	{Name: "image-credential-provider-bin-dir", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "image-credential-provider-config", Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "prefer-bundled-bin", Kind: Bool, Server: true, Agent: true, Use: Logged, Reason: noContainers},
	{Name: "enable-pprof", Kind: Bool, Server: true, Agent: true, Use: Logged, Reason: "there is no profiling endpoint here"},
	{Name: "supervisor-metrics", Kind: Bool, Server: true, Use: Logged, Reason: "there is no metrics endpoint of K3s's own here"},
	{Name: "vmodule", Server: true, Agent: true, Use: Logged, Reason: "use v"},
	{Name: "log", Short: "l", Server: true, Agent: true, Use: Refused, Reason: "logs go to standard error, and so to the journal"},
	{Name: "alsologtostderr", Kind: Bool, Server: true, Agent: true, Use: Logged, Reason: "logs go to standard error anyway"},
}
