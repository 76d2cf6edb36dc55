package gitops

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	// Seen from here, where the tests run.
	root = "../../.."
	docs = "docs/argocd/"
)

// What Argo CD shows of each state, by its own Lua runtime.
func TestArgoHealth(t *testing.T) {
	c := newCluster(t, "e2e-argo-health")
	overrides := c.installHealth()
	for _, state := range c.states() {
		c.until(state.name, func() error {
			object, err := state.fetch()
			if err != nil {
				return err
			}
			if is := ready(object); is != state.ready {
				return fmt.Errorf("Ready is %q instead of %q", is, state.ready)
			}
			return healthIs(overrides, object, state.argo, state.message)
		})
		t.Logf("%s: %s", state.name, state.argo)
	}
}

// Moments and definitions that a live cluster doesn't hold still for.
func TestArgoHealthOfOtherShapes(t *testing.T) {
	overrides := healthOf(readDocument(t, "health.lua"))
	of := func(status string) *unstructured.Unstructured {
		object := mapping("shape", "{}")
		object.SetGeneration(2)
		if status != "" {
			object.Object["status"] = parse(status).Object
		}
		return object
	}
	for _, shape := range []struct{ status, expected, message string }{
		{"", "Progressing", "No gateway"},
		{`{}`, "Progressing", "No gateway"},
		{`{"state": "Running"}`, "Healthy", "Running"},
		{`{"state": "Inactive", "reason": "prefix: is missing"}`, "Degraded", "prefix: is missing"},
		{`{"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}`, "Progressing", "last change"},
		{`{"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True", "message": "served"}]}`, "Healthy", "served"},
		{`{"conditions": [{"type": "Ready", "status": "False", "reason": "Pending", "message": "waiting for a replica"}]}`,
			"Progressing", "waiting for a replica"},
		{`{"conditions": [{"type": "Accepted", "status": "True", "reason": "PartiallyInvalid", "message": "timeout_ms: is negative"},
		   {"type": "Ready", "status": "True", "reason": "Ready", "message": "served"}]}`, "Healthy", "timeout_ms"},
		{`{"conditions": [{"type": "Stalled", "status": "True", "message": "broken"}, {"type": "Ready", "status": "False"}]}`,
			"Degraded", "broken"},
	} {
		if err := healthIs(overrides, of(shape.status), shape.expected, shape.message); err != nil {
			t.Errorf("%s: %v", shape.status, err)
		}
	}
}

func healthIs(overrides lua.ResourceHealthOverrides, object *unstructured.Unstructured, expected, message string) error {
	health, err := overrides.GetResourceHealth(object)
	if err != nil {
		return err
	}
	if health == nil {
		return fmt.Errorf("there is no script for %s", object.GetKind())
	}
	if string(health.Status) != expected || !strings.Contains(health.Message, message) {
		return fmt.Errorf("%s (%s) instead of %s (%s)", health.Status, health.Message, expected, message)
	}
	return nil
}

// installHealth does what the README says, with an argocd-cm that holds something already, and
// gives the scripts that Argo CD would then read from there.
func (c *cluster) installHealth() lua.ResourceHealthOverrides {
	c.shell("kubectl -n argocd create configmap argocd-cm --from-literal=application.instanceLabelKey=app")
	for _, command := range shellBlocks(c.T, "README.md", "argocd-cm") {
		c.shell(command)
	}
	var configMap struct{ Data map[string]string }
	if err := yaml.Unmarshal(c.shell("kubectl -n argocd get configmap argocd-cm -o yaml"), &configMap); err != nil {
		c.Fatal(err)
	}
	if configMap.Data["application.instanceLabelKey"] != "app" {
		c.Fatalf("what was there before is gone: %v", configMap.Data)
	}
	overrides := lua.ResourceHealthOverrides{}
	for key, script := range configMap.Data {
		if name, ok := strings.CutPrefix(key, "resource.customizations.health."); ok {
			// GROUP_KIND, as Argo CD reads it.
			overrides[strings.Replace(name, "_", "/", 1)] = v1alpha1.ResourceOverride{HealthLua: script}
		}
	}
	definitions, err := os.ReadDir(root + "/crds")
	if err != nil {
		c.Fatal(err)
	}
	if len(overrides) != len(definitions) {
		c.Fatalf("not one health check a kind: %v", configMap.Data)
	}
	return overrides
}

func healthOf(script string) lua.ResourceHealthOverrides {
	override := v1alpha1.ResourceOverride{HealthLua: script}
	return lua.ResourceHealthOverrides{"getambassador.io/Mapping": override, "nuncio.dev/AnnotatedResource": override}
}

// shell runs a command of the documentation from the root of the repository, in this test's
// namespace instead of Argo CD's own.
func (c *cluster) shell(command string) []byte {
	c.Helper()
	shell := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(command, "-n argocd", "-n "+c.namespace))
	shell.Dir = root
	var complaints bytes.Buffer
	shell.Stderr = &complaints
	output, err := shell.Output()
	if err != nil {
		c.Fatalf("%s\n%v: %s", command, err, complaints.String())
	}
	return output
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(root + "/" + docs + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shellBlocks are the ```sh blocks of a document that contain a word; there has to be one.
func shellBlocks(t *testing.T, name, word string) []string {
	t.Helper()
	var found []string
	for i, part := range strings.Split(readDocument(t, name), "```") {
		if block, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 && strings.Contains(block, word) {
			found = append(found, block)
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s%s has no command with %q", docs, name, word)
	}
	return found
}
