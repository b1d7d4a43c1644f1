package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Problem is what a program gets in place of an error page: application/problem+json
// (RFC 9457). It is an http.Handler that writes itself.
//
// Core.Error answers with one if the client prefers JSON. A handler of your own can do the
// same and add to it:
//
//	problem := manager.Problem(r, err)
//	problem.Fields = map[string]string{"email": "We need a work address."}
//	problem.ServeHTTP(w, r)
type Problem struct {
	Status int    `json:"status"` // of the answer
	Code   string `json:"code"`   // says what is wrong; it never changes: see docs/json.md
	Title  string `json:"title"`  // the same, for people

	Fields  map[string]string `json:"fields,omitempty"`  // what is wrong with the fields of a form, by name
	Pending *ProblemPending   `json:"pending,omitempty"` // with 401: a login of this browser waits
	Next    string            `json:"next,omitempty"`    // the path of this site where the user can go on

	Header http.Header `json:"-"` // more headers of the answer, such as Retry-After
}

// A ProblemPending says what a login waits for.
type ProblemPending struct {
	Kind    string   `json:"kind"`    // "second-factor": see Core.ContinueLogin
	Methods []string `json:"methods"` // names of factors, of which the user must show one: see Pending.Missing
}

// Problem returns what a program gets for err: the status that Core.Error would answer
// with, and a code. The title is the text of Config.Message for the errors that it is asked
// about, and the name of the status for others. With 401, Pending is set if a login of this
// browser waits for a second factor. Header has Retry-After and WWW-Authenticate, if they
// belong to the answer. Problem logs nothing.
func (c *Core) Problem(r *http.Request, err error) Problem {
	o := outcomeOf(err)
	p := Problem{Status: o.status, Code: o.code, Title: http.StatusText(o.status), Header: c.errorHeader(r, o.status, err)}
	if c.pageFor(r, err) != "" && !errors.Is(err, ErrReplaced) {
		if text := c.cfg.Message(r, c.detail(r.Context(), err)).Text; text != "" {
			p.Title = text
		}
	}
	if o.status == http.StatusUnauthorized && (errors.Is(err, ErrNotLoggedIn) || errors.Is(err, ErrFactorRequired)) {
		p.Pending = c.problemPending(r.Context())
	}
	return p
}

// problemPending returns what the login of this browser waits for, or nil if none waits.
func (c *Core) problemPending(ctx context.Context) *ProblemPending {
	s := c.requestOf(ctx)
	if s == nil || s.own {
		return nil
	}
	waiting, err := s.pending(ctx)
	var missing []string
	if err == nil {
		missing, err = c.missingFactors(ctx, &attempt{user: waiting.user, methods: waiting.methods})
		if err == nil {
			return nil // the user has removed the factors
		}
	}
	if !errors.Is(err, ErrFactorRequired) {
		s.meet(err) // a failure: the answer is then 503
		return nil
	}
	if missing == nil {
		missing = []string{}
	}
	return &ProblemPending{Kind: "second-factor", Methods: missing}
}

// ServeHTTP writes the problem. If Status is 0, it is 500.
func (p Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.Status = cmp.Or(p.Status, http.StatusInternalServerError)
	h := w.Header()
	for name, values := range p.Header {
		h[name] = values
	}
	h.Set("Cache-Control", "no-store")
	setErrorHeaders(h)
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // an error means that the client has hung up
}

// AnswerJSON has every error of this request answered by a Problem, whatever its client
// accepts: by Core.Error, by guards, and if the session cannot be stored. Config.ErrorPage
// is not called. A handler for programs calls it first. Outside LoadAndSave it does nothing.
// To have a guard do the same, wrap it by API.
func (c *Core) AnswerJSON(ctx context.Context) {
	if s := c.requestOf(ctx); s != nil {
		s.json.Store(true)
	}
}

// API wraps handlers for programs. Inside it, Core.Error and all guards answer with a
// [Problem], and never with a redirect to a page, whatever the client accepts. It is for an
// API beside pages:
//
//	mux.Handle("/api/", manager.API(manager.RequireLogin(api)))
//
// Without API, a client that does not say what it accepts, such as curl, counts as a
// browser. Put API outside the guards and inside LoadAndSave. If it is outside LoadAndSave,
// every answer is 500. If LoadAndSave refuses a cross-origin request, the Accept header
// decides, as for all other handlers; that answer is never a redirect either.
func (c *Core) API(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.requestOf(r.Context()) == nil {
			problem := c.Problem(r, ErrNoSession)
			problem.ServeHTTP(w, r)
			return
		}
		c.AnswerJSON(r.Context())
		next.ServeHTTP(w, r)
	})
}

// answersJSON reports whether AnswerJSON was called.
func (c *Core) answersJSON(r *http.Request) bool {
	s := c.requestOf(r.Context())
	return s != nil && s.json.Load()
}

// errorHeader returns the headers that belong to an error with this status: Retry-After and
// WWW-Authenticate.
func (c *Core) errorHeader(r *http.Request, status int, err error) http.Header {
	h := http.Header{}
	if wait := (*WaitError)(nil); errors.As(err, &wait) {
		h.Set("Retry-After", strconv.FormatInt(int64(wait.RetryAfter/time.Second), 10))
	}
	switch limited := (*RateLimitError)(nil); status {
	case http.StatusTooManyRequests:
		if errors.As(err, &limited) {
			h.Set("Retry-After", strconv.FormatInt(int64(limited.RetryAfter/time.Second), 10))
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	stronger := c.strongerChallenge(r, err)
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Cookie") // RFC 9110 requires a challenge; browsers ignore this one
		for _, loader := range c.cfg.Credentials {
			// Browsers get no such challenge: they would open their own password dialog.
			if loader.Challenge != "" && r.Header.Get("Sec-Fetch-Mode") == "" && !strings.Contains(r.Header.Get("Accept"), "text/html") &&
				(stronger == "" || !strings.EqualFold(loader.Challenge, schemeBearer)) {
				h.Add("WWW-Authenticate", loader.Challenge)
			}
		}
	}
	if stronger != "" {
		h.Add("WWW-Authenticate", stronger)
	}
	return h
}

// pageFor returns the page that Error sends a browser to because of err, or "".
func (c *Core) pageFor(r *http.Request, err error) string {
	switch {
	case errors.Is(err, ErrFactorRequired):
		return c.cfg.URLs.Factor
	case errors.Is(err, ErrNoFactor):
		return c.cfg.URLs.TwoFactor
	case errors.Is(err, ErrReplaced): // the browser is logged in; its page says to try again
	case errors.Is(err, ErrNotLoggedIn):
		if len(c.cfg.URLs.LoginFor) == 0 {
			return c.cfg.URLs.Login
		}
		return c.cfg.URLs.login(c.targetOf(r).Path)
	case errors.Is(err, ErrNotFresh):
		return c.cfg.URLs.Refresh
	case errors.Is(err, ErrUnverified):
		return c.cfg.URLs.Verify
	}
	return ""
}

// hasCredentials reports whether the request has brought credentials of its own; it is
// then answered without a redirect. An Authorization header that no loader knows counts
// too, unless the client asks for HTML as a browser does.
func (c *Core) hasCredentials(r *http.Request) bool {
	if len(c.cfg.Credentials) == 0 {
		return false
	}
	if s := c.stateOf(r.Context()); s != nil && s.own {
		return true
	}
	return r.Header.Get("Authorization") != "" && !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// setErrorHeaders sets the headers of our error pages, except those that the
// application has set.
func setErrorHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	for name, value := range map[string]string{
		"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
}

// multiFactor is the acr value for two factors that OpenID Connect providers use.
const multiFactor = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"

// strongerChallenge returns the challenge of RFC 9470 if a rule refuses a token of a request
// because its user must show more; otherwise "".
func (c *Core) strongerChallenge(r *http.Request, err error) string {
	var step stepUp
	if !errors.As(err, &step) || !c.hasCredentials(r) {
		return ""
	}
	if _, found := credentials(r, schemeBearer); !found {
		return ""
	}
	challenge := schemeBearer + ` error="insufficient_user_authentication"`
	switch {
	case step.factor:
		challenge += `, acr_values="` + multiFactor + `"`
	case step.maxAge > 0:
		challenge += fmt.Sprintf(", max_age=%d", int64(step.maxAge/time.Second))
	}
	return challenge
}
