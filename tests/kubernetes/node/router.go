package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/cloudnativelabs/kube-router/v2/pkg/cmd"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// runRouter runs kube-router, whose own program cannot be imported; it returns after a signal.
func runRouter() {
	flags := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(flags)
	config := options.NewKubeRouterConfig()
	words := pflag.NewFlagSet("kube-router", pflag.ExitOnError)
	config.AddFlags(words)
	_ = words.Parse(os.Args[1:])
	_ = flags.Set("v", config.VLevel)
	router, err := cmd.NewKubeRouterDefault(config)
	if err == nil {
		err = router.Run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %s\n", err)
		os.Exit(1)
	}
}
