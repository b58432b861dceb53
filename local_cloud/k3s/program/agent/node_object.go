package agent

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"k3s.local/k3s/controllers"
)

const (
	registrationInterval = 300 * time.Millisecond
	nodeArgsAnnotation   = "k3s.io/node-args"
)

// describe waits for the node's registration, then sets its annotations and adds the labels of node-label that are
// new. As in K3s, a label that was taken out of the configuration stays, and node-taint counts at registration only.
func describe(ctx context.Context, client kubernetes.Interface, node identity, labels, arguments []string) error {
	annotations := map[string]string{
		controllers.InternalIPAnnotation: strings.Join(node.internal, ","),
		controllers.HostnameAnnotation:   node.hostname,
	}
	if text, err := json.Marshal(arguments); err == nil {
		annotations[nodeArgsAnnotation] = string(text)
	}
	if len(node.external) > 0 {
		annotations[controllers.ExternalIPAnnotation] = strings.Join(node.external, ",")
	}
	for {
		found, err := client.CoreV1().Nodes().Get(ctx, node.name, metav1.GetOptions{})
		if err == nil {
			wanted := found.DeepCopy()
			if wanted.Annotations == nil {
				wanted.Annotations = map[string]string{}
			}
			if wanted.Labels == nil {
				wanted.Labels = map[string]string{}
			}
			maps.Copy(wanted.Annotations, annotations)
			if len(node.external) == 0 {
				delete(wanted.Annotations, controllers.ExternalIPAnnotation)
			}
			for _, label := range labels {
				key, value, _ := strings.Cut(label, "=")
				wanted.Labels[key] = value
			}
			if equality.Semantic.DeepEqual(found, wanted) {
				return nil
			}
			if _, err = client.CoreV1().Nodes().Update(ctx, wanted, metav1.UpdateOptions{}); err == nil {
				klog.InfoS("Annotations and labels have been set successfully on node", "node", node.name)
				return nil
			}
			klog.InfoS("Failed to set annotations and labels on node", "node", node.name, "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(registrationInterval):
		}
	}
}

// safeArguments are command line arguments without secrets, for the annotation.
func safeArguments(arguments []string) []string {
	safe := []string{}
	hide := false
	for _, argument := range arguments {
		name, _, joined := strings.Cut(argument, "=")
		secret := strings.Contains(name, "token") || strings.Contains(name, "datastore") || name == "-t"
		switch {
		case hide:
			argument = "********"
			hide = false
		case secret && strings.HasPrefix(argument, "-") && joined:
			argument = name + "=********"
		case secret && strings.HasPrefix(argument, "-"):
			hide = true
		}
		safe = append(safe, argument)
	}
	return safe
}
