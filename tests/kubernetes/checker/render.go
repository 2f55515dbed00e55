package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// helmTemplate returns the manifests that a chart renders to, as "helm template" prints them:
// sorted by file, without the notes.
//
// values is a file that overrides the chart's own values, or "".
func helmTemplate(folder, values, release, namespace string) (string, error) {
	chart, err := loader.LoadDir(folder)
	if err != nil {
		return "", err
	}
	overrides := chartutil.Values{}
	if values != "" {
		if overrides, err = chartutil.ReadValuesFile(values); err != nil {
			return "", err
		}
	}
	if err := chartutil.ProcessDependencies(chart, overrides); err != nil {
		return "", err
	}
	options := chartutil.ReleaseOptions{
		Name: release, Namespace: namespace, Revision: 1, IsInstall: true,
	}
	// This also checks the values against the chart's values.schema.json.
	all, err := chartutil.ToRenderValues(
		chart, overrides, options, chartutil.DefaultCapabilities,
	)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, definition := range chart.CRDObjects() {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", definition.Filename, definition.File.Data)
	}
	for _, file := range slices.Sorted(maps.Keys(rendered)) {
		manifest := strings.TrimSpace(rendered[file])
		if manifest != "" && filepath.Ext(file) != ".txt" {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", file, manifest)
		}
	}
	return text.String(), nil
}

// kustomize returns the manifests that the kustomization in a folder builds.
func kustomize(folder string) (string, error) {
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	built, err := kustomizer.Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return "", err
	}
	text, err := built.AsYaml()
	return string(text), err
}

// show prints a text, or the error instead, and returns the exit status.
func show(text string, err error, stdout, stderr io.Writer) int {
	if err != nil {
		fmt.Fprintf(stderr, "error: %s\n", strings.Join(strings.Fields(err.Error()), " "))
		return exitFaults
	}
	fmt.Fprint(stdout, text)
	return exitFaultless
}
