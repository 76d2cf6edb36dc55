package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// newSBOM lists what the image is made of: crates with what they depend on, the C library that is
// linked, and the certificates. packages begins with the gateway itself.
func newSBOM(project project, packages []dependency, binary []byte, created time.Time) ([]byte, error) {
	own := packages[0]
	components := make([]cdx.Component, 0, len(packages)+2)
	for _, one := range packages[1:] {
		components = append(components, crate(one))
	}
	version, build, found := linkedLibc(binary)
	if !found {
		return nil, errors.New("the program doesn't say which C library is linked into it")
	}
	components = append(components, cdx.Component{
		BOMRef: "glibc", Type: cdx.ComponentTypeLibrary, Name: "glibc", Version: version,
		Description: build, Licenses: licenses("LGPL-2.1-or-later"),
		PackageURL: "pkg:generic/glibc@" + version, Scope: cdx.ScopeRequired,
	})
	components = append(components, cdx.Component{
		BOMRef: "ca-certificates", Type: cdx.ComponentTypeData, Name: rootsModule,
		Version:     moduleVersion(rootsModule),
		Description: "the certificates of public authorities that Mozilla trusts",
		Licenses:    licenses("MPL-2.0"), Scope: cdx.ScopeRequired,
	})
	sum := sha256.Sum256(binary)
	component := crate(own)
	component.Type, component.PackageURL = cdx.ComponentTypeApplication, ""
	component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	component.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeVCS, URL: project.Repository}}

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: created.Format(time.RFC3339), Component: &component}
	bom.Components = &components
	bom.Dependencies = dependencies(packages)
	var text bytes.Buffer
	encoder := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true)
	err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6)
	return text.Bytes(), err
}

// reference names a package within the SBOM. Cargo's own IDs would name this machine's paths.
func reference(one cargoPackage) string { return one.Name + "@" + one.Version }

func crate(one dependency) cdx.Component {
	scope := cdx.ScopeRequired
	if one.isMacro {
		scope = cdx.ScopeExcluded
	}
	return cdx.Component{
		BOMRef: reference(one.cargoPackage), Type: cdx.ComponentTypeLibrary,
		Name: one.Name, Version: one.Version, Description: one.Description,
		Scope: scope, Licenses: licenses(one.License),
		PackageURL: "pkg:cargo/" + one.Name + "@" + one.Version,
	}
}

// licenses has an SPDX expression. Old crates wrote a slash where SPDX has OR.
func licenses(expression string) *cdx.Licenses {
	if expression == "" {
		return nil
	}
	words := strings.ReplaceAll(expression, "/", " OR ")
	expression = strings.Join(strings.Fields(words), " ")
	return &cdx.Licenses{{Expression: expression}}
}

func dependencies(packages []dependency) *[]cdx.Dependency {
	names := map[string]string{}
	for _, one := range packages {
		names[one.ID] = reference(one.cargoPackage)
	}
	graph := make([]cdx.Dependency, 0, len(packages))
	for index, one := range packages {
		needs := make([]string, 0, len(one.needs)+2)
		for _, id := range one.needs {
			needs = append(needs, names[id])
		}
		if index == 0 {
			needs = append(needs, "glibc", "ca-certificates")
		}
		graph = append(graph, cdx.Dependency{Ref: reference(one.cargoPackage), Dependencies: &needs})
	}
	return &graph
}

// moduleVersion says which version of a Go module is built into this program.
func moduleVersion(path string) string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return ""
}
