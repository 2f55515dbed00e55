package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// definitions has the custom kinds that the CustomResourceDefinitions of a folder define. Each is
// compiled when the first object of its kind is checked.
type definitions map[schema.GroupVersionKind]func() (*definition, error)

// A definition is one served version of a custom kind.
type definition struct {
	namespaced bool
	schema     *structural.Structural
	values     schemavalidation.SchemaValidator
	rules      *cel.Validator // Its x-kubernetes-validations, or nil if it has none.
}

// readDefinitions reads the *.yaml files in a folder, each of which has one definition. Without a
// folder there are none.
func readDefinitions(folder string) (definitions, error) {
	found := definitions{}
	if folder == "" {
		return found, nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("there is no *.yaml in it")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := found.add(data); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return found, nil
}

// add adds the served versions of a CustomResourceDefinition.
func (d definitions) add(data []byte) error {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		gvk := schema.GroupVersionKind{
			Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind,
		}
		d[gvk] = sync.OnceValues(func() (*definition, error) {
			compiled, err := newDefinition(version)
			if err != nil {
				return nil, fmt.Errorf("the definition of %s: %w", gvk, err)
			}
			compiled.namespaced = crd.Spec.Scope == apiextensionsv1.NamespaceScoped
			return compiled, nil
		})
	}
	return nil
}

// newDefinition compiles the schema of a version and the rules in it.
func newDefinition(version apiextensionsv1.CustomResourceDefinitionVersion) (*definition, error) {
	if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
		return nil, errors.New("it has no schema")
	}
	var internal apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		version.Schema.OpenAPIV3Schema, &internal, nil,
	)
	if err != nil {
		return nil, err
	}
	structure, err := structural.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	values, _, err := schemavalidation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	rules := cel.NewValidator(structure, true, celconfig.PerCallLimit)
	return &definition{schema: structure, values: values, rules: rules}, nil
}

// check returns the faults of a custom object, each as "field: message", in the order in which the
// API server looks for them.
func (d *definition) check(m manifest) []string {
	var content map[string]any
	duplicates, err := json.UnmarshalStrict(m.json, &content)
	if err != nil {
		return []string{err.Error()}
	}
	messages := strictMessages(duplicates)
	metadata, found, unknown, err := objectmeta.GetObjectMetaWithOptions(
		content, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true},
	)
	if err != nil {
		return append(messages, fmt.Sprintf("metadata: %v", err))
	}
	if !found {
		metadata = &metav1.ObjectMeta{}
	}
	options := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	unknown = append(unknown, pruning.PruneWithOptions(content, d.schema, true, options)...)
	for _, path := range unknown {
		messages = append(messages, path+": unknown field")
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(content, d.schema)
	defaulting.Default(content, d.schema)

	if d.namespaced {
		metadata.Namespace = cmp.Or(metadata.Namespace, metav1.NamespaceDefault)
	}
	faults := validation.ValidateObjectMeta(
		metadata, d.namespaced, validation.NameIsDNSSubdomain, field.NewPath("metadata"),
	)
	faults = append(faults, schemavalidation.ValidateCustomResource(nil, content, d.values)...)
	faults = append(faults, objectmeta.Validate(nil, content, d.schema, false)...)
	faults = append(faults, listtype.ValidateListSetsAndMaps(nil, d.schema, content)...)
	if d.rules != nil && len(faults) == 0 {
		broken, _ := d.rules.Validate(
			context.Background(), nil, d.schema, content, nil, celconfig.RuntimeCELCostBudget,
		)
		faults = append(faults, broken...)
	}
	for _, fault := range faults {
		messages = append(messages, fault.Error())
	}
	return messages
}
