package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k3s.local/k3s/settings"
)

// secretsEncrypt shows what `k3s secrets-encrypt status` shows first (docs.k3s.io/cli/secrets-encrypt), read from this
// server's files. Keys cannot be rotated here.
func secretsEncrypt(arguments []string) error {
	if len(arguments) != 1 || arguments[0] != "status" {
		return errors.New("k3s secrets-encrypt: this stand-in for K3s has only `status`")
	}
	given, err := settings.Read(settings.Server, nil, os.Getenv)
	if err != nil {
		return err
	}
	folder := filepath.Join(given.Text("data-dir"), "server")
	if _, err := os.Stat(filepath.Join(folder, "token")); err != nil {
		return fmt.Errorf("no server has run on this machine: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "cred", "encryption-config.json"))
	if errors.Is(err, os.ErrNotExist) {
		fmt.Println("Encryption Status: Disabled, no configuration file found")
		return nil
	}
	if err != nil {
		return err
	}
	var config struct {
		Resources []struct {
			Providers []map[string]struct{ Keys []struct{ Name string } }
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	fmt.Print("Encryption Status: Enabled\nCurrent Rotation Stage: start\n\nActive  Key Type  Name\n------  --------  ----\n")
	for _, resource := range config.Resources {
		for _, provider := range resource.Providers {
			for _, key := range provider["aescbc"].Keys {
				fmt.Printf(" *      AES-CBC   %s\n", key.Name)
			}
		}
	}
	return nil
}
