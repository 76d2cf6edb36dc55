package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// write puts everything below `out`, in place of what an earlier run has left there.
func write(out string, reference name.Tag, images []built) error {
	for _, one := range images {
		stem := filepath.Join(out, "nuncio-"+one.architecture.name)
		if err := os.WriteFile(stem+".cdx.json", one.sbom, 0o644); err != nil {
			return err
		}
		if err := tarball.WriteToFile(stem+".tar", reference, one.image); err != nil {
			return err
		}
	}
	directory := filepath.Join(out, "oci")
	if err := os.RemoveAll(directory); err != nil {
		return err
	}
	path, err := layout.Write(directory, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index(images), layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": reference.TagStr(),
		"io.containerd.image.name":          reference.Name(),
	})); err != nil {
		return err
	}
	for _, one := range images {
		if err := path.AppendImage(one.attached); err != nil {
			return err
		}
	}
	return nil
}

// push sends the images, and the SBOMs as what refers to them.
func push(reference name.Tag, images []built) error {
	credentials := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	if err := remote.WriteIndex(reference, index(images), credentials); err != nil {
		return fmt.Errorf("pushing %s: %w", reference, err)
	}
	for _, one := range images {
		digest, err := one.attached.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(reference.Digest(digest.String()), one.attached, credentials); err != nil {
			return fmt.Errorf("pushing the SBOM of %s: %w", reference, err)
		}
	}
	return nil
}

// index lists the images by processor, so that each node takes its own.
func index(images []built) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, one := range images {
		platform := v1.Platform{OS: "linux", Architecture: one.architecture.name}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: one.image, Descriptor: v1.Descriptor{Platform: &platform},
		})
	}
	return index
}
