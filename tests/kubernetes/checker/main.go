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

	switch args[0] {
	case "validate":
		var options validateOptions
		flags.StringVar(&options.definitions, "definitions", "", "")
		flags.StringVar(&options.enforce, "enforce", "privileged", "")
		if parsed(flags, args[1:], math.MaxInt) {
			options.files = flags.Args()
			return validate(options, stdin, stdout, stderr)
		}
	case "helm-template":
		release := flags.String("name", "release", "")
		namespace := flags.String("namespace", "default", "")
		if parsed(flags, args[1:], 2) {
			text, err := helmTemplate(flags.Arg(0), flags.Arg(1), *release, *namespace)
			return show(text, err, stdout, stderr)
		}
	case "kustomize":
		if parsed(flags, args[1:], 1) {
			text, err := kustomize(flags.Arg(0))
			return show(text, err, stdout, stderr)
		}
	default:
		flags.Usage()
	}
	return exitUsage
}

// parsed parses the arguments of a subcommand, which takes between one file and most of them. If
// they are wrong, it prints the usage and returns false.
func parsed(flags *flag.FlagSet, args []string, most int) bool {
	if flags.Parse(args) != nil { // It has printed the usage.
		return false
	}
	if flags.NArg() < 1 || flags.NArg() > most {
		flags.Usage()
		return false
	}
	return true
}
