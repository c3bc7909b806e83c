package supervisor

import (
	"os/exec"
	"runtime"
	"syscall"
)

// launcher starts child processes that cannot outlive this one. With Pdeathsig, Linux
// kills a child when the *thread* that started it exits, and Go may end any idle
// thread. All children are therefore started from one locked thread that never exits.
type launcher chan func()

func newLauncher() launcher {
	l := make(launcher)
	go func() {
		runtime.LockOSThread()
		for start := range l {
			start()
		}
	}()
	return l
}

func (l launcher) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		// Only the supervisor receives Ctrl-C. It then stops its children.
		Setpgid: true,
	}
	done := make(chan error)
	l <- func() { done <- command.Start() }
	return <-done
}
