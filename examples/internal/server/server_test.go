package server

import (
	"os"
	"path/filepath"
	"testing"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	first, err := Secret(file)
	check(t, err)
	again, err := Secret(file)
	check(t, err)
	if len(first) != 32 || string(first) != string(again) {
		t.Errorf("%d bytes, then %d", len(first), len(again))
	}
	info, err := os.Stat(file)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if err := makeSecret(file); err == nil {
		t.Error("a secret was replaced")
	}
	check(t, os.WriteFile(file, first[:31], 0o600))
	if _, err := Secret(file); err == nil {
		t.Error("half a secret was taken")
	}
	if _, err := Secret(filepath.Join(file, "secret")); err == nil {
		t.Error("a secret in a file")
	}
}

// TestSecretFileAtOnce has several goroutines that start at once for the first
// time.
func TestSecretFileAtOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	secrets := make(chan string)
	const n = 20
	for range n {
		go func() {
			secret, err := Secret(file)
			if err != nil {
				t.Error(err)
			}
			secrets <- string(secret)
		}()
	}
	first := <-secrets
	for range n - 1 {
		if secret := <-secrets; secret != first {
			t.Error("two processes have different secrets")
		}
	}
}
