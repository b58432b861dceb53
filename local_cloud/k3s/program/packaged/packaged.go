// Package packaged holds the manifests of K3s's packaged components, as far as they are stood in for: the objects that
// a user of the API would look for. No container runs, so nothing serves behind them; ServiceLB is not here at all.
package packaged

import (
	"embed"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// dnsPlaceholder is replaced by the address of the service kube-dns.
const dnsPlaceholder = "CLUSTER_DNS"

// Write puts the manifests of what is not disabled into `folder`, takes the others out, and returns those by name.
func Write(folder string, disabled []string, clusterDNS net.IP) (map[string][]byte, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	removed := map[string][]byte{}
	for _, entry := range entries {
		text, err := files.ReadFile(path.Join(".", entry.Name()))
		if err != nil {
			return nil, err
		}
		text = []byte(strings.ReplaceAll(string(text), dnsPlaceholder, clusterDNS.String()))
		component := strings.TrimSuffix(entry.Name(), ".yaml")
		target := filepath.Join(folder, entry.Name())
		if slices.Contains(disabled, component) {
			removed[component] = text
			if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
				return nil, err
			}
			continue
		}
		if err := os.WriteFile(target, text, 0o600); err != nil {
			return nil, err
		}
	}
	return removed, nil
}
