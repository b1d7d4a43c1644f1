// Package oauth lets users log in with their accounts at Google, GitHub, or any other provider
// of OpenID Connect or OAuth 2.0:
//
//	providers, err := oauth.New(manager.Core,
//		oauth.Google(clientID, clientSecret),
//		oauth.Provider{Name: "work", Issuer: "https://id.example.com", ClientID: id, ClientSecret: secret},
//	)
//	providers.Mount(mux) // inside manager.LoadAndSave
//
// A button is a form that the browser sends by POST to /oauth/google, with these fields:
//
//	next         the path that the user goes to afterwards
//	remember_me  keeps the user logged in, if it is not empty
//	purpose      "login", which is the default; "link" connects an account there to the current
//	             user; "confirm" makes the current login fresh
//
// Package pages has the buttons, and the list of a user's identities.
//
// # Who the user is
//
// A user is known by the issuer and the subject, which is the provider's own ID of the user.
// Addresses and names change hands, so they identify no user. There is one exception, and only for
// providers with TrustEmail. If the provider says that it has verified the user's address, and the
// same address is verified here, then the two accounts are connected. Everybody else gets the
// same page: log in, then connect the account.
//
// # What is checked
//
// Every login has a state, a nonce and PKCE (S256) of its own. They work once, for ten
// minutes, in the browser that began. A code is exchanged once. ID tokens are checked by
// OpenID Connect Core 1.0, section 3.1.3.7. At the end, each login passes the gate that a
// login by password passes: a second factor, for example, is required here as well, unless
// TrustFactors says otherwise.
//
// go-oidc checks signatures, and golang.org/x/oauth2 makes the requests.
package oauth

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/turns"
)

// The kinds of events that the handler reports, besides those of package auth.
const (
	// A user came back from a provider, and was not let in. Err says why.
	EventRefused auth.EventKind = "oauth.refused"

	// A user came back, and no account here is connected to the account there.
	EventNotConnected auth.EventKind = "oauth.not-connected"

	// A provider did not do its part. Err says which.
	EventUnavailable auth.EventKind = "oauth.unavailable"

	// A provider has ended logins of a user (back-channel logout).
	EventLogout auth.EventKind = "oauth.logout"

	// A request to the back-channel logout was refused. Err says why.
	EventLogoutRefused auth.EventKind = "oauth.logout-refused"
)

const (
	featureName = "oauth"
	pathPrefix  = "/oauth/"
)

// A Handler serves the logins by providers, under /oauth/. Make it by [New]. It is safe for use
// by many goroutines. Set its fields before the first request.
type Handler struct {
	// Home is the path of this site that a login leads to without a next. The default is "/",
	// below the path of BaseURL.
	Home string

	// IdentitiesPage is the path of this site that a new connection leads to without a next.
	// The default is the page of package pages, or Home if that page is left out. Without
	// package pages, it is "/account/identities", below the path of BaseURL.
	IdentitiesPage string

	// Texts are the words of the pages that the handler shows to users. They are for the
	// language Texts.Lang. If it is empty, they are for the first one of Languages of
	// auth.Config.
	Texts Texts

	// Translations are Texts for further Languages of auth.Config, by their tags. The package has
	// English, German and Spanish.
	Translations map[string]Texts

	// ShowPage, if set, writes the pages that the handler shows to users. Otherwise package
	// pages draws them, if it is set up for the same manager, in the application's layout.
	ShowPage func(w http.ResponseWriter, r *http.Request, p Page)

	core    *auth.Core
	feature *auth.Feature
	remotes []*remote
	mux     *http.ServeMux
	page    *template.Template
	turns   turns.ByKey // by identity: one sign-up, and one refresh of tokens, at a time
}

// New makes the handler of a Manager: pass manager.Core. Users see the providers in this
// order. New returns an error if a setting is wrong. It asks no provider for anything: if one
// is down, the application starts all the same.
func New(core *auth.Core, providers ...Provider) (*Handler, error) {
	switch {
	case core == nil:
		return nil, errors.New("oauth: New: the Core is nil; pass manager.Core")
	case !core.HasUserStore():
		return nil, errors.New("oauth: New: this Manager can only load users; make it by auth.New, not by auth.NewWithLoader")
	case core.Config().Session.SameSite == http.SameSiteStrictMode:
		return nil, errors.New("oauth: New: auth.Config.Session.SameSite is Strict, so browsers would leave out the session on the way back from a provider; use http.SameSiteLaxMode")
	case len(providers) == 0:
		return nil, errors.New("oauth: New: there is no provider; pass one or more")
	}
	feature, err := core.Feature(featureName)
	if err != nil {
		return nil, fmt.Errorf("oauth: New: make one handler for each Manager: %w", err)
	}
	h := &Handler{Home: core.BasePath() + "/", core: core, feature: feature}
	bypass := newBypass(core.Config().Network.CrossOriginBypass)
	for _, p := range providers {
		if err := p.check(); err != nil {
			return nil, err
		}
		if h.byName(p.Name) != nil {
			return nil, fmt.Errorf("oauth: two providers have the Name %q; change one", p.Name)
		}
		if other := h.byIssuer(p.issuer()); other != nil {
			return nil, fmt.Errorf("oauth: the providers %q and %q have the same issuer, so they would share their users; remove one", other.Name, p.Name)
		}
		if err := bypass.check(&p, core); err != nil {
			return nil, err
		}
		h.remotes = append(h.remotes, newRemote(p, feature))
	}
	if h.page, err = template.New("page").Parse(pageText); err != nil {
		return nil, err
	}
	h.mux = h.routes()
	return h, feature.ProvideIdentities(h)
}

// Mount adds the handler to a mux, such as an http.ServeMux or a router of chi, which must be
// inside LoadAndSave. For other routers, Paths has the paths.
func (h *Handler) Mount(mux interface {
	Handle(pattern string, handler http.Handler)
}) {
	methods := []string{""}
	if _, ok := mux.(*http.ServeMux); ok { // which refuses "GET /" beside a path for all methods
		methods = []string{"GET ", "POST "}
	}
	for _, path := range h.Paths() {
		for _, method := range methods {
			mux.Handle(method+path, h)
		}
	}
}

// Paths returns the paths of the handler, for a router that Mount does not fit. If BaseURL of
// auth.Config has a path, each is there with and without it, because a proxy or
// http.StripPrefix may remove it.
func (h *Handler) Paths() []string {
	var paths []string
	for _, p := range h.remotes {
		paths = append(paths, p.startPath(), p.callbackPath())
		if p.BackChannelLogout {
			paths = append(paths, p.logoutPath())
		}
	}
	if base := h.core.BasePath(); base != "" {
		for _, path := range paths {
			paths = append(paths, base+path)
		}
	}
	return paths
}

// ServeHTTP implements http.Handler. Requests must have passed LoadAndSave.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // URLs here have codes
	if base := h.core.BasePath(); base != "" && strings.HasPrefix(r.URL.Path, base+pathPrefix) {
		http.StripPrefix(base, h.mux).ServeHTTP(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, p := range h.remotes {
		on := func(serve func(http.ResponseWriter, *http.Request, *remote)) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { serve(w, r, p) }
		}
		mux.HandleFunc("POST "+p.startPath(), on(h.start))
		mux.HandleFunc("GET "+p.callbackPath(), on(h.callback))
		mux.HandleFunc("HEAD "+p.callbackPath(), func(w http.ResponseWriter, _ *http.Request) { // would use up the login
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
		})
		if p.FormPost {
			mux.HandleFunc("POST "+p.callbackPath(), on(h.formPost))
		}
		if p.BackChannelLogout {
			mux.HandleFunc("POST "+p.logoutPath(), on(h.backChannelLogout))
		}
	}
	return mux
}

// A bypass has the patterns of auth.Config.Network.CrossOriginBypass.
type bypass struct{ mux *http.ServeMux }

func newBypass(patterns []string) bypass {
	b := bypass{http.NewServeMux()}
	for _, pattern := range patterns {
		b.mux.Handle(pattern, http.NotFoundHandler()) // auth.New has checked them
	}
	return b
}

// has reports whether a POST to a path skips the cross-origin check.
func (b bypass) has(origin, path string) bool {
	r, err := http.NewRequest(http.MethodPost, origin+path, nil) //nolint:noctx // it is never sent
	if err != nil {
		return false
	}
	_, pattern := b.mux.Handler(r)
	return pattern != ""
}

// check returns an error if a pattern is missing, or if one lets other sites begin logins.
func (b bypass) check(p *Provider, core *auth.Core) error {
	base := core.Config().BaseURL
	origins := []string{strings.TrimSuffix(base, core.BasePath()), base} // a proxy may remove the path
	for _, host := range core.Config().Network.Hosts {
		scheme, _, _ := strings.Cut(base, "://")
		origins = append(origins, scheme+"://"+host, scheme+"://"+host+core.BasePath())
	}
	at := func(path string) func(string) bool {
		return func(origin string) bool { return b.has(origin, path) }
	}
	missing := func(path, field string) error {
		return fmt.Errorf("oauth: provider %q: %s needs %q in auth.Config.Network.CrossOriginBypass: the provider sends a POST, and the handler reads no cookie there", p.Name, field, "POST "+path)
	}
	switch {
	case p.FormPost && !slices.ContainsFunc(origins, at(p.callbackPath())):
		return missing(p.callbackPath(), "FormPost")
	case p.BackChannelLogout && !slices.ContainsFunc(origins, at(p.logoutPath())):
		return missing(p.logoutPath(), "BackChannelLogout")
	case slices.ContainsFunc(origins, at(p.startPath())):
		return fmt.Errorf("oauth: provider %q: auth.Config.Network.CrossOriginBypass has a pattern for POST %s, so that other sites could log their visitors in; use a narrower pattern", p.Name, p.startPath())
	}
	return nil
}
