package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrOtherToken is K3s's own message for a server that comes with another token than the first one.
var ErrOtherToken = errors.New("bootstrap data already found and encrypted with different token")

// Load reads the data sealed with `secret`, or reports false where the datastore is new.
func Load(ctx context.Context, store *clientv3.Client, secret string) (Data, bool, error) {
	found, err := store.Get(ctx, "/bootstrap/", clientv3.WithPrefix())
	if err != nil {
		return Data{}, false, fmt.Errorf("failed to read bootstrap data: %w", err)
	}
	for _, pair := range found.Kvs {
		if string(pair.Key) != Key(secret) {
			continue
		}
		plain, err := open(secret, pair.Value)
		if err != nil {
			return Data{}, false, fmt.Errorf("failed to open bootstrap data: %w", err)
		}
		var data Data
		return data, true, json.Unmarshal(plain, &data)
	}
	if len(found.Kvs) > 0 {
		return Data{}, false, ErrOtherToken
	}
	return Data{}, false, nil
}

// Save keeps the data of a new cluster and returns what the cluster has from now on: where another server was
// quicker, that is the other's. (Two real K3s servers that start together on an empty SQL datastore may go on with a
// CA each; start the first alone there.)
func Save(ctx context.Context, store *clientv3.Client, secret string, data Data) (Data, error) {
	plain, err := json.Marshal(data)
	if err != nil {
		return Data{}, err
	}
	sealed, err := seal(secret, plain)
	if err != nil {
		return Data{}, err
	}
	key := Key(secret)
	created, err := store.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(sealed))).
		Commit()
	if err != nil {
		return Data{}, fmt.Errorf("failed to save bootstrap data: %w", err)
	}
	if created.Succeeded {
		return data, nil
	}
	winner, _, err := Load(ctx, store, secret)
	return winner, err
}
