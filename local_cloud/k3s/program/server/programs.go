package server

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/klog/v2"

	"k3s.local/k3s/etcd"
	"k3s.local/k3s/kine"
	"k3s.local/k3s/settings"
)

const (
	loopback      = "127.0.0.1"
	apiServerPort = 6444
	issuer        = "https://kubernetes.default.svc."
)

// kineConfig: without a datastore-endpoint, SQLite. kine compacts the datastore by itself.
func kineConfig(given settings.Settings, f folders) kine.Config {
	endpoint := given.Text("datastore-endpoint")
	if endpoint == "" || endpoint == "sqlite://" {
		// The options are kine's own defaults: github.com/k3s-io/kine, pkg/drivers/sqlite (DefaultParams).
		endpoint = "sqlite://" + f.database() + "/state.db?_journal_mode=WAL&_busy_timeout=30000&_synchronous=NORMAL" +
			"&_txlock=immediate&_stmt_cache_size=20&cache=shared"
	}
	return kine.Config{
		Socket:          f.socket(),
		Endpoint:        endpoint,
		CAFile:          given.Text("datastore-cafile"),
		CertificateFile: given.Text("datastore-certfile"),
		KeyFile:         given.Text("datastore-keyfile"),
	}
}

// egressSelection sends the API server's requests to kubelets through the tunnels that nodes hold:
// github.com/k3s-io/k3s, pkg/daemons/control/deps/deps.go (genEgressSelectorConfig).
func egressSelection(f folders, port int) map[string]any {
	return map[string]any{
		"apiVersion": "apiserver.k8s.io/v1beta1",
		"kind":       "EgressSelectorConfiguration",
		"egressSelections": []any{map[string]any{
			"name": "cluster",
			"connection": map[string]any{
				"proxyProtocol": "HTTPConnect",
				"transport": map[string]any{"tcp": map[string]any{
					"url": "https://" + net.JoinHostPort(loopback, strconv.Itoa(port)),
					"tlsConfig": map[string]any{
						"caBundle":   f.certificate("server-ca"),
						"clientCert": f.certificate("client-kube-apiserver"),
						"clientKey":  f.key("client-kube-apiserver"),
					},
				}},
			},
		}},
	}
}

func apiServerArguments(given settings.Settings, f folders, advertise string, encrypted, onEtcd bool) []string {
	domain := given.Text("cluster-domain")
	arguments := []string{
		"--advertise-address=" + advertise,
		"--allow-privileged=true",
		"--anonymous-auth=false",
		"--api-audiences=" + issuer + domain + ",k3s",
		"--authorization-mode=Node,RBAC",
		"--bind-address=" + loopback,
		"--client-ca-file=" + f.certificate("client-ca"),
		"--enable-admission-plugins=NodeRestriction",
		// The service `kubernetes` must name the port that clients use: controllers.Endpoints does that.
		"--endpoint-reconciler-type=none",
		"--kubelet-certificate-authority=" + f.certificate("server-ca"),
		"--kubelet-client-certificate=" + f.certificate("client-kube-apiserver"),
		"--kubelet-client-key=" + f.key("client-kube-apiserver"),
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
		"--profiling=false",
		"--proxy-client-cert-file=" + f.certificate("client-auth-proxy"),
		"--proxy-client-key-file=" + f.key("client-auth-proxy"),
		"--requestheader-allowed-names=system:auth-proxy",
		"--requestheader-client-ca-file=" + f.certificate("request-header-ca"),
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--secure-port=" + strconv.Itoa(apiServerPort),
		"--service-account-issuer=" + issuer + domain,
		"--service-account-key-file=" + f.key("service"),
		"--service-account-signing-key-file=" + f.key("service"),
		"--service-cluster-ip-range=" + given.Text("service-cidr"),
		"--service-node-port-range=" + given.Text("service-node-port-range"),
		"--storage-backend=etcd3",
		"--tls-cert-file=" + f.certificate("serving-kube-apiserver"),
		"--tls-private-key-file=" + f.key("serving-kube-apiserver"),
		"--v=" + given.Text("v"),
	}
	if onEtcd {
		files := f.etcdFiles()
		arguments = append(arguments,
			"--etcd-servers="+etcd.Endpoint,
			"--etcd-cafile="+files.ServerCA,
			"--etcd-certfile="+files.ClientCertificate,
			"--etcd-keyfile="+files.ClientKey,
		)
	} else {
		arguments = append(arguments,
			// kine compacts by itself.
			"--etcd-compaction-interval=0",
			"--etcd-servers=unix://"+f.socket(),
		)
	}
	switch mode := given.Text("egress-selector-mode"); mode {
	case "disabled":
	case "cluster", "pod":
		klog.Warningf("egress-selector-mode: %s is taken for agent: there are no Pods to reach", mode)
		fallthrough
	default:
		arguments = append(arguments, "--egress-selector-config-file="+f.egressSelection())
	}
	if encrypted {
		arguments = append(arguments, "--encryption-provider-config="+f.encryptionConfig())
	}
	return merge(arguments, given.Raw("kube-apiserver-arg"))
}

func controllerManagerArguments(given settings.Settings, f folders) []string {
	arguments := []string{
		"--allocate-node-cidrs=true",
		"--authentication-kubeconfig=" + f.cred("controller.kubeconfig"),
		"--authorization-kubeconfig=" + f.cred("controller.kubeconfig"),
		"--bind-address=" + loopback,
		"--cluster-cidr=" + given.Text("cluster-cidr"),
		"--cluster-signing-cert-file=" + f.certificate("client-ca"),
		"--cluster-signing-key-file=" + f.key("client-ca"),
		"--configure-cloud-routes=false",
		"--controllers=*,tokencleaner",
		"--kubeconfig=" + f.cred("controller.kubeconfig"),
		"--profiling=false",
		"--root-ca-file=" + f.certificate("server-ca"),
		"--service-account-private-key-file=" + f.key("service"),
		"--service-cluster-ip-range=" + given.Text("service-cidr"),
		"--use-service-account-credentials=true",
		"--v=" + given.Text("v"),
	}
	return merge(arguments, given.Raw("kube-controller-manager-arg"))
}

func schedulerArguments(given settings.Settings, f folders) []string {
	arguments := []string{
		"--authentication-kubeconfig=" + f.cred("scheduler.kubeconfig"),
		"--authorization-kubeconfig=" + f.cred("scheduler.kubeconfig"),
		"--bind-address=" + loopback,
		"--kubeconfig=" + f.cred("scheduler.kubeconfig"),
		"--profiling=false",
		"--v=" + given.Text("v"),
	}
	return merge(arguments, given.Raw("kube-scheduler-arg"))
}

// merge lets the user's `name=value` arguments take the place of ours.
func merge(ours, theirs []string) []string {
	for _, argument := range theirs {
		argument = "--" + strings.TrimLeft(argument, "-")
		name, _, _ := strings.Cut(argument, "=")
		ours = slices.DeleteFunc(ours, func(own string) bool { return strings.HasPrefix(own, name+"=") })
	}
	for _, argument := range theirs {
		ours = append(ours, "--"+strings.TrimLeft(argument, "-"))
	}
	return ours
}
