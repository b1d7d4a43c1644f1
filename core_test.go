package auth_test

import "testing"

// A nil option, and a nil user.
func TestNilArguments(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	try := func(name string, f func()) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s panics: %v", name, p)
			}
		}()
		f()
	}
	try("LoginUser(nil option)", func() { _ = app.LoginUser(t.Context(), u, nil) })
	try("Core.LoginUser(nil)", func() { _ = app.LoginUser(t.Context(), nil) })
	try("LoginUser(nil)", func() { _ = app.LoginUser(t.Context(), nil) })
	try("Core.SetPassword(nil)", func() { _ = app.SetPassword(t.Context(), nil, "x") })
}
