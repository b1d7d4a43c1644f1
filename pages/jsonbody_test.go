package pages_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/go-login/auth/pages"
)

// FuzzJSONBody: whatever the body is, the reader neither panics nor lets anything into the
// form but what encoding/json finds in the object under the same name.
func FuzzJSONBody(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		form, field, err := pages.ParseJSON(body)
		if err != nil {
			if len(form) > 0 {
				t.Errorf("%q: %v and %v", body, form, err)
			}
			return
		}
		if field != "" || !utf8.Valid(body) || !json.Valid(body) {
			t.Errorf("%q is accepted", body)
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var object map[string]any
		if err := d.Decode(&object); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		for name, values := range form {
			if len(values) != 1 {
				t.Errorf("%q: %q is there %d times", body, name, len(values))
			}
			var want string
			switch value := object[name].(type) {
			case string:
				want = value
			case json.Number:
				want = value.String()
			case bool:
				if want = "y"; !value {
					t.Errorf("%q: false is true", body)
				}
			default:
				t.Errorf("%q: %q is a %T", body, name, value)
			}
			if values[0] != want {
				t.Errorf("%q: %q is %q, want %q", body, name, values[0], want)
			}
		}
		for _, name := range []string{"login", "password"} {
			if text, ok := object[name].(string); ok && form.Get(name) != text {
				t.Errorf("%q: %s is %q", body, name, form.Get(name))
			}
		}
	})
}

// TestJSONBodyKinds: what a field may hold depends on the forms of its path.
func TestJSONBodyKinds(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAll)
	for _, body := range []string{`{"code":123456}`, `{"code":"123456"}`} { // a factor's own field
		if r := s.client().raw(http.MethodPost, "/login/verify", body); r.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", body, r.status)
		}
	}
	wantStatus(t, s.client().raw(http.MethodPost, "/login/verify", `{"anything":[]}`), 400)
	wantStatus(t, s.client().raw(http.MethodPost, "/logout", `{"anything":[]}`), 200)
	wantStatus(t, s.client().raw(http.MethodPost, "/logout", `{"cancel":true}`), 200)
	for _, value := range []string{`"y"`, `""`, `"true"`, `"false"`, `0`} { // a check box is true or false
		if o := answerOf(t, s.client().raw(http.MethodPost, "/logout", `{"cancel":`+value+`}`), 400); o.Fields["cancel"] == "" {
			t.Errorf("%s: %+v", value, o.Problem)
		}
	}
}

// TestJSONTextClosesNothing: the text "false" does not confirm that an account is to be closed.
func TestJSONTextClosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAll)
	s.update("susan", verified)
	c := s.user("susan", good)
	for _, value := range []string{`"false"`, `""`, `false`} {
		r := c.raw(http.MethodPost, "/account/close", `{"current_password":"`+good+`","confirm":`+value+`}`)
		if want := map[bool]int{true: 422, false: 400}[value == "false"]; r.status != want {
			t.Errorf("%s: %d %s", value, r.status, r.body)
		}
	}
	if s.account("susan").Username != "susan" || !c.loggedIn() {
		t.Error("the account is closed")
	}
}
