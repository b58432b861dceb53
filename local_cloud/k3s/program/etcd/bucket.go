package etcd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"k8s.io/klog/v2"

	"k3s.local/k3s/pki"
)

// Names of what an uploaded snapshot says of itself, as K3s has them (its pkg/etcd/s3).
const (
	nodeNameKey  = "K3s-Node-Name"
	tokenHashKey = "K3s-Token-Hash"
)

// Bucket is where snapshots go besides the server's disk: a bucket with S3's API, and a folder in it that may be "".
//
// As in K3s it is asked for when it is first needed: a server starts without it, and takes its snapshots.
type Bucket struct {
	Endpoint, Name, Region, Folder string
	AccessKey, SecretKey           string
	// EndpointCA is the path of a bundle of authorities; with none the machine's own are trusted.
	EndpointCA    string
	SkipSSLVerify bool
	Insecure      bool
	Timeout       time.Duration
	// Retention is how many scheduled snapshots are kept there: of all servers together, since K3s counts all whose
	// name begins alike.
	Retention int
	// NodeName and TokenHash are what an uploaded snapshot says of itself.
	NodeName, TokenHash string
}

// Upload copies a snapshot file into the bucket.
func (b Bucket) Upload(ctx context.Context, file string) error {
	return b.with(ctx, func(ctx context.Context, client *minio.Client) error {
		key := b.key(filepath.Base(file))
		klog.Infof("Uploading snapshot to s3://%s/%s", b.Name, key)
		_, err := client.FPutObject(ctx, b.Name, key, file, minio.PutObjectOptions{
			NumThreads:   2,
			ContentType:  "application/octet-stream",
			UserMetadata: map[string]string{nodeNameKey: b.NodeName, tokenHashKey: b.TokenHash},
		})
		return err
	})
}

// Download copies the snapshot called `name` into `folder`, and returns its path.
func (b Bucket) Download(ctx context.Context, name, folder string) (string, error) {
	file := filepath.Join(folder, filepath.Base(name))
	err := b.with(ctx, func(ctx context.Context, client *minio.Client) error {
		if err := client.FGetObject(ctx, b.Name, b.key(name), file, minio.GetObjectOptions{}); err != nil {
			return fmt.Errorf("failed to download snapshot from S3: %w", err)
		}
		return os.Chmod(file, 0o600)
	})
	return file, err
}

// List is every snapshot in the bucket's folder, whichever server took it, oldest first.
func (b Bucket) List(ctx context.Context) ([]Snapshot, error) {
	prefix := ""
	if b.Folder != "" {
		prefix = b.Folder + "/"
	}
	return b.list(ctx, prefix)
}

// Delete removes the snapshot called `name`; os.ErrNotExist if there is none.
func (b Bucket) Delete(ctx context.Context, name string) error {
	return b.with(ctx, func(ctx context.Context, client *minio.Client) error {
		if _, err := client.StatObject(ctx, b.Name, b.key(name), minio.StatObjectOptions{}); err != nil {
			if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
				return os.ErrNotExist
			}
			return err
		}
		return client.RemoveObject(ctx, b.Name, b.key(name), minio.RemoveObjectOptions{})
	})
}

// Prune removes the oldest snapshots whose names begin with `name`, so that Retention are left. With none nothing goes.
func (b Bucket) Prune(ctx context.Context, name string) error {
	if b.Retention < 1 {
		return nil
	}
	found, err := b.list(ctx, b.key(name))
	if err != nil {
		return err
	}
	for _, old := range found[:max(0, len(found)-b.Retention)] {
		klog.Infof("Removing S3 snapshot: %s", old.Location)
		// Another server may have been quicker.
		if err := b.Delete(ctx, old.Name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (b Bucket) list(ctx context.Context, prefix string) ([]Snapshot, error) {
	found := []Snapshot{}
	err := b.with(ctx, func(ctx context.Context, client *minio.Client) error {
		for object := range client.ListObjects(ctx, b.Name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if object.Err != nil {
				return object.Err
			}
			location := fmt.Sprintf("s3://%s/%s", b.Name, object.Key)
			found = append(found, Snapshot{path.Base(object.Key), location, object.Size, object.LastModified})
		}
		return nil
	})
	slices.SortStableFunc(found, func(a, b Snapshot) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(taken(a.Name), taken(b.Name)))
	})
	return found, err
}

func (b Bucket) key(name string) string { return path.Join(b.Folder, name) }

// with does something in the bucket, once it has been seen that it is there and lets us in.
func (b Bucket) with(ctx context.Context, do func(context.Context, *minio.Client) error) error {
	attempt, cancel := context.WithTimeout(ctx, b.Timeout)
	defer cancel()
	client, err := b.open(attempt)
	if err != nil {
		return fmt.Errorf("failed to initialize S3 client: %w", err)
	}
	return do(attempt, client)
}

func (b Bucket) open(ctx context.Context) (*minio.Client, error) {
	if b.Name == "" {
		return nil, errors.New("s3 bucket name was not set")
	}
	if b.AccessKey == "" || b.SecretKey == "" {
		return nil, errors.New("failed to get credentials: etcd-s3-access-key and etcd-s3-secret-key are needed")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	if b.SkipSSLVerify {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // #nosec G402 -- what the flag is for.
	} else if b.EndpointCA != "" {
		bundle, err := os.ReadFile(b.EndpointCA)
		if err != nil {
			return nil, err
		}
		pool, err := pki.Pool(bundle)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	client, err := minio.New(b.Endpoint, &minio.Options{
		Creds:     credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""),
		Secure:    !b.Insecure,
		Region:    b.Region,
		Transport: transport,
	})
	if err != nil {
		return nil, err
	}
	exists, err := client.BucketExists(ctx, b.Name)
	if err != nil {
		return nil, fmt.Errorf("failed to test for existence of bucket %s: %w", b.Name, err)
	}
	if !exists {
		return nil, fmt.Errorf("bucket %s does not exist", b.Name)
	}
	return client, nil
}
