package bootstrap

import (
	"bytes"
	"testing"
)

func TestOnlyTheTokenOpensWhatItSealed(t *testing.T) {
	sealed, err := seal("token", []byte("keys"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("keys")) {
		t.Error("the data can be read without the token")
	}
	plain, err := open("token", sealed)
	if err != nil || string(plain) != "keys" {
		t.Errorf("opened as %q, %v", plain, err)
	}
	if plain, err := open("other", sealed); err == nil {
		t.Errorf("another token opened it: %q", plain)
	}
	sealed[len(sealed)-4] ^= 1
	if plain, err := open("token", sealed); err == nil {
		t.Errorf("changed data was accepted: %q", plain)
	}
}

func TestKeyIsK3sOwn(t *testing.T) {
	// The first 12 hex digits of `printf secret | sha256sum`.
	if key := Key("secret"); key != "/bootstrap/2bb80d537b1d" {
		t.Errorf("key is %s", key)
	}
}
