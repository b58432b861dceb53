package controllers

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"
)

func registered() *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1", Annotations: map[string]string{
			InternalIPAnnotation: "10.0.0.5", ExternalIPAnnotation: "203.0.113.5", HostnameAnnotation: "droplet",
		}},
		Spec: v1.NodeSpec{Taints: []v1.Taint{
			{Key: cloudproviderapi.TaintExternalCloudProvider, Effect: v1.TaintEffectNoSchedule},
			{Key: "dedicated", Effect: v1.TaintEffectNoSchedule},
		}},
	}
}

func TestRegisteredNodeBecomesUsable(t *testing.T) {
	node := Wanted(registered(), false)
	addresses := []v1.NodeAddress{
		{Type: v1.NodeInternalIP, Address: "10.0.0.5"},
		{Type: v1.NodeExternalIP, Address: "203.0.113.5"},
		{Type: v1.NodeHostName, Address: "droplet"},
	}
	if !equality.Semantic.DeepEqual(node.Status.Addresses, addresses) {
		t.Errorf("addresses are %v", node.Status.Addresses)
	}
	if len(node.Spec.Taints) != 1 || node.Spec.Taints[0].Key != "dedicated" {
		t.Errorf("taints are %v", node.Spec.Taints)
	}
	if node.Spec.ProviderID != "k3s://node-1" {
		t.Errorf("provider ID is %s", node.Spec.ProviderID)
	}
	if _, found := node.Labels[controlPlaneLabel]; found {
		t.Error("an agent has the role of a server")
	}
}

func TestServersHaveTheirRoleAndNothingElseChanges(t *testing.T) {
	node := Wanted(registered(), true)
	if node.Labels[controlPlaneLabel] != "true" {
		t.Error("a server has no role")
	}
	if again := Wanted(node, true); !equality.Semantic.DeepEqual(node, again) {
		t.Errorf("a node that is as it should be was changed: %v", again)
	}
}
