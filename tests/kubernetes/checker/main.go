// Checker checks Kubernetes manifests with the API server's own code, without a cluster, and
// renders Helm charts and kustomizations.
//
// It exits with 0 if it finds no fault, 1 if it finds one, and 2 if its arguments are wrong.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
)

const usage = `usage: checker validate [-definitions FOLDER] [-enforce LEVEL] FILE...
       checker helm-template [-name RELEASE] [-namespace NAMESPACE] CHART [VALUES]
       checker kustomize FOLDER

A FILE of validate may be - for the standard input.
`

// Exit statuses.
const (
	exitFaultless = iota
	exitFaults
	exitUsage
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one subcommand and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }

	var options validateOptions
	var release, namespace string
	most := 1
	switch args[0] {
	case "validate":
		flags.StringVar(&options.definitions, "definitions", "", "")
		flags.StringVar(&options.enforce, "enforce", "privileged", "")
		most = math.MaxInt
	case "helm-template":
		flags.StringVar(&release, "name", "release", "")
		flags.StringVar(&namespace, "namespace", "default", "")
		most = 2
	case "kustomize":
	default:
		flags.Usage()
		return exitUsage
	}
	if flags.Parse(args[1:]) != nil { // It prints the error and the usage.
		return exitUsage
	}
	if flags.NArg() < 1 || flags.NArg() > most {
		flags.Usage()
		return exitUsage
	}

	switch args[0] {
	case "helm-template":
		return print(stdout, stderr)(helmTemplate(flags.Arg(0), flags.Arg(1), release, namespace))
	case "kustomize":
		return print(stdout, stderr)(kustomize(flags.Arg(0)))
	}
	options.files = flags.Args()
	return validate(options, stdin, stdout, stderr)
}
