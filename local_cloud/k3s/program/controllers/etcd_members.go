package controllers

import (
	"context"
	"maps"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"k3s.local/k3s/etcd"
)

// What K3s's etcd controllers put on the node of a member (its pkg/etcd), and how often ours look.
const (
	etcdLabel             = "node-role.kubernetes.io/etcd"
	etcdNameAnnotation    = "etcd.k3s.cattle.io/node-name"
	etcdAddressAnnotation = "etcd.k3s.cattle.io/node-address"
	etcdFinalizer         = "wrangler.cattle.io/managed-etcd-controller"

	membersInterval = time.Second
)

// EtcdMembers keeps nodes and members of the embedded etcd together: it marks this server's node, removes the member of
// a node that is deleted before the node goes, and promotes learners.
type EtcdMembers struct {
	Client kubernetes.Interface
	Store  *clientv3.Client
	Member *etcd.Member
}

// Run works until ctx ends.
func (m *EtcdMembers) Run(ctx context.Context) {
	for {
		for _, work := range []func(context.Context) error{m.promote, m.mark, m.removeDeleted} {
			if err := work(ctx); err != nil && ctx.Err() == nil {
				klog.V(1).InfoS("Members of etcd not yet as they should be", "err", err)
			}
		}
		select {
		case <-time.After(membersInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (m *EtcdMembers) promote(ctx context.Context) error { return etcd.PromoteLearners(ctx, m.Store) }

func (m *EtcdMembers) mark(ctx context.Context) error {
	nodes := m.Client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, m.Member.NodeName, metav1.GetOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	if wanted := markedMember(node, m.Member.Name, m.Member.Address); !equality.Semantic.DeepEqual(node, wanted) {
		_, err = nodes.Update(ctx, wanted, metav1.UpdateOptions{})
	}
	return err
}

// markedMember is the node of the member called `name` at `address`, as K3s marks it. A node that is being deleted may
// get nothing more.
func markedMember(node *v1.Node, name, address string) *v1.Node {
	wanted := node.DeepCopy()
	if node.DeletionTimestamp != nil {
		return wanted
	}
	if wanted.Labels == nil {
		wanted.Labels = map[string]string{}
	}
	if wanted.Annotations == nil {
		wanted.Annotations = map[string]string{}
	}
	wanted.Labels[etcdLabel] = "true"
	maps.Copy(wanted.Annotations, map[string]string{etcdNameAnnotation: name, etcdAddressAnnotation: address})
	if !slices.Contains(wanted.Finalizers, etcdFinalizer) {
		wanted.Finalizers = append(wanted.Finalizers, etcdFinalizer)
	}
	return wanted
}

func (m *EtcdMembers) removeDeleted(ctx context.Context) error {
	nodes := m.Client.CoreV1().Nodes()
	found, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: etcdLabel, ResourceVersion: "0"})
	if err != nil {
		return err
	}
	for _, node := range found.Items {
		if node.DeletionTimestamp == nil || !slices.Contains(node.Finalizers, etcdFinalizer) {
			continue
		}
		name, address := node.Annotations[etcdNameAnnotation], node.Annotations[etcdAddressAnnotation]
		klog.Infof("Removing etcd member %s of node %s", name, node.Name)
		if err := etcd.Remove(ctx, m.Store, name, address); err != nil {
			return err
		}
		freed := node.DeepCopy()
		freed.Finalizers = slices.DeleteFunc(freed.Finalizers, func(each string) bool { return each == etcdFinalizer })
		if _, err := nodes.Update(ctx, freed, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
