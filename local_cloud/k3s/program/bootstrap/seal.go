// Package bootstrap keeps what all servers share (authorities, keys, the encryption configuration) in the datastore,
// sealed with the server token, as K3s does: docs.k3s.io/datastore and docs.k3s.io/cli/token ("Server").
package bootstrap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"k3s.local/k3s/token"
)

const (
	// PBKDF2 with SHA-1, 4096 rounds and a 32 byte key, then AES-GCM: what K3s uses (its pkg/cluster/encrypt.go).
	rounds    = 4096
	keyBytes  = 32
	saltBytes = 8
	hashChars = 12
)

// Key is the datastore key of the data that is sealed with a secret.
func Key(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "/bootstrap/" + hex.EncodeToString(sum[:])[:hashChars]
}

func seal(secret string, plain []byte) ([]byte, error) {
	salt := token.Random(saltBytes)
	box, err := newBox(secret, salt)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return []byte(salt + ":" + base64.StdEncoding.EncodeToString(box.Seal(nonce, nonce, plain, nil))), nil
}

func open(secret string, sealed []byte) ([]byte, error) {
	salt, text, found := strings.Cut(string(sealed), ":")
	if !found {
		return nil, errors.New("bootstrap data has no salt")
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	box, err := newBox(secret, salt)
	if err != nil {
		return nil, err
	}
	if len(data) < box.NonceSize() {
		return nil, errors.New("bootstrap data is too short")
	}
	return box.Open(nil, data[:box.NonceSize()], data[box.NonceSize():], nil)
}

func newBox(secret, salt string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha1.New, secret, []byte(salt), rounds, keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
