package gitops

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// state is an object of the live cluster, in a state that the gateway has settled on.
type state struct {
	name string
	// What the gateway's own Ready has to be before anyone is asked; empty for an object that
	// no gateway looks at.
	ready   string
	fetch   func() (*unstructured.Unstructured, error)
	kstatus string
	argo    string
	// A part of the message that both have to show.
	message string
}

// states makes one object of each.
func (c *cluster) states() []state {
	// The twin comes after the served one by name, should both be of the same second.
	specs := []struct{ name, spec, ready, kstatus, argo, message string }{
		{"served", `{"hostname": "*", "prefix": "/gitops/", "service": "echo-v1.backends"}`,
			"True", "Current", "Healthy", ""},
		{"partly", `{"hostname": "*", "prefix": "/gitops/partly/", "service": "echo-v1.backends", "timeout_ms": -1}`,
			"True", "Current", "Healthy", ""},
		{"broken", `{"hostname": "*", "prefix": "/gitops/(?!0)", "prefix_regex": true, "service": "echo-v1.backends"}`,
			"False", "Failed", "Degraded", "look-around"},
		{"unattached", `{"prefix": "/gitops/", "service": "echo-v1.backends"}`,
			"False", "Failed", "Degraded", "names no host"},
		{"serviceless", `{"hostname": "*", "prefix": "/gitops/serviceless/", "service": "nobody"}`,
			"False", "InProgress", "Progressing", "There is no Service nobody"},
		{"twin", `{"hostname": "*", "prefix": "/gitops/", "service": "echo-v1.backends", "host_redirect": true}`,
			"False", "InProgress", "Progressing", "has the same match"},
		{"foreign", `{"hostname": "*", "prefix": "/gitops/", "service": "nobody", "ambassador_id": ["nobody"]}`,
			"", "InProgress", "Progressing", "No gateway has looked"},
	}
	var all []state
	for _, spec := range specs {
		c.apply(mappings, mapping(spec.name, spec.spec))
		all = append(all, state{"Mapping " + spec.name, spec.ready, func() (*unstructured.Unstructured, error) {
			return c.get(mappings, spec.name)
		}, spec.kstatus, spec.argo, spec.message})
	}
	c.apply(services, carrier("carrier"))
	for _, document := range []state{
		{name: "good", ready: "True", kstatus: "Current", argo: "Healthy"},
		{name: "unusable", ready: "False", kstatus: "Failed", argo: "Degraded", message: "prefix: is missing"},
	} {
		name := document.name
		document.name = "AnnotatedResource " + name
		document.fetch = func() (*unstructured.Unstructured, error) { return c.annotatedOf("carrier", name) }
		all = append(all, document)
	}
	return all
}
