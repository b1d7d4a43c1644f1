package authtest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

// endSession is the endpoint at which the application ends the user's session
// with the provider (OpenID Connect RP-Initiated Logout 1.0). It asks the user
// nothing.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	n, _ := p.note(EndSession, r)
	back, err := url.Parse(r.Form.Get("post_logout_redirect_uri"))
	switch {
	case err == nil && back.String() == "":
		_, _ = w.Write([]byte("You are logged out."))
		return
	case err == nil && !back.IsAbs():
		err = &protocolError{Code: "invalid_request", Description: "post_logout_redirect_uri is not an absolute URL"}
	case err == nil && r.Form.Get("client_id") != p.ClientID && r.Form.Get("id_token_hint") == "":
		err = &protocolError{Code: "invalid_request", Description: "neither client_id nor id_token_hint says which client this is"}
	}
	if err != nil {
		p.refuse(n, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if state := r.Form.Get("state"); state != "" {
		query := back.Query()
		query.Set("state", state)
		back.RawQuery = query.Encode()
	}
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

// LogoutToken returns a logout token (OpenID Connect Back-Channel Logout 1.0,
// section 2.4). It is right if the claims are "sub", "sid" or both:
//
//	token := provider.LogoutToken(map[string]any{"sub": "42"})
//
// Other claims replace its own iss, aud, iat, exp, jti and events. A nil value
// removes a claim.
func (p *Provider) LogoutToken(claims map[string]any) string {
	now := p.cfg.Now()
	all := map[string]any{
		"iss":    p.Issuer,
		"aud":    p.ClientID,
		"iat":    now.Unix(),
		"exp":    now.Add(2 * time.Minute).Unix(),
		"jti":    rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	}
	override(all, claims)
	return p.Sign("logout+jwt", all)
}
