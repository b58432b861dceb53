// Command kept_connections asks the API as controllers do, who must not notice a rolling update: with client-go, over
// connections that are kept. It ends when its standard input does, and prints what became of it as JSON.
//
// Half of its clients speak HTTP/2, the others HTTP/1.1. One writes, and a watch, which is begun anew whenever it ends,
// must see all of that.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	readers       = 8
	readInterval  = 160 * time.Millisecond // 50 requests a second together
	writeInterval = 200 * time.Millisecond
	// A person's kubectl waits longer; what takes this long would be noticed.
	requestTimeout = 10 * time.Second
	// A few thousand objects on a busy machine; nothing is measured any more.
	cleanupPatience = 45 * time.Second
	// After the last write, for the watch to hear of it.
	watchPatience = 10 * time.Second
	namespace     = "default"
	label         = "kept-connections"
	// What is kept of failures: the first ones say enough.
	failuresShown = 50
)

type result struct {
	mutex   sync.Mutex
	Asked   int      `json:"asked"`
	Failed  int      `json:"failed"`
	Errors  []string `json:"errors"`
	Slowest float64  `json:"slowest"`
	Missed  []string `json:"missed"`
}

func (r *result) note(what string, began time.Time, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.Asked++
	r.Slowest = max(r.Slowest, time.Since(began).Seconds())
	if err == nil {
		return
	}
	r.Failed++
	if len(r.Errors) < failuresShown {
		r.Errors = append(r.Errors, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), what, err))
	}
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	// A dialer of its own gives each client a connection of its own: client-go shares those of equal configurations.
	client := func(protocols ...string) (*kubernetes.Clientset, error) {
		own := rest.CopyConfig(config)
		own.QPS = -1
		own.NextProtos = protocols
		own.Dial = (&net.Dialer{Timeout: requestTimeout}).DialContext
		return kubernetes.NewForConfig(own)
	}
	writer, err := client()
	if err != nil {
		return err
	}
	seen, err := follow(client)
	if err != nil {
		return err
	}
	asked, stop := context.WithCancel(context.Background())
	result := &result{Errors: []string{}, Missed: []string{}}
	var working sync.WaitGroup
	for i := range readers {
		name, protocols := "HTTP/2", []string(nil)
		if i%2 == 1 {
			name, protocols = "HTTP/1.1", []string{"http/1.1"}
		}
		reader, err := client(protocols...)
		if err != nil {
			stop()
			return err
		}
		working.Go(func() {
			repeat(asked, readInterval, func(ctx context.Context, _ int) {
				began := time.Now()
				_, err := reader.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
				result.note(name+", reading", began, err)
			})
		})
	}
	writes := 0
	working.Go(func() {
		repeat(asked, writeInterval, func(ctx context.Context, n int) {
			began := time.Now()
			written := object(n)
			_, err := writer.CoreV1().ConfigMaps(namespace).Create(ctx, written, metav1.CreateOptions{})
			result.note("HTTP/2, writing "+written.Name, began, err)
			writes = n + 1
		})
	})
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	working.Wait()
	heard := time.Now().Add(watchPatience)
	for n := range writes {
		if name := object(n).Name; !seen.before(name, heard) {
			result.Missed = append(result.Missed, name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupPatience)
	defer cancel()
	if err := writer.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, labelled()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// repeat calls `ask` at every interval, one call after the other, until ctx ends. A call that is under way then goes on.
func repeat(ctx context.Context, interval time.Duration, ask func(context.Context, int)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		request, cancel := context.WithTimeout(context.Background(), requestTimeout)
		ask(request, n)
		cancel()
	}
}

func object(n int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name:   fmt.Sprintf("%s-%05d", label, n),
		Labels: map[string]string{label: "true"},
	}}
}

func labelled() metav1.ListOptions { return metav1.ListOptions{LabelSelector: label} }

// names are those of the objects that a watch has seen.
type names struct {
	mutex sync.Mutex
	seen  map[string]bool
}

func (n *names) before(name string, end time.Time) bool {
	for ; ; time.Sleep(100 * time.Millisecond) {
		n.mutex.Lock()
		found := n.seen[name]
		n.mutex.Unlock()
		if found || time.Now().After(end) {
			return found
		}
	}
}

// follow watches the objects with our label. Its watch is begun anew, from where it was, whenever it ends.
func follow(client func(...string) (*kubernetes.Clientset, error)) (*names, error) {
	watcher, err := client()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	objects := watcher.CoreV1().ConfigMaps(namespace)
	now, err := objects.List(ctx, labelled())
	if err != nil {
		return nil, err
	}
	events, err := watchtools.NewRetryWatcherWithContext(ctx, now.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = label
			return objects.Watch(ctx, options)
		},
	})
	if err != nil {
		return nil, err
	}
	found := &names{seen: map[string]bool{}}
	go func() {
		for event := range events.ResultChan() {
			if object, ok := event.Object.(*corev1.ConfigMap); ok && event.Type == watch.Added {
				found.mutex.Lock()
				found.seen[object.Name] = true
				found.mutex.Unlock()
			}
		}
	}()
	return found, nil
}
