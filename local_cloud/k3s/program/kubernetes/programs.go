// Package kubernetes holds the real Kubernetes programs under the names they have, and the kubelet over a fake runtime.
package kubernetes

import (
	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// The names under which k3s starts itself again as one of these programs.
const (
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Kubectl           = "kubectl"
)

var programs = map[string]func() *cobra.Command{
	APIServer:         apiserver.NewAPIServerCommand,
	ControllerManager: controllermanager.NewControllerManagerCommand,
	Scheduler:         func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	Kubelet:           newKubeletCommand,
	Kubectl:           kubectl.NewDefaultKubectlCommand,
}

// Run runs the program called `name` with the process's arguments and returns its exit code; false if there is none.
func Run(name string) (int, bool) {
	program, known := programs[name]
	if !known {
		return 0, false
	}
	return cli.Run(program()), true
}
