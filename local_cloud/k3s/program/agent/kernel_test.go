package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheKernelIsHeldAgainstWhatTheKubeletWants(t *testing.T) {
	root := t.TempDir()
	for name, wanted := range protected {
		write(t, root, "proc/sys/"+name, wanted+"\n")
	}
	if err := checkKernel(root); err != nil {
		t.Error(err)
	}
	write(t, root, "proc/sys/vm/overcommit_memory", "0\n")
	if err := checkKernel(root); err == nil || !strings.Contains(err.Error(), "vm/overcommit_memory, expected value: 1, actual value: 0") {
		t.Errorf("got %v", err)
	}
}

func TestTheLastOfSysctlFilesCounts(t *testing.T) {
	root := t.TempDir()
	write(t, root, "etc/sysctl.d/10-first.conf", "# kernel.panic=1\nkernel.panic = 0\nvm.panic_on_oom=0\n")
	write(t, root, "etc/sysctl.d/90-kubelet.conf", "kernel.panic=10\n")
	asked, err := sysctlFiles(root)
	if err != nil || len(asked) != 2 || asked["kernel/panic"] != "10" || asked["vm/panic_on_oom"] != "0" {
		t.Errorf("asked for %v, %v", asked, err)
	}
}
