// Package token reads and writes K3s's tokens: docs.k3s.io/cli/token.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const prefix = "K10"

// Token is a shared secret, in the secure format with the hash of the cluster's CA.
type Token struct {
	// CAHash is the SHA-256 of the CA bundle in hex; empty in the short format.
	CAHash string
	// User is `server` or `node`; empty in the short format.
	User   string
	Secret string
}

// Parse reads both formats: `<secret>` and `K10<ca hash>::<user>:<secret>`.
func Parse(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, errors.New("token must not be empty")
	}
	rest, full := strings.CutPrefix(text, prefix)
	if !full {
		if user, secret, found := strings.Cut(text, ":"); found {
			return Token{User: strings.TrimPrefix(user, ":"), Secret: secret}, nil
		}
		return Token{Secret: text}, nil
	}
	hash, credentials, found := strings.Cut(rest, "::")
	user, secret, named := strings.Cut(credentials, ":")
	if !found || !named || len(hash) != sha256.Size*2 || secret == "" {
		return Token{}, errors.New("invalid token format: must be K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>")
	}
	return Token{CAHash: hash, User: user, Secret: secret}, nil
}

// Hash is the CA hash of the secure format.
func Hash(caBundle []byte) string {
	sum := sha256.Sum256(caBundle)
	return hex.EncodeToString(sum[:])
}

// Format writes the secure format.
func Format(caBundle []byte, user, secret string) string {
	return fmt.Sprintf("%s%s::%s:%s", prefix, Hash(caBundle), user, secret)
}

// ShortHash tells secrets apart without telling them: 12 hex digits of the SHA-256, as K3s writes on snapshots.
func (t Token) ShortHash() string {
	sum := sha256.Sum256([]byte(t.Secret))
	return hex.EncodeToString(sum[:])[:12]
}

// CheckCA says whether the CA bundle that a server presents is the one the token was made for.
func (t Token) CheckCA(caBundle []byte) error {
	if hash := Hash(caBundle); t.CAHash != "" && t.CAHash != hash {
		return fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", t.CAHash, hash)
	}
	return nil
}

// Random is a new secret of `bytes` random bytes, in hex.
func Random(bytes int) string {
	buffer := make([]byte, bytes)
	if _, err := rand.Read(buffer); err != nil {
		panic(err)
	}
	return hex.EncodeToString(buffer)
}
