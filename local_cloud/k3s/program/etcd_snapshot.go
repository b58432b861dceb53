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

// etcdSnapshot is `k3s etcd-snapshot` (docs.k3s.io/cli/etcd-snapshot) for the snapshots of this server, and those in
// the bucket. Settings come from config.yaml, as in K3s.
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
	inBucket := snapshots.Bucket != nil
	for _, name := range []string{"s3", "etcd-s3"} {
		flags.BoolVar(&inBucket, name, inBucket, "")
	}
	// What the stand-in does not do may be declined.
	declined := map[string]*bool{}
	for _, name := range []string{"snapshot-compress", "etcd-snapshot-compress"} {
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
	if !inBucket {
		snapshots.Bucket = nil
	} else if snapshots.Bucket == nil {
		return errors.New("etcd-s3 is set in config.yaml, or not at all: this stand-in for K3s takes the bucket from there")
	}
	ctx := context.Background()
	switch command {
	case "save":
		created, err := snapshots.Take(ctx, name)
		if err != nil {
			return fmt.Errorf("failed to take etcd snapshot: %w", err)
		}
		for _, snapshot := range created {
			fmt.Fprintf(os.Stderr, "level=info msg=\"Snapshot %s saved.\"\n", snapshot)
		}
		return nil
	case "ls", "list", "l":
		return listSnapshots(ctx, snapshots)
	case "delete":
		return deleteSnapshots(ctx, snapshots, flags.Args())
	case "prune":
		if err := snapshots.Prune(name, keep); err != nil || snapshots.Bucket == nil {
			return err
		}
		return snapshots.Bucket.Prune(ctx, name)
	default:
		return fmt.Errorf("k3s etcd-snapshot %s: save, ls, delete or prune is expected", command)
	}
}

func deleteSnapshots(ctx context.Context, snapshots etcd.Snapshots, names []string) error {
	for _, name := range names {
		places := []error{os.Remove(filepath.Join(snapshots.Folder, filepath.Base(name)))}
		if snapshots.Bucket != nil {
			places = append(places, snapshots.Bucket.Delete(ctx, filepath.Base(name)))
		}
		found := false
		for _, err := range places {
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			found = found || err == nil
		}
		if !found {
			return fmt.Errorf("snapshot %s not found", name)
		}
		fmt.Fprintf(os.Stderr, "level=info msg=\"Snapshot %s deleted.\"\n", name)
	}
	return nil
}

func listSnapshots(ctx context.Context, snapshots etcd.Snapshots) error {
	found, err := snapshots.List()
	if err != nil {
		return err
	}
	if snapshots.Bucket != nil {
		remote, err := snapshots.Bucket.List(ctx)
		if err != nil {
			return err
		}
		found = append(found, remote...)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "Name\tLocation\tSize\tCreated")
	for _, each := range found {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", each.Name, each.Location, each.Size, each.Created.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}
