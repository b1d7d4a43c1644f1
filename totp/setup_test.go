package totp_test

import (
	"encoding/base32"
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/totp"
	"rsc.io/qr"
)

func rawSecret(text string) ([]byte, error) { return base32.StdEncoding.DecodeString(text) }

// setupOf returns what a user with this account is shown.
func setupOf(t *testing.T, a auth.Account, options ...totp.Option) auth.Setup {
	t.Helper()
	clock := testapp.NewClock()
	s := siteOn(t, testapp.NewSpy(clock), clock, func(cfg *auth.Config) {
		cfg.BaseURL = "https://app.example:8443"
	}, options...)
	a.ID, a.Stamp, a.Version = "7", auth.NewSecret("stamp"), 1
	_, err := s.Store.CreateUser(t.Context(), auth.Account{ID: a.ID, Stamp: a.Stamp, Version: 1}, nil)
	must(t, err)
	setup, err := s.totp.Begin(t.Context(), &testapp.User{Account: a})
	must(t, err)
	return setup
}

func TestLink(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		account auth.Account
		options []totp.Option
		want    string // between otpauth://totp/ and ?secret=
		issuer  string // after issuer=
	}{
		"a username":  {auth.Account{Username: "susan", Email: "s@x.example"}, nil, "app.example:susan", "app.example"},
		"an address":  {auth.Account{Email: "s+1@x.example"}, nil, "app.example:s%2B1%40x.example", "app.example"},
		"an ID":       {auth.Account{}, nil, "app.example:7", "app.example"},
		"spaces":      {auth.Account{Username: "susan b&c"}, []totp.Option{totp.Issuer("Big Bank+1 & Söhne")}, "Big%20Bank%2B1%20%26%20S%C3%B6hne:susan%20b%26c", "Big%20Bank%2B1%20%26%20S%C3%B6hne"},
		"a colon":     {auth.Account{Username: "a:b?c#d/e"}, nil, "app.example:a.b%3Fc%23d%2Fe", "app.example"},
		"not unicode": {auth.Account{Username: "a\xffb"}, nil, "app.example:ab", "app.example"},
		"a long name": {auth.Account{Username: strings.Repeat("ö", 128)}, []totp.Option{totp.Issuer(strings.Repeat("ö", 32))},
			strings.Repeat("%C3%B6", 32) + ":" + strings.Repeat("%C3%B6", 127), strings.Repeat("%C3%B6", 32)},
	} {
		t.Run(name, func(t *testing.T) {
			setup := setupOf(t, test.account, test.options...)
			secret := strings.ReplaceAll(setup.Secret.Reveal(), " ", "")
			want := fmt.Sprintf("otpauth://totp/%s?secret=%s&issuer=%s&algorithm=SHA1&digits=6&period=30", test.want, secret, test.issuer)
			if got := setup.URL.Reveal(); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			if u, err := url.Parse(setup.URL.Reveal()); err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != secret {
				t.Errorf("%v, %v", u, err)
			}
		})
	}
}

func TestSecretOfASetup(t *testing.T) {
	t.Parallel()
	setup := setupOf(t, auth.Account{Username: "susan"})
	if text := setup.Secret.Reveal(); !regexp.MustCompile(`^[A-Z2-7]{4}( [A-Z2-7]{4}){7}$`).MatchString(text) {
		t.Errorf("%d characters", len(text))
	}
	raw, err := rawSecret(strings.ReplaceAll(setup.Secret.Reveal(), " ", ""))
	if err != nil || len(raw) != 20 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if other := setupOf(t, auth.Account{Username: "susan"}); other.Secret.Equal(setup.Secret) {
		t.Error("two accounts have one secret")
	}
	if setup.Prompt.Field != "code" {
		t.Errorf("%+v", setup.Prompt)
	}
}

// The picture is the QR code of the link, black on white, with a quiet zone of four modules.
func TestPicture(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"s", "susan", strings.Repeat("ö", 127)} {
		setup := setupOf(t, auth.Account{Username: name})
		var svg struct {
			XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
			Role    string   `xml:"role,attr"`
			Label   string   `xml:"aria-label,attr"`
			ViewBox string   `xml:"viewBox,attr"`
			Width   int      `xml:"width,attr"`
			Height  int      `xml:"height,attr"`
			Rect    []struct {
				Width  int    `xml:"width,attr"`
				Height int    `xml:"height,attr"`
				Fill   string `xml:"fill,attr"`
			} `xml:"rect"`
			Path []struct {
				Fill string `xml:"fill,attr"`
				D    string `xml:"d,attr"`
			} `xml:"path"`
			Others []struct{ XMLName xml.Name } `xml:",any"`
		}
		text := setup.SVG.Reveal()
		must(t, xml.Unmarshal([]byte(text), &svg))
		code, err := qr.Encode(setup.URL.Reveal(), qr.M)
		must(t, err)
		size := code.Size + 8
		if svg.Role != "img" || svg.Label == "" || svg.ViewBox != fmt.Sprintf("0 0 %d %d", size, size) || svg.Width != 4*size || svg.Height != 4*size {
			t.Errorf("role %q, label %q, viewBox %q, %d x %d; want %d modules", svg.Role, svg.Label, svg.ViewBox, svg.Width, svg.Height, size)
		}
		if len(svg.Rect) != 1 || svg.Rect[0].Width != size || svg.Rect[0].Height != size || svg.Rect[0].Fill != "#fff" ||
			len(svg.Path) != 1 || svg.Path[0].Fill != "#000" || len(svg.Others) != 0 {
			t.Fatalf("%+v", svg)
		}
		black := map[[2]int]bool{}
		rest := svg.Path[0].D
		for rest != "" {
			var x, y, w, back, n int
			if _, err := fmt.Sscanf(rest, "M%d %dh%dv1h-%dz", &x, &y, &w, &back); err != nil || w != back || w < 1 {
				t.Fatalf("%.40q: %v", rest, err)
			}
			n = strings.IndexByte(rest, 'z') + 1
			rest = rest[n:]
			for i := range w {
				black[[2]int{x + i, y}] = true
			}
		}
		for y := range size {
			for x := range size {
				if black[[2]int{x, y}] != code.Black(x-4, y-4) {
					t.Fatalf("%s: the module at %d, %d is wrong", name, x, y)
				}
			}
		}
		if len(text) > 9000 && len(name) < 10 || strings.Contains(text, "script") || strings.Contains(text, "style") {
			t.Errorf("%d bytes: %.200s", len(text), text)
		}
	}
}
