package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/klog/v2"
)

// protected is what the kubelet wants with protect-kernel-defaults (k8s.io/component-helpers/node/util/sysctl).
var protected = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
}

// checkKernel is what the kubelet does for protect-kernel-defaults, on the machine whose files are below `root`.
//
// A droplet of the local cloud shares its host's kernel and cannot set these parameters: there, what the droplet's
// sysctl.d asks for is held against what is wanted, and the log says so.
func checkKernel(root string) error {
	asked := map[string]string{}
	shared := readOnly(filepath.Join(root, "proc/sys/vm"))
	if shared {
		klog.Warning("protect-kernel-defaults: the kernel is the host's; checking what sysctl.d asks for instead")
		var err error
		if asked, err = sysctlFiles(root); err != nil {
			return err
		}
	}
	for name, wanted := range protected {
		found := asked[name]
		if !shared {
			text, err := os.ReadFile(filepath.Join(root, "proc/sys", name))
			if err != nil {
				return err
			}
			found = strings.TrimSpace(string(text))
		}
		if found != wanted {
			return fmt.Errorf("protect-kernel-defaults: invalid kernel flag: %s, expected value: %s, actual value: %s", name, wanted, found)
		}
	}
	return nil
}

func readOnly(path string) bool {
	var found syscall.Statfs_t
	return syscall.Statfs(path, &found) == nil && found.Flags&syscall.MS_RDONLY != 0
}

// sysctlFiles is what /etc/sysctl.d asks for: sysctl.d(5). Of a parameter that is there twice the last counts.
func sysctlFiles(root string) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(root, "etc/sysctl.d/*.conf"))
	if err != nil {
		return nil, err
	}
	asked := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			name, value, found := strings.Cut(line, "=")
			if found && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				asked[strings.ReplaceAll(strings.TrimSpace(name), ".", "/")] = strings.TrimSpace(value)
			}
		}
	}
	return asked, nil
}
