package bootstrap

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"

	"k3s.local/k3s/pki"
)

// Data is what every server of a cluster must have in common.
type Data struct {
	ServerCA          pki.Pair
	ClientCA          pki.Pair
	RequestHeaderCA   pki.Pair
	ServiceAccountKey []byte
	// EncryptionConfig is the API server's; empty where Secrets are not encrypted.
	EncryptionConfig []byte `json:",omitempty"`
	// EtcdServerCA and EtcdPeerCA are there where the datastore is an embedded etcd.
	EtcdServerCA pki.Pair `json:",omitzero"`
	EtcdPeerCA   pki.Pair `json:",omitzero"`
	// ServerToken and AgentToken are the passwords of nodes that join, K3s's `passwd` file.
	ServerToken string
	AgentToken  string
}

// New makes the data of a new cluster.
func New(encryptSecrets bool) (Data, error) {
	var data Data
	var err error
	for _, authority := range []struct {
		name string
		pair *pki.Pair
	}{
		{"k3s-server-ca", &data.ServerCA},
		{"k3s-client-ca", &data.ClientCA},
		{"k3s-request-header-ca", &data.RequestHeaderCA},
	} {
		if *authority.pair, err = pki.NewAuthority(authority.name); err != nil {
			return Data{}, err
		}
	}
	if data.ServiceAccountKey, err = pki.NewServiceAccountKey(); err != nil {
		return Data{}, err
	}
	if encryptSecrets {
		data.EncryptionConfig, err = encryptionConfig()
	}
	return data, err
}

// encryptionConfig is as docs.k3s.io/security/secrets-encryption shows it: AES-CBC with one key, Secrets only.
func encryptionConfig() ([]byte, error) {
	key := make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	encoded := base64.StdEncoding.EncodeToString(key)
	return json.Marshal(map[string]any{
		"kind":       "EncryptionConfiguration",
		"apiVersion": "apiserver.config.k8s.io/v1",
		"resources": []any{map[string]any{
			"resources": []string{"secrets"},
			"providers": []any{
				map[string]any{"aescbc": map[string]any{"keys": []any{map[string]string{"name": "aescbckey", "secret": encoded}}}},
				map[string]any{"identity": map[string]any{}},
			},
		}},
	})
}
