package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"k8s.io/pod-security-admission/api"
)

// validateOptions are the arguments of the subcommand validate.
type validateOptions struct {
	definitions string   // Folder of CustomResourceDefinitions, or "".
	enforce     string   // Pod Security level of namespaces that are in no file.
	files       []string // Files with manifests; "-" is the standard input.
}

// A fault is one reason why an API server would reject an object or warn about it.
type fault struct {
	file    string
	object  string // "Kind/name", or the number of the document if it has none.
	message string // "field: message", where a field is known.
}

// String returns the fault as one line, whatever characters the manifest has.
func (f fault) String() string {
	words := strings.FieldsFunc(f.object+": "+f.message, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsGraphic(r)
	})
	return f.file + ": " + strings.Join(words, " ")
}

// validate prints the faults in all objects of the files and returns the exit status.
//
// All files together are what a user would apply to an empty cluster.
func validate(options validateOptions, stdin io.Reader, stdout, stderr io.Writer) int {
	level, err := api.ParseLevel(options.enforce)
	if err != nil {
		fmt.Fprintf(stderr, "error: -enforce=%s: %v\n", options.enforce, err)
		return exitUsage
	}
	custom, err := readDefinitions(options.definitions)
	if err != nil {
		fmt.Fprintf(stderr, "error: -definitions=%s: %v\n", options.definitions, err)
		return exitUsage
	}

	var manifests []manifest
	var faults []fault
	for _, file := range options.files {
		read, found, err := readManifests(file, stdin)
		if err != nil {
			fmt.Fprintf(stderr, "error: %v\n", err)
			return exitUsage
		}
		manifests = append(manifests, read...)
		faults = append(faults, found...)
	}
	security := newPolicies(manifests, level)
	for _, m := range manifests {
		for _, message := range check(m, custom, security) {
			faults = append(faults, fault{m.file, m.object(), message})
		}
	}
	for _, f := range faults {
		fmt.Fprintln(stdout, f)
	}
	if len(faults) > 0 {
		return exitFaults
	}
	return exitFaultless
}

// check returns the faults of one object, each as "field: message".
func check(m manifest, custom definitions, security *policies) []string {
	gvk := m.GroupVersionKind()
	if builtIn, ok := strategies[gvk]; ok {
		object, messages := checkBuiltIn(m, builtIn)
		if object != nil {
			messages = append(messages, security.check(m, object)...)
		}
		return messages
	}
	if compiled, ok := custom[gvk]; ok {
		definition, err := compiled()
		if err != nil {
			return []string{err.Error()}
		}
		return definition.check(m)
	}
	// The words of kubectl.
	return []string{fmt.Sprintf("no matches for kind %q in version %q", m.Kind, m.APIVersion)}
}
