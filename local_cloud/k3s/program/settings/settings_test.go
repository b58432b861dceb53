package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, role Role, config string, arguments ...string) (Settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, config)
	return Read(role, append([]string{"--config", path}, arguments...), func(string) string { return "" })
}

func TestCommandLineWinsOverFileAndListsGrow(t *testing.T) {
	given, err := read(t, Server, "node-name: from-file\ntls-san: [a, b]\nsecrets-encryption: true\n", "--node-name=from-line", "--tls-san", "c")
	if err != nil {
		t.Fatal(err)
	}
	if name := given.Text("node-name"); name != "from-line" {
		t.Errorf("node-name is %q", name)
	}
	if names := given.List("tls-san"); !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("tls-san is %q", names)
	}
	if !given.Bool("secrets-encryption") {
		t.Error("secrets-encryption is off")
	}
}

func TestDropInsReplaceKeysAndAddToLists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, "node-label: [one=1]\ntls-san: [a]\n")
	write(t, path+".d/10.yaml", "node-label+: [two=2]\ntls-san: [b]\n")
	given, err := Read(Server, []string{"-c", path}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if labels := given.Raw("node-label"); !slices.Equal(labels, []string{"one=1", "two=2"}) {
		t.Errorf("node-label is %q", labels)
	}
	if names := given.List("tls-san"); !slices.Equal(names, []string{"b"}) {
		t.Errorf("tls-san is %q", names)
	}
}

func TestRefusals(t *testing.T) {
	for config, message := range map[string]string{
		"secrets-encryption-provider: secretbox":                    "secrets-encryption-provider is not supported",
		"etcd-s3-config-secret: s3":                                 "etcd-s3-config-secret is not supported",
		"etcd-s3-timeout: soon":                                     "etcd-s3-timeout",
		"etcd-snapshot-schedule-cron: often":                        "etcd-snapshot-schedule-cron",
		"cluster-reset-restore-path: /a":                            "--cluster-reset required",
		"{cluster-reset: true, token: a, server: https://k3s:6443}": "remove server from configuration",
		"disable: [nothing]":                                        `"nothing"`,
		"node-ip: here":                                             "no IP address",
		"datastore-endpoint: etcd.internal":                         "postgres://",
		"server: https://k3s:6443":                                  "--token is required",
		"write-kubeconfig-mode: rw":                                 "octal",
		"secrets-encryption: maybe":                                 "true or false",
		"datastore-endpoint: http://a:2379 ":                        "postgres://",
	} {
		if _, err := read(t, Server, config); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", config, err)
		}
	}
	for config, message := range map[string]string{
		"server: https://k3s:6443":                                   "--token is required",
		"token: secret":                                              "--server is required",
		"server: http://k3s:6443\ntoken: secret":                     "https://",
		"server: https://k3s:6443\ntoken: secret\ntls-san: [a.name]": "flag provided but not defined: -tls-san",
		"server: https://k3s:6443\ntoken: secret\nno-such-flag: 1":   "flag provided but not defined: -no-such-flag",
	} {
		if _, err := read(t, Agent, config); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func TestAServerSkipsWhatIsNoFlagOfIts(t *testing.T) {
	given, err := read(t, Server, "kubelet-args: [a=1, b=2]\nz: 1\nmap: {a: 1}\ndisable-apiserver-lb: true\nt: short\nkubelet-arg: [v=1]\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{
		"Unknown flag --kubelet-args found in config.yaml, skipping",
		"Unknown flag --kubelet-args found in config.yaml, skipping",
		"Unknown flag -z found in config.yaml, skipping",
		"Unknown flag --map found in config.yaml, skipping",
		"Unknown flag --disable-apiserver-lb found in config.yaml, skipping",
	}; !slices.Equal(given.Notices, want) {
		t.Errorf("notices are %q", given.Notices)
	}
	if arguments := given.Raw("kubelet-arg"); !slices.Equal(arguments, []string{"v=1"}) {
		t.Errorf("kubelet-arg is %q", arguments)
	}
	if token := given.Text("token"); token != "short" {
		t.Errorf("token is %q", token)
	}
}

func TestNoCommandLineHoldsAnUnknownFlag(t *testing.T) {
	for _, role := range []Role{Server, Agent} {
		_, err := read(t, role, "", "--no-such-flag=1")
		if err == nil || !strings.Contains(err.Error(), "flag provided but not defined: -no-such-flag") {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestWhatChangesNothingIsSaid(t *testing.T) {
	given, err := read(t, Server, "flannel-backend: host-gw")
	if err != nil {
		t.Fatal(err)
	}
	if len(given.Notices) != 1 || !strings.Contains(given.Notices[0], "flannel-backend has no effect here") {
		t.Errorf("notices are %q", given.Notices)
	}
}

func TestEveryFlagIsForSomeRoleAndSaysWhy(t *testing.T) {
	seen := map[string]bool{}
	for _, known := range Flags {
		if seen[known.Name] {
			t.Errorf("%s is there twice", known.Name)
		}
		seen[known.Name] = true
		if !known.Server && !known.Agent {
			t.Errorf("%s is for nobody", known.Name)
		}
		if (known.Use == Honoured) != (known.Reason == "") {
			t.Errorf("%s: a reason belongs to what is not honoured", known.Name)
		}
	}
}

func TestTokenFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "from-a-file\n")
	given, err := read(t, Agent, "server: https://k3s:6443\ntoken-file: "+path)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := given.Secret("token"); secret != "from-a-file" || err != nil {
		t.Errorf("token is %q, %v", secret, err)
	}
}
