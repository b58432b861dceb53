package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Program is the name under which k3s starts itself again as etcd.
const Program = "etcd"

// removedMessage is logged by etcd's server as it stops because its member was removed (etcdserver/server.go).
const removedMessage = "data-dir used by this member must be removed"

// Run is the real etcd server, configured by the file that `arguments` names, until it is told to end. It returns the
// exit code.
func Run(arguments []string) int {
	if err := run(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	return 0
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("the path of a configuration file is expected")
	}
	config, err := embed.ConfigFromFile(arguments[0])
	if err != nil {
		return err
	}
	// etcd says it in no other way, whether the member was told by its log or by its peers.
	var removed atomic.Bool
	notice := zap.Hooks(func(entry zapcore.Entry) error {
		if entry.Message == removedMessage {
			removed.Store(true)
		}
		return nil
	})
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(config.GetLogger().WithOptions(notice))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	running, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		running.Close()
		return nil
	case err := <-running.Err():
		return err
	case <-running.Server.StopNotify():
	}
	if !removed.Load() {
		return errors.New("stopped by itself")
	}
	// The next start finds it and joins anew, as K3s's does.
	err = os.WriteFile(filepath.Join(config.Dir, tombstone), nil, 0o600)
	return errors.Join(errors.New("this member has been removed from the cluster"), err)
}
