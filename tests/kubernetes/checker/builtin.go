package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// strict decodes like an API server that is asked for fieldValidation=Strict.
var strict = json.NewSerializerWithOptions(
	json.DefaultMetaFactory,
	legacyscheme.Scheme,
	legacyscheme.Scheme,
	json.SerializerOptions{Strict: true},
)

// warnings collects the warnings that an API server sends beside its answer.
type warnings []string

// AddWarning implements warning.Recorder.
func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// checkBuiltIn decodes an object of a built-in kind, sets its defaults, and does what the API
// server does before it stores the object. It returns the object in its own version, or nil if it
// cannot be decoded, and the faults, warnings among them.
func checkBuiltIn(m manifest, s rest.RESTCreateStrategy) (runtime.Object, []string) {
	gvk := m.GroupVersionKind()
	hub := schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	object, _, err := legacyscheme.Codecs.DecoderToVersion(strict, hub).Decode(m.json, nil, nil)
	messages := decodingMessages(err)
	if object == nil {
		return nil, messages
	}

	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, append(messages, err.Error())
	}
	// A client asks for this namespace, and for none if the kind has none.
	requested := metav1.NamespaceNone
	if s.NamespaceScoped() {
		requested = cmp.Or(accessor.GetNamespace(), metav1.NamespaceDefault)
		accessor.SetNamespace(requested)
	}
	rest.FillObjectMetaSystemFields(accessor)
	var warned warnings
	ctx := warning.WithWarningRecorder(request.NewContext(), &warned)
	ctx = request.WithNamespace(ctx, requested)
	if err := rest.BeforeCreate(s, ctx, object); err != nil {
		messages = append(messages, statusMessages(err)...)
	}
	messages = append(messages, warned...)

	versioned, err := legacyscheme.Scheme.ConvertToVersion(object, gvk.GroupVersion())
	if err != nil {
		return nil, append(messages, err.Error())
	}
	return versioned, messages
}

// decodingMessages returns the faults in the error of a strict decoder.
func decodingMessages(err error) []string {
	if err == nil {
		return nil
	}
	if all, ok := runtime.AsStrictDecodingError(err); ok {
		return strictMessages(all.Errors())
	}
	return []string{err.Error()}
}

// fieldFault matches the errors that a strict decoder returns beside an object.
var fieldFault = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)

// strictMessages returns unknown and duplicate fields, each as "field: message".
func strictMessages(faults []error) []string {
	var messages []string
	for _, fault := range faults {
		messages = append(messages, fieldFault.ReplaceAllString(fault.Error(), "$2: $1 field"))
	}
	return messages
}

// statusMessages returns the causes in the answer of an API server, each as "field: message".
func statusMessages(err error) []string {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return []string{err.Error()}
	}
	details := answer.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return []string{err.Error()}
	}
	var messages []string
	for _, cause := range details.Causes {
		messages = append(messages, fmt.Sprintf("%s: %s", cause.Field, cause.Message))
	}
	return messages
}
