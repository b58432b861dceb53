// K3s's contract around real Kubernetes programs: one executable that is k3s, and under their own names the programs
// that a node runs.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"k8s.io/component-base/logs"
	"k8s.io/component-base/version"

	"k3s.local/k3s/etcd"
	"k3s.local/k3s/kine"
	"k3s.local/k3s/kubernetes"
	"k3s.local/k3s/settings"
)

const usage = `k3s - Kubernetes, attaching to DigitalOcean droplets that run on this machine

Usage: k3s COMMAND [OPTIONS]

Commands:
  server           Run management server
  agent            Run node agent
  kubectl          Run kubectl
  etcd-snapshot    Manage snapshots of the embedded etcd (save, ls, delete, prune)
  secrets-encrypt  Show whether Secrets are encrypted at rest (status)

k3s --version shows the version. This is a stand-in: no container runs.`

func main() {
	name := filepath.Base(os.Args[0])
	if name == kubernetes.Kubectl {
		os.Exit(kubectl(os.Args[1:]))
	}
	if name == etcd.Program {
		os.Exit(etcd.Run(os.Args[1:]))
	}
	if name == kine.Program {
		os.Exit(kine.Run(os.Stdin))
	}
	if code, known := kubernetes.Run(name); known {
		os.Exit(code)
	}
	switch name {
	case "crictl", "ctr", "containerd":
		fail(fmt.Errorf("%s: this stand-in for K3s has no container runtime", name))
	}
	os.Exit(k3s(os.Args[1:]))
}

func k3s(arguments []string) int {
	if len(arguments) == 0 {
		fmt.Println(usage)
		return 0
	}
	command, rest := arguments[0], arguments[1:]
	switch command {
	case "server", "agent":
		logs.InitLogs()
		defer logs.FlushLogs()
		if err := runNode(settings.Role(command), rest); err != nil {
			logs.FlushLogs()
			fail(err)
		}
	case "kubectl":
		return kubectl(rest)
	case "secrets-encrypt":
		if err := secretsEncrypt(rest); err != nil {
			fail(err)
		}
	case "etcd-snapshot":
		if err := etcdSnapshot(rest); err != nil {
			fail(err)
		}
	case "--version", "-v", "version":
		fmt.Printf("k3s version %s (stand-in)\ngo version %s\n", version.Get().GitVersion, runtime.Version())
	case "help", "--help", "-h":
		fmt.Println(usage)
	case "crictl", "ctr", "token", "certificate", "check-config", "completion":
		fail(fmt.Errorf("k3s %s is not supported by this stand-in for K3s", command))
	default:
		fail(fmt.Errorf("No help topic for '%s'", command)) //nolint:staticcheck // K3s's own words.
	}
	return 0
}

func kubectl(arguments []string) int {
	if os.Getenv("KUBECONFIG") == "" {
		_ = os.Setenv("KUBECONFIG", "/etc/rancher/k3s/k3s.yaml")
	}
	os.Args = append([]string{kubernetes.Kubectl}, arguments...)
	code, _ := kubernetes.Run(kubernetes.Kubectl)
	return code
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "level=fatal msg=%q\n", err.Error())
	os.Exit(1)
}
