package auth_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/go-login/auth"
)

// hidden is a text that no output may contain, in any encoding.
const hidden = "s3cr3t-xyzzy-plugh"

func leaks(output string) bool {
	lower := strings.ToLower(output)
	bytesOf := fmt.Sprintf("%d", []byte(hidden))
	for _, form := range []string{
		hidden, "xyzzy", hex.EncodeToString([]byte(hidden)), base64.StdEncoding.EncodeToString([]byte(hidden))[:16],
		strings.Trim(bytesOf, "[]"), fmt.Sprintf("% x", hidden),
	} {
		if strings.Contains(lower, strings.ToLower(form)) {
			return true
		}
	}
	return false
}

type (
	exportedSecret   struct{ S auth.Secret }
	unexportedSecret struct{ s auth.Secret }
	pointedSecret    struct {
		S *auth.Secret
		s *auth.Secret
	}
	nestedSecret struct {
		Deep  exportedSecret
		deep  unexportedSecret
		Map   map[string]auth.Secret
		slice []auth.Secret
		array [2]auth.Secret
		any   any
	}
	embeddedSecret struct{ auth.Secret }
	namedSecret    auth.Secret // a type without methods
	secretUser     struct {
		auth.Account
		Name string
	}
	secretError struct{ s auth.Secret }
)

func (secretError) Error() string { return "an error with a secret" }

// secretsIn returns the secret inside all kinds of values.
func secretsIn(s auth.Secret) map[string]any {
	nested := nestedSecret{
		Deep: exportedSecret{s}, deep: unexportedSecret{s}, Map: map[string]auth.Secret{"k": s},
		slice: []auth.Secret{s}, array: [2]auth.Secret{s, s}, any: s,
	}
	account := auth.Account{ID: "1", Username: "alice", PasswordHash: s, Stamp: s}
	user := &secretUser{account, "Alice"}
	return map[string]any{
		"secret":                s,
		"pointer":               &s,
		"pointer to a pointer":  func() **auth.Secret { p := &s; return &p }(),
		"exported field":        exportedSecret{s},
		"unexported field":      unexportedSecret{s},
		"pointer to unexported": &unexportedSecret{s},
		"fields that point":     pointedSecret{&s, &s},
		"nested":                nested,
		"pointer to nested":     &nested,
		"embedded":              embeddedSecret{s},
		"named type":            namedSecret(s),
		"map value":             map[string]auth.Secret{"k": s},
		"map key":               map[auth.Secret]string{s: "v"},
		"slice":                 []auth.Secret{s},
		"slice of any":          []any{s, &s, exportedSecret{s}},
		"array":                 [1]auth.Secret{s},
		"channel of it":         func() chan auth.Secret { c := make(chan auth.Secret, 1); c <- s; return c }(),
		"closure":               func() auth.Secret { return s },
		"error that has one":    secretError{s},
		"wrapped error":         fmt.Errorf("login: %w", secretError{s}),
		"joined error":          errors.Join(secretError{s}, fmt.Errorf("%v", s)),
		"account":               account,
		"pointer to account":    &account,
		"user":                  user,
		"user value":            *user,
		"users":                 []*secretUser{user},
		"map of users":          map[string]*secretUser{"a": user},
		"registration result":   struct{ User auth.User }{user},
		"sql null":              sql.Null[auth.Secret]{V: s, Valid: true},
		"sql named":             sql.Named("x", s),
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	s := auth.NewSecret(hidden)
	if !leaks("--"+hidden+"--") || !leaks(fmt.Sprintf("%x", hidden)) || !leaks(fmt.Sprintf("%d", []byte(hidden))) {
		t.Fatal("the test would not notice a leak")
	}
	for name, value := range secretsIn(s) {
		var formats []string
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "# ", "+#", "40", ".30", "-40.3", "*"} {
				formats = append(formats, "%"+flags+string(verb))
			}
		}
		formats = append(formats, "%", "%!", "%[2]v", "%[1]*v", "%é", "no verb at all", "%.*[1]v", "%v %v")
		for _, format := range formats {
			if out := fmt.Sprintf(format, value); leaks(out) {
				t.Errorf("%s: Sprintf(%q): %s", name, format, out)
			}
			if out := fmt.Errorf(format, value).Error(); leaks(out) {
				t.Errorf("%s: Errorf(%q): %s", name, format, out)
			}
		}
		if out := fmt.Sprint(value) + fmt.Sprintln(value, value) + string(fmt.Append(nil, value)); leaks(out) {
			t.Errorf("%s: Sprint: %s", name, out)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if out := fmt.Sprintf(format, s); out != "[redacted]" {
			t.Errorf("Sprintf(%q) = %q", format, out)
		}
	}
}

func TestSecretIsNotLogged(t *testing.T) {
	t.Parallel()
	s := auth.NewSecret(hidden)
	var out strings.Builder
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil),
		slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return a }}),
	} {
		log := slog.New(h)
		for name, value := range secretsIn(s) {
			out.Reset()
			log.LogAttrs(context.Background(), slog.LevelInfo, "m",
				slog.Any("value", value), slog.Group("group", slog.Any("value", value)))
			log.With(slog.Any("with", value)).WithGroup("g").Info("m", slog.Any("value", value))
			if out.Len() == 0 || leaks(out.String()) {
				t.Errorf("%s: %T logs %s", name, h, out.String())
			}
		}
	}
}

func TestSecretIsNotEncoded(t *testing.T) {
	t.Parallel()
	s := auth.NewSecret(hidden)
	for name, value := range secretsIn(s) {
		var out bytes.Buffer
		// The output may be an error or a placeholder, but not the secret.
		_ = json.NewEncoder(&out).Encode(value)
		if _, err := json.MarshalIndent(value, "", " "); err != nil {
			out.WriteString(err.Error())
		}
		if err := xml.NewEncoder(&out).Encode(value); err != nil {
			out.WriteString(err.Error())
		}
		if err := gob.NewEncoder(&out).Encode(value); err != nil {
			out.WriteString(err.Error())
		}
		if m, ok := value.(encoding.TextMarshaler); ok {
			text, _ := m.MarshalText()
			out.Write(text)
		}
		if leaks(out.String()) {
			t.Errorf("%s: %s", name, out.String())
		}
	}
	if text, err := json.Marshal(exportedSecret{s}); string(text) != `{"S":"[redacted]"}` || err != nil {
		t.Errorf("JSON: %s, %v", text, err)
	}
	if text, err := xml.Marshal(exportedSecret{s}); !strings.Contains(string(text), "<S>[redacted]</S>") || err != nil {
		t.Errorf("XML: %s, %v", text, err)
	}
	type attribute struct {
		S auth.Secret `xml:",attr"`
	}
	if text, err := xml.Marshal(attribute{s}); !strings.Contains(string(text), "[redacted]") || err != nil || leaks(string(text)) {
		t.Errorf("XML attribute: %s, %v", text, err)
	}
}

// If a placeholder is read back, it must not become a password hash, or a Stamp that
// all accounts share.
func TestSecretIsNotRestoredFromItsPlaceholder(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(exportedSecret{auth.NewSecret(hidden)})
	if err != nil {
		t.Fatal(err)
	}
	var back exportedSecret
	if err := json.Unmarshal(text, &back); err == nil {
		t.Errorf("%s was read back without an error: %q", text, back.S.Reveal())
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(auth.Account{ID: "1", Stamp: auth.NewSecret(hidden)}); err == nil {
		back := auth.Account{}
		if err := gob.NewDecoder(&buf).Decode(&back); err == nil && back.Stamp.Reveal() != hidden {
			t.Errorf("gob lost the Stamp without an error: it is %q now", back.Stamp.Reveal())
		}
	}
}

func TestSecretInTemplates(t *testing.T) {
	t.Parallel()
	s := auth.NewSecret(hidden)
	const text = `{{.}} {{printf "%s %v %q %x" . . . .}} {{print .}} {{html .}} {{js .}} {{urlquery .}}`
	const page = `<a href="/{{.}}" onclick="f({{.}})" style="{{.}}">{{.}}</a><script>var x = {{.}};</script>`
	for name, value := range secretsIn(s) {
		var out strings.Builder
		if err := texttemplate.Must(texttemplate.New("").Parse(text)).Execute(&out, value); err != nil {
			out.WriteString(err.Error())
		}
		if err := template.Must(template.New("").Parse(page)).Execute(&out, value); err != nil {
			out.WriteString(err.Error())
		}
		if leaks(out.String()) {
			t.Errorf("%s: %s", name, out.String())
		}
	}
}

func TestSecretInPanics(t *testing.T) {
	t.Parallel()
	for name, value := range secretsIn(auth.NewSecret(hidden)) {
		func() {
			defer func() {
				if out := fmt.Sprint(recover()); leaks(out) {
					t.Errorf("%s: %s", name, out)
				}
			}()
			panic(value)
		}()
	}
}

func TestSecretValues(t *testing.T) {
	t.Parallel()
	s := auth.NewSecret(hidden)
	if s.Reveal() != hidden || s.IsZero() {
		t.Errorf("Reveal %q, IsZero %v", s.Reveal(), s.IsZero())
	}
	var zero auth.Secret
	if zero.Reveal() != "" || !zero.IsZero() || !auth.NewSecret("").IsZero() {
		t.Error("the zero value is not the empty secret")
	}
	if out := fmt.Sprint(zero); out != "[redacted]" {
		t.Errorf("the empty secret shows as %q, which tells that it is empty", out)
	}
	for _, c := range []struct {
		a, b auth.Secret
		want bool
	}{
		{s, s, true},
		{s, auth.NewSecret(strings.Clone(hidden)), true},
		{s, auth.NewSecret(hidden + "x"), false},
		{s, auth.NewSecret(hidden[:len(hidden)-1]), false},
		{s, auth.NewSecret(hidden + "\x00"), false},
		{s, auth.NewSecret(strings.ToUpper(hidden)), false},
		{s, zero, false},
		{zero, s, false},
		{zero, zero, true},
		{zero, auth.NewSecret(""), true},
	} {
		if c.a.Equal(c.b) != c.want {
			t.Errorf("%q.Equal(%q) is not %v", c.a.Reveal(), c.b.Reveal(), c.want)
		}
	}
}

func TestSecretInDatabases(t *testing.T) {
	t.Parallel()
	var (
		_ driver.Valuer = auth.Secret{}
		_ sql.Scanner   = new(auth.Secret)
	)
	for _, text := range []string{"", hidden, "a\x00b", "\xff", "ä"} {
		s := auth.NewSecret(text)
		v, err := s.Value()
		if v != text || err != nil {
			t.Errorf("Value of %q: %q, %v", text, v, err)
		}
		if v, err := driver.DefaultParameterConverter.ConvertValue(s); v != text || err != nil {
			t.Errorf("ConvertValue of %q: %q, %v", text, v, err)
		}
		for _, src := range []any{text, []byte(text)} {
			back := auth.NewSecret("before")
			if err := back.Scan(src); err != nil || back.Reveal() != text {
				t.Errorf("Scan of %q as %T: %q, %v", text, src, back.Reveal(), err)
			}
		}
	}
	buf := []byte(hidden)
	var s auth.Secret
	if err := s.Scan(buf); err != nil {
		t.Fatal(err)
	}
	copy(buf, "overwritten by the driver")
	if s.Reveal() != hidden {
		t.Errorf("the secret changed with the driver's buffer: %q", s.Reveal())
	}
	s = auth.NewSecret("before")
	if err := s.Scan(nil); err != nil || !s.IsZero() {
		t.Errorf("NULL: %v, %q", err, s.Reveal())
	}
	for _, src := range []any{int64(1234567), 1.5, true, io.EOF, []rune(hidden), struct{ S string }{hidden}} {
		s = auth.NewSecret("before")
		if err := s.Scan(src); err == nil || leaks(err.Error()) || strings.Contains(err.Error(), "1234567") {
			t.Errorf("Scan of a %T: %v", src, err)
		}
		if s.Reveal() != "before" {
			t.Errorf("a failed Scan of a %T left %q", src, s.Reveal())
		}
	}
}

// Account must not promote methods to the type that embeds it. Otherwise that type
// would be printed, logged and encoded as an Account only.
func TestAccountPromotesNothing(t *testing.T) {
	t.Parallel()
	var u any = &secretUser{auth.Account{ID: "1"}, "Alice"}
	switch u.(type) {
	case fmt.Stringer, fmt.Formatter, fmt.GoStringer, slog.LogValuer, json.Marshaler, encoding.TextMarshaler, xml.Marshaler,
		gob.GobEncoder, encoding.BinaryMarshaler, driver.Valuer, sql.Scanner, error:
		t.Error("a user has a method that it got from Account")
	}
	if out := fmt.Sprintf("%+v", u); !strings.Contains(out, "Alice") {
		t.Error(out)
	}
	if text, err := json.Marshal(u); err != nil || !strings.Contains(string(text), `"Name":"Alice"`) || strings.Contains(string(text), "Stamp") {
		t.Errorf("%s, %v", text, err)
	}
}
