// Package kine serves etcd's API from a table in PostgreSQL, MySQL or SQLite, as K3s's kine does, by kine's own library.
package kine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	_ "github.com/k3s-io/kine/pkg/drivers/mysql"
	_ "github.com/k3s-io/kine/pkg/drivers/pgsql"
	_ "github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/k3s-io/kine/pkg/tls"
	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Program is the name under which k3s starts itself again as kine.
const Program = "kine"

// kine's own defaults (github.com/k3s-io/kine, pkg/app), but for compactInterval, which kine's command leaves at 0. Its
// drivers for NATS and S3 stay out: they take as long to build as the rest.
const (
	compactInterval     = 5 * time.Minute
	compactTimeout      = 5 * time.Second
	compactMinRetain    = 1000
	compactBatchSize    = 1000
	pollBatchSize       = 500
	notifyInterval      = 5 * time.Second
	emulatedEtcdVersion = "3.6.11"
	gracefulStop        = 2 * time.Second
)

// Config is what kine is told, as JSON on standard input: the datastore's password is in it, and everybody on a machine
// can read a process's arguments.
type Config struct {
	// Socket is the path of the Unix socket to serve at.
	Socket string `json:"socket"`
	// Endpoint is a datastore-endpoint of K3s's.
	Endpoint        string `json:"endpoint"`
	CAFile          string `json:"ca-file"`
	CertificateFile string `json:"cert-file"`
	KeyFile         string `json:"key-file"`
}

// Run is kine, configured by `input`, until it is told to end. It returns the exit code.
func Run(input io.Reader) int {
	if err := run(input); err != nil {
		fmt.Fprintln(os.Stderr, "kine:", err)
		return 1
	}
	return 0
}

func run(input io.Reader) error {
	config := Config{}
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("the configuration on standard input: %w", err)
	}
	// Left out, they would be kine's defaults: files in the working directory.
	if config.Socket == "" || config.Endpoint == "" {
		return errors.New("the configuration on standard input: socket and endpoint are expected")
	}
	return serve(config)
}

// serve does what kine's pkg/endpoint does, without the drivers that are not used here.
func serve(config Config) error {
	logrus.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.RFC3339Nano})
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// The backend outlives the requests that it answers.
	working, end := context.WithCancel(context.Background())
	defer end()
	var tasks sync.WaitGroup
	_, backend, err := drivers.New(working, &tasks, &drivers.Config{
		Endpoint: config.Endpoint,
		BackendTLSConfig: tls.Config{
			CAFile:   config.CAFile,
			CertFile: config.CertificateFile,
			KeyFile:  config.KeyFile,
		},
		CompactInterval:  compactInterval,
		CompactTimeout:   compactTimeout,
		CompactMinRetain: compactMinRetain,
		CompactBatchSize: compactBatchSize,
		PollBatchSize:    pollBatchSize,
	})
	if err != nil {
		// The endpoint is not said: it may contain a password.
		return fmt.Errorf("the datastore endpoint: %w", err)
	}
	if err := backend.Start(working); err != nil {
		return fmt.Errorf("starting the backend: %w", err)
	}
	front := grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: embed.DefaultGRPCKeepAliveMinTime}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time:    embed.DefaultGRPCKeepAliveInterval,
			Timeout: embed.DefaultGRPCKeepAliveTimeout,
		}),
	)
	server.New(backend, "unix", notifyInterval, emulatedEtcdVersion).Register(front)
	listener, err := listen(config.Socket)
	if err != nil {
		return err
	}
	go func() {
		<-told.Done()
		timer := time.AfterFunc(gracefulStop, front.Stop)
		defer timer.Stop()
		front.GracefulStop()
		end()
	}()
	logrus.Infof("Kine available at unix://%s", config.Socket)
	if err := front.Serve(listener); err != nil {
		return err
	}
	<-working.Done()
	tasks.Wait()
	return nil
}

func listen(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	return listener, os.Chmod(socket, 0o600)
}
