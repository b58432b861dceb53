package controllers

import (
	"context"
	"maps"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	cloudproviderapi "k8s.io/cloud-provider/api"
	"k8s.io/klog/v2"

	"k3s.local/k3s/supervisor"
)

// Annotations through which a node tells its addresses, and the values of K3s's cloud provider.
const (
	InternalIPAnnotation = "k3s.io/internal-ip"
	ExternalIPAnnotation = "k3s.io/external-ip"
	HostnameAnnotation   = "k3s.io/hostname"

	providerPrefix    = "k3s://"
	instanceType      = "k3s"
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"

	nodesResync = 5 * time.Minute
)

// Nodes does K3s's cloud controller's work: addresses, provider ID and instance type of nodes; it labels this server's
// node as control plane, and forgets the password of a node that was deleted.
type Nodes struct {
	Client kubernetes.Interface
	// ServerNode is the name of this server's own node, "" if it has none.
	ServerNode string

	lister corelisters.NodeLister
	queue  workqueue.TypedRateLimitingInterface[string]
}

// Run works until ctx ends. Every server does the same work; what is done already is left alone.
func (n *Nodes) Run(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(n.Client, nodesResync)
	informer := factory.Core().V1().Nodes()
	n.lister = informer.Lister()
	n.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	defer n.queue.ShutDown()
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.enqueue(object) },
		UpdateFunc: func(_, object any) { n.enqueue(object) },
		DeleteFunc: func(object any) { n.enqueue(object) },
	})
	if err != nil {
		klog.ErrorS(err, "Nodes cannot be watched")
		return
	}
	factory.Start(ctx.Done())
	go func() {
		<-ctx.Done()
		n.queue.ShutDown()
	}()
	for {
		name, stop := n.queue.Get()
		if stop {
			return
		}
		if err := n.reconcile(ctx, name); err != nil && ctx.Err() == nil {
			klog.V(2).InfoS("Node not yet as it should be", "node", name, "err", err)
			n.queue.AddRateLimited(name)
		} else {
			n.queue.Forget(name)
		}
		n.queue.Done(name)
	}
}

func (n *Nodes) enqueue(object any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		n.queue.Add(key)
	}
}

func (n *Nodes) reconcile(ctx context.Context, name string) error {
	node, err := n.lister.Get(name)
	if apierrors.IsNotFound(err) {
		secrets := n.Client.CoreV1().Secrets(metav1.NamespaceSystem)
		err := secrets.Delete(ctx, supervisor.SecretName(name), metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	nodes := n.Client.CoreV1().Nodes()
	wanted := Wanted(node, name == n.ServerNode)
	if !equality.Semantic.DeepEqual(node.Status.Addresses, wanted.Status.Addresses) {
		if _, err := nodes.UpdateStatus(ctx, wanted, metav1.UpdateOptions{}); err != nil {
			return err
		}
		// The rest comes with the event of this change, on the object as it is then.
		return nil
	}
	if !equality.Semantic.DeepEqual(node, wanted) {
		_, err = nodes.Update(ctx, wanted, metav1.UpdateOptions{})
	}
	return err
}

// Wanted is a node as K3s's cloud controller would have it.
func Wanted(node *v1.Node, controlPlane bool) *v1.Node {
	wanted := node.DeepCopy()
	addresses := []v1.NodeAddress{}
	add := func(kind v1.NodeAddressType, values string) {
		for _, value := range strings.Split(values, ",") {
			if value != "" {
				addresses = append(addresses, v1.NodeAddress{Type: kind, Address: value})
			}
		}
	}
	internal := node.Annotations[InternalIPAnnotation]
	if internal == "" {
		internal = node.Annotations[cloudproviderapi.AnnotationAlphaProvidedIPAddr]
	}
	add(v1.NodeInternalIP, internal)
	add(v1.NodeExternalIP, node.Annotations[ExternalIPAnnotation])
	hostname := node.Annotations[HostnameAnnotation]
	if hostname == "" {
		hostname = node.Name
	}
	add(v1.NodeHostName, hostname)
	if internal != "" {
		wanted.Status.Addresses = addresses
	}
	if wanted.Spec.ProviderID == "" {
		wanted.Spec.ProviderID = providerPrefix + node.Name
	}
	wanted.Spec.Taints = nil
	for _, taint := range node.Spec.Taints {
		if taint.Key != cloudproviderapi.TaintExternalCloudProvider {
			wanted.Spec.Taints = append(wanted.Spec.Taints, taint)
		}
	}
	labels := map[string]string{v1.LabelInstanceTypeStable: instanceType, v1.LabelInstanceType: instanceType}
	if controlPlane {
		labels[controlPlaneLabel] = "true"
	}
	if wanted.Labels == nil {
		wanted.Labels = map[string]string{}
	}
	maps.Copy(wanted.Labels, labels)
	return wanted
}
