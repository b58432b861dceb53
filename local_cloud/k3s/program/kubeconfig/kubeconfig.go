// Package kubeconfig writes kubeconfig files as K3s does: one cluster, user and context, each named `default`.
package kubeconfig

import (
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const entry = "default"

// Credentials are the CA of the server and the client certificate of the user, as files.
type Credentials struct {
	CAFile          string
	CertificateFile string
	KeyFile         string
}

// Write writes a kubeconfig that holds its certificates itself, so that it can be copied.
func Write(path, server string, credentials Credentials, mode os.FileMode) error {
	ca, err := os.ReadFile(credentials.CAFile)
	if err != nil {
		return err
	}
	certificate, err := os.ReadFile(credentials.CertificateFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(credentials.KeyFile)
	if err != nil {
		return err
	}
	config := api.NewConfig()
	config.Clusters[entry] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[entry] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[entry] = &api.Context{Cluster: entry, AuthInfo: entry}
	config.CurrentContext = entry
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	if _, err := draft.Write(text); err != nil {
		return err
	}
	if err := draft.Chmod(mode); err != nil {
		return err
	}
	if err := draft.Close(); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}
