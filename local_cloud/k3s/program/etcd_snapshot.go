package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"k3s.local/k3s/etcd"
	"k3s.local/k3s/server"
	"k3s.local/k3s/settings"
)

// etcdSnapshot is `k3s etcd-snapshot` (docs.k3s.io/cli/etcd-snapshot) for the snapshots of this server. Settings come
// from config.yaml, as in K3s.
func etcdSnapshot(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("k3s etcd-snapshot: save, ls, delete or prune is expected")
	}
	given, err := settings.Read(settings.Server, nil, os.Getenv)
	if err != nil {
		return err
	}
	snapshots, err := server.SnapshotsOf(given)
	if err != nil {
		return err
	}
	command := arguments[0]
	flags := flag.NewFlagSet("k3s etcd-snapshot "+command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, name := range []string{"dir", "etcd-snapshot-dir"} {
		flags.StringVar(&snapshots.Folder, name, snapshots.Folder, "")
	}
	// What the stand-in does not do may be declined.
	declined := map[string]*bool{}
	for _, name := range []string{"s3", "etcd-s3", "snapshot-compress", "etcd-snapshot-compress"} {
		declined[name] = flags.Bool(name, false, "")
	}
	name, keep := "on-demand", snapshots.Retention
	if command == "save" || command == "prune" {
		flags.StringVar(&name, "name", name, "")
	}
	if command == "prune" {
		for _, name := range []string{"snapshot-retention", "etcd-snapshot-retention"} {
			flags.IntVar(&keep, name, keep, "")
		}
	}
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	for name, wanted := range declined {
		if *wanted {
			return fmt.Errorf("k3s etcd-snapshot %s: --%s is not supported by this stand-in for K3s", command, name)
		}
	}
	switch command {
	case "save":
		path, err := snapshots.Save(context.Background(), name)
		if err != nil {
			return fmt.Errorf("failed to take etcd snapshot: %w", err)
		}
		fmt.Fprintf(os.Stderr, "level=info msg=\"Snapshot %s saved.\"\n", filepath.Base(path))
		return nil
	case "ls", "list", "l":
		return listSnapshots(snapshots)
	case "delete":
		for _, snapshot := range flags.Args() {
			if err := os.Remove(filepath.Join(snapshots.Folder, filepath.Base(snapshot))); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "level=info msg=\"Snapshot %s deleted.\"\n", snapshot)
		}
		return nil
	case "prune":
		return snapshots.Prune(name, keep)
	default:
		return fmt.Errorf("k3s etcd-snapshot %s: save, ls, delete or prune is expected", command)
	}
}

func listSnapshots(snapshots etcd.Snapshots) error {
	found, err := snapshots.List()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "Name\tLocation\tSize\tCreated")
	for _, each := range found {
		fmt.Fprintf(table, "%s\tfile://%s\t%d\t%s\n", each.Name, each.Path, each.Size, each.Created.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}
