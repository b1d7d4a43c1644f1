// Spa is one page with a script, and no framework. It registers, logs in with a password, a
// second factor or a passkey, and logs out, by the JSON of package pages. Users set up
// factors on the ready-made pages.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/go-login/auth"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/totp"
)

//go:embed static
var static embed.FS

// User is the application's own type.
type User struct{ auth.Account }

func main() {
	server.Main("spa", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdout) })
}

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("spa", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, port, err := server.Listen(ctx, *addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve closes it, too; this is for errors
	app, err := newApp("http://localhost:" + port)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Spa is at http://localhost:%s (listening on %s)\n", port, listener.Addr())
	return server.Serve(ctx, listener, app)
}

// newApp returns the application.
func newApp(baseURL string) (http.Handler, error) {
	secret := make([]byte, 32) // a lasting one comes from a file or the environment
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: baseURL, Secrets: [][]byte{secret},
		Factors: []auth.Factor{totp.New(totp.Issuer("Spa")), totp.RecoveryCodes(), passkey.New(passkey.Config{SiteName: "Spa"})},
	})
	if err != nil {
		return nil, err
	}
	ready, err := pages.New(manager.Core, pages.Config{OpenAPI: true})
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", ready)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, path := range []string{"GET /{$}", "GET /app.js"} {
		mux.Handle(path, secure(http.FileServerFS(files)))
	}
	return manager.LoadAndSave(mux), nil
}

// secure lets the page run its own script, and nothing else.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
