package gitops

import (
	"errors"
	"fmt"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/engine"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// How Argo CD marks what it tracks.
	tracking = "app.kubernetes.io/instance"
	// As whom Argo CD applies.
	manager = "argocd-controller"
)

// Argo CD's engine syncs an application, by either kind of apply, and then finds nothing to do:
// the gateway's status and its AnnotatedResources are no difference.
func TestArgoSync(t *testing.T) {
	for _, way := range []struct {
		name   string
		server bool
	}{{"client-side apply", false}, {"server-side apply", true}} {
		t.Run(way.name, func(t *testing.T) {
			name := "e2e-argo-client"
			if way.server {
				name = "e2e-argo-server"
			}
			c := newCluster(t, name)
			c.syncs(&application{cluster: c, name: name, server: way.server})
		})
	}
}

func (c *cluster) syncs(app *application) {
	app.start()
	route := mapping("route", `{"hostname": "*", "prefix": "/argo/`+app.name+`/", "service": "echo-v1.backends"}`)
	second := mapping("second", `{"hostname": "*", "prefix": "/argo/second/`+app.name+`/", "service": "echo-v1.backends", "timeout_ms": 0}`)
	all := []*unstructured.Unstructured{route, second, carrier("legacy")}
	app.sync(all)
	first := app.settled("route", "second")

	app.inSync(all)
	app.sync(all)
	if again := app.settled("route", "second"); fmt.Sprint(again) != fmt.Sprint(first) {
		c.Fatalf("a second sync changed something: %v instead of %v", again, first)
	}
	app.inSync(all)
	app.showsUnderService("legacy", 2)

	app.sync(all[1:])
	// It goes when the cluster's garbage collector, which learns of new kinds with some delay, lets it.
	c.until("the Mapping is pruned", func() error {
		if _, err := c.get(mappings, "route"); err == nil {
			return errors.New("it is still there")
		}
		return nil
	})
	app.showsUnderService("legacy", 2)
	app.sync(all[1:2])
	c.until("what belongs to the Service goes with it", func() error {
		if object, err := c.annotatedOf("legacy", "good"); err == nil {
			return fmt.Errorf("there is still %s", object.GetName())
		}
		return nil
	})
}

// application is what Argo CD's controller keeps of one Application.
type application struct {
	*cluster
	name   string
	server bool
	cache  cache.ClusterCache
	engine engine.GitOpsEngine
}

type info struct{ app string }

func (a *application) start() {
	a.cache = cache.NewClusterCache(a.config,
		cache.SetNamespaces([]string{a.namespace}),
		cache.SetLogr(logr.Discard()),
		cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, _ bool) (any, bool) {
			app := object.GetLabels()[tracking]
			return &info{app}, app != ""
		}))
	a.engine = engine.NewEngine(a.config, a.cache, engine.WithLogr(logr.Discard()))
	stop, err := a.engine.Run()
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(stop)
}

// targets are what stands in Git, marked as Argo CD does before it applies.
func (a *application) targets(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var targets []*unstructured.Unstructured
	for _, object := range objects {
		target := object.DeepCopy()
		target.SetNamespace(a.namespace)
		target.SetLabels(map[string]string{tracking: a.name})
		targets = append(targets, target)
	}
	return targets
}

func (a *application) sync(objects []*unstructured.Unstructured) {
	a.Helper()
	results, err := a.engine.Sync(a.context(), a.targets(objects),
		func(resource *cache.Resource) bool { return resource.Info.(*info).app == a.name },
		"revision", a.namespace,
		sync.WithPrune(true), sync.WithHealthOverride(healthOf(readDocument(a.T, "health.lua"))),
		sync.WithLogr(logr.Discard()), sync.WithServerSideApply(a.server), sync.WithServerSideApplyManager(manager))
	if err != nil {
		a.Fatalf("sync: %v", err)
	}
	for _, result := range results {
		if result.Status == common.ResultCodeSyncFailed || result.HookPhase == common.OperationFailed {
			a.Fatalf("sync: %s: %s", result.ResourceKey.String(), result.Message)
		}
	}
}

// settled waits for the gateway's word on these Mappings and on the annotation. It gives what a
// sync must not change: the generations, and the uids of the AnnotatedResources.
func (a *application) settled(names ...string) []string {
	a.Helper()
	var facts []string
	a.until("a status of everything", func() error {
		facts = nil
		for _, name := range names {
			object, err := a.get(mappings, name)
			if err != nil {
				return err
			}
			if ready(object) != "True" {
				return fmt.Errorf("%s is not Ready", name)
			}
			facts = append(facts, fmt.Sprint(name, object.GetGeneration(), object.GetResourceVersion()))
		}
		for _, document := range []string{"good", "unusable"} {
			object, err := a.annotatedOf("legacy", document)
			if err != nil {
				return err
			}
			if ready(object) == "" {
				return fmt.Errorf("%s has no status", object.GetName())
			}
			facts = append(facts, fmt.Sprint(object.GetUID(), object.GetGeneration()))
		}
		return nil
	})
	return facts
}

// inSync compares Git and cluster in each way that Argo CD can be set to.
func (a *application) inSync(objects []*unstructured.Unstructured) {
	a.Helper()
	schema := a.cache.GetOpenAPISchema()
	applier, cleanup, err := kube.ManageServerSideDiffDryRuns(a.config, schema, tracing.NopTracer{}, logr.Discard(),
		func(string) (kube.CleanupFunc, error) { return func() {}, nil })
	if err != nil {
		a.Fatal(err)
	}
	defer cleanup()
	ways := map[string][]diff.Option{
		"by last-applied": {},
		"by structured merge": {diff.WithStructuredMergeDiff(true), diff.WithGVKParser(a.cache.GetGVKParser()),
			diff.WithManager(manager)},
		"by dry run": {diff.WithServerSideDiff(true), diff.WithGVKParser(a.cache.GetGVKParser()), diff.WithManager(manager),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(applier))},
	}
	for ignoring, normalizer := range a.normalizers() {
		for way, options := range ways {
			options = append(options, diff.WithNormalizer(normalizer), diff.WithLogr(logr.Discard()))
			a.noDifference(way+", "+ignoring, objects, options)
		}
	}
}

func (a *application) noDifference(way string, objects []*unstructured.Unstructured, options []diff.Option) {
	a.Helper()
	for _, target := range a.targets(objects) {
		resource := mappings
		if target.GetKind() == "Service" {
			resource = services
		}
		live, err := a.get(resource, target.GetName())
		if err != nil {
			a.Fatal(err)
		}
		result, err := diff.Diff(target, live, options...)
		if err != nil {
			a.Fatalf("%s %s: %v", way, target.GetName(), err)
		}
		if result.Modified {
			a.Fatalf("%s: %s is OutOfSync:\n%s\ninstead of\n%s", way, target.GetName(), result.PredictedLive, result.NormalizedLive)
		}
	}
	a.Logf("%s: no difference in %d objects", way, len(objects))
}

// normalizers are without and with `ignoreDifferences` of the status.
func (a *application) normalizers() map[string]diff.Normalizer {
	ignore := []v1alpha1.ResourceIgnoreDifferences{{
		Group: "getambassador.io", Kind: "Mapping", JSONPointers: []string{"/status"},
	}}
	ignoring, err := normalizers.NewIgnoreNormalizer(ignore, nil, normalizers.IgnoreNormalizerOpts{})
	if err != nil {
		a.Fatal(err)
	}
	return map[string]diff.Normalizer{
		"nothing ignored": diff.GetNoopNormalizer(),
		"status ignored":  ignoring,
	}
}

// showsUnderService looks for AnnotatedResources below a Service in the tree that Argo CD shows.
func (a *application) showsUnderService(name string, expected int) {
	a.Helper()
	a.until("AnnotatedResources below the Service", func() error {
		found := 0
		key := kube.NewResourceKey("", "Service", a.namespace, name)
		a.cache.IterateHierarchyV2([]kube.ResourceKey{key}, func(resource *cache.Resource, _ map[kube.ResourceKey]*cache.Resource) bool {
			if resource.Ref.Kind == "AnnotatedResource" {
				found++
				if resource.Info.(*info).app != "" {
					a.Fatalf("%s is tracked, and would be pruned", resource.Ref.Name)
				}
			}
			return true
		})
		if found != expected {
			return fmt.Errorf("%d instead of %d", found, expected)
		}
		return nil
	})
}
