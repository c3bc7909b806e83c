// Package supervisor runs a Kubernetes control plane until its standard input closes.
// A test that starts it holds the write end of that pipe, so the cluster stops with
// the test, even if the test is killed.
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

// errDone ends a run without an error.
var errDone = errors.New("stopped on request")

// requestsAhead is the number of requests that may queue while one is being served.
// They are read ahead so that the end of the input is noticed immediately.
const requestsAhead = 64

type options struct {
	dir   string
	nodes int
	// kubernetes is a folder with another release of kube-apiserver,
	// kube-controller-manager and kube-scheduler.
	kubernetes string

	apiserverArgs, controllerManagerArgs, schedulerArgs []string
}

// Main runs `controlplane up` and returns the exit code.
func Main(arguments []string) int {
	o := &options{}
	flags := pflag.NewFlagSet("controlplane up", pflag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", os.TempDir(), "folder in which the cluster creates its own folder")
	flags.IntVar(&o.nodes, "nodes", 2, "number of nodes")
	flags.StringVar(&o.kubernetes, "kubernetes", "", "folder with another release of kube-apiserver, kube-controller-manager and kube-scheduler")
	flags.StringArrayVar(&o.apiserverArgs, "apiserver-arg", nil, "additional argument for kube-apiserver; repeatable")
	flags.StringArrayVar(&o.controllerManagerArgs, "controller-manager-arg", nil, "additional argument for kube-controller-manager; repeatable")
	flags.StringArrayVar(&o.schedulerArgs, "scheduler-arg", nil, "additional argument for kube-scheduler; repeatable")
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

// run always returns an error: errDone, or the cause of a failure.
func run(o *options) (err error) {
	// The context of all waits. It is cancelled when the run ends: on a signal, at the
	// end of standard input, or when a part dies.
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

// endOnSignal makes signals end the run. Ending the process would leave its folder
// behind.
func endOnSignal(end context.CancelCauseFunc) {
	// Without this, a write to a caller that no longer reads would kill the process.
	// The write's error is enough.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		end(errDone)
	}()
}

// readRequests forwards lines and ends the run at the end of the input, even while a
// request is being served.
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

// response is the answer to one request.
type response struct {
	Done string `json:"done,omitempty"`
	// PID is the process ID after a start.
	PID   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
}

// serve runs the request on one line of input and returns when it is done.
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
		err = fmt.Errorf("unknown request %q: use start, stop or kill", verb)
	}
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{Done: verb + " " + part.name, PID: part.pid()}
}

// description is the line that reports that the cluster is ready and where it is.
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

// greet explains to a person how to use the cluster.
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
To stop or start a part, type "stop kube-apiserver" or "start kube-apiserver" here.
Ctrl-C stops the cluster and removes its folder.
`, c.kubeconfig, filepath.Dir(self), c.folder.path)
}
