// Program image makes the gateway's container images out of built binaries, without a container
// engine, and says what is in them.
//
//	image -name ghcr.io/nuncio/nuncio:1.2.3 -out target/image amd64=path/to/nuncio
//
// `make image` builds the binaries and calls it. Below -out it writes
//
//	oci/                    an OCI layout of all processors' images and of their SBOMs
//	nuncio-ARCH.tar         for docker load, podman load and ctr images import
//	nuncio-ARCH.cdx.json    the SBOM, in CycloneDX
//
// With -push, image and SBOMs go to the registry that -name says.
//
// Equal binaries, sources and flags give equal bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// options is what the command line says.
type options struct {
	reference name.Tag
	push      bool
	out       string
	source    string
	revision  string
	created   time.Time
	// The paths of binaries by the names that Go and OCI give to their processors.
	binaries map[string]string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	options, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	project, err := readProject(options.source)
	if err != nil {
		return err
	}
	built := make([]built, 0, len(options.binaries))
	for _, architecture := range architectures {
		path, wanted := options.binaries[architecture.name]
		if !wanted {
			continue
		}
		one, err := build(architecture, path, project, options)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		built = append(built, one)
	}
	if err := write(options.out, options.reference, built); err != nil || !options.push {
		return err
	}
	return push(options.reference, built)
}

func parseOptions(arguments []string) (options, error) {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	reference := flags.String("name", "", "the image's name and tag")
	push := flags.Bool("push", false, "push it to its registry, with the credentials of docker login")
	out := flags.String("out", "target/image", "the directory to write")
	source := flags.String("source", ".", "the project's directory, for its metadata")
	revision := flags.String("revision", "", "the commit that was built")
	created := flags.String("created", os.Getenv("SOURCE_DATE_EPOCH"), "seconds since 1970")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	tag, err := name.NewTag(*reference, name.StrictValidation)
	if err != nil {
		return options{}, fmt.Errorf("-name: write REGISTRY/NAME:TAG: %w", err)
	}
	seconds, err := strconv.ParseInt(*created, 10, 64)
	if err != nil {
		return options{}, errors.New("-created: write the seconds since 1970 of the commit")
	}
	binaries := map[string]string{}
	for _, argument := range flags.Args() {
		architecture, path, ok := strings.Cut(argument, "=")
		if !ok || !isArchitecture(architecture) {
			return options{}, fmt.Errorf("%q: write amd64=PATH or arm64=PATH", argument)
		}
		binaries[architecture] = path
	}
	if len(binaries) == 0 {
		return options{}, errors.New("no binary is given: write amd64=PATH or arm64=PATH")
	}
	return options{tag, *push, *out, *source, *revision, time.Unix(seconds, 0).UTC(), binaries}, nil
}
