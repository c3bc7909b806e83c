package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// Exec is `controlplane exec -- PROGRAM ARGUMENT...`: it runs one program until the
// program exits or standard input closes, and returns its exit code. If this process
// is killed, so is the program.
func Exec(arguments []string) int {
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 {
		fmt.Fprintln(os.Stderr, "usage: controlplane exec -- PROGRAM [ARGUMENT...]")
		return 2
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	command := exec.Command(arguments[0], arguments[1:]...)
	// Passed as files, so that no output is left to copy when the program exits.
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := newLauncher().start(command); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane exec:", err)
		return 1
	}
	go func() {
		for caught := range signals {
			_ = command.Process.Signal(caught)
		}
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = command.Process.Kill()
	}()

	err := command.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return ended.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane exec:", err)
		return 1
	}
	return 0
}
