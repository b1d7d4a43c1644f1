package authtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/authtest"
)

func TestProviderEndSession(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	d, err := c.discover(t.Context())
	check(t, err)
	for query, want := range map[string]string{
		"":                                  "200 ",
		"state=s&client_id=" + c.p.ClientID: "200 ",
		"post_logout_redirect_uri=/x&id_token_hint=x":                                     "400 ",
		"post_logout_redirect_uri=https://app.example/":                                   "400 ",
		"post_logout_redirect_uri=https://app.example/%3Fa%3Db&client_id=" + c.p.ClientID: "303 https://app.example/?a=b",
		"post_logout_redirect_uri=https://app.example/&id_token_hint=x&state=s":           "303 https://app.example/?state=s",
	} {
		res, err := c.http.Get(fmt.Sprint(d["end_session_endpoint"]) + "?" + query)
		check(t, err)
		check(t, res.Body.Close())
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		requests := c.p.Requests(authtest.EndSession)
		if last := requests[len(requests)-1]; (last.Refused != "") != strings.HasPrefix(want, "400") {
			t.Errorf("%s: the request is %v", query, last)
		}
	}
	wantCount(t, c.p, authtest.EndSession, 6)
}

func TestProviderLogoutToken(t *testing.T) {
	clock := authtest.NewClock(time.Time{})
	c := newParty(t, authtest.ProviderConfig{Now: clock.Now})
	d, err := c.discover(t.Context())
	check(t, err)
	header, claims, err := c.open(t.Context(), d, c.p.LogoutToken(map[string]any{"sub": "42", "sid": "s1"}))
	check(t, err)
	at := float64(clock.Now().Unix())
	if header["typ"] != "logout+jwt" || claims["iss"] != c.p.Issuer || claims["aud"] != c.p.ClientID || claims["iat"] != at || claims["exp"] != at+120 ||
		claims["sub"] != "42" || claims["sid"] != "s1" || claims["jti"] == nil || claims["nonce"] != nil ||
		fmt.Sprint(claims["events"]) != "map[http://schemas.openid.net/event/backchannel-logout:map[]]" {
		t.Errorf("the token is %v, %v", header, claims)
	}
	_, other, err := c.open(t.Context(), d, c.p.LogoutToken(map[string]any{"iat": at - 3600, "aud": nil}))
	check(t, err)
	if other["jti"] == claims["jti"] || other["iat"] != at-3600 || other["aud"] != nil {
		t.Errorf("the other token is %v", other)
	}
	for m, want := range map[authtest.Misbehaviour]string{
		authtest.AlgorithmNone: "algorithm none", authtest.HS256: "algorithm HS256", authtest.WrongKey: "wrong signature", authtest.WrongKid: "unknown kid",
	} {
		c.p.Misbehave(m)
		for range 2 {
			if _, _, err := c.open(t.Context(), d, c.p.LogoutToken(nil)); err == nil || err.Error() != want {
				t.Errorf("%s: %v", m, err)
			}
		}
	}
	c.p.Misbehave()
	header, claims, err = c.open(t.Context(), d, c.p.Sign("JWT", map[string]any{"a": "b"}))
	if err != nil || header["typ"] != "JWT" || fmt.Sprint(claims) != "map[a:b]" {
		t.Errorf("Sign: %v, %v, %v", header, claims, err)
	}
}
