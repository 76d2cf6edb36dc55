package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const testName = "example.com/nuncio:1"

// hello builds testdata/hello for a processor.
func hello(t *testing.T, architecture string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nuncio")
	command := exec.Command("go", append([]string{"build", "-o", path}, append(flags, "./testdata/hello")...)...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	return path
}

const stripped = "-ldflags=-s -w"

// makeImages runs the program as `make image` does, and returns what it has written.
func makeImages(t *testing.T) string {
	t.Helper()
	return makeNamed(t, testName)
}

func makeNamed(t *testing.T, reference string, more ...string) string {
	t.Helper()
	out := t.TempDir()
	arguments := append(more,
		"-name", reference, "-out", out, "-source", "../..", "-created", "1700000000", "-revision", "abc",
		"amd64="+hello(t, "amd64", stripped), "arm64="+hello(t, "arm64", stripped),
	)
	if err := run(arguments); err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// must takes both results of a call; the test then says where it failed.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func load(t *testing.T, out, architecture string) v1.Image {
	t.Helper()
	tag := must(name.NewTag(testName))(t)
	return must(tarball.ImageFromPath(filepath.Join(out, "nuncio-"+architecture+".tar"), &tag))(t)
}

// Nothing but the program and the certificates is in the image: no shell, no libraries, no users.
func TestTheImageHasTwoFiles(t *testing.T) {
	archive := tar.NewReader(mutate.Extract(load(t, makeImages(t), "amd64")))
	var found []string
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 1700000000 {
			t.Errorf("%s belongs to %d:%d and is of %s", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		if header.Typeflag == tar.TypeDir && header.Mode == 0o755 {
			continue
		}
		found = append(found, strings.TrimSpace(header.FileInfo().Mode().String()+" "+header.Name))
	}
	slices.Sort(found)
	expected := []string{
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt",
		"-rwxr-xr-x usr/local/bin/nuncio",
	}
	if !slices.Equal(found, expected) {
		t.Errorf("the image has %q", found)
	}
}

func TestItRunsAsNobody(t *testing.T) {
	out := makeImages(t)
	for _, architecture := range []string{"amd64", "arm64"} {
		file := must(load(t, out, architecture).ConfigFile())(t)
		if file.Config.User != "65532:65532" || file.Architecture != architecture || file.OS != "linux" {
			t.Errorf("%s %s/%s", file.Config.User, file.OS, file.Architecture)
		}
		command := append(file.Config.Entrypoint, file.Config.Cmd...)
		if !slices.Equal(command, []string{"/usr/local/bin/nuncio", "run"}) {
			t.Errorf("it runs %q", command)
		}
		for label, expected := range map[string]string{
			"title": "nuncio", "revision": "abc", "licenses": "Apache-2.0",
			"created": "2023-11-14T22:13:20Z", "source": "https://github.com/nuncio/nuncio",
		} {
			if got := file.Config.Labels["org.opencontainers.image."+label]; got != expected {
				t.Errorf("label %s is %q", label, got)
			}
		}
		if file.Config.Labels["org.opencontainers.image.version"] == "" {
			t.Error("there is no version")
		}
	}
}

// Programs in other directories, written to another one: the same bytes.
func TestItIsTheSameEachTime(t *testing.T) {
	first, second := makeImages(t), makeImages(t)
	files := 0
	err := filepath.WalkDir(first, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		relative := must(filepath.Rel(first, path))(t)
		if !bytes.Equal(read(t, path), read(t, filepath.Join(second, relative))) {
			t.Errorf("%s differs", relative)
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func TestTheLayoutHasEachProcessorAndItsSBOM(t *testing.T) {
	out := makeImages(t)
	path := must(layout.FromPath(filepath.Join(out, "oci")))(t)
	top := must(must(path.ImageIndex())(t).IndexManifest())(t)
	if len(top.Manifests) != 3 || top.Manifests[0].MediaType != types.OCIImageIndex {
		t.Fatalf("%+v", top.Manifests)
	}
	images := must(must(path.ImageIndex())(t).ImageIndex(top.Manifests[0].Digest))(t)
	inner := must(images.IndexManifest())(t)
	for index, architecture := range []string{"amd64", "arm64"} {
		one := inner.Manifests[index]
		if one.Platform.Architecture != architecture {
			t.Errorf("%d is for %s", index, one.Platform)
		}
		loaded := must(load(t, out, architecture).ConfigName())(t)
		if same := must(must(images.Image(one.Digest))(t).ConfigName())(t); same != loaded {
			t.Errorf("the archive has %s, the layout %s", loaded, same)
		}
		attached := must(must(path.Image(top.Manifests[index+1].Digest))(t).Manifest())(t)
		if attached.Subject.Digest != one.Digest {
			t.Errorf("the SBOM belongs to %s", attached.Subject.Digest)
		}
		blob := must(path.Bytes(attached.Layers[0].Digest))(t)
		if !bytes.Equal(blob, read(t, filepath.Join(out, "nuncio-"+architecture+".cdx.json"))) {
			t.Error("what is attached isn't the SBOM")
		}
	}
}

func TestTheCertificatesAreThoseOfAuthorities(t *testing.T) {
	rest, count := authorities(), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if certificate := must(x509.ParseCertificate(block.Bytes))(t); !certificate.IsCA {
			t.Errorf("%s is no authority", certificate.Subject)
		}
		count++
	}
	if count < 100 || len(rest) > 0 {
		t.Errorf("%d certificates, and %d bytes that are none", count, len(rest))
	}
}

func TestWhatIsRefused(t *testing.T) {
	static := hello(t, "amd64", stripped)
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, append(read(t, static), make([]byte, maxSize)...), 0o755); err != nil {
		t.Fatal(err)
	}
	for expected, argument := range map[string]string{
		"needs shared libraries":    "amd64=" + hello(t, "amd64", stripped, "-buildmode=pie"),
		"has debug information":     "amd64=" + hello(t, "amd64"),
		"not for arm64":             "arm64=" + static,
		"no program for Linux":      "amd64=main.go",
		"no such file":              "amd64=absent",
		"at most 41943040":          "amd64=" + large,
		"write amd64=PATH or arm64": "s390x=" + static,
	} {
		err := run([]string{"-name", testName, "-out", t.TempDir(), "-source", "../..", "-created", "0", argument})
		if err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: %v, and not: %s", argument, err, expected)
		}
	}
	for expected, arguments := range map[string][]string{
		"no binary":              {"-name", testName, "-created", "0"},
		"write REGISTRY/NAME":    {"-name", "Wrong!", "-created", "0"},
		"-created: write the se": {"-name", testName, "-created", "today", "amd64=" + static},
	} {
		if err := run(arguments); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%q: %v", arguments, err)
		}
	}
}
