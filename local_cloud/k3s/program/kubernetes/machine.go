package kubernetes

import (
	"bufio"
	"context"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// machine tells the kubelet what this machine really has; of containers it knows nothing, as there are none.
type machine struct {
	cadvisortest.Fake
	root string
}

func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{
		NumCores:       cores(),
		MemoryCapacity: memoryBytes(),
		MachineID:      readLine("/etc/machine-id"),
		BootID:         readLine("/proc/sys/kernel/random/boot_id"),
		SystemUUID:     readLine("/etc/machine-id"),
	}, nil
}

func (m *machine) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	return &cadvisorapi.VersionInfo{
		KernelVersion:      readLine("/proc/sys/kernel/osrelease"),
		ContainerOsVersion: osName(),
	}, nil
}

func (m *machine) RootFsInfo() (cadvisorapiv2.FsInfo, error) { return m.GetDirFsInfo(m.root) }

func (m *machine) ImagesFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return m.GetDirFsInfo(m.root)
}

func (m *machine) GetDirFsInfo(path string) (cadvisorapiv2.FsInfo, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return cadvisorapiv2.FsInfo{}, err
	}
	block := uint64(stat.Bsize)
	return cadvisorapiv2.FsInfo{
		Capacity:  stat.Blocks * block,
		Available: stat.Bavail * block,
		Usage:     (stat.Blocks - stat.Bfree) * block,
	}, nil
}

// capacity adds the disk to what the stub container manager reports, so that Pods may ask for ephemeral storage.
type capacity struct {
	cm.ContainerManager
	machine *machine
}

func (c capacity) GetCapacity(localStorageCapacityIsolation bool) v1.ResourceList {
	list := c.ContainerManager.GetCapacity(localStorageCapacityIsolation)
	disk, err := c.machine.RootFsInfo()
	if err != nil || !localStorageCapacityIsolation {
		return list
	}
	found := v1.ResourceList{}
	for name, quantity := range list {
		found[name] = quantity
	}
	found[v1.ResourceEphemeralStorage] = *resource.NewQuantity(int64(disk.Capacity), resource.BinarySI)
	return found
}

// memoryBytes is the machine's memory, or its control group's limit where that is less.
func memoryBytes() uint64 {
	bytes := uint64(math.MaxUint64)
	if file, err := os.Open("/proc/meminfo"); err == nil {
		defer file.Close()
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			fields := strings.Fields(scanner.Text())
			if len(fields) > 1 && fields[0] == "MemTotal:" {
				kibibytes, _ := strconv.ParseUint(fields[1], 10, 64)
				bytes = kibibytes * 1024
			}
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if limit, err := strconv.ParseUint(readLine(path), 10, 64); err == nil && limit < bytes {
			bytes = limit
		}
	}
	return bytes
}

// cores is the number of CPUs this process may use, or its control group's quota where that is less.
func cores() int {
	count := runtime.NumCPU()
	quota, period := readLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), readLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
	if fields := strings.Fields(readLine("/sys/fs/cgroup/cpu.max")); len(fields) == 2 {
		quota, period = fields[0], fields[1]
	}
	q, errQuota := strconv.ParseFloat(quota, 64)
	p, errPeriod := strconv.ParseFloat(period, 64)
	if errQuota == nil && errPeriod == nil && q > 0 && p > 0 {
		count = min(count, int(math.Ceil(q/p)))
	}
	return count
}

func osName() string {
	text, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); found {
			return strings.Trim(name, `"'`)
		}
	}
	return "Linux"
}

func readLine(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}
