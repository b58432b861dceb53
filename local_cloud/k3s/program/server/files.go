package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k3s.local/k3s/bootstrap"
	"k3s.local/k3s/kubeconfig"
	"k3s.local/k3s/pki"
	"k3s.local/k3s/token"
)

// folders of a server, below data-dir, named as K3s names them.
type folders struct{ root string }

func (f folders) tls(name string) string  { return filepath.Join(f.root, "tls", name) }
func (f folders) cred(name string) string { return filepath.Join(f.root, "cred", name) }
func (f folders) manifests() string       { return filepath.Join(f.root, "manifests") }
func (f folders) database() string        { return filepath.Join(f.root, "db") }
func (f folders) etcd() string            { return filepath.Join(f.database(), "etcd") }
func (f folders) resetFlag() string       { return filepath.Join(f.database(), "reset-flag") }
func (f folders) socket() string          { return filepath.Join(f.root, "kine.sock") }
func (f folders) token() string           { return filepath.Join(f.root, "token") }
func (f folders) egressSelection() string {
	return filepath.Join(f.root, "etc", "egress-selector-config.yaml")
}
func (f folders) encryptionConfig() string       { return f.cred("encryption-config.json") }
func (f folders) certificate(name string) string { return f.tls(name + ".crt") }
func (f folders) key(name string) string         { return f.tls(name + ".key") }

func (f folders) make() error {
	problems := []error{}
	for _, path := range []string{f.root, f.tls("etcd"), filepath.Dir(f.egressSelection()), f.cred(""), f.manifests(), f.database()} {
		problems = append(problems, os.MkdirAll(path, 0o700))
	}
	return errors.Join(problems...)
}

func (f folders) credentials(name string) kubeconfig.Credentials {
	return kubeconfig.Credentials{CAFile: f.certificate("server-ca"), CertificateFile: f.certificate(name), KeyFile: f.key(name)}
}

// writeShared writes the cluster's data where the programs look for it; the datastore's always wins.
func (f folders) writeShared(data bootstrap.Data) error {
	problems := []error{
		f.writePair("server-ca", data.ServerCA),
		f.writePair("client-ca", data.ClientCA),
		f.writePair("request-header-ca", data.RequestHeaderCA),
		os.WriteFile(f.key("service"), data.ServiceAccountKey, 0o600),
	}
	if len(data.EtcdServerCA.Key) > 0 {
		problems = append(problems, f.writePair(etcdServerCA, data.EtcdServerCA), f.writePair(etcdPeerCA, data.EtcdPeerCA))
	}
	if len(data.EncryptionConfig) > 0 {
		problems = append(problems, os.WriteFile(f.encryptionConfig(), data.EncryptionConfig, 0o600))
	}
	return errors.Join(problems...)
}

func (f folders) writePair(name string, pair pki.Pair) error {
	return errors.Join(os.WriteFile(f.certificate(name), pair.Certificate, 0o600), os.WriteFile(f.key(name), pair.Key, 0o600))
}

// writeTokens writes the files that an operator copies a token from.
func (f folders) writeTokens(data bootstrap.Data) error {
	full := token.Format(data.ServerCA.Certificate, "server", data.ServerToken) + "\n"
	if err := os.WriteFile(f.token(), []byte(full), 0o600); err != nil {
		return err
	}
	if err := relink("token", filepath.Join(f.root, "node-token")); err != nil {
		return err
	}
	agentToken := filepath.Join(f.root, "agent-token")
	if data.AgentToken == data.ServerToken {
		return relink("token", agentToken)
	}
	if err := os.RemoveAll(agentToken); err != nil {
		return err
	}
	return os.WriteFile(agentToken, []byte(token.Format(data.ServerCA.Certificate, "node", data.AgentToken)+"\n"), 0o600)
}

func relink(target, link string) error {
	return errors.Join(os.RemoveAll(link), os.Symlink(target, link))
}

// issue makes the certificates of this server, anew at each start. `names` are what clients may call the server.
func (f folders) issue(data bootstrap.Data, names []string) error {
	clients := []struct {
		file, user string
		groups     []string
	}{
		{"client-admin", "system:admin", []string{"system:masters"}},
		{"client-supervisor", "system:k3s-supervisor", []string{"system:masters"}},
		{"client-controller", "system:kube-controller-manager", nil},
		{"client-scheduler", "system:kube-scheduler", nil},
		{"client-kube-apiserver", "system:apiserver", []string{"system:masters"}},
	}
	for _, client := range clients {
		pair, err := data.ClientCA.Client(client.user, client.groups...)
		if err != nil {
			return err
		}
		if err := f.writePair(client.file, pair); err != nil {
			return err
		}
	}
	proxy, err := data.RequestHeaderCA.Client("system:auth-proxy")
	if err != nil {
		return err
	}
	serving, err := data.ServerCA.Serving("kube-apiserver", names)
	if err != nil {
		return err
	}
	return errors.Join(f.writePair("client-auth-proxy", proxy), f.writePair("serving-kube-apiserver", serving))
}

func (f folders) load(name string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(f.certificate(name), f.key(name))
}

func (f folders) pool(name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(f.certificate(name))
	if err != nil {
		return nil, err
	}
	return pki.Pool(text)
}

// serviceAddress is the first address of the service network: that of the service `kubernetes`.
func serviceAddress(cidr string) (net.IP, error) {
	_, network, err := net.ParseCIDR(cidr)
	if err != nil {
		return nil, fmt.Errorf("service-cidr: %w", err)
	}
	address := append(net.IP{}, network.IP...)
	address[len(address)-1]++
	return address, nil
}
