package supervisor

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"k3s.local/k3s/token"
)

const (
	passwordRounds = 10000
	passwordBytes  = 32
	passwordSalt   = 8
	passwordField  = "hash"
)

// ErrRejected is K3s's own answer to a node that comes with another password than the first one of its name.
var ErrRejected = errors.New("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' " + //nolint:staticcheck // K3s's own words.
	"may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag")

// NodePasswords keeps one hashed password per node name, as Secrets `<node>.node-password.k3s` in kube-system.
type NodePasswords struct {
	Client kubernetes.Interface
}

// SecretName is the name of a node's Secret.
func SecretName(node string) string { return strings.ToLower(node) + ".node-password.k3s" }

// Check keeps the password of a name that is new, and compares that of one that is known.
func (p NodePasswords) Check(ctx context.Context, node, password string) error {
	secrets := p.Client.CoreV1().Secrets(metav1.NamespaceSystem)
	found, err := secrets.Get(ctx, SecretName(node), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		salt := token.Random(passwordSalt)
		hash, err := hashPassword(password, salt)
		if err != nil {
			return err
		}
		_, err = secrets.Create(ctx, &v1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: SecretName(node)},
			StringData: map[string]string{passwordField: hash},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return fmt.Errorf("failed to read the node's password: %w", err)
	}
	kept := string(found.Data[passwordField])
	salt, _, _ := strings.Cut(kept, ":")
	hash, err := hashPassword(password, salt)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(hash), []byte(kept)) != 1 {
		return ErrRejected
	}
	return nil
}

func hashPassword(password, salt string) (string, error) {
	key, err := pbkdf2.Key(sha256.New, password, []byte(salt), passwordRounds, passwordBytes)
	return salt + ":" + hex.EncodeToString(key), err
}
