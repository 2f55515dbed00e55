// The modules whose files define the custom kinds: Gateway, HTTPRoute, ServiceMonitor and others.
module definitions

go 1.24.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.4.1
)
