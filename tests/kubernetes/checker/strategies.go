package main

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	claims "k8s.io/kubernetes/pkg/api/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/api/service"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"        // Registers the versions and defaults.
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install" // Likewise.
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
)

// strategies has what the API server does before it stores an object, by kind.
//
// The kinds at the end have a strategy of their own here, because the server's would bring all of
// its storage into this program; it calls the same functions.
var strategies = map[schema.GroupVersionKind]rest.RESTCreateStrategy{
	kind("apps/v1", "DaemonSet"):                        daemonset.Strategy,
	kind("apps/v1", "Deployment"):                       deployment.Strategy,
	kind("apps/v1", "StatefulSet"):                      statefulset.Strategy,
	kind("autoscaling/v1", "HorizontalPodAutoscaler"):   horizontalpodautoscaler.Strategy,
	kind("autoscaling/v2", "HorizontalPodAutoscaler"):   horizontalpodautoscaler.Strategy,
	kind("batch/v1", "CronJob"):                         cronjob.Strategy,
	kind("networking.k8s.io/v1", "Ingress"):             ingress.Strategy,
	kind("networking.k8s.io/v1", "NetworkPolicy"):       networkpolicy.Strategy,
	kind("policy/v1", "PodDisruptionBudget"):            poddisruptionbudget.Strategy,
	kind("rbac.authorization.k8s.io/v1", "Role"):        role.Strategy,
	kind("rbac.authorization.k8s.io/v1", "RoleBinding"): rolebinding.Strategy,

	kind("batch/v1", "Job"):             namespaced(validateJob, nil),
	kind("v1", "ConfigMap"):             namespaced(validation.ValidateConfigMap, nil),
	kind("v1", "Namespace"):             clusterWide(validation.ValidateNamespace),
	kind("v1", "PersistentVolumeClaim"): namespaced(validateClaim, claimWarnings),
	kind("v1", "Pod"):                   namespaced(validatePod, podWarnings),
	kind("v1", "Secret"):                namespaced(validation.ValidateSecret, nil),
	kind("v1", "Service"):               namespaced(validateService, serviceWarnings),
	kind("v1", "ServiceAccount"):        namespaced(validation.ValidateServiceAccount, nil),
}

func kind(version, name string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(version, name)
}

// A strategy checks an object with two functions of the API server.
type strategy[T runtime.Object] struct {
	isNamespaced bool
	validate     func(T) field.ErrorList
	warnings     func(T) []string
}

func namespaced[T runtime.Object](
	validate func(T) field.ErrorList, warnings func(T) []string,
) rest.RESTCreateStrategy {
	return strategy[T]{true, validate, warnings}
}

func clusterWide[T runtime.Object](validate func(T) field.ErrorList) rest.RESTCreateStrategy {
	return strategy[T]{false, validate, nil}
}

// The methods of rest.RESTCreateStrategy.

func (s strategy[T]) ObjectKinds(object runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return legacyscheme.Scheme.ObjectKinds(object)
}

func (s strategy[T]) Recognizes(gvk schema.GroupVersionKind) bool {
	return legacyscheme.Scheme.Recognizes(gvk)
}

func (s strategy[T]) GenerateName(base string) string {
	return names.SimpleNameGenerator.GenerateName(base)
}

func (s strategy[T]) NamespaceScoped() bool { return s.isNamespaced }

func (s strategy[T]) PrepareForCreate(context.Context, runtime.Object) {}

func (s strategy[T]) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return s.validate(object.(T))
}

func (s strategy[T]) WarningsOnCreate(_ context.Context, object runtime.Object) []string {
	if s.warnings == nil {
		return nil
	}
	return s.warnings(object.(T))
}

func (s strategy[T]) Canonicalize(runtime.Object) {}

func validateClaim(claim *core.PersistentVolumeClaim) field.ErrorList {
	options := validation.ValidationOptionsForPersistentVolumeClaim(claim, nil)
	return validation.ValidatePersistentVolumeClaim(claim, options)
}

func claimWarnings(claim *core.PersistentVolumeClaim) []string {
	return claims.GetWarningsForPersistentVolumeClaim(claim)
}

func validatePod(p *core.Pod) field.ErrorList {
	options := pod.GetValidationOptionsFromPodSpecAndMeta(&p.Spec, nil, &p.ObjectMeta, nil)
	options.ResourceIsPod = true
	return validation.ValidatePodCreate(p, options)
}

func podWarnings(p *core.Pod) []string {
	return pod.GetWarningsForPod(context.Background(), p, nil)
}

// validateService checks a Service whose clusterIPs have been set as the server sets them before.
func validateService(s *core.Service) field.ErrorList {
	if len(s.Spec.ClusterIPs) == 0 && s.Spec.ClusterIP != "" {
		s = s.DeepCopy()
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	return validation.ValidateServiceCreate(s)
}

func serviceWarnings(s *core.Service) []string { return service.GetWarningsForService(s, nil) }

// validateJob checks a Job like the template in a CronJob, whose selector is generated, too. The
// server's own function needs that selector.
func validateJob(job *batch.Job) field.ErrorList {
	faults := validation.ValidateObjectMeta(
		&job.ObjectMeta,
		true,
		validation.ValidateReplicationControllerName,
		field.NewPath("metadata"),
	)
	template := &batch.JobTemplateSpec{Spec: job.Spec}
	options := pod.GetValidationOptionsFromPodTemplate(&job.Spec.Template, nil)
	return append(faults, batchvalidation.ValidateJobTemplateSpec(template, nil, options)...)
}
