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
	// startTimeout is generous: the first start on a busy machine reads 200 MB of
	// program from disk.
	startTimeout = 2 * time.Minute
	// stopTimeout is how long a part may take over an orderly end, as for a pod.
	stopTimeout = 30 * time.Second
	// probeInterval is how often a starting part is asked whether it is healthy, and
	// probeTimeout how long it may think about it.
	probeInterval = 50 * time.Millisecond
	probeTimeout  = 5 * time.Second
	// tailLines is how much of a part's log goes into an error.
	tailLines = 20
)

// part is one component of the control plane.
type part struct {
	name string
	// program is called with name as its zeroth argument, and then args.
	program string
	args    []string
	env     []string
	dir     string
	// health is the URL that answers 200 once the part does its work.
	health string
	client *http.Client
	// log is the file that takes all output of all runs.
	log string

	launcher launcher
	// died is told when the part ends though nobody asked it to.
	died func(error)

	// running is nil while the part is stopped.
	running *process
}

// process is one run of a part.
type process struct {
	command *exec.Cmd
	// asked is set before the process is told to end.
	asked atomic.Bool
	// ended is closed when it has ended and err says how.
	ended chan struct{}
	err   error
}

// start returns when the part is healthy.
func (p *part) start(ctx context.Context) error {
	if p.running != nil {
		return fmt.Errorf("%s is running already", p.name)
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
			return p.failure(fmt.Errorf("ended while it started: %w", run.err))
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
			p.died(p.failure(fmt.Errorf("ended on its own: %w", run.err)))
		}
	}()
	return nil
}

// stop ends the part in order, as a rollout does, or by force if it takes too long.
// It returns when the part is gone.
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

// kill ends the part at once, as a crash does, and returns when it is gone.
func (p *part) kill() error {
	if p.running == nil {
		return fmt.Errorf("%s is not running", p.name)
	}
	p.running.end(syscall.SIGKILL)
	p.running = nil
	return nil
}

// pid is 0 while the part is stopped.
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

// end sends a signal that the process cannot survive, and waits for its end.
func (r *process) end(signal syscall.Signal) {
	r.asked.Store(true)
	_ = r.command.Process.Signal(signal)
	<-r.ended
}

// probe asks the part whether it is healthy.
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

// failure is an error of the part with the end of its log, which is where the
// reason stands.
func (p *part) failure(err error) error {
	return fmt.Errorf("%s: %w; its log %s ends with\n%s", p.name, err, p.log, tail(p.log))
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
