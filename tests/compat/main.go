// Command kubernetes is kube-apiserver, kube-controller-manager and kube-scheduler of
// one release in one binary. The name it is called by selects the program, as in
// tests/controlplane/cmd/controlplane. `build` compiles it in a module of that
// release.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// words maps the name of each program to its main function, which returns the exit
// code.
var words = map[string]func() int{
	"kube-apiserver": func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-scheduler": func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
}

func main() {
	name := filepath.Base(os.Args[0])
	run, ok := words[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: call this program by the name of a part of the control plane, such as kube-apiserver\n", name)
		os.Exit(2)
	}
	os.Exit(run())
}
