// Package controllers keeps the cluster as K3s keeps it, beside Kubernetes' own controllers.
package controllers

import (
	"context"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // Endpoints must be encodable.
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
)

const (
	// As in the API server's own lease reconciler: k8s.io/kubernetes/pkg/controlplane.
	leaseSeconds      = 15
	endpointsInterval = 10 * time.Second
	kubernetesService = "kubernetes"
)

// Endpoints keeps this server in the Endpoints of the service `kubernetes`, with the port that clients use rather
// than the API server's own, and drops servers that are gone.
type Endpoints struct {
	reconciler reconcilers.EndpointReconciler
	ip         net.IP
	ports      []corev1.EndpointPort
}

// NewEndpoints uses the datastore `store` for the leases.
func NewEndpoints(client kubernetes.Interface, store storagebackend.TransportConfig, ip net.IP, port int) (*Endpoints, error) {
	config := storagebackend.NewDefaultConfig("/registry", legacyscheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion))
	config.Transport = store
	config.CompactionInterval = 0
	leases, err := reconcilers.NewLeases(config.ForResource(schema.GroupResource{Resource: "apiServerIPInfo"}), "/masterleases/", leaseSeconds*time.Second)
	if err != nil {
		return nil, fmt.Errorf("the datastore cannot keep the servers' leases: %w", err)
	}
	adapter := reconcilers.NewEndpointsAdapter(client.CoreV1(), client.DiscoveryV1())
	return &Endpoints{
		reconciler: reconcilers.NewLeaseEndpointReconciler(adapter, leases),
		ip:         ip,
		ports:      []corev1.EndpointPort{{Name: "https", Port: int32(port), Protocol: corev1.ProtocolTCP}},
	}, nil
}

// Run reconciles until ctx ends, then takes this server out.
func (e *Endpoints) Run(ctx context.Context) {
	for {
		if err := e.reconciler.ReconcileEndpoints(kubernetesService, e.ip, e.ports, true); err != nil {
			klog.ErrorS(err, "The service kubernetes is not up to date")
		}
		select {
		case <-time.After(endpointsInterval):
		case <-ctx.Done():
			e.reconciler.StopReconciling()
			if err := e.reconciler.RemoveEndpoints(kubernetesService, e.ip, e.ports); err != nil {
				klog.ErrorS(err, "This server is still in the service kubernetes")
			}
			e.reconciler.Destroy()
			return
		}
	}
}

// APIServers lists the API servers that the service `kubernetes` has, as host:port.
func APIServers(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	found, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(ctx, kubernetesService, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	servers := []string{}
	for _, endpoint := range found.Endpoints {
		for _, address := range endpoint.Addresses {
			for _, port := range found.Ports {
				servers = append(servers, net.JoinHostPort(address, fmt.Sprint(*port.Port)))
			}
		}
	}
	return servers, nil
}
