package main

import (
	"cmp"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// policies has the Pod Security policy of each namespace.
type policies struct {
	evaluator policy.Evaluator
	known     map[namespace]api.Policy
	others    api.Policy // The policy of namespaces that are not known.
}

// A namespace is known for the file that has it, and for all other files under the file name "".
type namespace struct{ file, name string }

// newPolicies reads the policies from the labels of the namespaces among the manifests; the pods of
// other namespaces are checked against the level.
func newPolicies(manifests []manifest, level api.Level) *policies {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		panic(err) // The checks are part of this program.
	}
	latest := func(level api.Level) api.Policy {
		lv := api.LevelVersion{Level: level, Version: api.LatestVersion()}
		return api.Policy{Enforce: lv, Audit: lv, Warn: lv}
	}
	p := &policies{evaluator, map[namespace]api.Policy{}, latest(level)}
	for _, m := range manifests {
		if isNamespace(m.GroupVersionKind()) {
			labelled, _ := api.PolicyToEvaluate(m.Labels, latest(api.LevelPrivileged))
			p.known[namespace{m.file, m.Name}] = labelled
			p.known[namespace{"", m.Name}] = labelled
		}
	}
	return p
}

func isNamespace(gvk schema.GroupVersionKind) bool { return gvk == kind("v1", "Namespace") }

// check returns the faults of a namespace's labels, or of the pods that an object creates, each as
// "field: message".
//
// A server enforces a policy on pods alone, and only warns about templates; both are faults here.
func (p *policies) check(m manifest, object runtime.Object) []string {
	if isNamespace(m.GroupVersionKind()) {
		_, faults := api.PolicyToEvaluate(m.Labels, p.others)
		var messages []string
		for _, fault := range faults {
			messages = append(messages, fault.Error())
		}
		return messages
	}
	field, template := podTemplate(object)
	if template == nil {
		return nil
	}
	known := p.of(m)
	levels := []api.LevelVersion{known.Enforce}
	if known.Warn != known.Enforce {
		levels = append(levels, known.Warn)
	}
	var messages []string
	for _, level := range levels {
		results := p.evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec)
		for _, result := range results {
			if result.Allowed {
				continue
			}
			only := policy.AggregateCheckResults([]policy.CheckResult{result})
			messages = append(messages, fmt.Sprintf(
				"%s: violates PodSecurity %q: %s", field, level, only.ForbiddenDetail(),
			))
		}
	}
	return messages
}

// of returns the policy of the namespace that an object is in.
func (p *policies) of(m manifest) api.Policy {
	name := cmp.Or(m.Namespace, metav1.NamespaceDefault)
	for _, file := range []string{m.file, ""} {
		if known, ok := p.known[namespace{file, name}]; ok {
			return known
		}
	}
	return p.others
}

// podTemplate returns the field that describes the pods that an object creates, and its value, or nil
// if the object creates none.
func podTemplate(object runtime.Object) (string, *corev1.PodTemplateSpec) {
	switch o := object.(type) {
	case *corev1.Pod:
		return "spec", &corev1.PodTemplateSpec{ObjectMeta: o.ObjectMeta, Spec: o.Spec}
	case *appsv1.DaemonSet:
		return "spec.template.spec", &o.Spec.Template
	case *appsv1.Deployment:
		return "spec.template.spec", &o.Spec.Template
	case *appsv1.StatefulSet:
		return "spec.template.spec", &o.Spec.Template
	case *batchv1.Job:
		return "spec.template.spec", &o.Spec.Template
	case *batchv1.CronJob:
		return "spec.jobTemplate.spec.template.spec", &o.Spec.JobTemplate.Spec.Template
	}
	return "", nil
}
