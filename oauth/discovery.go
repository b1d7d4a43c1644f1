package oauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/go-login/auth"
)

const (
	discoveryLasts = 24 * time.Hour // then the metadata are read again
	firstPause     = time.Second    // after a failure; doubles with each
	maxPause       = time.Minute
	keysPause      = time.Minute // the keys are read at most once in this time
)

// errUnavailable says that the provider did not do its part.
var errUnavailable = errors.New("oauth: the provider is not available")

// metadata are what a provider says about itself.
type metadata struct {
	AuthURL       string   `json:"authorization_endpoint"`
	TokenURL      string   `json:"token_endpoint"`
	UserinfoURL   string   `json:"userinfo_endpoint"`
	KeysURL       string   `json:"jwks_uri"`
	RevocationURL string   `json:"revocation_endpoint"`
	EndSessionURL string   `json:"end_session_endpoint"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthStyles    []string `json:"token_endpoint_auth_methods_supported"`
	AnnouncesIss  bool     `json:"authorization_response_iss_parameter_supported"`
}

// A remote is a provider with what is known about it. Its methods are safe for use by many
// goroutines.
type remote struct {
	Provider
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	known   *found        // nil: never found
	until   time.Time     // when known is old
	pause   time.Duration // after the last failure; 0: the last attempt was right
	retry   time.Time     // no attempt before this time
	failure error
	looking chan struct{} // closed when the attempt that runs is over; nil: none runs
}

// found is the result of a discovery.
type found struct {
	metadata
	verifier *oidc.IDTokenVerifier // nil for plain OAuth 2.0
}

func newRemote(p Provider, feature *auth.Feature) *remote {
	r := &remote{Provider: p, client: newClient(p.Client), now: feature.Now}
	if p.isPlain() {
		r.known = &found{metadata: metadata{AuthURL: p.AuthURL, TokenURL: p.TokenURL}}
	}
	return r
}

// find returns the provider's metadata. They are looked for at the first call, by one request
// for all callers, and again after a day. After a failure, calls fail at once for a while.
func (r *remote) find(ctx context.Context) (*found, error) {
	if r.isPlain() {
		return r.known, nil
	}
	r.mu.Lock()
	now := r.now()
	switch {
	case r.known != nil && now.Before(r.until):
		defer r.mu.Unlock()
		return r.known, nil
	case r.looking == nil && now.Before(r.retry):
		defer r.mu.Unlock()
		return r.lastKnown()
	case r.looking == nil:
		r.looking = make(chan struct{})
		go r.look(r.looking)
	}
	looking := r.looking
	r.mu.Unlock()
	select {
	case <-looking:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lastKnown()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lastKnown returns metadata of an earlier attempt, also if the last one failed. The caller
// holds mu.
func (r *remote) lastKnown() (*found, error) {
	if r.known == nil {
		return nil, r.failure
	}
	return r.known, nil
}

// look makes an attempt.
func (r *remote) look(over chan struct{}) {
	known, err := r.discover()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failure = err
		r.pause = min(max(2*r.pause, firstPause), maxPause)
		r.retry = r.now().Add(r.pause)
	} else {
		r.known, r.until, r.pause = known, r.now().Add(discoveryLasts), 0
	}
	r.looking = nil
	close(over)
}

// discover asks the provider for its metadata (OpenID Connect Discovery 1.0).
func (r *remote) discover() (*found, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.Background(), r.client), requestTimeout)
	defer cancel()
	p, err := oidc.NewProvider(ctx, r.Issuer)
	if other := (*oidc.IssuerMismatchError)(nil); errors.As(err, &other) {
		return nil, fmt.Errorf("%w: %s says that its issuer is %.100q; if that is right, set Issuer to it", errUnavailable, r.Name, other.Discovered)
	}
	if err != nil {
		return nil, unanswered("discovery of "+r.Name, err)
	}
	f := &found{}
	if err := p.Claims(&f.metadata); err != nil {
		return nil, fmt.Errorf("%w: the metadata of %s have another form than OpenID Connect Discovery says", errUnavailable, r.Name)
	}
	for _, u := range []string{f.AuthURL, f.TokenURL, f.KeysURL} {
		if checkURL(u) != nil {
			return nil, fmt.Errorf("%w: the metadata of %s have no https URL for an endpoint", errUnavailable, r.Name)
		}
	}
	algorithms := accepted(f.Algorithms)
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("%w: %s signs ID tokens with none of %v", errUnavailable, r.Name, accepted(nil))
	}
	// The key set keeps the client, and not the deadline, of this context.
	rare := &rarely{RoundTripper: r.client.Transport, now: r.now, timeout: r.client.Timeout}
	keys := &http.Client{Transport: rare}
	set := keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), keys), f.KeysURL), rare}
	f.verifier = oidc.NewVerifier(r.Issuer, set, &oidc.Config{
		ClientID:             r.ClientID,
		SupportedSigningAlgs: algorithms,
		Now:                  func() time.Time { return r.now().Add(-leeway) },
	})
	return f, nil
}

// accepted returns which algorithms an ID token may be signed with. Without an announcement,
// they are all that the library accepts.
func accepted(announced []string) []string {
	all := []string{oidc.RS256, oidc.ES256, oidc.EdDSA, oidc.PS256}
	if len(announced) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(a string) bool { return !slices.Contains(announced, a) })
}

// rarely is a transport for the keys of a provider. go-oidc reads the keys again for each token
// with an unknown key, and anybody can send such tokens to the back-channel logout. After a
// failure it tries again sooner: users cannot log in until the keys are there.
type rarely struct {
	http.RoundTripper
	now     func() time.Time
	timeout time.Duration // that of an http.Client would hide the error

	mu     sync.Mutex
	next   time.Time     // no request before this time
	pause  time.Duration // after the last failure; 0: the keys were read
	failed error         // the last failure
	ids    []string      // of the keys that were read last
}

// errTooOften says that a token names an unknown key. The key may be new: that is known when the
// keys have been read again.
var errTooOften = fmt.Errorf("%w: the key of a token is unknown, and the keys were read within the last minute", errUnavailable)

// A keysError says that the keys of a provider could not be read.
type keysError struct{ error }

func (e keysError) Unwrap() error { return e.error }

func (t *rarely) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.mayAsk(); err != nil {
		return nil, err
	}
	answer, ids, err := t.read(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.pause, t.failed = min(max(2*t.pause, firstPause), keysPause), keysError{err}
		t.next = t.now().Add(t.pause)
		return nil, t.failed
	}
	t.pause, t.failed, t.ids = 0, nil, ids
	return answer, nil
}

// mayAsk returns an error if the provider was asked for its keys just now.
func (t *rarely) mayAsk() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	switch {
	case !now.Before(t.next):
		t.next = now.Add(keysPause)
		return nil
	case t.failed != nil:
		return t.failed
	}
	return errTooOften
}

// read reads the keys as a whole: an answer that breaks off is a failure.
func (t *rarely) read(r *http.Request) (_ *http.Response, ids []string, _ error) {
	const what = "the keys at " // and the host
	ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
	defer cancel()
	answer, err := t.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, nil, unanswered(what+r.URL.Host, err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, nil, unanswered(what+r.URL.Host, err)
	}
	var set jose.JSONWebKeySet              // as go-oidc reads it
	if answer.StatusCode != http.StatusOK { // a redirect, too
		return nil, nil, fmt.Errorf("%w: %s%s: the status is %d", errUnavailable, what, r.URL.Host, answer.StatusCode)
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return nil, nil, fmt.Errorf("%w: %s%s are no JSON Web Key Set", errUnavailable, what, r.URL.Host)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	for _, key := range set.Keys {
		ids = append(ids, key.KeyID)
	}
	return answer, ids, nil
}

// knows reports whether the key that a token names was among those that were read last. If so, a
// signature that does not fit is wrong.
func (t *rarely) knows(jwt string) bool {
	var header struct {
		ID string `json:"kid"`
	}
	first, _, _ := strings.Cut(jwt, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(text, &header) != nil || header.ID == "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.ids, header.ID)
}

// keySet checks signatures by the keys of a provider. go-oidc makes a text of the reason why it
// refuses a token, so checked gets it through the context.
type keySet struct {
	oidc.KeySet
	rare *rarely
}

type keysFailed struct{} // the key of the context's value, which is a *error

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	failed, ok := ctx.Value(keysFailed{}).(*error)
	var keys keysError
	switch {
	case err == nil || !ok:
	case errors.As(err, &keys):
		*failed = keys.error
	case errors.Is(err, errTooOften) && !k.rare.knows(jwt):
		*failed = errTooOften
	case ctx.Err() != nil:
		*failed = ctx.Err()
	}
	return payload, err
}

// checked checks a token by one of go-oidc's functions. If the keys could not be read, it returns
// errUnavailable, because the token may be right. The same holds for an unknown key, if the keys
// must not be read again yet.
func checked[T any](ctx context.Context, raw string, verify func(context.Context, string) (T, error)) (T, error) {
	var failed error
	token, err := verify(context.WithValue(ctx, keysFailed{}, &failed), raw)
	if failed != nil {
		err = failed
	}
	return token, err
}

// config returns what x/oauth2 needs.
func (r *remote) config(f *found, redirect string) (*oauth2.Config, error) {
	secret := r.ClientSecret
	if r.MakeSecret != nil {
		var err error
		if secret, err = r.MakeSecret(r.now()); err != nil {
			return nil, fmt.Errorf("oauth: MakeSecret of %s: %w", r.Name, err)
		}
	}
	style := oauth2.AuthStyleInParams
	if r.authStyle(f) == AuthBasic {
		style = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{
		ClientID: r.ClientID, ClientSecret: secret.Reveal(), RedirectURL: redirect, Scopes: r.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: f.AuthURL, TokenURL: f.TokenURL, AuthStyle: style},
	}, nil
}

// authStyle returns how the client secret is sent. A provider that announces nothing takes
// the header (OpenID Connect Discovery 1.0, section 3).
func (r *remote) authStyle(f *found) AuthStyle {
	switch {
	case r.AuthStyle != "":
		return r.AuthStyle
	case slices.Contains(f.AuthStyles, string(AuthPost)):
		return AuthPost
	}
	return AuthBasic
}
