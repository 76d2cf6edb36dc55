package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	binaryPath = "usr/local/bin/nuncio"
	// Where clients look for the certificates of public authorities first.
	rootsPath = "etc/ssl/certs/ca-certificates.crt"
)

// entry is a file of the image.
type entry struct {
	path    string
	mode    int64
	content []byte
}

// contents is everything that is in the image.
func contents(binary []byte) []entry {
	return []entry{
		{rootsPath, 0o644, authorities()},
		{binaryPath, 0o755, binary},
	}
}

// authorities has the certificates of public authorities that Mozilla trusts, of the version that
// go.sum names: not those of the machine that happens to build.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		// Writing to memory doesn't fail, and there are no headers that could be wrong.
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	return text.Bytes()
}

// pack makes a tar of files, each after the directories it is in: sorted, root's, all of one time.
func pack(entries []entry, modified time.Time) ([]byte, error) {
	entries = slices.SortedFunc(slices.Values(entries), func(a, b entry) int {
		return bytes.Compare([]byte(a.path), []byte(b.path))
	})
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	seen := map[string]bool{".": true}
	for _, entry := range entries {
		for _, directory := range directories(entry.path) {
			if seen[directory] {
				continue
			}
			seen[directory] = true
			header := tar.Header{Typeflag: tar.TypeDir, Name: directory + "/", Mode: 0o755, ModTime: modified}
			if err := archive.WriteHeader(&header); err != nil {
				return nil, fmt.Errorf("%s: %w", directory, err)
			}
		}
		header := tar.Header{
			Typeflag: tar.TypeReg, Name: entry.path, Mode: entry.mode,
			Size: int64(len(entry.content)), ModTime: modified,
		}
		if err := archive.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.path, err)
		}
		if _, err := archive.Write(entry.content); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.path, err)
		}
	}
	err := archive.Close()
	return packed.Bytes(), err
}

// directories has those that a path is in, the outermost first.
func directories(file string) []string {
	var found []string
	for directory := path.Dir(file); directory != "."; directory = path.Dir(directory) {
		found = append(found, directory)
	}
	slices.Reverse(found)
	return found
}
