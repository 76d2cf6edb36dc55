package main

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// The registry has an image for each processor, and lists the SBOM as what refers to it.
func TestWhatIsPushedCanBePulled(t *testing.T) {
	server := httptest.NewServer(registry.New(
		registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)),
	))
	defer server.Close()
	pushed := strings.TrimPrefix(server.URL, "http://") + "/nuncio:1"
	makeNamed(t, pushed, "-push")

	reference := must(name.NewTag(pushed))(t)
	for _, architecture := range architectures {
		platform := v1.Platform{OS: "linux", Architecture: architecture.name}
		image := must(remote.Image(reference, remote.WithPlatform(platform)))(t)
		if file := must(image.ConfigFile())(t); file.Architecture != architecture.name {
			t.Errorf("%s got the image for %s", architecture.name, file.Architecture)
		}
		digest := reference.Digest(must(image.Digest())(t).String())
		referrers := must(must(remote.Referrers(digest))(t).IndexManifest())(t).Manifests
		if len(referrers) != 1 || referrers[0].ArtifactType != string(sbomType) {
			t.Errorf("%s: what refers to it is %+v", architecture.name, referrers)
		}
	}
}
