// Package supervisor runs a Kubernetes control plane for as long as somebody wants
// it: until its standard input closes. A test that starts it holds the other end of
// that pipe, so whichever way the test ends, the cluster ends too.
package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// errDone ends a run that nothing is wrong with.
var errDone = errors.New("asked to end")

// requestsAhead is how many requests may wait while one is being served. They are
// read early so that the end of the input, which comes after them, is seen at once.
const requestsAhead = 64

type options struct {
	dir   string
	nodes int

	apiserverArgs, controllerManagerArgs, schedulerArgs []string
}

// Main is `controlplane up`. It returns the exit code.
func Main(arguments []string) int {
	o := &options{}
	flags := pflag.NewFlagSet("controlplane up", pflag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", os.TempDir(), "the folder in which the cluster makes its own")
	flags.IntVar(&o.nodes, "nodes", 2, "how many nodes to make")
	flags.StringArrayVar(&o.apiserverArgs, "apiserver-arg", nil, "one more argument for kube-apiserver; repeatable")
	flags.StringArrayVar(&o.controllerManagerArgs, "controller-manager-arg", nil, "one more argument for kube-controller-manager; repeatable")
	flags.StringArrayVar(&o.schedulerArgs, "scheduler-arg", nil, "one more argument for kube-scheduler; repeatable")
	err := flags.Parse(arguments)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane up:", err)
		return 2
	}
	if err := run(o); err != nil && !errors.Is(err, errDone) {
		fmt.Fprintln(os.Stderr, "controlplane up:", err)
		return 1
	}
	return 0
}

// run always returns an error: errDone, or what went wrong.
func run(o *options) (err error) {
	// The one context of everything that waits. It ends when the run does: by
	// signal, by the end of standard input, or because a part died.
	ctx, end := context.WithCancelCause(context.Background())
	endOnSignal(end)
	requests := make(chan string, requestsAhead)
	go readRequests(ctx, os.Stdin, requests, end)

	folder, err := newFolder(o.dir)
	if err != nil {
		return err
	}
	defer func() {
		if failed := folder.remove(); failed != nil {
			err = failed
		}
	}()
	cluster, err := newCluster(folder, o, end)
	if err != nil {
		return err
	}
	defer cluster.kill()

	people := term.IsTerminal(int(os.Stdin.Fd()))
	say := func(string, ...any) {}
	if people {
		say = func(format string, arguments ...any) { fmt.Fprintf(os.Stderr, format+"\n", arguments...) }
	}
	if err := cluster.start(ctx, o.nodes, say); err != nil {
		return err
	}
	if people {
		greet(cluster)
	}
	if !people || !term.IsTerminal(int(os.Stdout.Fd())) {
		if err := answer(describe(cluster)); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case request := <-requests:
			if err := answer(cluster.serve(ctx, request)); err != nil {
				return err
			}
		}
	}
}

// endOnSignal ends the run instead of the process, which would leave the folder.
func endOnSignal(end context.CancelCauseFunc) {
	// Without this, Go dies of writing to a caller that no longer reads. The
	// write's error is enough.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		end(errDone)
	}()
}

// readRequests passes lines on, and ends the run with the end of the input, even
// while a request is being served.
func readRequests(ctx context.Context, input io.Reader, requests chan<- string, end context.CancelCauseFunc) {
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		select {
		case requests <- lines.Text():
		case <-ctx.Done():
			return
		}
	}
	end(errDone)
}

// response answers one request, or one that could not be served.
type response struct {
	Done string `json:"done,omitempty"`
	// PID is the new process after a start.
	PID   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
}

// serve does what a line of input asks for, and returns when it is done.
func (c *cluster) serve(ctx context.Context, request string) response {
	verb, name, _ := strings.Cut(strings.TrimSpace(request), " ")
	part, err := c.parts.named(strings.TrimSpace(name))
	if err != nil {
		return response{Error: err.Error()}
	}
	switch verb {
	case "start":
		err = part.start(ctx)
	case "stop":
		err = part.stop(ctx)
	case "kill":
		err = part.kill()
	default:
		err = fmt.Errorf("cannot %q a part: it is start, stop or kill", verb)
	}
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{Done: verb + " " + part.name, PID: part.pid()}
}

// description is the line that says that the cluster is ready, and where.
type description struct {
	Kubeconfig string            `json:"kubeconfig"`
	Dir        string            `json:"dir"`
	APIServer  endpoint          `json:"apiserver"`
	CA         string            `json:"ca"`
	AuditLog   string            `json:"auditLog"`
	PIDs       map[string]int    `json:"pids"`
	Logs       map[string]string `json:"logs"`
}

type endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

func describe(c *cluster) description {
	d := description{
		Kubeconfig: c.kubeconfig,
		Dir:        c.folder.path,
		APIServer:  endpoint{Host: loopback, Port: c.ports.apiserver.number},
		CA:         c.pki.ca.certificateFile,
		AuditLog:   c.auditLog(),
		PIDs:       map[string]int{},
		Logs:       map[string]string{},
	}
	for _, part := range c.parts.all() {
		d.PIDs[part.name] = part.pid()
		d.Logs[part.name] = part.log
	}
	return d
}

func answer(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

// greet tells a person how to use the cluster.
func greet(c *cluster) {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	fmt.Fprintf(os.Stderr, `
The cluster is ready. In another terminal:

  export KUBECONFIG=%s
  export PATH=%s:$PATH
  kubectl get nodes

Logs, keys and the audit log are in %s.
"stop kube-apiserver" or "start kube-apiserver" here stops or starts a part.
Ctrl-C ends the cluster and removes everything.
`, c.kubeconfig, filepath.Dir(self), c.folder.path)
}
