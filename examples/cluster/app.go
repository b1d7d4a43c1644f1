package main

import (
	"bytes"
	"context"
	"database/sql"
	_ "embed" // for home.html
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/redisstore"
	"github.com/go-login/auth/sqlstore"
	"github.com/redis/go-redis/v9"
)

// A User is an account. Fields of your application would go beside it.
type User struct{ auth.Account }

// The settings of a process. All except number are the same in every process.
type settings struct {
	number  int // of the process, from 1
	baseURL string
	secret  []byte
	prefix  string    // of all keys in Redis
	mails   io.Writer // where mails are printed
}

// patience is how long a request may take. If a database hangs, the answer is
// then 503 Service Unavailable, and requests do not pile up.
const patience = 10 * time.Second

//go:embed home.html
var homeHTML string

// newApp returns the whole application. Everything that makes several processes
// one application is in the Config.
func newApp(db *sql.DB, client *redis.Client, s settings) (http.Handler, error) {
	manager, err := auth.New(sqlstore.New[User](db, sqlstore.Postgres), auth.Config{
		// The URL of the proxy for browsers, whichever process answers.
		// Cookies, links and the origin check use it.
		BaseURL: s.baseURL,

		// Every process can open what another has sealed or signed.
		Secrets: [][]byte{s.secret},

		// Sessions may vanish; users then have to log in again. Everything that
		// must last is in the database with the users: remembered devices,
		// counts of failed logins, and all other kinds of records.
		SessionStore: redisstore.NewRecords(client, redisstore.Prefix(s.prefix)),

		// The proxy connects from this machine, and names the client's address.
		Network: auth.NetworkConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}},

		Mailer: authmail.NewPrinter(s.mails),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)).With(slog.Int("process", s.number)),
	})
	if err != nil {
		return nil, err
	}
	ready, err := pages.New(manager.Core, pages.Config{Site: "Cluster"})
	if err != nil {
		return nil, err
	}
	home, err := template.New("home").Parse(homeHTML)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", ready)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.User(r.Context())
		if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) { // a store has failed, so the user is unknown
			manager.Error(w, r, err)
			return
		}
		var body bytes.Buffer
		if err := home.Execute(&body, struct {
			User         *User
			Flashes      []auth.Flash
			Process, PID int
		}{user, manager.Flashes(r.Context()), s.number, os.Getpid()}); err != nil {
			manager.Error(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		_, _ = body.WriteTo(w) // an error means that the client is gone
	})
	app := manager.LoadAndSave(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		app.ServeHTTP(w, r.WithContext(ctx))
	}), nil
}
