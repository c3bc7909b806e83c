// Command tools has the programs that the tests of pipelines run: kustomize, and
// actionlint, which checks workflows of GitHub Actions. The name it is called by selects
// the program.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rhysd/actionlint"
	"sigs.k8s.io/kustomize/kustomize/v5/commands"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "actionlint":
		command := actionlint.Command{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
		os.Exit(command.Main(os.Args))
	case "kustomize":
		if err := commands.NewDefaultCommand().Execute(); err != nil {
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "%s: call this program as actionlint or kustomize\n", name)
		os.Exit(2)
	}
}
