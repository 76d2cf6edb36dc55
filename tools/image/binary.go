package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
)

// architecture is a processor, by the names of all who have one for it.
type architecture struct {
	name    string // of Go and OCI
	machine elf.Machine
	target  string // of Rust
}

var architectures = []architecture{
	{"amd64", elf.EM_X86_64, "x86_64-unknown-linux-gnu"},
	{"arm64", elf.EM_AARCH64, "aarch64-unknown-linux-gnu"},
}

func isArchitecture(name string) bool {
	for _, architecture := range architectures {
		if architecture.name == name {
			return true
		}
	}
	return false
}

// checkBinary refuses what would not start in an image that has nothing else, and what doesn't
// belong into one.
func checkBinary(content []byte, architecture architecture) error {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("this is no program for Linux: %w", err)
	}
	if file.Machine != architecture.machine {
		return fmt.Errorf("this is a program for %s, not for %s", file.Machine, architecture.name)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return errors.New("this program needs shared libraries; build it with tools/image/binary")
		}
	}
	if file.Section(".debug_info") != nil {
		return errors.New("this program has debug information in it; build it with tools/image/binary")
	}
	return nil
}

var libcBanner = regexp.MustCompile(`GNU C Library \(([^)]+)\) (?:stable|development) release version ([0-9.]+[0-9])`)

// linkedLibc says which C library is linked into a program: its version, and whose build it is.
func linkedLibc(content []byte) (version, build string, found bool) {
	match := libcBanner.FindSubmatch(content)
	if match == nil {
		return "", "", false
	}
	return string(match[2]), string(match[1]), true
}
