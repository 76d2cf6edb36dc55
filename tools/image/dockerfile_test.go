package main

import (
	"context"
	"regexp"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// standInRegistry answers for a registry: every base image is there and says nothing.
type standInRegistry struct{}

func (standInRegistry) ResolveImageConfig(
	_ context.Context, reference string, _ sourceresolver.Opt,
) (string, digest.Digest, []byte, error) {
	return reference, "", []byte(`{"os": "linux", "architecture": "amd64"}`), nil
}

// BuildKit plans the build without running it, for each processor, and has nothing to remark.
func TestBuildKitTakesTheDockerfile(t *testing.T) {
	text := read(t, "../../Dockerfile")
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	source.Definition = &llb.Definition{}
	for _, architecture := range architectures {
		result, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{
			Config:         dockerui.Config{BuildPlatforms: []oci.Platform{{OS: "linux", Architecture: "amd64"}}},
			TargetPlatform: &oci.Platform{OS: "linux", Architecture: architecture.name},
			MetaResolver:   standInRegistry{},
			SourceMap:      source,
		})
		if err != nil {
			t.Fatal(err)
		}
		if result.Error != nil {
			t.Error(result.Error.Message)
		}
		for _, warning := range result.Warnings {
			t.Errorf("%s: %s", warning.RuleName, warning.Detail)
		}
	}
}

// The compiler and the user of the Dockerfile are those of the rest of the project.
func TestTheDockerfileSaysTheSame(t *testing.T) {
	dockerfile := read(t, "../../Dockerfile")
	for path, pair := range map[string][2]string{
		"../../rust-toolchain.toml": {`channel = "(.*)"`, `ARG RUST=(.*)`},
		"build.go":                  {`user = "(.*)"`, `USER (.*)`},
		"../../Cargo.toml":          {`repository = "(.*)"`, `image.source="(.*)"`},
	} {
		expected := regexp.MustCompile(pair[0]).FindSubmatch(read(t, path))
		got := regexp.MustCompile(pair[1]).FindSubmatch(dockerfile)
		if expected == nil || got == nil || string(expected[1]) != string(got[1]) {
			t.Errorf("%s says %q, the Dockerfile %q", path, expected, got)
		}
	}
}
