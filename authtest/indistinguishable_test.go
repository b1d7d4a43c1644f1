package authtest_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// probe asks for a page with a user's name.
func probe(name string) authtest.Probe {
	return authtest.Probe{Hide: []string{name}, Do: func(c *authtest.Client) { c.Post("/probe", form("name", name)) }}
}

// Each leak is found and named.
func TestLeaks(t *testing.T) {
	s := newSite(t, nil)
	s.create(t, "susan", "")
	var leak func(w http.ResponseWriter, r *http.Request, known bool)
	s.mux.HandleFunc("POST /probe", func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("name")
		w.Header().Set("X-App", "one")
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1", Path: "/", HttpOnly: true})
		leak(w, r, name == "susan")
		_, _ = fmt.Fprintf(w, "<p>Hello.</p>\n<p>It is %s.</p>\n", template.HTMLEscapeString(name))
	})
	s.mux.HandleFunc("GET /next", func(w http.ResponseWriter, r *http.Request) {
		for _, f := range s.Flashes(r.Context()) {
			_, _ = io.WriteString(w, f.Text)
		}
	})
	redirect := func(w http.ResponseWriter, to string) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
	}
	own := func(name, value string) *http.Cookie {
		c := s.Cookie(name)
		c.Value = value
		return &c
	}
	pick := func(known bool, a, b string) string {
		if known {
			return a
		}
		return b
	}
	for _, test := range []struct {
		name string
		leak func(w http.ResponseWriter, r *http.Request, known bool)
		want []string // texts in the test's message
	}{
		{"status", func(w http.ResponseWriter, _ *http.Request, known bool) {
			if known {
				w.WriteHeader(http.StatusForbidden)
			}
		}, []string{"answer 1, POST /probe: status", "403 Forbidden", "200 OK"}},
		{"header", func(w http.ResponseWriter, _ *http.Request, known bool) {
			w.Header().Set("X-App", pick(known, "one", "two"))
		}, []string{"header X-App", `first:  "one"`, `second: "two"`}},
		{"missing header", func(w http.ResponseWriter, _ *http.Request, known bool) {
			if known {
				w.Header().Set("X-Known", "")
			}
		}, []string{"header X-Known", `first:  ""`, "second: (none)"}},
		{"header twice", func(w http.ResponseWriter, _ *http.Request, known bool) {
			if !known {
				w.Header().Add("X-App", "one")
			}
		}, []string{"header X-App"}},
		{"cache", func(w http.ResponseWriter, r *http.Request, known bool) {
			if known {
				_, _ = s.User(r.Context())
			}
		}, []string{"header Vary", `"Cookie"`}},
		{"body", func(w http.ResponseWriter, _ *http.Request, known bool) {
			_, _ = io.WriteString(w, "<p>First.</p>\n<p>"+pick(known, "Wrong password", "No such user")+"</p>\n")
		}, []string{"body, line 2", `"<p>Wrong password</p>"`, `"<p>No such user</p>"`}},
		{"long line", func(w http.ResponseWriter, _ *http.Request, known bool) {
			const many = 10000
			_, _ = io.WriteString(w, strings.Repeat("a", many)+pick(known, "Wrong password", "No such user")+strings.Repeat("z", many))
		}, []string{`"…aaa`, "aaaWrong password", "aaaNo such user", `zzz…"`}},
		{"space", func(w http.ResponseWriter, _ *http.Request, known bool) {
			_, _ = io.WriteString(w, pick(known, " ", ""))
		}, []string{"body, line 1", `" <p>`}},
		{"one line more", func(w http.ResponseWriter, _ *http.Request, known bool) {
			_, _ = io.WriteString(w, pick(known, "\n", ""))
		}, []string{"body, line 1"}},
		{"content length", func(w http.ResponseWriter, _ *http.Request, known bool) {
			w.Header().Set("Content-Length", pick(known, "100", "200"))
		}, []string{"header Content-Length", `"100"`, `"200"`}},
		{"redirect", func(w http.ResponseWriter, _ *http.Request, known bool) {
			redirect(w, pick(known, "/next?step=2", "/next?step=1"))
		}, []string{"header Location", "step=2", "step=1"}},
		{"page after the redirect", func(w http.ResponseWriter, r *http.Request, known bool) {
			check(t, s.Flash(r.Context(), "info", pick(known, "It is sent.", "No account")+pick(known, "", ".")))
			redirect(w, "/next")
		}, []string{"answer 2, GET /next: body", "It is sent.", "No account."}},
		{"cookie", func(w http.ResponseWriter, _ *http.Request, known bool) {
			if known {
				http.SetCookie(w, &http.Cookie{Name: "known", Value: "1"})
			}
		}, []string{"header Set-Cookie", "known=1"}},
		{"cookie's name", func(w http.ResponseWriter, _ *http.Request, known bool) {
			http.SetCookie(w, own(pick(known, "a", "b"), "1"))
		}, []string{"header Set-Cookie", "__Host-session-a", "__Host-session-b"}},
		{"cookie's attribute", func(w http.ResponseWriter, _ *http.Request, known bool) {
			c := own("a", "1")
			c.HttpOnly = known
			http.SetCookie(w, c)
		}, []string{"header Set-Cookie, line 2", "HttpOnly"}},
		{"cookie's age", func(w http.ResponseWriter, _ *http.Request, known bool) {
			c := own("a", "1")
			c.MaxAge = len(pick(known, "1", "22"))
			http.SetCookie(w, c)
		}, []string{"Max-Age=1", "Max-Age=2"}},
		{"cookie's length", func(w http.ResponseWriter, _ *http.Request, known bool) {
			http.SetCookie(w, own("a", rand.Text()+pick(known, "1", "")))
		}, []string{"a=[27 bytes]", "a=[26 bytes]"}},
		{"cookie that is removed", func(w http.ResponseWriter, _ *http.Request, known bool) {
			http.SetCookie(w, own("a", pick(known, "1", "")))
		}, []string{"a=[1 bytes]", "a=;"}},
		{"value of the application's cookie", func(w http.ResponseWriter, _ *http.Request, known bool) {
			http.SetCookie(w, &http.Cookie{Name: "state", Value: pick(known, "ok", "no")})
		}, []string{"state=ok", "state=no"}},
		{"order of cookies", func(w http.ResponseWriter, _ *http.Request, known bool) {
			http.SetCookie(w, own(pick(known, "a", "b"), "1"))
			http.SetCookie(w, own(pick(known, "b", "a"), "1"))
		}, []string{"header Set-Cookie, line 2"}},
		{"login", func(_ http.ResponseWriter, r *http.Request, known bool) {
			if known {
				check(t, s.LoginUser(r.Context(), s.user(t, "susan")))
			}
		}, []string{"__Host-session=[43 bytes]", "header Cache-Control"}},
		{"hashes", func(_ http.ResponseWriter, r *http.Request, known bool) {
			if known {
				_, err := s.HashPassword(r.Context(), password)
				check(t, err)
			}
		}, []string{"number of password hashes", `first:  "1"`, `second: "0"`}},
		{"mails", func(_ http.ResponseWriter, r *http.Request, known bool) {
			if known {
				check(t, s.mailbox.Send(r.Context(), auth.Mail{}))
			}
		}, []string{"first probe: 1 mails were sent, want 0"}},
		{"early hints", func(w http.ResponseWriter, _ *http.Request, known bool) {
			if known {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, []string{"early answer 1", "103"}},
		{"early header", func(w http.ResponseWriter, _ *http.Request, known bool) {
			w.Header().Set("Link", pick(known, "</a>", "</b>"))
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		}, []string{"early answer 1, header Link", "</a>", "</b>"}},
		{"flush", func(w http.ResponseWriter, _ *http.Request, known bool) {
			if known {
				check(t, http.NewResponseController(w).Flush())
			}
		}, []string{"flushed", "true", "false"}},
		{"trailer", func(w http.ResponseWriter, _ *http.Request, known bool) {
			w.WriteHeader(http.StatusOK)
			w.Header().Set(http.TrailerPrefix+"X-After", pick(known, "a", "b"))
		}, []string{"trailer X-After", `"a"`, `"b"`}},
		{"who typed it", func(w http.ResponseWriter, r *http.Request, known bool) {
			_, _ = io.WriteString(w, pick(known, r.FormValue("name"), "somebody"))
		}, []string{"[hidden 1]", "somebody"}},
		{"how it is written", func(w http.ResponseWriter, r *http.Request, known bool) {
			_, _ = io.WriteString(w, pick(known, "Susan", r.FormValue("name")))
		}, []string{"Susan", "[hidden 1]"}},
		{"failure of both", func(w http.ResponseWriter, _ *http.Request, _ bool) {
			w.WriteHeader(http.StatusInternalServerError)
		}, []string{"first probe, answer 1, POST /probe: the application failed with status 500", "second probe"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak = test.leak
			got, ended := failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), probe("susan"), probe("jacob")) })
			if got == "" || ended {
				t.Fatalf("the leak is not found; ended: %t", ended)
			}
			for _, text := range test.want {
				if !strings.Contains(got, text) {
					t.Errorf("the test says nothing of %q:%s", text, got)
				}
			}
			if len(got) > 3000 {
				t.Errorf("the test says too much: %d bytes", len(got))
			}
			// Without the leak the test passes; so the leak was found, in
			// either order.
			leak = func(w http.ResponseWriter, r *http.Request, _ bool) {}
			authtest.Indistinguishable(t, s.app(), probe("susan"), probe("jacob"))
			leak = test.leak
			if got, _ := failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), probe("jacob"), probe("susan")) }); got == "" {
				t.Error("the leak is not found in the other order")
			}
		})
	}
}

// A leak in a later request is found, too.
func TestLaterLeaks(t *testing.T) {
	s := newSite(t, nil)
	s.mux.HandleFunc("POST /probe", func(w http.ResponseWriter, r *http.Request) {
		s.SessionData().Put(r.Context(), "name", r.FormValue("name"))
	})
	s.mux.HandleFunc("GET /later", func(w http.ResponseWriter, r *http.Request) {
		if s.SessionData().GetString(r.Context(), "name") == "susan" {
			_, _ = io.WriteString(w, "known")
		}
	})
	authtest.Indistinguishable(t, s.app(), probe("susan"), probe("jacob"))
	later := func(name string) authtest.Probe {
		return authtest.Probe{Do: func(c *authtest.Client) {
			c.Post("/probe", form("name", name))
			c.Get("/later")
		}}
	}
	got, _ := failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), later("susan"), later("jacob")) })
	if !strings.Contains(got, "answer 2, GET /later: body") {
		t.Errorf("the test says %q", got)
	}

	// One client goes on after the other has stopped.
	more := later("susan")
	got, _ = failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), more, probe("susan")) })
	for _, text := range []string{"number of answers", `first:  "2"`, `second: "1"`} {
		if !strings.Contains(got, text) {
			t.Errorf("the test says %q", got)
		}
	}
}

func TestProbesThatProveNothing(t *testing.T) {
	s := newSite(t, nil)
	nothing := authtest.Probe{Do: func(*authtest.Client) {}}
	wantFatal(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), nothing, nothing) }, "made no request")

	// Expected mails are counted.
	mailing := probe("susan")
	mailing.Mails = 1
	got, _ := failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), probe("jacob"), mailing) })
	if !strings.Contains(got, "second probe: 0 mails were sent, want 1") {
		t.Errorf("the test says %q", got)
	}
}

// Typed texts come back in many forms.
func TestHidden(t *testing.T) {
	s := newSite(t, nil)
	s.mux.HandleFunc("POST /probe", func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("name")
		page := template.Must(template.New("").Parse(`<a title='{{.}}' href="/p?q={{.}}&amp;n={{.}}">{{.}}</a><script>var x = {{.}}</script>` + "\n"))
		var b strings.Builder
		check(t, page.Execute(&b, name))
		encoded, err := json.Marshal(map[string]string{"name": name})
		check(t, err)
		_, _ = b.Write(encoded)
		next := "/x?name=" + url.QueryEscape(name)
		_, _ = fmt.Fprintf(&b, "\n%s %s %s", name, url.PathEscape(name), "/login?next="+url.QueryEscape(next))
		w.Header().Set("Location", next)
		w.Header().Set("Date", rand.Text()) // the Date header is not compared
		w.Header().Set("X-Lower", strings.ToLower(url.QueryEscape(name)))
		w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
		http.SetCookie(w, &http.Cookie{Name: "name", Value: url.QueryEscape(name)})
		_, _ = io.WriteString(w, b.String())
	})
	names := []string{"susan", "nobody at all", "a+b@example.com", `o'neill & "sons" <x>`, "zoë\\/;%", "=?#"}
	for _, a := range names {
		for _, b := range names {
			authtest.Indistinguishable(t, s.app(), probe(a), probe(b))
		}
	}
	// Without Hide they can be told apart.
	bare := func(name string) authtest.Probe { return authtest.Probe{Do: probe(name).Do} }
	if got, _ := failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), bare("susan"), bare("jacob")) }); got == "" {
		t.Error("what was typed does not show")
	}
}

// Different texts are not confused, and an empty text hides nothing.
func TestHiddenTextsAreNumbered(t *testing.T) {
	s := newSite(t, nil)
	s.mux.HandleFunc("POST /probe", func(w http.ResponseWriter, r *http.Request) {
		shown := r.FormValue("a")
		if shown == "susan" {
			shown = r.FormValue("b")
		}
		_, _ = io.WriteString(w, "<p>"+shown+"</p>")
	})
	probe := func(a, b string) authtest.Probe {
		return authtest.Probe{Hide: []string{a, b, ""}, Do: func(c *authtest.Client) { c.Post("/probe", form("a", a, "b", b)) }}
	}
	got, _ := failures(t, func(t testing.TB) {
		authtest.Indistinguishable(t, s.app(), probe("susan", "susan@app.example"), probe("jacob", "jacob@app.example"))
	})
	if !strings.Contains(got, "<p>[hidden 2]</p>") || !strings.Contains(got, "<p>[hidden 1]</p>") {
		t.Errorf("the test says %q", got)
	}
	authtest.Indistinguishable(t, s.app(), probe("adam", "adam@app.example"), probe("jacob", "jacob@app.example"))
}

func TestRandom(t *testing.T) {
	s := newSite(t, nil)
	extra := 0
	s.mux.HandleFunc("POST /probe", func(w http.ResponseWriter, r *http.Request) {
		nonce := rand.Text()[:10+extra]
		if r.FormValue("name") == "susan" {
			nonce = rand.Text()[:10]
		}
		w.Header().Set("Content-Security-Policy", "script-src nonce-"+nonce)
		http.SetCookie(w, &http.Cookie{Name: "csrf", Value: "nonce-" + nonce})
		_, _ = io.WriteString(w, "<script nonce=nonce-"+nonce+">")
	})
	app := s.app()
	compare := func(t testing.TB) { authtest.Indistinguishable(t, app, probe("susan"), probe("jacob")) }
	if got, _ := failures(t, compare); !strings.Contains(got, "Content-Security-Policy") {
		t.Errorf("without Random the test says %q", got)
	}
	app.Random = regexp.MustCompile(`nonce-[A-Z2-7]+`)
	compare(t)
	extra = 1
	if got, _ := failures(t, compare); !strings.Contains(got, "[16 random bytes]") || !strings.Contains(got, "[17 random bytes]") {
		t.Errorf("of another length the test says %q", got)
	}
}

// The ready-made pages do not tell who has an account.
func TestPages(t *testing.T) {
	s := newSite(t, nil)
	s.create(t, "susan", password)
	s.create(t, "petra", password)
	s.disable(t, "petra")
	s.create(t, "linda", "") // has no password
	login := func(name, password string) authtest.Probe {
		return authtest.Probe{Hide: []string{name}, Do: func(c *authtest.Client) {
			c.Get("/guarded")
			want(t, c.Post("/login", form("login", name, "password", password, "next", "/guarded")), http.StatusUnprocessableEntity, "")
		}}
	}
	nobody := login("jacob", password)
	for name, password := range map[string]string{"susan": "a wrong one", "petra": password, "linda": password, "maria": password, "a@b.c": password} {
		authtest.Indistinguishable(t, s.app(), login(name, password), nobody)
	}

	forgot := func(address string, mails int) authtest.Probe {
		return authtest.Probe{Hide: []string{address}, Mails: mails, Do: func(c *authtest.Client) {
			want(t, c.Post("/forgot-password", form("email", address)), http.StatusSeeOther, "")
		}}
	}
	authtest.Indistinguishable(t, s.app(), forgot("susan@app.example", 1), forgot("jacob@app.example", 0))
	authtest.Indistinguishable(t, s.app(), forgot("petra@app.example", 0), forgot("jacob@app.example", 0))
	s.mailbox.Fail(errBroken)
	authtest.Indistinguishable(t, s.app(), forgot("susan@app.example", 0), forgot("jacob@app.example", 0))
	s.mailbox.Fail(nil)

	// A successful login can be told apart.
	right := authtest.Probe{Hide: []string{"susan"}, Do: func(c *authtest.Client) {
		c.Get("/guarded")
		c.Post("/login", form("login", "susan", "password", password, "next", "/guarded"))
	}}
	got, _ := failures(t, func(t testing.TB) { authtest.Indistinguishable(t, s.app(), right, nobody) })
	for _, text := range []string{"answer 2, POST /login: status", "number of answers"} {
		if !strings.Contains(got, text) {
			t.Errorf("the test says %q", got)
		}
	}
	if strings.Contains(got, "hashes") {
		t.Errorf("both compute one hash; the test says %q", got)
	}
}

// Each probe has a new client, which may log in.
func TestProbesOfUsers(t *testing.T) {
	s := newSite(t, nil)
	s.create(t, "susan", "")
	s.create(t, "jacob", "")
	who := func(name string) authtest.Probe {
		return authtest.Probe{Hide: []string{name}, Do: func(c *authtest.Client) {
			if n := len(c.Cookies()); n != 0 {
				t.Errorf("the client has %d cookies", n)
			}
			c.Login(s.user(t, name))
			want(t, c.Get("/guarded"), http.StatusOK, name)
			c.Do(httptest.NewRequest(http.MethodHead, "/who", nil))
		}}
	}
	app := s.app()
	app.Mailbox = nil
	authtest.Indistinguishable(t, app, who("susan"), who("jacob"))
}
