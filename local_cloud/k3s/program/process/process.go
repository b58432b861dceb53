// Package process runs the programs that a K3s node is made of as children of the k3s process.
package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Child is a running program.
type Child struct {
	Name string
	// Ended is closed when the program has ended; Err says how.
	Ended chan struct{}
	Err   error
	pid   int
}

// Start runs `executable` under the name `name` (its argv[0]). Output goes to standard error, and so to the journal.
// The child dies with this process, whatever ends it, because its ports and files must be free for the next one.
// `input` is all it reads on standard input: secrets go there, because everybody can read arguments.
func Start(name, executable string, arguments, environment []string, input string) (*Child, error) {
	command := exec.Command(executable, arguments...)
	command.Args[0] = name
	command.Stdin = strings.NewReader(input)
	command.Stdout = os.Stderr
	command.Stderr = os.Stderr
	// systemd is told of readiness by k3s itself, once.
	command.Env = append(withoutNotifySocket(os.Environ()), environment...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	child := &Child{Name: name, Ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread that started the child ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		if err == nil {
			child.pid = command.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		child.Err = command.Wait()
		close(child.Ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s does not start: %w", name, err)
	}
	return child, nil
}

// Self is the path of this program.
func Self() (string, error) { return filepath.EvalSymlinks("/proc/self/exe") }

// Stop asks the child to end, and ends it after `patience`.
func (c *Child) Stop(patience time.Duration) {
	select {
	case <-c.Ended:
		return
	default:
	}
	_ = syscall.Kill(c.pid, syscall.SIGTERM)
	select {
	case <-c.Ended:
	case <-time.After(patience):
		_ = syscall.Kill(c.pid, syscall.SIGKILL)
		<-c.Ended
	}
}

// WatchFor calls `failed` when the child ends before ctx does.
func (c *Child) WatchFor(ctx context.Context, failed func(error)) {
	go func() {
		select {
		case <-ctx.Done():
		case <-c.Ended:
			if ctx.Err() == nil {
				failed(fmt.Errorf("%s exited by itself (%v): see the lines above", c.Name, c.Err))
			}
		}
	}()
}

func withoutNotifySocket(environment []string) []string {
	kept := []string{}
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "NOTIFY_SOCKET=") {
			kept = append(kept, entry)
		}
	}
	return kept
}
