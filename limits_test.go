package auth_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// How many attempts one address has in an hour.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	const limit = 3
	limited := func(c *auth.Config) { c.Limits.Guesses = limit }
	for name, addresses := range map[string][]string{
		"IPv4":          {"192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"},
		"IPv6":          {"2001:db8:1:2::1", "2001:DB8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:0001:0002:0:0:0:3"},
		"a zone":        {"fe80::1%eth0", "fe80::1%eth1", "fe80::1", "fe80::2%x"},
		"no address":    {"", "", "", ""},
		"no IP address": {"@", "", "pipe", "/run/socket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, _ := newApp(t, limited)
			app.Create(t, "susan", true)
			for i, login := range []string{"susan", "ghost", "other ghost"} {
				if status := app.Visitor(t.Context(), addresses[i]).Login(login, "a wrong password"); status != http.StatusUnauthorized {
					t.Errorf("guess %d: %d", i+1, status)
				}
			}
			before := app.PasswordHashes()
			var answers []string
			for _, login := range []string{"susan", "ghost", "susan@app.example", "no login"} {
				v := app.Visitor(t.Context(), addresses[3])
				w := v.Post("/login", "login", login, "password", testapp.Password)
				answers = append(answers, told(t, w))
				if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3600" || len(v.Cookies) > 0 {
					t.Errorf("%s: %s", login, told(t, w))
				}
			}
			if len(slices.Compact(answers)) != 1 {
				t.Errorf("answers %q", answers)
			}
			if n := app.PasswordHashes() - before; n != 0 {
				t.Errorf("%d hashes", n)
			}
			events := app.Events()
			if countOf(events, auth.EventAddressLimited) != 4 {
				t.Errorf("events %v", kinds(events))
			}
		})
	}

	app, _ := newApp(t, limited)
	app.Create(t, "susan", true)
	for i := range limit {
		app.Visitor(t.Context(), "192.0.2.1").Login(fmt.Sprint("ghost", i), "a wrong password")
		app.Visitor(t.Context(), "2001:db8:1:2::1").Login(fmt.Sprint("ghost", i), "a wrong password")
	}
	for _, other := range []string{"192.0.2.2", "2001:db8:1:3::1", "2001:db8:1:1:ffff:ffff:ffff:ffff"} {
		if status := app.Visitor(t.Context(), other).Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("from %s: %d", other, status)
		}
	}
}

// Retry-After is a number of whole minutes, at least one. The window ends an hour after
// it began, whatever is tried meanwhile.
func TestAddressLimitEnds(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 2 })
	app.Create(t, "susan", true)
	v := app.Visitor(t.Context(), "192.0.2.1")
	v.Login("ghost", "a wrong password")
	app.Clock.Advance(10 * time.Minute)
	v.Login("ghost", "a wrong password")
	for _, step := range []struct {
		advance time.Duration
		want    string
	}{
		{0, "3000"}, {time.Nanosecond, "3000"}, {time.Millisecond, "3000"}, {time.Minute, "2940"}, {48*time.Minute + 50*time.Second, "60"},
		{9 * time.Second, "60"}, {990 * time.Millisecond, "60"},
	} {
		app.Clock.Advance(step.advance)
		w := v.Post("/login", "login", "susan", "password", testapp.Password)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != step.want {
			t.Errorf("%+v: %d, Retry-After %q", step, w.Code, w.Header().Get("Retry-After"))
		}
	}
	app.Clock.Advance(10 * time.Millisecond)
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after the window: %d", status)
	}
}

// Successful logins do not count, and do not reset the count of earlier attempts.
func TestSuccessfulLoginsDoNotCount(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 3 })
	app.Create(t, "susan", true)
	app.Create(t, "mallory", true)
	for i := range 8 {
		if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
			t.Fatalf("login %d: %d", i, status)
		}
	}
	v := app.Visitor(t.Context(), "192.0.2.1")
	for i := range 3 {
		if status := v.Login("susan", "a wrong password"); status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, status)
		}
		if i < 2 { // after the third guess Mallory's address is at its limit
			if status := app.Visitor(t.Context(), "192.0.2.1").Login("mallory", testapp.Password); status != http.StatusOK {
				t.Fatalf("Mallory's login: %d", status)
			}
		}
	}
	if status := v.Login("susan", "a wrong password"); status != http.StatusTooManyRequests {
		t.Errorf("the fourth guess: %d", status)
	}
}

// If a login takes longer than the rest of the hour, its success takes nothing off the
// count of the next hour.
func TestSuccessInTheNextWindow(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 3 })
	member(t, app, "susan", testapp.Password)
	store.Hook(on("TakeRecord", func() error { // called after the password was found right
		app.Clock.Advance(time.Hour)
		for range 3 {
			app.Visitor(t.Context(), "192.0.2.1").Login("ghost", "a wrong password")
		}
		return nil
	}), nil)
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("the login: %d", status)
	}
	store.Reset()
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("ghost", "a wrong password"); status != http.StatusTooManyRequests {
		t.Errorf("the fourth guess: %d", status)
	}
}

// A negative limit means no limit; zero means the default.
func TestNoAddressLimit(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{-1: http.StatusUnauthorized, math.MinInt: http.StatusUnauthorized, 0: http.StatusTooManyRequests} {
		app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = limit })
		for i := range 101 {
			member(t, app, fmt.Sprint("user", i), testapp.Password)
			got := app.Visitor(t.Context(), "192.0.2.1").Login(fmt.Sprint("user", i), "a wrong password")
			if i < 100 && got != http.StatusUnauthorized || i == 100 && got != want {
				t.Errorf("limit %d, guess %d: %d", limit, i+1, got)
			}
		}
	}
}

// Registrations and mails have limits of their own.
func TestLimitsOfOthers(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) {
		c.Limits, c.Mailer = auth.Limits{Guesses: 1, Mails: 2, Registrations: 3}, box
	})
	app.Create(t, "susan", true)
	forgot(app)
	app.Mux.HandleFunc("POST /register", func(w http.ResponseWriter, r *http.Request) {
		if _, err := app.Register(r.Context(), auth.Registration{Username: r.PostFormValue("name"), NoPassword: true}); err != nil {
			app.Error(w, r, err)
		}
	})
	v := app.Visitor(t.Context(), "192.0.2.1")
	for i, name := range []string{"anna", "susan", "not a name"} {
		if w := v.Post("/register", "name", name); w.Code == http.StatusTooManyRequests {
			t.Errorf("registration %d: %d", i, w.Code)
		}
	}
	var answers []string
	for _, name := range []string{"bert", "susan", "not a name"} {
		answers = append(answers, told(t, v.Post("/register", "name", name)))
	}
	if len(slices.Compact(answers)) != 1 || !strings.HasPrefix(answers[0], "429") {
		t.Errorf("registrations: %q", answers)
	}
	if _, err := app.Store.FindUser(t.Context(), "bert"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("bert: %v", err)
	}
	for _, address := range []string{"susan@app.example", "ghost@app.example"} {
		if w := v.Post("/forgot", "email", address); w.Code != http.StatusOK {
			t.Errorf("%s: %d", address, w.Code)
		}
	}
	box.Take()
	answers = nil
	for _, address := range []string{"susan@app.example", "ghost@app.example", "other@app.example"} {
		answers = append(answers, told(t, v.Post("/forgot", "email", address)))
	}
	if len(slices.Compact(answers)) != 1 || !strings.HasPrefix(answers[0], "429") || len(box.Take()) > 0 {
		t.Errorf("mails: %q", answers)
	}
	if status := v.Login("susan", "a wrong password"); status != http.StatusUnauthorized {
		t.Errorf("a guess: %d", status)
	}
	if status := v.Login("susan", testapp.Password); status != http.StatusTooManyRequests {
		t.Errorf("another one: %d", status)
	}
	other := app.Visitor(t.Context(), "192.0.2.2")
	if a, b, c := other.Post("/register", "name", "bert").Code, other.Post("/forgot", "email", "susan@app.example").Code,
		other.Login("susan", testapp.Password); a != 200 || b != 200 || c != 200 {
		t.Errorf("from another address: %d, %d, %d", a, b, c)
	}
	// Outside a request no address is known.
	if _, err := app.Register(t.Context(), auth.Registration{Username: "carl", NoPassword: true}); err != nil {
		t.Error(err)
	}
}

// Invalid mailed tokens count like wrong passwords. Good ones do not count.
func TestWrongTokensCount(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 3 })
	u := app.Create(t, "susan", true)
	app.Mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		if _, err := app.ResetPassword(r.Context(), r.PostFormValue("token"), r.PostFormValue("password")); err != nil {
			app.Error(w, r, err)
		}
	})
	token := func() string {
		token, err := app.ResetToken(t.Context(), stored(t, app, u.ID))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	v := app.Visitor(t.Context(), "192.0.2.1")
	for range 5 {
		if w := v.Post("/reset", "token", token(), "password", "short"); w.Code != http.StatusUnprocessableEntity {
			t.Fatalf("a good token: %d", w.Code)
		}
	}
	old := token()
	if w := v.Post("/reset", "token", old, "password", "another good password"); w.Code != http.StatusOK {
		t.Fatalf("a good token: %d", w.Code)
	}
	for i, wrong := range []string{"", old, token() + "x", "x"} {
		want := http.StatusBadRequest
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		if w := v.Post("/reset", "token", wrong, "password", "another good password"); w.Code != want {
			t.Errorf("wrong token %d: %d", i, w.Code)
		}
	}
	if status := v.Login("susan", "another good password"); status != http.StatusTooManyRequests {
		t.Errorf("a login then: %d", status)
	}
}

// ErrorPage and programs get the status and Retry-After, too.
func TestLimitAnswers(t *testing.T) {
	t.Parallel()
	var pages []int
	limited := func(c *auth.Config) { c.Limits.Guesses = 1 }
	app, _ := newApp(t, func(c *auth.Config) {
		limited(c)
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			pages = append(pages, status)
			var limited *auth.RateLimitError
			if !errors.As(err, &limited) || limited.RetryAfter != time.Hour || !errors.Is(err, auth.ErrRateLimited) || errors.Is(err, auth.ErrLoginRefused) {
				t.Errorf("the page is told %v", err)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "ours")
		}
	})
	v := app.Visitor(t.Context(), "192.0.2.1")
	app.Mux.HandleFunc("POST /guess", func(w http.ResponseWriter, r *http.Request) {
		if _, err := app.Authenticate(r.Context(), "ghost", "a wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) {
			app.Error(w, r, err)
		}
	})
	v.Post("/guess")
	w := v.Post("/guess")
	if w.Code != http.StatusTooManyRequests || w.Body.String() != "ours" || !slices.Equal(pages, []int{429}) ||
		w.Header().Get("Retry-After") != "3600" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s, pages %v", told(t, w), pages)
	}

	app, _ = newApp(t, limited)
	v = app.Visitor(t.Context(), "192.0.2.1")
	v.Header.Set("Accept", "application/json")
	v.Login("ghost", "a wrong password")
	w = v.Post("/login", "login", "ghost", "password", "a wrong password")
	var answer auth.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusTooManyRequests || answer.Code != "rate-limited" ||
		w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Retry-After") != "3600" {
		t.Errorf("%s, %v", told(t, w), err)
	}
}

// A mailbox gets at most three mails per lifetime of a link, or per hour if links live
// longer. The caller cannot tell. One of the links is good all the time.
func TestMailboxLimit(t *testing.T) {
	t.Parallel()
	for lifetime, window := range map[time.Duration]time.Duration{
		0: 30 * time.Minute, time.Minute: time.Minute, 24 * time.Hour: time.Hour,
	} {
		t.Run(fmt.Sprint(lifetime), func(t *testing.T) {
			t.Parallel()
			box := &testapp.Outbox{}
			app, store := newApp(t, func(c *auth.Config) { c.Mailer, c.Password.ResetLifetime = box, lifetime })
			forgot(app)
			app.Create(t, "susan", false)
			var tokens []string
			ask := func(address string) string {
				t.Helper()
				store.Reset()
				w := app.Visitor(t.Context(), "192.0.2.1").Post("/forgot", "email", address)
				return fmt.Sprint(told(t, w), store.Calls())
			}
			mails := func() (n int) {
				for _, m := range box.Take() {
					n++
					_, token, _ := strings.Cut(m.Link.Reveal(), "?token=")
					tokens = append(tokens, token)
				}
				return n
			}
			for round := range 3 {
				for i, address := range []string{"susan@app.example", "SUSAN@app.example", " susan@APP.example", "susan@app.example", "Susan@app.example"} {
					ask("warm-up@app.example") // begins the count of the address, if necessary
					app.Events()
					known := ask(address)
					if got, want := mails(), min(1, max(0, 3-i)); got != want {
						t.Errorf("round %d, request %d: %d mails, want %d", round, i, got, want)
					}
					unknown := ask("ghost@app.example")
					if known != unknown || !strings.HasPrefix(known, "200") {
						t.Errorf("round %d, request %d: %s, without an account %s", round, i, known, unknown)
					}
					full := 0
					for _, e := range app.Events() {
						if e.Kind == auth.EventResetRefused && !errors.Is(e.Err, auth.ErrUserNotFound) {
							full++
						}
					}
					if want := 2 * max(0, min(1, i-2)); full != want {
						t.Errorf("round %d, request %d: %d mailboxes are full, want %d", round, i, full, want)
					}
				}
				left := window
				for left > time.Millisecond { // the last moment is the worst case
					step := (left / 2).Truncate(time.Millisecond)
					left -= step
					app.Clock.Advance(step)
					if !slices.ContainsFunc(tokens, func(token string) bool { _, err := app.CheckResetToken(t.Context(), token); return err == nil }) {
						t.Errorf("round %d, %v before the window ends: no link is good", round, left)
					}
				}
				app.Clock.Advance(left)
				if round == 0 {
					ask("susan@app.example")
					if mails() != 1 {
						t.Error("no mail after the window")
					}
					app.Clock.Advance(window)
				}
			}
		})
	}
}

// Many requests at the same moment, for accounts that exist and for those that do not.
func TestMailboxLimitAtTheSameMoment(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	apps, _ := processes(t, 2, func(c *auth.Config) { c.Mailer = box })
	for _, app := range apps {
		forgot(app)
	}
	apps[0].Create(t, "susan", false)
	for _, address := range []string{"susan@app.example", "ghost@app.example"} {
		var wg sync.WaitGroup
		for i := range 50 {
			v := apps[i%2].Visitor(t.Context(), fmt.Sprint("192.0.2.", i))
			wg.Go(func() {
				if w := v.Post("/forgot", "email", address); w.Code != http.StatusOK {
					t.Errorf("%d", w.Code)
				}
			})
		}
		wg.Wait()
	}
	if n := len(box.Take()); n != 3 {
		t.Errorf("%d mails", n)
	}
	refused := 0
	for _, app := range apps {
		for _, e := range app.Events() {
			if e.Kind == auth.EventResetRefused && !errors.Is(e.Err, auth.ErrUserNotFound) {
				refused++
			}
		}
	}
	if refused != 47*2 {
		t.Errorf("%d found the mailbox full", refused)
	}
}

// A store that refuses every update with ErrConflict has failed.
func TestCounterAlwaysConflicts(t *testing.T) {
	t.Parallel()
	for call, conflict := range map[string]error{"UpdateRecord": auth.ErrConflict, "InsertRecord": auth.ErrRecordExists} {
		app, store := newApp(t, nil)
		app.Create(t, "susan", true)
		if call == "UpdateRecord" {
			app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password")
		}
		store.Hook(func(c string) error {
			if c == call {
				return conflict
			}
			return nil
		}, nil)
		v := app.Visitor(t.Context(), "192.0.2.1")
		if status := v.Login("susan", testapp.Password); status < 500 || len(v.Cookies) > 0 {
			t.Errorf("%s: %d", call, status)
		}
		store.Reset()
		if status := v.Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%s, afterwards: %d", call, status)
		}
	}
}

// Whatever a counter's record contains, the answer is no 5xx and no account stays
// locked.
func TestDamagedCountersLockNoAccount(t *testing.T) {
	t.Parallel()
	counter := func(version byte, count uint64, since int64) []byte {
		return binary.AppendVarint(binary.AppendUvarint([]byte{version}, count), since)
	}
	now := testapp.NewClock().Now().UnixMilli()
	for name, data := range map[string][]byte{
		"empty":                 {},
		"garbage":               []byte("\xff\xfe garbage"),
		"another version":       counter(2, 4, now),
		"cut":                   counter(1, 4, now)[:5],
		"too long":              append(counter(1, 4, now), 0),
		"an overlong number":    {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"a session's":           []byte("\x01\x05susan\x00\x00"),
		"from the past":         counter(1, 50, math.MinInt64),
		"from the future":       counter(1, 50, math.MaxInt64),
		"from the year 10000":   counter(1, 50, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()),
		"nearly a hundred":      counter(1, 99, now-int64(100*24*time.Hour/time.Millisecond)),
		"zero":                  counter(1, 0, now),
		"a count of an old one": counter(1, 4, 0),
	} {
		clock := testapp.NewClock()
		store := &countingStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now)), data: data}
		app := testapp.New(t, store, clock, nil)
		member(t, app, "susan", testapp.Password)
		v := app.Visitor(t.Context(), "192.0.2.1")
		if name == "from the future" || name == "from the year 10000" { // no clock of ours: the wait begins now
			if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
				t.Errorf("%s, at first: %d", name, status)
			}
			continue // this store does not save when the wait began
		}
		if status := v.Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%s: %d", name, status)
		}
		if status := v.Login("ghost", testapp.Password); status != http.StatusUnauthorized {
			t.Errorf("%s: %d without an account", name, status)
		}
	}
}

// A countingStore returns the same record for every counter.
type countingStore struct {
	testapp.Store
	data []byte
}

func (s *countingStore) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if !isCounter(kind) {
		return s.Store.GetRecord(ctx, kind, key)
	}
	return auth.Record{Kind: kind, Key: key, Data: bytes.Clone(s.data), Version: 1}, nil
}

func (s *countingStore) UpdateRecord(ctx context.Context, r auth.Record) error {
	if !isCounter(r.Kind) {
		return s.Store.UpdateRecord(ctx, r)
	}
	return nil
}

func (s *countingStore) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if !isCounter(kind) {
		return s.Store.TakeRecord(ctx, kind, key)
	}
	return auth.Record{}, nil
}

func isCounter(kind string) bool { return kind == "attempts" || kind == "rate" }

// Whatever a counter's record contains, a password is refused or checked, and the
// answer is no 5xx. Invalid data starts a new count.
func FuzzCounter(f *testing.F) {
	clock := testapp.NewClock()
	store := &countingStore{Store: memstore.New[testapp.User]()}
	cfg := goodConfig()
	cfg.Now = clock.Now
	var events []auth.Event
	cfg.OnEvent = func(_ context.Context, e auth.Event) { events = append(events, e) }
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		f.Fatal(err)
	}
	a := auth.Account{Username: "susan", Stamp: auth.NewSecret("s"), Version: 1, PasswordHash: cheapHash("a wrong one")}
	if _, err := store.CreateUser(f.Context(), a, nil); err != nil {
		f.Fatal(err)
	}
	h := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.Authenticate(r.Context(), "susan", testapp.Password); err != nil {
			m.Error(w, r, err)
		}
	}))
	now := clock.Now().UnixMilli()
	for _, seed := range [][]byte{
		nil, {0}, {1}, {1, 0}, {1, 0, 0}, {2, 1, 1}, []byte("garbage"),
		binary.AppendVarint([]byte{1, 5}, now), binary.AppendVarint([]byte{1, 100}, now), binary.AppendVarint([]byte{1, 99}, now+1),
		binary.AppendVarint(binary.AppendUvarint([]byte{1}, math.MaxUint64), math.MinInt64),
		binary.AppendVarint(binary.AppendUvarint([]byte{1}, 1e9), math.MaxInt64),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		store.data = data
		events = nil
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
		switch w.Code {
		case http.StatusTooManyRequests:
			if minutes, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || minutes <= 0 || minutes%60 != 0 || minutes > 3660 {
				t.Errorf("%q: Retry-After is %q", data, w.Header().Get("Retry-After"))
			}
		case http.StatusUnauthorized:
		default:
			t.Errorf("%q: %d", data, w.Code)
		}
		if looked := len(events) > 0 && errors.Is(events[len(events)-1].Err, auth.ErrInvalidCredentials); !looked && !bytes.HasPrefix(data, []byte{1}) {
			t.Errorf("%q: refused", data)
		}
	})
}

// The limits of addresses and mailboxes hold if clocks differ. A clock that was years
// ahead blocks an address or mailbox for at most an hour.
func TestClocksThatDifferAndLimits(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, differ := range []time.Duration{2 * time.Minute, 3 * time.Hour, 10 * year, -3 * time.Hour, -10 * year} {
		box := &testapp.Outbox{}
		apps, pass := skewed(t, func(c *auth.Config) { c.Limits.Guesses, c.Mailer = 10, box }, differ)
		u := member(t, apps[0], "susan", testapp.Password)
		ghosts := 0
		attack := func() (looked int) {
			for i := range 40 {
				ghosts++
				app := apps[i%2]
				app.Events()
				app.Visitor(t.Context(), "192.0.2.1").Login(fmt.Sprint("ghost", ghosts), "a wrong password")
				looked += lookedAt(t, app.Events())
			}
			return looked
		}
		if n := attack(); n > 2*10 {
			t.Errorf("%v: %d guesses from one address", differ, n)
		}
		for i := range 20 {
			if err := apps[i%2].SendReset(t.Context(), u.Email); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(box.Take()); n > 2*3 {
			t.Errorf("%v: %d mails to one mailbox", differ, n)
		}
		// The other server is gone; its counters are still there.
		v := apps[0].Visitor(t.Context(), "192.0.2.1")
		v.Login("ghost", "a wrong password")
		if err := apps[0].SendReset(t.Context(), u.Email); err != nil {
			t.Fatal(err)
		}
		box.Take()
		pass(time.Hour + time.Minute)
		if status := v.Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%v: an hour later: %d", differ, status)
		}
		if err := apps[0].SendReset(t.Context(), u.Email); err != nil || len(box.Take()) != 1 {
			t.Errorf("%v: an hour later no mail: %v", differ, err)
		}
	}
}

// A contrarian is a store that refuses every write of one kind of record.
type contrarian struct {
	testapp.Store
	kind  string
	moves bool // whether another request really changes the record each time
	found *auth.Record
}

func (s *contrarian) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if kind != s.kind || s.found == nil {
		return s.Store.GetRecord(ctx, kind, key)
	}
	r := *s.found
	r.Key = key
	if s.moves {
		s.found.Version++
	}
	return r, nil
}

func (s *contrarian) InsertRecord(ctx context.Context, r auth.Record) error {
	if r.Kind == s.kind {
		return auth.ErrRecordExists
	}
	return s.Store.InsertRecord(ctx, r)
}

func (s *contrarian) UpdateRecord(ctx context.Context, r auth.Record) error {
	if r.Kind == s.kind {
		return auth.ErrConflict
	}
	return s.Store.UpdateRecord(ctx, r)
}

// In TestContradictoryStore the store, or a driver below it, never writes the counters
// of attempts. The answer says that the store has failed, not that the server is busy,
// and the log names the store.
func TestContradictoryStore(t *testing.T) {
	for _, kind := range []string{"attempts", "rate"} {
		for name, c := range map[string]struct {
			store contrarian
			want  int
		}{
			"finds nothing, and refuses to insert":   {contrarian{}, http.StatusInternalServerError},
			"returns a record, and cannot update it": {contrarian{found: &auth.Record{Kind: kind, Version: 7}}, http.StatusInternalServerError},
			"another process changes it each time":   {contrarian{found: &auth.Record{Kind: kind, Version: 7}, moves: true}, http.StatusServiceUnavailable},
		} {
			clock := testapp.NewClock()
			store := c.store
			store.Store = memstore.New[testapp.User](memstore.WithClock(clock.Now))
			store.kind = kind
			var log bytes.Buffer
			app := testapp.New(t, &store, clock, func(cfg *auth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			app.Create(t, "susan", true)
			for _, password := range []string{testapp.Password, "a wrong one"} {
				if r := app.Client(t).Post("/login", "login", "susan", "password", password); r.StatusCode != c.want {
					t.Errorf("%s: %s: got %s, want %d", kind, name, r.Status, c.want)
				}
			}
			if told := strings.Contains(log.String(), "contradicts itself") && strings.Contains(log.String(), kind); told != (c.want == http.StatusInternalServerError) {
				t.Errorf("%s: %s: the log says %s", kind, name, &log)
			}
		}
	}
}
