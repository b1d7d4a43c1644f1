package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/totp"
)

// withFactors returns the configuration of the program with the line that README.md adds to it.
func withFactors(secret []byte) auth.Config {
	return auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{secret},
		Mailer:  authmail.NewPrinter(os.Stdout),
		Factors: []auth.Factor{totp.New(totp.Issuer("Hello")), totp.RecoveryCodes()},
	}
}

// The program compiles with the line that README.md adds, and has the page for second factors.
func TestFactorsInTheProgram(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("factors_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(own), "authmail.NewPrinter(os.Stdout),\n")
	line, _, _ = strings.Cut(line, "\n")
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	const before, imported = "authmail.NewPrinter(os.Stdout),\n", "\t\"github.com/go-login/auth/pages\"\n"
	changed := strings.Replace(string(program), before, before+line+"\n", 1)
	changed = strings.Replace(changed, imported, imported+"\t\"github.com/go-login/auth/totp\"\n", 1)
	if len(changed) != len(program)+len(line)+len("\n\t\"github.com/go-login/auth/totp\"\n") {
		t.Fatal("the program has no place for the line")
	}
	dir := t.TempDir()
	replacement, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	original, err := filepath.Abs("main.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := json.Marshal(map[string]map[string]string{"Replace": {original: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{replacement: []byte(changed), overlay: files} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", os.DevNull, ".").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}

	manager, err := auth.New(memstore.New[User](), withFactors([]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")))
	if err != nil {
		t.Fatal(err)
	}
	ready, err := pages.New(manager.Core, pages.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	manager.LoadAndSave(ready).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost:8080/account/two-factor", nil))
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/login?") {
		t.Errorf("the page for second factors: %d, to %q", w.Code, to)
	}
}
