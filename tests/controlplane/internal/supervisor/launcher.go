package supervisor

import (
	"os/exec"
	"runtime"
	"syscall"
)

// launcher starts child processes that cannot outlive this one. Linux kills them
// (Pdeathsig) when the *thread* that started them ends, and Go ends threads as it
// pleases; so all of them are started from one thread that is never given back.
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
		// Ctrl-C is for the supervisor alone, which ends its children in order.
		Setpgid: true,
	}
	done := make(chan error)
	l <- func() { done <- command.Start() }
	return <-done
}
