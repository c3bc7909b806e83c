package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// startTimeout is long because the first start on a busy machine reads a program
	// of 200 MB from disk.
	startTimeout = 2 * time.Minute
	// stopTimeout limits a graceful stop. It equals a pod's default grace period.
	stopTimeout = 30 * time.Second
	// probeInterval is the time between health checks of a starting part, and
	// probeTimeout the timeout of each.
	probeInterval = 50 * time.Millisecond
	probeTimeout  = 5 * time.Second
	// tailLines is the number of log lines in an error.
	tailLines = 20
)

// part is one component of the control plane.
type part struct {
	name string
	// program is called with name as argument zero, followed by args.
	program string
	args    []string
	env     []string
	dir     string
	// health is the URL that returns 200 when the part is healthy.
	health string
	client *http.Client
	// log is the file with the output of all runs.
	log string

	launcher launcher
	// died is called when the part exits unexpectedly.
	died func(error)

	// running is nil while the part is stopped.
	running *process
}

// process is one run of a part.
type process struct {
	command *exec.Cmd
	// asked is set before the process is signaled to stop.
	asked atomic.Bool
	// ended is closed when the process has exited. err then has its exit status.
	ended chan struct{}
	err   error
}

// start starts the part and returns when it is healthy.
func (p *part) start(ctx context.Context) error {
	if p.running != nil {
		return fmt.Errorf("%s is already running", p.name)
	}
	run, err := p.launch()
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}

	timeout := time.After(startTimeout)
	for {
		unhealthy := p.probe(ctx)
		if unhealthy == nil {
			break
		}
		select {
		case <-time.After(probeInterval):
		case <-run.ended:
			return p.failure(fmt.Errorf("exited during start: %w", run.err))
		case <-timeout:
			run.end(syscall.SIGKILL)
			return p.failure(fmt.Errorf("not healthy after %s: %w", startTimeout, unhealthy))
		case <-ctx.Done():
			run.end(syscall.SIGKILL)
			return context.Cause(ctx)
		}
	}

	p.running = run
	go func() {
		<-run.ended
		if !run.asked.Load() {
			p.died(p.failure(fmt.Errorf("exited unexpectedly: %w", run.err)))
		}
	}()
	return nil
}

// stop stops the part gracefully, as a rollout does, and kills it after stopTimeout.
// It returns when the part has exited.
func (p *part) stop(ctx context.Context) error {
	run := p.running
	if run == nil {
		return fmt.Errorf("%s is not running", p.name)
	}
	run.asked.Store(true)
	if err := run.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case <-run.ended:
		p.running = nil
		return nil
	case <-time.After(stopTimeout):
		return p.kill()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill kills the part, like a crash, and returns when it has exited.
func (p *part) kill() error {
	if p.running == nil {
		return fmt.Errorf("%s is not running", p.name)
	}
	p.running.end(syscall.SIGKILL)
	p.running = nil
	return nil
}

// pid returns the process ID, or 0 while the part is stopped.
func (p *part) pid() int {
	if p.running == nil {
		return 0
	}
	return p.running.command.Process.Pid
}

func (p *part) launch() (*process, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	run := &process{
		command: &exec.Cmd{
			Path:   p.program,
			Args:   append([]string{p.name}, p.args...),
			Env:    p.env,
			Dir:    p.dir,
			Stdout: log,
			Stderr: log,
		},
		ended: make(chan struct{}),
	}
	if err := p.launcher.start(run.command); err != nil {
		return nil, err
	}
	go func() {
		if run.err = run.command.Wait(); run.err == nil {
			run.err = errors.New("exit status 0")
		}
		close(run.ended)
	}()
	return run, nil
}

// end sends a fatal signal and waits until the process has exited.
func (r *process) end(signal syscall.Signal) {
	r.asked.Store(true)
	_ = r.command.Process.Signal(signal)
	<-r.ended
}

// probe checks whether the part is healthy.
func (p *part) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.health, nil)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", p.health, response.Status, bytes.TrimSpace(body))
	}
	return nil
}

// failure adds the part's name and the end of its log, which has the cause, to an
// error.
func (p *part) failure(err error) error {
	return fmt.Errorf("%s: %w; last lines of %s:\n%s", p.name, err, p.log, tail(p.log))
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
