package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"k3s.local/k3s/settings"
	"k3s.local/k3s/token"
)

const (
	passwordFile  = "/etc/rancher/node/password"
	passwordBytes = 16
)

// identity is who a node says it is.
type identity struct {
	name     string
	hostname string
	password string
	internal []string
	external []string
}

// Addresses are the node's internal addresses: node-ip, or those of flannel-iface, or that of the default route.
func Addresses(given settings.Settings) ([]string, error) {
	iface := given.Text("flannel-iface")
	found, err := interfaceAddresses(iface)
	if err != nil {
		return nil, err
	}
	if addresses := given.List("node-ip"); len(addresses) > 0 {
		return addresses, nil
	}
	if iface != "" {
		return found, nil
	}
	address, err := utilnet.ChooseHostInterface()
	if err != nil {
		return nil, fmt.Errorf("no default route, so no node address: set node-ip (%w)", err)
	}
	return []string{address.String()}, nil
}

// Name is the node's name: node-name, or the host's.
func Name(given settings.Settings) (string, error) {
	if name := given.Text("node-name"); name != "" {
		return strings.ToLower(name), nil
	}
	hostname, err := os.Hostname()
	return strings.ToLower(hostname), err
}

func interfaceAddresses(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("flannel-iface: unable to find interface %s: %w", name, err)
	}
	addresses, err := iface.Addrs()
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil {
			return []string{network.IP.String()}, nil
		}
	}
	return nil, fmt.Errorf("flannel-iface: interface %s has no IPv4 address", name)
}

func newIdentity(given settings.Settings) (identity, error) {
	var node identity
	var err error
	if node.name, err = Name(given); err != nil {
		return node, err
	}
	if node.internal, err = Addresses(given); err != nil {
		return node, err
	}
	node.external = given.List("node-external-ip")
	if node.hostname, err = os.Hostname(); err != nil {
		return node, err
	}
	node.password, err = nodePassword()
	return node, err
}

func nodePassword() (string, error) {
	text, err := os.ReadFile(passwordFile)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	password := token.Random(passwordBytes)
	if err := os.MkdirAll(filepath.Dir(passwordFile), 0o755); err != nil {
		return "", err
	}
	return password, os.WriteFile(passwordFile, []byte(password+"\n"), 0o600)
}
