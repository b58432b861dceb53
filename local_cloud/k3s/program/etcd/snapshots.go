package etcd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	clientsnapshot "go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

const snapshotPatience = 5 * time.Minute

// Snapshots are those of one server: where they lie, what scheduled ones are called, and how many of them are kept.
type Snapshots struct {
	Folder    string
	NodeName  string
	Name      string
	Retention int
	Files     Files
	// Bucket is where they go as well, or nil.
	Bucket *Bucket
}

// Snapshot is one file, on the server's disk (`file://`) or in a bucket (`s3://`). Its name is `<name>-<node>-<seconds>`.
type Snapshot struct {
	Name     string
	Location string
	Size     int64
	Created  time.Time
}

// Take saves a snapshot, and sends it to the bucket if there is one. It returns its name, once for each place that has
// it. As in K3s a bucket that cannot be reached is no failure: that is logged, and the snapshot is on the disk.
func (s Snapshots) Take(ctx context.Context, name string) ([]string, error) {
	file, err := s.save(ctx, name)
	if err != nil {
		return nil, err
	}
	created := []string{filepath.Base(file)}
	if s.Bucket == nil {
		return created, nil
	}
	if err := s.Bucket.Upload(ctx, file); err != nil {
		klog.Errorf("Error received during snapshot upload to S3: %v", err)
		return created, nil
	}
	klog.Infof("S3 upload complete for %s", filepath.Base(file))
	return append(created, filepath.Base(file)), nil
}

// save takes a snapshot called `<name>-<node>-<seconds>` from this server's own member and returns its path.
func (s Snapshots) save(ctx context.Context, name string) (string, error) {
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return "", err
	}
	config, err := clientConfig(s.Files, Endpoint)
	if err != nil {
		return "", err
	}
	attempt, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	path := filepath.Join(s.Folder, fmt.Sprintf("%s-%s-%d", name, s.NodeName, time.Now().Unix()))
	_, err = clientsnapshot.SaveWithVersion(attempt, zap.NewNop(), config, path)
	return path, err
}

// List is every snapshot on this server's disk, oldest first.
func (s Snapshots) List() ([]Snapshot, error) {
	entries, err := os.ReadDir(s.Folder)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := []Snapshot{}
	for _, entry := range entries {
		state, err := entry.Info()
		if err != nil || entry.IsDir() || strings.HasSuffix(entry.Name(), ".part") {
			continue
		}
		found = append(found, Snapshot{entry.Name(), "file://" + filepath.Join(s.Folder, entry.Name()), state.Size(), state.ModTime()})
	}
	slices.SortStableFunc(found, func(a, b Snapshot) int { return cmp.Compare(taken(a.Name), taken(b.Name)) })
	return found, nil
}

// Prune removes the oldest snapshots called `name` from this server's disk, so that `keep` are left.
func (s Snapshots) Prune(name string, keep int) error {
	all, err := s.List()
	if err != nil {
		return err
	}
	for _, old := range surplus(all, name+"-"+s.NodeName, keep) {
		klog.Infof("Removing local snapshot %s", old.Name)
		if err := os.Remove(filepath.Join(s.Folder, old.Name)); err != nil {
			return err
		}
	}
	return nil
}

// surplus are the oldest of `all` (oldest first) whose name is `<prefix>-<seconds>`, beyond the `keep` newest.
func surplus(all []Snapshot, prefix string, keep int) []Snapshot {
	ours := slices.DeleteFunc(slices.Clone(all), func(s Snapshot) bool {
		rest, found := strings.CutPrefix(s.Name, prefix+"-")
		return !found || strings.Trim(rest, "0123456789") != ""
	})
	return ours[:max(0, len(ours)-max(keep, 1))]
}

func taken(name string) int {
	seconds, _ := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	return seconds
}

// Scheduled takes snapshots when `Schedule` says so, until its context ends.
type Scheduled struct {
	Snapshots
	Schedule cron.Schedule
}

// ParseSchedule reads a cron expression as K3s does: five fields, or `@every 1h` and its like.
func ParseSchedule(text string) (cron.Schedule, error) { return cron.ParseStandard(text) }

// Run works until ctx ends.
func (s Scheduled) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(s.Schedule.Next(time.Now()))):
		}
		created, err := s.Take(ctx, s.Name)
		if err == nil {
			klog.Infof("Saved etcd snapshot %s", created[0])
			err = s.Prune(s.Name, s.Retention)
		}
		if err == nil && s.Bucket != nil {
			// Also where the upload failed: a full bucket may be why.
			err = s.Bucket.Prune(ctx, s.Name)
		}
		if err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Failed to take etcd snapshot")
		}
	}
}

// Restore makes the member's data anew from a snapshot; what was there is put aside. The member is alone in its cluster
// and has a new name.
func (m *Member) Restore(path string) error {
	state, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("etcd: snapshot path does not exist: %s", path)
	}
	if state.IsDir() {
		return fmt.Errorf("etcd: snapshot path must be a file, not a directory: %s", path)
	}
	if err := PutAside(m.Folder); err != nil {
		return err
	}
	m.newName()
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        path,
		Name:                m.Name,
		OutputDataDir:       m.Folder,
		PeerURLs:            []string{m.PeerURL()},
		InitialCluster:      m.Name + "=" + m.PeerURL(),
		InitialClusterToken: "etcd-cluster",
	})
	if err != nil {
		return err
	}
	return m.keepName()
}
