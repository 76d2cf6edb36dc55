package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// Whom the gateway runs as: nobody's number, and of no name, since there is no passwd.
	user = "65532:65532"
	// What a node may have to pull. More than this is a mistake in the build.
	maxSize = 40 << 20

	sbomType = types.MediaType("application/vnd.cyclonedx+json")
)

// built is one processor's image, and what belongs to it.
type built struct {
	architecture architecture
	image        v1.Image
	sbom         []byte
	attached     v1.Image // the SBOM, in the form in which registries attach it to the image
}

// build makes the image of one binary.
func build(architecture architecture, path string, project project, options options) (built, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return built{}, err
	}
	if err := checkBinary(binary, architecture); err != nil {
		return built{}, err
	}
	packages, err := readPackages(options.source, architecture)
	if err != nil {
		return built{}, err
	}
	labels := labels(project, options)
	image, err := newImage(architecture, contents(binary), labels, options.created)
	if err != nil {
		return built{}, err
	}
	if err := checkSize(image); err != nil {
		return built{}, err
	}
	sbom, err := newSBOM(project, packages, binary, options.created)
	if err != nil {
		return built{}, err
	}
	attached, err := attach(sbom, image)
	if err != nil {
		return built{}, err
	}
	return built{architecture, image, sbom, attached}, nil
}

// labels has what one can ask of an image without starting it.
func labels(project project, options options) map[string]string {
	prefix := "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":         project.Name,
		prefix + "description":   project.Description,
		prefix + "version":       project.Version,
		prefix + "source":        project.Repository,
		prefix + "url":           project.Repository,
		prefix + "documentation": project.Repository + "/tree/main/docs",
		prefix + "licenses":      project.License,
		prefix + "created":       options.created.Format(time.RFC3339),
	}
	if options.revision != "" {
		labels[prefix+"revision"] = options.revision
	}
	return labels
}

// newImage makes an image of one layer.
func newImage(architecture architecture, files []entry, labels map[string]string, created time.Time) (v1.Image, error) {
	packed, err := pack(files, created)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(9), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	history := v1.History{Created: v1.Time{Time: created}, CreatedBy: "tools/image"}
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: history})
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", architecture.name
	file.Created = v1.Time{Time: created}
	file.Config = v1.Config{
		User:         user,
		Entrypoint:   []string{"/" + binaryPath},
		Cmd:          []string{"run"},
		Env:          []string{"PATH=/usr/local/bin"},
		WorkingDir:   "/",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8444/tcp": {}, "8877/tcp": {}},
		Labels:       labels,
	}
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}

// checkSize refuses an image of more than maxSize bytes, unpacked.
func checkSize(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	var size int64
	for _, layer := range layers {
		unpacked, err := layer.Uncompressed()
		if err != nil {
			return err
		}
		written, err := io.Copy(io.Discard, unpacked)
		if err != nil {
			return err
		}
		size += written
	}
	if size > maxSize {
		return fmt.Errorf("the image would have %d bytes; at most %d are right", size, maxSize)
	}
	return nil
}

// attach makes the manifest by which a registry lists an SBOM among an image's referrers.
func attach(sbom []byte, image v1.Image) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	artifact, err := mutate.AppendLayers(base, static.NewLayer(sbom, sbomType))
	if err != nil {
		return nil, err
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	size, err := image.Size()
	if err != nil {
		return nil, err
	}
	subject := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: size}
	return mutate.Subject(artifact, subject).(v1.Image), nil
}
