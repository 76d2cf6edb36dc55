package gitops

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	return append(all, c.statesOfOtherKinds()...)
}

// statesOfOtherKinds makes objects of each kind beside Mapping in every state that it can be in,
// such that whoever else is served stays served. The objects that lose against another come after
// it by name.
func (c *cluster) statesOfOtherKinds() []state {
	all := `"securityModel": "XFP", "hostBinding": {"namespace": {"from": "ALL"}}`
	var states []state
	for _, object := range []struct{ kind, name, spec, ready, message string }{
		{"Listener", "served", `{"port": 8080, "protocol": "HTTP", ` + all + `}`, "True", ""},
		{"Listener", "taken", `{"port": 8877, "protocol": "HTTP", ` + all + `}`, "False", "is in use"},
		{"Listener", "twin", `{"port": 8080, "protocol": "HTTPS", ` + all + `}`, "False", "listens on port 8080 already"},
		{"Host", "served", `{"hostname": "gitops.example", "requestPolicy": {"insecure": {"action": "Route"}}}`, "True", ""},
		{"Host", "secretless", `{"hostname": "secretless.gitops.example", "tlsSecret": {"name": "nobody"}}`, "False", "there is no Secret"},
		{"Host", "broken", `{"hostname": "https://gitops.example"}`, "Failed", "write the host alone"},
		{"TLSContext", "served", `{"alpn_protocols": "h2"}`, "True", ""},
		{"TLSContext", "secretless", `{"secret": "nobody"}`, "False", "there is no Secret"},
		{"TLSContext", "broken", `{"secret": "Not_A_Name"}`, "Failed", "is no name that Kubernetes takes"},
		{"TCPMapping", "served", `{"port": 6789, "service": "echo-v1.backends"}`, "True", ""},
		{"TCPMapping", "serviceless", `{"port": 6790, "service": "nobody"}`, "False", "There is no Service nobody"},
		{"TCPMapping", "broken", `{"port": 6791, "service": "a b"}`, "Failed", "is not a host name"},
		{"Module", "ambassador", `{"config": {}}`, "True", ""},
		{"Module", "other", `{"config": {}}`, "Failed", "has no meaning"},
		{"KubernetesServiceResolver", "served", `{}`, "True", ""},
		{"KubernetesEndpointResolver", "endpoint", `{}`, "True", ""},
		{"KubernetesEndpointResolver", "served", `{}`, "False", "has the same name"},
		{"KubernetesServiceResolver", "foreign", `{"ambassador_id": ["nobody"]}`, "", "No gateway has looked"},
	} {
		resource := schema.GroupVersionResource{
			Group: "getambassador.io", Version: "v3alpha1", Resource: strings.ToLower(object.kind) + "s"}
		c.apply(resource, parse(fmt.Sprintf(
			`{"apiVersion": "getambassador.io/v3alpha1", "kind": %q, "metadata": {"name": %q}, "spec": %s}`,
			object.kind, object.name, object.spec)))
		expected := state{name: object.kind + " " + object.name, ready: object.ready, message: object.message}
		switch object.ready {
		case "True":
			expected.kstatus, expected.argo = "Current", "Healthy"
		case "Failed":
			// Nothing but a change of the object helps.
			expected.ready, expected.kstatus, expected.argo = "False", "Failed", "Degraded"
		default:
			expected.kstatus, expected.argo = "InProgress", "Progressing"
		}
		expected.fetch = func() (*unstructured.Unstructured, error) { return c.get(resource, object.name) }
		states = append(states, expected)
	}
	return states
}
