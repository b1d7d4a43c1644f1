// Routers is one small application under five routers: net/http's ServeMux, chi,
// gorilla/mux, echo and gin. Each file shows the lines for one router. The rule is the same
// for all: LoadAndSave wraps the whole router, and the guards are middleware of its routes.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/websocket"
)

// A User is an account. Fields of your application would go beside it.
type User struct{ auth.Account }

// An app has what all routers share: the ready-made pages, and handlers.
type app struct {
	manager *auth.Manager[*User]
	pages   *pages.Pages
	ending  <-chan struct{} // closed when the program must end

	// errorPage is the application's page for errors: those of the library, of the router and
	// of its handlers.
	errorPage func(w http.ResponseWriter, r *http.Request, status int, err error)
}

// routers are the functions that put the application under a router.
func routers() map[string]func(*app) http.Handler {
	return map[string]func(*app) http.Handler{
		"servemux": underServeMux, "chi": underChi, "gorilla": underGorilla, "echo": underEcho, "gin": underGin,
	}
}

func main() {
	server.Main("routers", func(ctx context.Context) error { return run(ctx, os.Args[1:]) })
}

func run(ctx context.Context, args []string) error {
	names := strings.Join(slices.Sorted(maps.Keys(routers())), ", ")
	flags := flag.NewFlagSet("routers", flag.ContinueOnError)
	name := flags.String("router", "servemux", "one of "+names)
	if err := flags.Parse(args); err != nil {
		return err
	}
	under := routers()[*name]
	if under == nil {
		return fmt.Errorf("unknown router %q; use one of %s", *name, names)
	}
	listener, port, err := server.Listen(ctx, "127.0.0.1:8080")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve closes it, too; this is for errors
	secret := make([]byte, 32)              // in production, read it from a file or the environment
	_, _ = rand.Read(secret)
	a, err := newApp(memstore.New[User](), auth.Config{BaseURL: "http://localhost:" + port, Secrets: [][]byte{secret}}, ctx.Done())
	if err != nil {
		return err
	}
	fmt.Printf("It is at http://localhost:%s, under %s\n", port, *name)
	return server.Serve(ctx, listener, under(a))
}

func newApp(store auth.UserStore[*User], cfg auth.Config, ending <-chan struct{}) (*app, error) {
	cfg.Credentials = []auth.Credential{auth.Bearer()}
	manager, err := auth.New(store, cfg)
	if err != nil {
		return nil, err
	}
	a := &app{manager: manager, ending: ending, errorPage: errorPage}
	// Before pages.New, which would set the page of the ready-made pages.
	manager.DefaultErrorPage(func(w http.ResponseWriter, r *http.Request, status int, err error) {
		a.errorPage(w, r, status, err)
	})
	a.pages, err = pages.New(manager.Core, pages.Config{Site: "Routers", Home: "/profile"})
	return a, err
}

// errorPage is the page for errors under routers that have no such page of their own. It does
// not show err, which is for the log.
func errorPage(w http.ResponseWriter, _ *http.Request, status int, _ error) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<h1>%d</h1><p>%s. This page is our own.</p>", status, http.StatusText(status))
}

// freshFor is how long after the password /billing may be seen.
const freshFor = 15 * time.Minute

// count counts the visits of a browser. It is called by handlers that are written in the
// router's own way.
func (a *app) count(ctx context.Context) int {
	data := a.manager.SessionData()
	n := data.GetInt(ctx, "visits") + 1
	data.Put(ctx, "visits", n)
	return n
}

// profile is behind RequireLogin, and billing behind RequireFresh.
func (a *app) profile(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context()) // the guard has made sure that there is one
	_, _ = fmt.Fprintf(w, "This is %s.", user.Username)
}

func (a *app) billing(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprint(w, "Pay here.")
}

// isStaff is a rule of the application's own, which staff asks.
func (a *app) isStaff() auth.Rule {
	return a.manager.Where(func(u *User) bool { return u.Username == "boss" })
}

func (a *app) staff(w http.ResponseWriter, r *http.Request) {
	if err := a.manager.Check(r.Context(), a.isStaff()); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	_, _ = fmt.Fprint(w, "The staff only.")
}

// errPrinter is an error of the application's own.
var errPrinter = errors.New("the printer is on fire")

func (a *app) print(w http.ResponseWriter, r *http.Request) {
	a.manager.Error(w, r, errPrinter) // 500, and a line in the log
}

// notes is for programs with a token, behind RequireScope.
func (a *app) notes(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context())
	_, _ = fmt.Fprintf(w, "Notes of %s.", user.Username)
}

// events is a stream (server-sent events) that ends with the login.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	ctx, stop := a.manager.WhileLoggedIn(r.Context())
	defer stop()
	stream := http.NewResponseController(w)
	// The server's own deadlines are short.
	if err := errors.Join(stream.SetReadDeadline(time.Time{}), stream.SetWriteDeadline(time.Time{})); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprint(w, "data: hello\n\n")
	if err := stream.Flush(); err != nil {
		return
	}
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprint(w, "event: logout\ndata:\n\n")
	case <-a.ending:
	}
}

// chat is a WebSocket that repeats what it gets, and ends with the login.
func (a *app) chat(w http.ResponseWriter, r *http.Request) {
	ctx, stop := a.manager.WhileLoggedIn(r.Context())
	defer stop()
	websocket.Server{
		// LoadAndSave does not refuse a GET from another site, so the WebSocket must do so.
		Handshake: func(_ *websocket.Config, r *http.Request) error {
			if r.Header.Get("Origin") != a.manager.Config().BaseURL {
				return errors.New("a page of another site")
			}
			return nil
		},
		Handler: func(conn *websocket.Conn) {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			for {
				var text string
				if websocket.Message.Receive(conn, &text) != nil || websocket.Message.Send(conn, text) != nil {
					return
				}
			}
		},
	}.ServeHTTP(w, r)
}
