package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/trace/noop"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	remote "k8s.io/cri-client/pkg"
	fakeremote "k8s.io/cri-client/pkg/fake"
	"k8s.io/klog/v2"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/cluster/ports"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
)

const (
	maxPods        = 110
	runtimeTimeout = 15 * time.Second
	probeTimeout   = 5 * time.Second
)

// newKubeletCommand is the real kubelet over Kubernetes' own fake container runtime (pkg/kubemark), with the real
// kubelet's flags: Pods become Running as far as the API can tell, and no container runs.
func newKubeletCommand() *cobra.Command {
	flags, config := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		KubeletPort: ports.KubeletPort,
		MaxPods:     maxPods,
		NodeLabels:  map[string]string{},
	})
	command := &cobra.Command{
		Use:           Kubelet,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			// As the real kubelet's command does: cmd/kubelet/app/server.go.
			if err := options.ValidateKubeletFlags(flags); err != nil {
				return fmt.Errorf("failed to validate kubelet flags: %w", err)
			}
			cliflag.PrintFlags(command.Flags())
			return runKubelet(command.Context(), flags, config)
		},
	}
	set := pflag.NewFlagSet(Kubelet, pflag.ContinueOnError)
	flags.AddFlags(set)
	options.AddKubeletConfigFlags(set, config)
	command.Flags().AddFlagSet(set)
	return command
}

func runKubelet(ctx context.Context, flags *options.KubeletFlags, config *kubeletconfig.KubeletConfiguration) error {
	client, heartbeat, err := clients(flags.KubeConfig, config)
	if err != nil {
		return err
	}
	endpoint, err := fakeremote.GenerateEndpoint()
	if err != nil {
		return err
	}
	fake := fakeremote.NewFakeRemoteRuntime()
	if err := fake.Start(endpoint); err != nil {
		return fmt.Errorf("the fake container runtime does not start: %w", err)
	}
	defer fake.Stop()
	runtimeService, err := remote.NewRemoteRuntimeService(ctx, endpoint, runtimeTimeout, noop.NewTracerProvider(), false)
	if err != nil {
		return err
	}
	hardware := &machine{root: flags.RootDirectory}
	hollow := kubemark.NewHollowKubelet(flags, config, client, heartbeat, hardware, fake.ImageService, runtimeService,
		capacity{cm.NewStubContainerManager(), hardware})

	if hollow.KubeletDeps.TLSOptions, err = kubeletapp.InitializeTLS(ctx, flags, config); err != nil {
		return err
	}
	auth, reloadCA, err := kubeletapp.BuildAuth(types.NodeName(flags.HostnameOverride), client, *config)
	if err != nil {
		return err
	}
	hollow.KubeletDeps.Auth = auth
	go reloadCA(ctx.Done())
	go serveHealth(config)
	hollow.Run(ctx)
	return nil
}

func clients(kubeconfig string, config *kubeletconfig.KubeletConfiguration) (client, heartbeat *clientset.Clientset, err error) {
	settings, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	settings.UserAgent = Kubelet
	settings.ContentType = config.ContentType
	settings.QPS = float32(config.KubeAPIQPS)
	settings.Burst = int(config.KubeAPIBurst)
	if client, err = clientset.NewForConfig(settings); err != nil {
		return nil, nil, err
	}
	// Heartbeats must neither wait for other requests nor hang longer than a lease lasts.
	pulse := *settings
	pulse.Timeout = min(config.NodeStatusUpdateFrequency.Duration, time.Duration(config.NodeLeaseDurationSeconds)*time.Second)
	pulse.QPS = -1
	heartbeat, err = clientset.NewForConfig(&pulse)
	return client, heartbeat, err
}

// serveHealth answers on the kubelet's healthz port: healthy while the kubelet's own server completes TLS handshakes.
func serveHealth(config *kubeletconfig.KubeletConfiguration) {
	own := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(config.Port)))
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		dialer := &net.Dialer{Timeout: probeTimeout}
		// Only that it answers is asked here; who answers is checked by those who use it.
		connection, err := tls.DialWithDialer(dialer, "tcp", own, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = connection.Close()
		_, _ = w.Write([]byte("ok"))
	})
	address := net.JoinHostPort(config.HealthzBindAddress, strconv.Itoa(int(config.HealthzPort)))
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: probeTimeout}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		klog.ErrorS(err, "The healthz port cannot be served", "address", address)
	}
}
