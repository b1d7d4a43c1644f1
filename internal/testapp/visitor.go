package testapp

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
)

// A Visitor is a browser that may come from any address, with any header. It calls the
// application's handler without a network.
type Visitor struct {
	App     *App
	Ctx     context.Context //nolint:containedctx // of its requests
	Address string          // its address, as in http.Request.RemoteAddr
	Agent   string          // its User-Agent; "" for none
	Header  http.Header     // sent with each request
	Cookies map[string]string
}

// Visitor returns a browser without cookies at this address. An IP address gets a port.
func (a *App) Visitor(ctx context.Context, address string) *Visitor {
	if ip, err := netip.ParseAddr(address); err == nil {
		address = netip.AddrPortFrom(ip, 1234).String()
	}
	return &Visitor{App: a, Ctx: ctx, Address: address, Header: http.Header{}, Cookies: map[string]string{}}
}

// From returns a browser with the same cookies, with this Agent and Address.
func (v *Visitor) From(agent, address string) *Visitor {
	other := v.App.Visitor(v.Ctx, "")
	other.Agent, other.Address = agent, address
	maps.Copy(other.Cookies, v.Cookies)
	return other
}

// Restart drops the cookies that a browser drops when it is closed.
func (v *Visitor) Restart() {
	maps.DeleteFunc(v.Cookies, func(name, _ string) bool { return !strings.HasSuffix(name, "-remember") })
}

// Do sends a form and keeps the cookies of the answer.
func (v *Visitor) Do(method, target string, fields ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequestWithContext(v.Ctx, method, target, strings.NewReader(form.Encode()))
	maps.Copy(r.Header, v.Header)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.Agent != "" {
		r.Header.Set("User-Agent", v.Agent)
	}
	r.RemoteAddr = v.Address
	for name, value := range v.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	v.App.Server.Config.Handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(v.Cookies, c.Name)
		} else {
			v.Cookies[c.Name] = c.Value
		}
	}
	return w
}

// Post sends a form.
func (v *Visitor) Post(target string, fields ...string) *httptest.ResponseRecorder {
	return v.Do(http.MethodPost, target, fields...)
}

// Login tries a password, and returns the status of the answer.
func (v *Visitor) Login(login, password string) int {
	return v.Post("/login", "login", login, "password", password).Code
}

// Who returns the name of the user that the application sees, or "nobody".
func (v *Visitor) Who() string { return v.Do(http.MethodGet, "/who").Body.String() }

// IsFresh reports whether the browser has a fresh login of any age.
func (v *Visitor) IsFresh() bool { return v.Do(http.MethodGet, "/fresh").Code == http.StatusOK }
