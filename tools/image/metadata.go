package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// project is what Cargo.toml says of the gateway.
type project struct {
	Name, Version, Description, License, Repository string
}

// metadata is what `cargo metadata` prints, as far as it is read here.
type metadata struct {
	Packages []cargoPackage
	Resolve  struct {
		Root  string
		Nodes []node
	}
}

type cargoPackage struct {
	ID, Name, Version, License, Description, Repository string
	// Null for what lies in the project itself.
	Source  *string
	Targets []struct{ Kind []string }
}

// node says what a package depends on.
type node struct {
	ID   string
	Deps []struct {
		Pkg      string
		DepKinds []struct {
			// Null for what is linked; "build" and "dev" for the rest.
			Kind *string
		} `json:"dep_kinds"`
	}
}

// dependency is a package that a binary is made of.
type dependency struct {
	cargoPackage
	// It runs in the compiler, and isn't in the binary itself.
	isMacro bool
	// The IDs of those that it needs, sorted.
	needs []string
}

// readProject asks Cargo for the project's own description.
func readProject(source string) (project, error) {
	read, err := cargoMetadata(source, "--no-deps")
	if err != nil {
		return project{}, err
	}
	if len(read.Packages) != 1 {
		return project{}, errors.New("Cargo.toml should have one package")
	}
	own := read.Packages[0]
	found := project{own.Name, own.Version, own.Description, own.License, own.Repository}
	if found.Repository == "" || found.License == "" {
		return project{}, errors.New("Cargo.toml should say repository and license")
	}
	return found, nil
}

// readPackages asks Cargo what a binary for this processor is made of.
func readPackages(source string, architecture architecture) ([]dependency, error) {
	read, err := cargoMetadata(source, "--filter-platform", architecture.target)
	if err != nil {
		return nil, err
	}
	return linked(read), nil
}

func cargoMetadata(source string, more ...string) (metadata, error) {
	arguments := append([]string{"metadata", "--locked", "--format-version", "1"}, more...)
	command := exec.Command("cargo", arguments...)
	command.Dir = source
	output, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return metadata{}, fmt.Errorf("cargo metadata: %s", strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return metadata{}, err
	}
	var read metadata
	if err := json.Unmarshal(output, &read); err != nil {
		return metadata{}, fmt.Errorf("cargo metadata: %w", err)
	}
	return read, nil
}

// linked walks from the gateway to all that it is made of, itself first, the others by ID. What
// only tests or build scripts need is not among them.
func linked(read metadata) []dependency {
	packages := map[string]cargoPackage{}
	for _, one := range read.Packages {
		packages[one.ID] = one
	}
	nodes := map[string]node{}
	for _, one := range read.Resolve.Nodes {
		nodes[one.ID] = one
	}
	root := read.Resolve.Root
	found := map[string]dependency{}
	// A macro's own dependencies run in the compiler too, unless something else links them.
	var visit func(id string, inMacro bool)
	visit = func(id string, inMacro bool) {
		isMacro := inMacro || isProcMacro(packages[id])
		if known, seen := found[id]; seen && (!known.isMacro || isMacro) {
			return
		}
		needs := normal(nodes[id])
		found[id] = dependency{packages[id], isMacro, needs}
		for _, next := range needs {
			visit(next, isMacro)
		}
	}
	visit(root, false)
	ids := make([]string, 0, len(found))
	for id := range found {
		if id != root {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	all := []dependency{found[root]}
	for _, id := range ids {
		all = append(all, found[id])
	}
	return all
}

func isProcMacro(one cargoPackage) bool {
	for _, target := range one.Targets {
		if slices.Contains(target.Kind, "proc-macro") {
			return true
		}
	}
	return false
}

// normal has the IDs of the packages that another one links.
func normal(of node) []string {
	var ids []string
	for _, dependency := range of.Deps {
		for _, kind := range dependency.DepKinds {
			if kind.Kind == nil {
				ids = append(ids, dependency.Pkg)
				break
			}
		}
	}
	slices.Sort(ids)
	return ids
}
