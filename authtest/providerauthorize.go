package authtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A grant is what a user has agreed to in one login.
type grant struct {
	user   ProviderUser
	asked  url.Values     // the authorization request
	faults []Misbehaviour // of this login
	at     time.Time
	spent  bool // whether its code has been used
}

// authorize is the authorization endpoint. Its answer is a redirect, or a form
// that sends itself.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	a, err := p.answer(r)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case a.Post:
		_ = template.Must(template.New("").Parse(formPost)).Execute(w, a) // the browser may have gone
	default:
		http.Redirect(w, r, a.url(), http.StatusSeeOther)
	}
}

// An authorizationAnswer is what the browser brings back to the application.
type authorizationAnswer struct {
	Target *url.URL // the redirect URI
	Post   bool
	Values url.Values
}

// formPost is the page for response_mode=form_post (OAuth 2.0 Form Post Response
// Mode).
const formPost = `<!DOCTYPE html><html><head><title>Back to the application</title></head><body>
<form method="post" action="{{.Target}}">
{{range $name, $values := .Values}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button>Continue</button></form>
<script>document.forms[0].submit()</script></body></html>
`

// url returns the URL of a redirect.
func (a *authorizationAnswer) url() string {
	u := *a.Target
	query := u.Query()
	maps.Copy(query, a.Values)
	u.RawQuery = query.Encode()
	return u.String()
}

// request returns the request that a browser then makes. It comes from another
// site.
func (a *authorizationAnswer) request(ctx context.Context, issuer *url.URL) (*http.Request, error) {
	method, target, body := http.MethodGet, a.url(), ""
	if a.Post {
		method, target, body = http.MethodPost, a.Target.String(), a.Values.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if a.Post {
		r.Header.Set("Origin", issuer.Scheme+"://"+issuer.Host)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, nil
}

// answer answers an authorization request. If the client or the redirect URI is
// wrong, it returns an error, because the browser must then stay here.
func (p *Provider) answer(r *http.Request) (*authorizationAnswer, error) {
	n, faults := p.note(Authorize, r)
	asked := r.Form
	target, err := p.redirectURI(asked)
	if err != nil {
		p.refuse(n, err)
		return nil, err
	}
	values := url.Values{"state": {asked.Get("state")}, "iss": {p.Issuer}}
	if denied := p.deny(asked); denied != nil {
		p.refuse(n, denied)
		values.Set("error", denied.Code)
		if denied.Description != "" {
			values.Set("error_description", denied.Description)
		}
	} else {
		p.grant(values, asked, faults)
	}
	for _, m := range faults {
		switch m {
		case NoIssParameter:
			values.Del("iss")
		case WrongIssParameter:
			values.Set("iss", switchSlash(p.Issuer))
		case MixUp:
			values.Set("iss", otherIssuer)
		}
	}
	return &authorizationAnswer{target, asked.Get("response_mode") == "form_post", values}, nil
}

// redirectURI returns the redirect URI, if it and the client are registered.
func (p *Provider) redirectURI(asked url.Values) (*url.URL, error) {
	if asked.Get("client_id") != p.ClientID {
		return nil, &protocolError{Code: "invalid_request", Description: "client_id is not Provider.ClientID"}
	}
	uri := asked.Get("redirect_uri")
	target, err := url.Parse(uri)
	if err != nil || !target.IsAbs() || target.Host == "" {
		return nil, &protocolError{Code: "invalid_request", Description: "redirect_uri is not an absolute URL"}
	}
	if len(p.cfg.RedirectURIs) > 0 && !slices.Contains(p.cfg.RedirectURIs, uri) {
		return nil, &protocolError{Code: "invalid_request", Description: uri + " is not in ProviderConfig.RedirectURIs"}
	}
	return target, nil
}

// deny returns why an authorization request gets no code, or nil.
func (p *Provider) deny(asked url.Values) *protocolError {
	for name, values := range asked {
		if len(values) > 1 {
			return &protocolError{Code: "invalid_request", Description: name + " is there twice"}
		}
	}
	wrong := ""
	switch {
	case asked.Get("response_type") != "code":
		return &protocolError{Code: "unsupported_response_type", Description: "response_type is not code"}
	case !scopes(asked)["openid"]:
		return &protocolError{Code: "invalid_scope", Description: "scope is without openid"}
	case asked.Get("state") == "":
		wrong = "state is missing"
	case asked.Get("nonce") == "":
		wrong = "nonce is missing"
	case asked.Get("code_challenge_method") != "S256":
		wrong = "code_challenge_method is not S256"
	case len(asked.Get("code_challenge")) != 43: // of SHA-256
		wrong = "code_challenge is not 43 characters long"
	case !slices.Contains([]string{"", "query", "form_post"}, asked.Get("response_mode")):
		wrong = "response_mode is neither query nor form_post"
	}
	if wrong != "" {
		return &protocolError{Code: "invalid_request", Description: wrong}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.denial == nil && p.user == nil {
		return &protocolError{Code: "login_required", Description: "nobody is logged in at this provider; the test must call Provider.Consent"}
	}
	return p.denial
}

// grant adds a code for the user to an answer.
func (p *Provider) grant(values, asked url.Values, faults []Misbehaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := &grant{user: *p.user, asked: asked, faults: faults, at: p.cfg.Now(), spent: slices.Contains(faults, SpentCode)}
	g.user.SessionID = cmp.Or(g.user.SessionID, rand.Text())
	if g.user.AuthTime.IsZero() {
		g.user.AuthTime = g.at
	}
	if slices.Contains(faults, RotatedKeys) {
		p.key, p.otherKey = p.otherKey, p.key
	}
	code := rand.Text()
	if !slices.Contains(faults, MixUp) {
		p.grants[code] = g
	}
	values.Set("code", code)
	for name, more := range g.user.Answer {
		values[name] = append(values[name], more...)
	}
}

// scopes returns what an authorization request asks for.
func scopes(asked url.Values) map[string]bool {
	all := map[string]bool{}
	for scope := range strings.FieldsSeq(asked.Get("scope")) {
		all[scope] = true
	}
	return all
}
