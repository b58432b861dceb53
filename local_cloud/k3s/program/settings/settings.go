package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Role is the command: `k3s server` or `k3s agent`.
type Role string

// The two roles of a node.
const (
	Server Role = "server"
	Agent  Role = "agent"
)

// Settings are the values of all flags after environment, config files and command line, in rising order of weight.
type Settings struct {
	Role   Role
	values map[string][]string
	// Notices are sentences for the log about what changes nothing here.
	Notices []string
}

// collected is the flag.Value of one flag: what was given replaces the default, and lists grow.
type collected struct {
	flag   Flag
	values *[]string
}

func (c collected) String() string   { return "" }
func (c collected) IsBoolFlag() bool { return c.flag.Kind == Bool }

func (c collected) Set(value string) error {
	switch c.flag.Kind {
	case Bool:
		if _, err := strconv.ParseBool(value); err != nil {
			return errors.New("true or false is expected")
		}
	case Number:
		if _, err := strconv.Atoi(value); err != nil {
			return errors.New("a number is expected")
		}
	}
	if c.flag.Kind == List {
		*c.values = append(*c.values, value)
	} else {
		*c.values = []string{value}
	}
	return nil
}

// Read parses the arguments after `k3s server` or `k3s agent`.
//
// A key of config.yaml that is no flag of a server is skipped with a warning, and one that is no flag of an agent is an
// error: github.com/k3s-io/k3s, pkg/configfilearg, stripInvalidFlags in parser.go, which knows the flags of the commands
// in DefaultParser.ValidFlags of defaultparser.go: `server` is among them, `agent` is not. So since v1.22.4 and v1.21.7
// (pull request 4464); before, and on the command line always, it is an error for both.
func Read(role Role, arguments []string, environment func(string) string) (Settings, error) {
	path, required := configPath(arguments, environment)
	names := map[string]bool{}
	for _, known := range Flags {
		if known.has(role) {
			names[known.Name] = true
			if known.Short != "" {
				names[known.Short] = true
			}
		}
	}
	skips := func(key string) bool { return role == Server && !names[key] }
	fromFile, skipped, err := fileArguments(path, required, skips)
	if err != nil {
		return Settings{}, fmt.Errorf("failed to read config: %w", err)
	}
	given := map[string]*[]string{}
	set := flag.NewFlagSet("k3s "+string(role), flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, known := range Flags {
		if !known.has(role) {
			continue
		}
		values := []string{}
		given[known.Name] = &values
		set.Var(collected{known, &values}, known.Name, "")
		if known.Short != "" {
			set.Var(collected{known, &values}, known.Short, "")
		}
	}
	if err := set.Parse(append(fromFile, arguments...)); err != nil {
		return Settings{}, err
	}
	if extra := set.Args(); len(extra) > 0 {
		return Settings{}, fmt.Errorf("unexpected argument %q", extra[0])
	}
	settings := Settings{Role: role, values: map[string][]string{}}
	for _, name := range skipped {
		settings.Notices = append(settings.Notices, fmt.Sprintf("Unknown flag %s found in config.yaml, skipping", name))
	}
	for _, known := range Flags {
		values, applies := given[known.Name]
		if !applies {
			continue
		}
		if text := environment(known.Environment); len(*values) == 0 && known.Environment != "" && text != "" {
			if err := (collected{known, values}).Set(text); err != nil {
				return Settings{}, fmt.Errorf("%s: %w", known.Environment, err)
			}
		}
		if len(*values) > 0 && known.Use == Refused && (*values)[0] != "false" {
			return Settings{}, fmt.Errorf("%s is not supported by this stand-in for K3s: %s", known.Name, known.Reason)
		}
		if len(*values) > 0 && known.Use == Logged {
			settings.Notices = append(settings.Notices, fmt.Sprintf("%s has no effect here: %s", known.Name, known.Reason))
		}
		if len(*values) == 0 && known.Default != "" {
			*values = []string{known.Default}
		}
		settings.values[known.Name] = *values
	}
	return settings, settings.check()
}

func configPath(arguments []string, environment func(string) string) (string, bool) {
	for i, argument := range arguments {
		name, value, joined := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if !strings.HasPrefix(argument, "-") || name != "config" && name != "c" {
			continue
		}
		if joined {
			return value, true
		}
		if i+1 < len(arguments) {
			return arguments[i+1], true
		}
	}
	if path := environment("K3S_CONFIG_FILE"); path != "" {
		return path, true
	}
	return "/etc/rancher/k3s/config.yaml", false
}

// Text is a flag's last value, or "".
func (s Settings) Text(name string) string {
	if values := s.values[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// List is all values of a list flag; commas separate values too, as K3s has it for addresses and components.
func (s Settings) List(name string) []string {
	found := []string{}
	for _, value := range s.values[name] {
		for _, part := range strings.Split(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				found = append(found, part)
			}
		}
	}
	return found
}

// Raw is all values of a list flag as they were given, for labels and arguments that may hold commas.
func (s Settings) Raw(name string) []string { return s.values[name] }

// Bool is whether a flag is true.
func (s Settings) Bool(name string) bool { return s.Text(name) == "true" }

// Number is a numeric flag's value, 0 where it was not given.
func (s Settings) Number(name string) int {
	number, _ := strconv.Atoi(s.Text(name))
	return number
}

// Secret is the value of a flag, or else the content of the file that `<name>-file` names.
func (s Settings) Secret(name string) (string, error) {
	if text := s.Text(name); text != "" {
		return text, nil
	}
	path := s.Text(name + "-file")
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

// Components that `disable` may name (docs.k3s.io/installation/packaged-components).
var Components = []string{"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"}

func (s Settings) check() error {
	for _, name := range s.List("disable") {
		if !slices.Contains(Components, name) {
			return fmt.Errorf("invalid value for --disable: %q (valid items: %s)", name, strings.Join(Components, ", "))
		}
	}
	for _, name := range []string{"node-ip", "node-external-ip", "advertise-address"} {
		for _, value := range s.List(name) {
			if net.ParseIP(value) == nil {
				return fmt.Errorf("invalid value for --%s: %q is no IP address", name, value)
			}
		}
	}
	for _, name := range []string{"cluster-cidr", "service-cidr"} {
		for _, value := range s.List(name) {
			if _, _, err := net.ParseCIDR(value); err != nil {
				return fmt.Errorf("invalid value for --%s: %w", name, err)
			}
		}
	}
	if text := s.Text("server"); text != "" {
		if address, err := url.Parse(text); err != nil || address.Scheme != "https" || address.Host == "" {
			return fmt.Errorf("invalid value for --server: only https:// URLs are supported (have %s)", text)
		}
	}
	if mode := s.Text("write-kubeconfig-mode"); mode != "" {
		if _, err := strconv.ParseUint(mode, 8, 32); err != nil {
			return fmt.Errorf("invalid value for --write-kubeconfig-mode: %q is no octal mode", mode)
		}
	}
	endpoint, _, isURL := strings.Cut(s.Text("datastore-endpoint"), "://")
	if s.Text("datastore-endpoint") != "" && (!isURL || !slices.Contains([]string{"sqlite", "postgres", "postgresql", "mysql"}, endpoint)) {
		return errors.New("invalid value for --datastore-endpoint: this stand-in for K3s has sqlite://, postgres:// and mysql://")
	}
	if s.Role == Server {
		if err := s.checkEtcd(); err != nil {
			return err
		}
	}
	if s.Role == Agent {
		token, err := s.Secret("token")
		if err != nil {
			return err
		}
		if token == "" {
			return errors.New("--token is required")
		}
		if s.Text("server") == "" {
			return errors.New("--server is required")
		}
	}
	return nil
}

func (s Settings) checkEtcd() error {
	if s.Text("server") != "" && s.Text("datastore-endpoint") == "" {
		token, err := s.Secret("token")
		if err != nil {
			return err
		}
		if token == "" {
			return errors.New("--token is required to join a cluster")
		}
	}
	if s.Bool("cluster-reset") && s.Text("server") != "" {
		return errors.New("cannot perform cluster-reset while server URL is set - remove server from configuration before resetting")
	}
	if s.Text("cluster-reset-restore-path") != "" && !s.Bool("cluster-reset") {
		return errors.New("invalid flag use; --cluster-reset required with --cluster-reset-restore-path")
	}
	if _, err := cron.ParseStandard(s.Text("etcd-snapshot-schedule-cron")); err != nil {
		return fmt.Errorf("invalid value for --etcd-snapshot-schedule-cron: %w", err)
	}
	if _, err := time.ParseDuration(s.Text("etcd-s3-timeout")); err != nil {
		return fmt.Errorf("invalid value for --etcd-s3-timeout: %w", err)
	}
	return nil
}
