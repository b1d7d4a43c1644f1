package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
)

// A Member is the application's user.
type Member struct {
	auth.Account
}

// newApplication makes an application with pages of its own. Package pages has all of this.
func newApplication() (*auth.Manager[*Member], http.Handler, error) {
	passkeys := passkey.New(passkey.Config{})
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Factors: []auth.Factor{passkeys},
	})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()

	path, source := passkeys.Script()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(source)
	})

	// The login page. The script shows the form if the browser has passkeys.
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Log in</title><script src="/passkey.js" defer></script>
			<form method="post" action="/login/passkey" data-passkey-url="/login/passkey" data-passkey-failed="That did not work." hidden>
				<input type="hidden" name="passkey"><button>Log in with a passkey</button>
				<p role="alert" data-passkey-message hidden></p>
			</form>`)
	})
	mux.HandleFunc("GET /login/passkey", func(w http.ResponseWriter, r *http.Request) {
		prompt, err := manager.PromptPasskey(r.Context())
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(prompt.Data)
	})
	mux.HandleFunc("POST /login/passkey", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch _, err := manager.LoginByPasskey(r.Context(), r.PostForm); {
		case err == nil:
			manager.TakeNext(r).Redirect(w, "/")
		case errors.Is(err, auth.ErrLoginRefused): // the login page says that it did not work
			http.Redirect(w, r, "/login?failed=1", http.StatusSeeOther)
		default:
			manager.Error(w, r, err)
		}
	})

	// The page that adds a passkey.
	mux.Handle("GET /account/passkeys", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setup, err := manager.BeginFactor(r.Context(), "passkey")
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(setup.Prompt.Data)
	})))
	mux.Handle("POST /account/passkeys", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if err := manager.EnrollFactor(r.Context(), "passkey", r.PostForm); err != nil {
			manager.Error(w, r, err)
		}
	})))
	mux.Handle("GET /", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		_, _ = fmt.Fprintf(w, "Hello, %s!", user.Username)
	})))
	handler := manager.LoadAndSave(mux)
	return manager, handler, nil
}

// testApplication would be called TestApplication in the application's own tests.
func testApplication(t *testing.T) {
	manager, handler, err := newApplication()
	if err != nil {
		t.Fatal(err)
	}
	susan, err := manager.Register(t.Context(), auth.Registration{Username: "susan", NoPassword: true})
	if err != nil {
		t.Fatal(err)
	}
	phone := passkeytest.New("https://app.example")
	send := func(client *authtest.Client, path string) *authtest.Response {
		answer, err := phone.AnswerJSON([]byte(client.Get(path).Text))
		if err != nil {
			t.Fatal(err)
		}
		return client.Post(path, url.Values{"passkey": {answer}})
	}

	client := authtest.NewClient(t, manager.Core, handler)
	client.Login(susan)
	if r := send(client, "/account/passkeys"); r.StatusCode != http.StatusOK {
		t.Fatalf("add a passkey: %s %s", r.Status, r.Text)
	}

	client = authtest.NewClient(t, manager.Core, handler)
	if r := client.Follow(send(client, "/login/passkey")); r.Text != "Hello, susan!" {
		t.Errorf("after the login: %s %s", r.Status, r.Text)
	}
}

func TestExample(t *testing.T) {
	testApplication(t)
	manager, handler, err := newApplication()
	must(t, err)
	client := authtest.NewClient(t, manager.Core, handler)
	if r := client.Get("/passkey.js"); !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") || !strings.Contains(r.Text, "navigator.credentials") {
		t.Errorf("the script: %s %s", r.Status, r.Header)
	}
	if r := client.Post("/login/passkey", url.Values{"passkey": {"{}"}}); r.Header.Get("Location") != "/login?failed=1" {
		t.Errorf("a wrong answer: %s %s", r.Status, r.Header)
	}
}

// A site with several hosts, which share the passkeys.
func ExampleNew() {
	passkeys := passkey.New(passkey.Config{
		RPID:     "app.example",
		Origins:  []string{"https://www.app.example", "https://shop.app.example"},
		SiteName: "The App",
	})
	_, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL: "https://www.app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Factors: []auth.Factor{passkeys},
	})
	if err != nil {
		fmt.Println(err)
	}
	// Users may have passkeys of an earlier host.
	if err := passkeys.Check(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
}
