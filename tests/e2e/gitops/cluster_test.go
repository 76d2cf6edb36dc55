// Package gitops asks the libraries of Flux and Argo CD what they make of the gateway's objects,
// in the live cluster of KUBECONFIG with the gateway in it. ./build compiles it, and the tests of
// tests/e2e run it.
package gitops

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// How long anything may take before a test gives up; not an expectation.
const patience = 60 * time.Second

// Who writes the objects, apart from the gateway.
const author = "author"

var (
	mappings   = schema.GroupVersionResource{Group: "getambassador.io", Version: "v3alpha1", Resource: "mappings"}
	annotated  = schema.GroupVersionResource{Group: "nuncio.dev", Version: "v1alpha1", Resource: "annotatedresources"}
	services   = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// cluster is a namespace of the test's own in the live cluster.
type cluster struct {
	*testing.T
	config    *rest.Config
	client    dynamic.Interface
	namespace string
}

// newCluster makes the namespace, which goes with the test.
func newCluster(t *testing.T, namespace string) *cluster {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatalf("KUBECONFIG names no cluster: %v", err)
	}
	config.QPS, config.Burst = 200, 200
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, config: config, client: client, namespace: namespace}
	c.removeNamespace(true)
	// The gateway's admission webhook would refuse what these tests break.
	object := parse(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace",
		"metadata": {"name": %q, "labels": {"nuncio.dev/admission": "off"}}}`, namespace))
	if _, err := client.Resource(namespaces).Create(c.context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.removeNamespace(false) })
	return c
}

// removeNamespace removes it, and what an earlier run has left of it.
func (c *cluster) removeNamespace(wait bool) {
	err := c.client.Resource(namespaces).Delete(context.Background(), c.namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		c.Fatal(err)
	}
	if !wait {
		return
	}
	c.until("the namespace of an earlier run is gone", func() error {
		_, err := c.client.Resource(namespaces).Get(c.context(), c.namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there: %v", err)
	})
}

func (c *cluster) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c.Cleanup(cancel)
	return ctx
}

// until tries again and again; the last complaint fails the test.
func (c *cluster) until(what string, attempt func() error) {
	c.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = attempt(); err == nil {
			return
		}
	}
	c.Fatalf("%s: not within %s: %v", what, patience, err)
}

// apply is a server-side apply; it gives what the API server answers at once.
func (c *cluster) apply(resource schema.GroupVersionResource, object *unstructured.Unstructured) *unstructured.Unstructured {
	c.Helper()
	answer, err := c.client.Resource(resource).Namespace(c.namespace).Apply(
		c.context(), object.GetName(), object, metav1.ApplyOptions{FieldManager: author, Force: true})
	if err != nil {
		c.Fatalf("apply %s: %v", object.GetName(), err)
	}
	return answer
}

func (c *cluster) get(resource schema.GroupVersionResource, name string) (*unstructured.Unstructured, error) {
	return c.client.Resource(resource).Namespace(c.namespace).Get(c.context(), name, metav1.GetOptions{})
}

// annotatedOf is the AnnotatedResource of one document of a carrier.
func (c *cluster) annotatedOf(carrier, document string) (*unstructured.Unstructured, error) {
	all, err := c.client.Resource(annotated).Namespace(c.namespace).List(c.context(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range all.Items {
		name, _, _ := unstructured.NestedString(all.Items[i].Object, "spec", "name")
		of, _, _ := unstructured.NestedString(all.Items[i].Object, "spec", "carrier", "name")
		if name == document && of == carrier {
			return &all.Items[i], nil
		}
	}
	return nil, fmt.Errorf("no AnnotatedResource of %q among %d", document, len(all.Items))
}

// ready is the status of the condition Ready that speaks of the object's generation.
func ready(object *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		observed, _ := condition["observedGeneration"].(int64)
		if condition["type"] == "Ready" && observed == object.GetGeneration() {
			status, _ := condition["status"].(string)
			return status
		}
	}
	return ""
}

// mapping is a Mapping of a whole spec, as JSON.
func mapping(name, spec string) *unstructured.Unstructured {
	return parse(fmt.Sprintf(
		`{"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": %q}, "spec": %s}`, name, spec))
}

// carrier is a Service whose annotation holds a good and a broken document.
func carrier(name string) *unstructured.Unstructured {
	annotation := "---\napiVersion: ambassador/v1\nkind: Mapping\nname: good\nprefix: /" + name + "/\nservice: echo-v1.backends\n" +
		"---\napiVersion: ambassador/v1\nkind: Mapping\nname: unusable\nservice: echo-v1.backends\n"
	text, _ := json.Marshal(annotation)
	return parse(fmt.Sprintf(
		`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": %q, "annotations": {"getambassador.io/config": %s}},
		  "spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}`, name, text))
}

func parse(text string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(text), &object.Object); err != nil {
		panic(err)
	}
	return object
}
