//go:build ignore

// This program makes ../common.txt from the npm package zxcvbn. See ../README.md.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	tarballSum = "0b3ebb60ec2df2340e1b8b70e4cb2657a3ceb192781d299310e7aceaa606cd22"
	listFile   = "package/lib/frequency_lists.js"
	shortest   = 8
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run gen/main.go zxcvbn-4.4.2.tgz common.txt")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(tarball, out string) error {
	packed, err := os.ReadFile(tarball)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(packed); hex.EncodeToString(sum[:]) != tarballSum {
		return fmt.Errorf("%s has SHA-256 %x, but this list is made from zxcvbn-4.4.2.tgz; download that, see README.md", tarball, sum)
	}
	js, err := extract(packed, listFile)
	if err != nil {
		return err
	}
	_, rest, found := strings.Cut(js, `passwords: "`)
	list, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		return errors.New("no list of passwords in " + listFile)
	}
	var words []string
	for word := range strings.SplitSeq(list, ",") {
		word = strings.ToLower(word)
		if utf8.RuneCountInString(word) < shortest {
			continue
		}
		// Contains compares in ASCII, so the list must be ASCII.
		if i := strings.IndexFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }); i >= 0 {
			return fmt.Errorf("unexpected character in %q", word)
		}
		words = append(words, word)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	return os.WriteFile(out, []byte(strings.Join(words, "\n")+"\n"), 0o644)
}

// extract returns the file called name of a gzipped tar archive.
func extract(packed []byte, name string) (string, error) {
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	for tr := tar.NewReader(zr); ; {
		header, err := tr.Next()
		if err != nil {
			return "", fmt.Errorf("looking for %s: %w", name, err)
		}
		if header.Name == name {
			content, err := io.ReadAll(tr)
			return string(content), err
		}
	}
}
