"""What a cluster is besides its machines, in one encrypted file: its datastore's content, its tokens, its K3s version.

K3s keeps all of its state in one table when the datastore is SQL: kine's (github.com/k3s-io/kine, pkg/drivers), of the
same nine columns in every engine. Its rows are copied as they are, by K3s's own user, without a client of the engine on
any machine; so a backup from one engine can be restored into another. etcd is no table: of it, K3s takes and restores
snapshots, which go into etcd only.
"""
