package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileArguments reads config.yaml, then config.yaml.d/*.yaml in the order of their names, as flag arguments. A later
// file replaces a key of an earlier one, and `key+` adds to a list (docs.k3s.io/installation/configuration).
// A missing config.yaml is not an error unless it was asked for.
//
// What `skips` says of a key is left out and returned as flags, once for every value, whatever the value is.
func fileArguments(path string, required bool, skips func(key string) bool) (arguments, skipped []string, err error) {
	paths := []string{}
	if _, err := os.Stat(path); err == nil {
		paths = append(paths, path)
	} else if required || !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	dropIns, err := filepath.Glob(path + ".d/*.y*ml")
	if err != nil {
		return nil, nil, err
	}
	sort.Strings(dropIns)

	values := map[string][]string{}
	order := []string{}
	for _, path := range append(paths, dropIns...) {
		if err := readFile(path, values, &order, skips); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, key := range order {
		dashes := "--"
		if len(key) == 1 {
			dashes = "-"
		}
		for _, value := range values[key] {
			if skips(key) {
				skipped = append(skipped, dashes+key)
			} else {
				arguments = append(arguments, dashes+key+"="+value)
			}
		}
	}
	return arguments, skipped, nil
}

func readFile(path string, values map[string][]string, order *[]string, skips func(key string) bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return err
	}
	if len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return errors.New("it must hold keys and values")
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, adds := strings.CutSuffix(root.Content[i].Value, "+")
		found, err := scalars(key, root.Content[i+1])
		if skips(key) {
			found = make([]string, items(root.Content[i+1]))
		} else if err != nil {
			return err
		}
		if _, known := values[key]; !known {
			*order = append(*order, key)
		}
		if adds {
			values[key] = append(values[key], found...)
		} else {
			values[key] = found
		}
	}
	return nil
}

func items(node *yaml.Node) int {
	if node.Kind == yaml.SequenceNode {
		return len(node.Content)
	}
	return 1
}

func scalars(key string, node *yaml.Node) ([]string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		return []string{node.Value}, nil
	case yaml.SequenceNode:
		found := []string{}
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("%s: a list holds plain values only", key)
			}
			found = append(found, item.Value)
		}
		return found, nil
	default:
		return nil, fmt.Errorf("%s: a plain value or a list is expected", key)
	}
}
