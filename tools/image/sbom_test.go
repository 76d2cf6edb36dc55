package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func decodeSBOM(t *testing.T) cdx.BOM {
	t.Helper()
	text := read(t, filepath.Join(makeImages(t), "nuncio-amd64.cdx.json"))
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

func TestTheSBOMListsWhatIsLinked(t *testing.T) {
	scopes := map[string]cdx.Scope{}
	for _, component := range *decodeSBOM(t).Components {
		scopes[component.Name] = component.Scope
		if component.Version == "" && component.Name != rootsModule { // a test isn't built as a module
			t.Errorf("%s has no version", component.Name)
		}
		if component.Licenses == nil || strings.Contains((*component.Licenses)[0].Expression, "/") {
			t.Errorf("%s has the licence %v", component.Name, component.Licenses)
		}
	}
	for name, expected := range map[string]cdx.Scope{
		"tokio":        cdx.ScopeRequired,
		"aws-lc-sys":   cdx.ScopeRequired,
		"glibc":        cdx.ScopeRequired,
		rootsModule:    cdx.ScopeRequired,
		"serde_derive": cdx.ScopeExcluded, // it ran in the compiler
		"proptest":     "",                // only tests need it
		"cmake":        "",                // only a build script
		"windows-sys":  "",                // another system
	} {
		if scopes[name] != expected {
			t.Errorf("%s is %q, not %q", name, scopes[name], expected)
		}
	}
}

func TestTheSBOMHangsTogether(t *testing.T) {
	bom := decodeSBOM(t)
	known := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, component := range *bom.Components {
		if known[component.BOMRef] {
			t.Errorf("%s is there twice", component.BOMRef)
		}
		known[component.BOMRef] = true
	}
	if len(*bom.Dependencies) < 100 {
		t.Errorf("%d packages say what they need", len(*bom.Dependencies))
	}
	for _, one := range *bom.Dependencies {
		needs := []string{one.Ref}
		if one.Dependencies != nil {
			needs = append(needs, *one.Dependencies...)
		}
		for _, needed := range needs {
			if !known[needed] {
				t.Errorf("%s: %q is not listed", one.Ref, needed)
			}
		}
	}
}
