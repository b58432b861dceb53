package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"k3s.local/k3s/agent"
	"k3s.local/k3s/server"
	"k3s.local/k3s/settings"
)

// runNode runs a server or an agent until it is told to end, or until one of its programs ends by itself: then systemd
// starts all of it again.
func runNode(role settings.Role, arguments []string) error {
	given, err := settings.Read(role, arguments, os.Getenv)
	if err != nil {
		return err
	}
	var level klog.Level
	verbosity := given.Number("v")
	if given.Bool("debug") {
		verbosity = max(verbosity, 1)
	}
	if err := level.Set(strconv.Itoa(verbosity)); err != nil {
		return err
	}
	klog.Infof("Starting k3s %s (stand-in)", version.Get().GitVersion)
	for _, notice := range given.Notices {
		klog.Warning(notice)
	}

	signalled, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithCancelCause(signalled)
	defer cancel(nil)

	if given.Bool("cluster-reset") {
		return server.Reset(ctx, given)
	}
	end, err := start(ctx, given, append([]string{string(role)}, arguments...), func(err error) { cancel(err) })
	defer end()
	if err == nil {
		klog.Infof("k3s %s is up and running", role)
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			return fmt.Errorf("systemd cannot be told: %w", err)
		}
		<-ctx.Done()
	} else if ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	klog.Info("Stopping")
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return nil
}

func start(ctx context.Context, given settings.Settings, arguments []string, failed func(error)) (func(), error) {
	if given.Role == settings.Server {
		running, err := server.Start(ctx, given, arguments, failed)
		return running.Stop, err
	}
	secret, err := given.Secret("token")
	if err != nil {
		return func() {}, err
	}
	node := &agent.Agent{
		Settings:  given,
		Token:     secret,
		ServerURL: given.Text("server"),
		Balance:   true,
		Arguments: arguments,
		Failed:    failed,
	}
	return node.Stop, node.Start(ctx)
}
