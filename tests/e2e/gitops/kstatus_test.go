package gitops

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Flux makes of each state.
func TestKstatus(t *testing.T) {
	c := newCluster(t, "e2e-kstatus")
	for _, state := range c.states() {
		c.until(state.name, func() error {
			object, err := state.fetch()
			if err != nil {
				return err
			}
			if is := ready(object); is != state.ready {
				return fmt.Errorf("Ready is %q instead of %q", is, state.ready)
			}
			result := compute(t, object)
			if string(result.Status) != state.kstatus || !strings.Contains(result.Message, state.message) {
				return fmt.Errorf("%s (%s) instead of %s (%s)", result.Status, result.Message, state.kstatus, state.message)
			}
			t.Logf("%s: %s: %s", state.name, result.Status, result.Message)
			return nil
		})
	}
}

// The moments in which a tool must not believe an older status: right after an object was made,
// and right after it was changed. They are the API server's own answers, so that no gateway can
// have been faster.
func TestKstatusBeforeTheGatewayHasLooked(t *testing.T) {
	c := newCluster(t, "e2e-kstatus-early")
	early := func(what string, object *unstructured.Unstructured, message string) {
		t.Helper()
		result := compute(t, object)
		if result.Status != status.InProgressStatus || !strings.Contains(result.Message, message) {
			t.Fatalf("%s: %s (%s)", what, result.Status, result.Message)
		}
		t.Logf("%s: %s: %s", what, result.Status, result.Message)
	}
	settles := func(what string, expected status.Status) {
		t.Helper()
		c.until(what, func() error {
			object, err := c.get(mappings, "route")
			if err != nil {
				return err
			}
			if result := compute(t, object); result.Status != expected {
				return fmt.Errorf("%s (%s)", result.Status, result.Message)
			}
			return nil
		})
	}
	good := func(prefix string) *unstructured.Unstructured {
		return mapping("route", fmt.Sprintf(`{"hostname": "*", "prefix": %q, "service": "echo-v1.backends"}`, prefix))
	}
	early("made", c.apply(mappings, good("/early/")), "No gateway has looked")
	settles("served", status.CurrentStatus)
	broken := mapping("route", `{"hostname": "*", "prefix": "(", "prefix_regex": true, "service": "echo-v1.backends"}`)
	early("broken", c.apply(mappings, broken), "latest observed generation is 1")
	settles("rejected", status.FailedStatus)
	early("healed", c.apply(mappings, good("/late/")), "latest observed generation is 2")
	settles("served again", status.CurrentStatus)

	object, err := c.get(mappings, "route")
	if err != nil {
		t.Fatal(err)
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if condition.(map[string]any)["type"] == "Stalled" {
			t.Fatalf("Stalled is still there: %v", condition)
		}
	}
	if err := c.client.Resource(mappings).Namespace(c.namespace).Delete(c.context(), "route", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func compute(t *testing.T, object *unstructured.Unstructured) *status.Result {
	t.Helper()
	result, err := status.Compute(object)
	if err != nil {
		t.Fatalf("kstatus can't read %s: %v", object.GetName(), err)
	}
	return result
}
