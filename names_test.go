package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/invisible"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"golang.org/x/text/unicode/norm"
)

// A nameCase is a name and its key; an empty key means that the name is refused.
type nameCase struct{ what, name, key string }

func checkNames(t *testing.T, of func(string) (string, error), sentinel error, cases []nameCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			key, err := of(c.name)
			if key != c.key {
				t.Errorf("%+q has the key %+q, want %+q (%v)", c.name, key, c.key, err)
			}
			if (err != nil) != (c.key == "") || err != nil && !errors.Is(err, sentinel) {
				t.Errorf("%+q: error %v", c.name, err)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("the error has %d bytes: a name must not come back in it", len(err.Error()))
			}
			if key == "" {
				return
			}
			if again, err := of(key); again != key || err != nil {
				t.Errorf("%+q: the key of the key is %+q, %v", c.name, again, err)
			}
		})
	}
}

func TestUsernameKey(t *testing.T) {
	t.Parallel()
	checkNames(t, auth.UsernameKey, auth.ErrInvalidUsername, []nameCase{
		{"plain", "alice", "alice"},
		{"upper case", "Alice", "alice"},
		{"all upper case", "ALICE", "alice"},
		{"dots and dashes", "a.b-c_d", "a.b-c_d"},
		{"digits", "0815", "0815"},
		{"accent", "Renée", "renée"},
		{"accent, decomposed", "Rene\u0301e", "renée"},
		{"umlaut is not its base", "Müller", "müller"},
		{"sharp s is not ss", "Straße", "straße"},
		{"capital sharp s", "STRA\u1e9eE", "straße"},
		{"sigma", "ΣΟΦΙΑ", "σοφια"},
		{"final sigma is another letter", "σοφος", "σοφος"},
		{"kana", "たろう", "たろう"},
		{"Hebrew", "דוד", "דוד"},
		{"Cyrillic a is another letter", "\u0430dmin", "\u0430dmin"},
		{"dotless i is another letter", "m\u0131ke", "m\u0131ke"},
		{"dotted capital I is not i", "m\u0130ke", "mi\u0307ke"},
		{"Kelvin sign", "mi\u212ae", "mike"},
		{"full width", "\uff41\uff24min", "admin"},
		{"64 code points", strings.Repeat("é", 64), strings.Repeat("é", 64)},
		{"64 code points of four bytes", strings.Repeat("\U00020000", 64), strings.Repeat("\U00020000", 64)},

		{"empty", "", ""},
		{"long s", "\u017fam", ""},
		{"circled", "\u24d0dmin", ""},
		{"modifier letters", "\u1d2e\u1d35\u1d33", ""},
		{"ligature", "\ufb01sh", ""},
		{"mathematical", "\U0001d41alice", ""},
		{"zero-width space", "ad\u200bmin", ""},
		{"zero-width joiner", "ad\u200dmin", ""},
		{"zero-width non-joiner", "ad\u200cmin", ""},
		{"word joiner", "ad\u2060min", ""},
		{"byte order mark", "\ufeffadmin", ""},
		{"soft hyphen", "ad\u00admin", ""},
		{"right-to-left override", "\u202enimda", ""},
		{"left-to-right mark", "admin\u200e", ""},
		{"mixed directions", "abcדוד", ""},
		{"space", "ad min", ""},
		{"leading space", " admin", ""},
		{"trailing space", "admin ", ""},
		{"no-break space", "admin\u00a0", ""},
		{"ideographic space", "admin\u3000", ""},
		{"Hangul filler", "admin\u3164", ""},
		{"braille blank is a symbol", "admin\u2800", ""},
		{"tag character", "admin\U000e0041", ""},
		{"variation selector", "admin\ufe0f", ""},
		{"tab", "admin\t", ""},
		{"line feed", "admin\n", ""},
		{"CR LF", "admin\r\nX: y", ""},
		{"NUL", "admin\x00", ""},
		{"NUL inside", "ad\x00min", ""},
		{"delete", "admin\x7f", ""},
		{"C1 control", "admin\u0085", ""},
		{"invalid UTF-8", "admin\xff", ""},
		{"surrogate", "admin\xed\xa0\x80", ""},
		{"overlong slash", "admin\xc0\xaf", ""},
		{"replacement character is a symbol", "admin\ufffd", ""},
		{"private use", "admin\ue000", ""},
		{"not a character", "admin\ufdd0", ""},
		{"unassigned", "admin\U0003ffff", ""},
		{"emoji is a symbol", "a😀", ""},
		{"address", "alice@app.example", ""},
		{"at", "@", ""},
		{"full-width at", "alice\uff20app.example", ""},
		{"small at", "alice\ufe6bapp.example", ""},
		{"65 code points", strings.Repeat("a", 65), ""},
		{"a megabyte", strings.Repeat("a", 1<<20), ""},
		{"a megabyte that is not UTF-8", strings.Repeat("\xff", 1<<20), ""},
		// The canonical form must be short enough as well. Otherwise the name has no
		// key.
		{"64 code points that decompose into 128", strings.Repeat("\u0958", 64), ""},
		{"64 code points that become 128 in lower case", strings.Repeat("\u0130", 64), ""},
	})
}

func TestEmailKey(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("d", 63)
	long := label + "." + label + "." + strings.Repeat("d", 61) // 189 bytes
	checkNames(t, auth.EmailKey, auth.ErrInvalidEmail, []nameCase{
		{"plain", "mike@app.example", "mike@app.example"},
		{"upper case", "Mike@APP.Example", "mike@app.example"},
		{"all upper case", "MIKE@APP.EXAMPLE", "mike@app.example"},
		{"tag", "a+1@app.example", "a+1@app.example"},
		{"dots in the name", "a.b.c@app.example", "a.b.c@app.example"},
		{"underscore", "_a_@app.example", "_a_@app.example"},
		{"apostrophe", "o'brien@app.example", "o'brien@app.example"},
		{"digits", "1@2.example", "1@2.example"},
		{"IDN", "a@ä.org", "a@xn--4ca.org"},
		{"IDN in upper case", "a@Ä.ORG", "a@xn--4ca.org"},
		{"IDN decomposed", "a@a\u0308.org", "a@xn--4ca.org"},
		{"IDN in ASCII", "a@xn--4ca.org", "a@xn--4ca.org"},
		{"IDN in upper-case ASCII", "a@XN--4CA.ORG", "a@xn--4ca.org"},
		{"IDN top level", "a@пример.рф", "a@xn--e1afmkfd.xn--p1ai"},
		{"sharp s is not ss", "a@faß.example", "a@xn--fa-hia.example"},
		{"Kelvin sign in the domain", "a@\u212a.example", "a@k.example"},
		{"full-width domain", "a@ｘ.example", "a@x.example"},
		{"ideographic full stop", "a@x。example", "a@x.example"},
		{"hyphens in the third and fourth place", "a@ab--cd.example", "a@ab--cd.example"},
		{"umlaut before the @", "Müller@app.example", "müller@app.example"},
		{"umlaut before the @, decomposed", "mu\u0308ller@app.example", "müller@app.example"},
		{"Cyrillic", "Медведь@пример.рф", "медведь@xn--e1afmkfd.xn--p1ai"},
		{"Greek", "δοκιμή@app.example", "δοκιμή@app.example"},
		{"Chinese", "我買@屋企.香港", "我買@xn--hoqu73a.xn--j6w193g"},
		{"Japanese", "二ノ宮@app.example", "二ノ宮@app.example"},
		{"Hindi", "संपर्क@app.example", "संपर्क@app.example"},
		{"Arabic", "ثريا@app.example", "ثريا@app.example"},
		{"tag after an accent", "josé+1@app.example", "josé+1@app.example"},
		{"64 bytes before the @", strings.Repeat("a", 64) + "@app.example", strings.Repeat("a", 64) + "@app.example"},
		{"254 bytes", strings.Repeat("a", 64) + "@" + long, strings.Repeat("a", 64) + "@" + long},
		{"label of 63", "a@" + label + ".example", "a@" + label + ".example"},

		{"empty", "", ""},
		{"username", "mike", ""},
		{"at", "@", ""},
		{"nobody", "@app.example", ""},
		{"nowhere", "mike@", ""},
		{"two at", "a@b@app.example", ""},
		{"Kelvin sign", "mi\u212ae@app.example", ""},
		{"long s", "\u017fam@app.example", ""},
		{"dotless i", "m\u0131ke@app.example", ""},
		{"dotted capital I", "m\u0130ke@app.example", ""},
		{"full width", "\uff41dmin@app.example", ""},
		{"full-width at", "mike\uff20app.example", ""},
		{"two, comma", "a@x.org,b@y.org", ""},
		{"two, space", "a@x.org b@y.org", ""},
		{"two, semicolon", "a@x.org;b@y.org", ""},
		{"header", "a@x.org\r\nBcc: e@e.org", ""},
		{"header by LF", "a@x.org\nBcc: e@e.org", ""},
		{"header in the name", "a\r\nBcc: e@e.org", ""},
		{"header, escaped", "a@x.org%0d%0aBcc: e@e.org", ""},
		{"trailing LF", "a@x.org\n", ""},
		{"leading space", " a@x.org", ""},
		{"trailing space", "a@x.org ", ""},
		{"space before @", "a @x.org", ""},
		{"no-break space", "a@x.org\u00a0", ""},
		{"tab", "a@x.org\t", ""},
		{"NUL", "a@x.org\x00", ""},
		{"NUL in the name", "a\x00b@x.org", ""},
		{"invalid UTF-8 in the name", "a\xff@x.org", ""},
		{"invalid UTF-8 in the domain", "a@x\xff.org", ""},
		{"replacement character in the domain", "a@x\ufffd.org", ""},
		{"display name", `"Bob" <a@x.org>`, ""},
		{"bare display name", "Bob <a@x.org>", ""},
		{"angle brackets", "<a@x.org>", ""},
		{"comment", "a@x.org(comment)", ""},
		{"comment before", "(comment)a@x.org", ""},
		{"group", "grp: a@x.org;", ""},
		{"SMTP parameter", "v@x.org> ORCPT=z@e.org", ""},
		{"SMTP parameter, quoted", `"v@x.org> ORCPT=z"@e.org`, ""},
		{"quoted", `"a b"@x.org`, ""},
		{"quoted dot-atom", `"a"@x.org`, ""},
		{"backslash", `a\b@x.org`, ""},
		{"encoded word", "=?utf-8?q?a=40b?=@x.org", ""},
		{"encoded word with a comma", "=?x?q?=2c?=@x.org", ""},
		{"false A-label", "a@xn--0049.com", ""},
		{"empty A-label", "a@xn--.org", ""},
		{"literal", "a@[127.0.0.1]", ""},
		{"IPv6 literal", "a@[IPv6:::1]", ""},
		{"address without brackets", "a@127.0.0.1", ""},
		{"address in hexadecimal", "a@0x7f.0.0.0x1", ""},
		{"localhost", "a@localhost", ""},
		{"invisible at the end", "susan@example.com\u200b", ""},
		{"invisible in the name", "su\u200bsan@example.com", ""},
		{"soft hyphen in the domain", "susan@exam\u00adple.com", ""},
		{"variation selector in the domain", "susan@example\ufe0f.com", ""},
		{"braille blank in the domain", "susan@exam\u2800ple.com", ""},
		{"emoji before the @ is a symbol", "a😀@app.example", ""},
		{"mixed directions before the @", "abcדוד@app.example", ""},
		{"full-width full stop before the @", "a．b@app.example", ""},
		{"33 letters of two bytes before the @", strings.Repeat("é", 33) + "@app.example", ""},
		{"false A-label with hyphens", "a@xn--ab--cd-.example", ""},
		{"percent routing", "a%b@x.org", ""},
		{"bang routing", "a!b@x.org", ""},
		{"option", "-oQ@x.org", ""},
		{"leading dot", ".a@x.org", ""},
		{"trailing dot in the name", "a.@x.org", ""},
		{"double dot", "a..b@x.org", ""},
		{"trailing dot", "a@x.org.", ""},
		{"leading dot in the domain", "a@.x.org", ""},
		{"double dot in the domain", "a@x..org", ""},
		{"underscore in the domain", "a@a_b.org", ""},
		{"dash at a label's start", "a@-x.org", ""},
		{"dash at a label's end", "a@x-.org", ""},
		{"port", "a@x.org:25", ""},
		{"path", "a@x.org/y", ""},
		{"zero-width joiner", "a@x\u200dy.org", ""},
		{"right-to-left override", "a@\u202ex.org", ""},
		{"65 bytes before the @", strings.Repeat("a", 65) + "@app.example", ""},
		{"255 bytes", strings.Repeat("a", 64) + "@d" + long, ""},
		{"longer than 254 in ASCII only", strings.Repeat("a", 64) + "@" + strings.Repeat("ä.", 40) + "org", ""},
		{"label of 64", "a@d" + label + ".example", ""},
		{"a megabyte", strings.Repeat("a", 1<<20) + "@app.example", ""},
		{"a megabyte of domain", "a@" + strings.Repeat("ä.", 1<<19) + "org", ""},
		{"a megabyte of @", strings.Repeat("@", 1<<20), ""},
	})
}

// If a name looks like another one because of an invisible character, it is refused,
// wherever the character is.
func TestInvisibleCharactersInNames(t *testing.T) {
	t.Parallel()
	for r := range unicode.MaxRune + 1 {
		if !invisible.Is(r) || unicode.In(r, unicode.Co, unicode.Cs) && r%509 != 0 { // a sample, because there are so many
			continue
		}
		if r > 0xffff && r%61 != 0 && !testapp.Slow() {
			continue
		}
		c := string(r)
		for _, name := range []string{c + "susan", "su" + c + "san", "susan" + c, "д" + c + "а", c} {
			if key, err := auth.UsernameKey(name); !errors.Is(err, auth.ErrInvalidUsername) {
				t.Errorf("the username %+q has the key %+q", name, key)
			}
			for _, address := range []string{name + "@app.example", "susan@" + name + ".example", "susan@app." + name} {
				if key, err := auth.EmailKey(address); !errors.Is(err, auth.ErrInvalidEmail) {
					t.Errorf("the address %+q has the key %+q", address, key)
				}
			}
		}
	}
}

// The usual foldings (ToLower, ToUpper, EqualFold, NFKC) treat some different names as
// equal. Such usernames have different keys, or are refused. Such addresses have
// different keys.
func TestNamesThatOnlyLookAlike(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"mıke", "mike"}, {"m\u0130ke", "mike"}, {"\u0430dmin", "admin"},
		{"straße", "strasse"}, {"renée", "renee"}, {"σοφος", "σοφοσ"},
	} {
		a, errA := auth.UsernameKey(pair[0])
		b, errB := auth.UsernameKey(pair[1])
		if errA == nil && errB == nil && a == b {
			t.Errorf("%q and %q are one username: %q", pair[0], pair[1], a)
		}
	}
	for _, pair := range [][2]string{
		{"a+1@x.example", "a@x.example"}, {"a.b@x.example", "ab@x.example"},
		{"a@faß.example", "a@fass.example"}, {"a@é.example", "a@e.example"}, {"a@\u0430.example", "a@a.example"},
	} {
		a, errA := auth.EmailKey(pair[0])
		b, errB := auth.EmailKey(pair[1])
		if errA != nil || errB != nil || a == b {
			t.Errorf("%q and %q have the keys %q (%v) and %q (%v)", pair[0], pair[1], a, errA, b, errB)
		}
	}
}

func FuzzUsernameKey(f *testing.F) {
	for _, seed := range []string{
		"alice", "ALICE", "Rene\u0301e", "\u0130", "\u212a", "\uff41", "\u017f", "\u0958", "a@b", "\u0430", "דוד", "ab\u200d", "\xff",
		"می\u200cخواهم", "क\u094d\u200dष", "susan\U00013441", "su\u034fsan", "susan\U000e0001",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		key, err := auth.UsernameKey(name)
		if err != nil {
			if key != "" || !errors.Is(err, auth.ErrInvalidUsername) {
				t.Fatalf("%+q: %+q, %v", name, key, err)
			}
			return
		}
		if again, err := auth.UsernameKey(key); err != nil || again != key {
			t.Errorf("%+q: key %+q, whose key is %+q, %v", name, key, again, err)
		}
		if n := utf8.RuneCountInString(key); n == 0 || n > 64 {
			t.Errorf("%+q: the key %+q has %d code points", name, key, n)
		}
		if !utf8.ValidString(key) || !utf8.ValidString(name) {
			t.Errorf("%+q: not UTF-8: %+q", name, key)
		}
		if invisible.In(name) {
			t.Errorf("%+q has invisible characters", name)
		}
		for _, r := range key {
			if r == '@' || unicode.IsUpper(r) && unicode.ToLower(r) != r || unicode.IsSpace(r) || unicode.IsControl(r) ||
				unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%+q: the key %+q has %U", name, key, r)
			}
		}
		if _, err := auth.EmailKey(name); err == nil {
			t.Errorf("%+q is an address as well", name)
		}
	})
}

func FuzzEmailKey(f *testing.F) {
	for _, seed := range []string{
		"a@x.org", "A+1@XN--4CA.ORG", "a@ä.org", "a@x。org", "a@faß.de", "a@a\u0308.org", "=?utf-8?q?a?=@x.org",
		`"a"@x.org`, "a@[::1]", "a@x.org.", "a@x\u00ad.org", "a@1.2.3.4", "-a@x.org", "a@xn--0049.com", "a@\u200d.org", "\xff@x.org",
		"susan@example.com\u200b", "Mu\u0308ller@x.org", "我買@屋企.香港", "m\u0131ke@x.org", "a@ab--cd.example", "a\u2800@x.org", "דוד@x.org",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		key, err := auth.EmailKey(address)
		if err != nil {
			if key != "" || !errors.Is(err, auth.ErrInvalidEmail) {
				t.Fatalf("%+q: %+q, %v", address, key, err)
			}
			return
		}
		if again, err := auth.EmailKey(key); err != nil || again != key {
			t.Errorf("%+q: key %+q, whose key is %+q, %v", address, key, again, err)
		}
		if invisible.In(address) || invisible.In(key) {
			t.Errorf("%+q or its key %+q has invisible characters", address, key)
		}
		local, domain, _ := strings.Cut(key, "@")
		if len(key) > 254 || len(local) > 64 || local == "" || !strings.Contains(domain, ".") || strings.Contains(domain, "@") {
			t.Errorf("%+q: key %+q", address, key)
		}
		for i := range len(key) {
			if c := key[i]; c <= ' ' || c == 0x7f || c > 0x7f && i > len(local) || 'A' <= c && c <= 'Z' || strings.IndexByte(`"(),:;<>[\]%!`, c) >= 0 {
				t.Errorf("%+q: the key %+q has %q", address, key, c)
			}
		}
		// Before the @, only case and composition of the address may differ from its
		// key.
		typed, _, _ := strings.Cut(address, "@")
		if composed := strings.ToLower(norm.NFC.String(strings.ToLower(typed))); composed != local || len(typed) != len(local) && !strings.ContainsFunc(typed, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Errorf("%+q: the name became %+q", address, local)
		}
		if _, err := auth.UsernameKey(address); err == nil {
			t.Errorf("%+q is a username as well", address)
		}
	})
}

func TestAccountKeys(t *testing.T) {
	t.Parallel()
	text := func(key *string) string {
		if key == nil {
			return "nil"
		}
		return *key
	}
	for _, c := range []struct {
		a               auth.Account
		username, email string
		want            error
	}{
		{auth.Account{}, "nil", "nil", nil},
		{auth.Account{Username: "Susan"}, "susan", "nil", nil},
		{auth.Account{Email: "Susan@APP.example"}, "nil", "susan@app.example", nil},
		{auth.Account{Username: "Susan", Email: "Susan@APP.example"}, "susan", "susan@app.example", nil},
		{auth.Account{Username: "a b", Email: "susan@app.example"}, "nil", "nil", auth.ErrInvalidUsername},
		{auth.Account{Username: "susan", Email: "susan"}, "nil", "nil", auth.ErrInvalidEmail},
		{auth.Account{Email: "Admin@Localhost"}, "nil", "admin@localhost", nil},
		{auth.Account{Email: "admin@127"}, "nil", "nil", auth.ErrInvalidEmail},
	} {
		username, email, err := auth.AccountKeys(c.a)
		if text(username) != c.username || text(email) != c.email || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %s, %s, %v", c, text(username), text(email), err)
		}
	}
}

// Users with names that today's rules refuse, from an older table, can still log in and
// get their mails.
func TestOldNamesStillWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		username, email string
		keys, logins    []string
	}{
		{email: "susan@app.example\u200b", keys: []string{"susan@app.example"}, logins: []string{"susan@app.example", "Susan@app.example\u200b"}},
		{email: "Susan@app.example\u200b", keys: []string{"susan@app.example\u200b"}, logins: []string{"Susan@app.example\u200b", " susan@app.example\u200b"}},
		{email: "su\u00adsan@app.example", keys: []string{"su\u00adsan@app.example"}, logins: []string{"su\u00adsan@app.example"}},
		{email: "A..B.@docomo.example", keys: []string{"a..b.@docomo.example"}, logins: []string{"A..B.@docomo.example", "a..b.@DOCOMO.example"}},
		{email: `"John Doe"@app.example`, keys: []string{`"john doe"@app.example`}, logins: []string{`"john doe"@app.example`}},
		{email: "a%b@app.example", keys: []string{"a%b@app.example"}, logins: []string{"a%b@app.example"}},
		{email: "m\u0131ke@app.example", keys: []string{"m\u0131ke@app.example"}, logins: []string{"m\u0131ke@app.example"}},
		{email: "Admin@localhost", keys: []string{"admin@localhost"}, logins: []string{"admin@localhost"}},
		{username: "Susan Smith", email: "susan@app.example", keys: []string{"susan smith", "susan@app.example"}, logins: []string{"Susan Smith", "susan smith ", "susan@app.example"}},
		{username: "su\u200dsan", email: "susan@app.example", keys: []string{"su\u200dsan", "susan@app.example"}, logins: []string{"su\u200dsan", "susan@app.example"}},
		{username: strings.Repeat("x", 65), email: "susan@app.example", keys: []string{strings.Repeat("x", 65), "susan@app.example"}, logins: []string{strings.Repeat("X", 65)}},
	} {
		box := &testapp.Outbox{}
		clock := testapp.NewClock()
		table := &oldTable{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now)), keys: c.keys}
		table.user.Account = auth.Account{
			ID: "7", Username: c.username, Email: c.email, Stamp: auth.NewSecret("stamp"), Version: 1, PasswordHash: cheapHash(testapp.Password),
		}
		app := testapp.New(t, table, clock, func(cfg *auth.Config) { cfg.Mailer = box })
		for _, login := range c.logins {
			if u, err := app.Authenticate(t.Context(), login, testapp.Password); err != nil || u.ID != "7" {
				t.Errorf("%+q: %v", login, err)
			}
		}
		if !opens(t, app, "7", testapp.Password) {
			t.Errorf("%+q: CheckPassword says no", c.email)
		}
		if err := app.SetPassword(t.Context(), stored(t, app, "7"), "another good password"); err != nil {
			t.Errorf("%+q: SetPassword: %v", c.email, err)
		}
		box.Take()
		address := c.logins[len(c.logins)-1]
		if !strings.Contains(address, "@") {
			address = c.email
		}
		for _, send := range []func() error{
			func() error { return app.SendVerification(t.Context(), address) },
			func() error { return app.SendReset(t.Context(), address) },
		} {
			if err := send(); err != nil {
				t.Errorf("%+q: %v", address, err)
			}
			mails := box.Take()
			if len(mails) != 1 || mails[0].To != c.email {
				t.Errorf("%+q: mails %v", address, labels(mails))
				continue
			}
			token := tokenIn(t, mails[0])
			var err error
			if mails[0].Kind == auth.MailVerify {
				_, err = app.VerifyEmail(t.Context(), token)
			} else {
				_, err = app.ResetPassword(t.Context(), token, "one more good password")
			}
			if err != nil {
				t.Errorf("%+q: %v", address, err)
			}
		}
		if u := stored(t, app, "7"); !u.EmailVerified || !opens(t, app, "7", "one more good password") {
			t.Errorf("%+q: %+v", c.email, u)
		}
		// No other user can register such a name, or one that looks like it.
		for _, r := range []auth.Registration{
			{Username: c.username, Email: "new@app.example", NoPassword: true},
			{Username: "newcomer", Email: c.email, NoPassword: true},
		} {
			if u, err := app.Register(t.Context(), r); err == nil && u.Username == c.username && u.Email == c.email {
				t.Errorf("%+q %+q was registered", r.Username, r.Email)
			}
		}
	}
}

// If an address is invalid by today's rules, the answer is the same whether or not an
// older account has it.
func TestOldNamesTellNothing(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"susan@app.example\u200b", "a..b@app.example", `"john doe"@app.example`} {
		var calls [2][]string
		var told [2]string
		for i := range calls {
			box, clock := &testapp.Outbox{}, testapp.NewClock()
			table := &oldTable{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
			table.user.Account = auth.Account{ID: "7", Email: address, Stamp: auth.NewSecret("stamp"), Version: 1, PasswordHash: cheapHash(testapp.Password)}
			if i == 1 {
				table.keys = []string{strings.ToLower(address)}
			}
			hooked := testapp.SpyOn(table)
			app := testapp.New(t, hooked, clock, func(cfg *auth.Config) { cfg.Mailer = box })
			_, errLogin := app.Authenticate(t.Context(), address, "a wrong password")
			told[i] = fmt.Sprint(errLogin, app.SendReset(t.Context(), address), app.SendVerification(t.Context(), address))
			calls[i] = hooked.Calls()
		}
		if told[0] != told[1] || !slices.Equal(calls[0], calls[1]) {
			t.Errorf("%+q: without an account %s %v, with one %s %v", address, told[0], calls[0], told[1], calls[1])
		}
	}
}

// An address without a dot in its domain needs LocalDomains.
func TestLocalDomains(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		m := newMailApp(t, func(c *auth.Config) { c.LocalDomains = local })
		u, browser := m.susan(t)
		m.box.Take()
		allowed := func(what string, err error) {
			if local && err != nil || !local && !errors.Is(err, auth.ErrInvalidEmail) {
				t.Errorf("%s, LocalDomains %t: %v", what, local, err)
			}
		}
		allowed("ValidateEmail", m.ValidateEmail("admin@localhost"))
		_, err := m.Register(t.Context(), auth.Registration{Username: "admin", Email: "Admin@localhost", Password: resetTo})
		allowed("Register", err)
		allowed("SendReset", m.SendReset(t.Context(), "admin@localhost"))
		allowed("SendVerification", m.SendVerification(t.Context(), "ADMIN@localhost"))
		m.In(browser, func(ctx context.Context) { allowed("SendEmailChange", m.SendEmailChange(ctx, u, "susan@localhost")) })
		if n := len(m.box.Take()); local && n != 3 || !local && n != 0 {
			t.Errorf("LocalDomains %t: %d mails", local, n)
		}
		for _, address := range []string{"admin@127", "admin@-", "admin@", "admin@[127.0.0.1]", "admin@localhost."} {
			if err := m.ValidateEmail(address); !errors.Is(err, auth.ErrInvalidEmail) {
				t.Errorf("%q, LocalDomains %t: %v", address, local, err)
			}
		}
	}
}

// If the store refuses an old row because of its name, the user still logs in, and the
// old hash stays.
func TestOldNamesLogIn(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	u := member(t, app, "susan", "", func(a *auth.Account) { a.PasswordHash = cheapHash(testapp.Password) })
	store.Hook(on("UpdateAccount", func() error { return auth.ErrInvalidUsername }), nil)
	if r := app.Client(t).Post("/login", "login", "susan@app.example", "password", testapp.Password); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
	store.Reset()
	if now := stored(t, app, u.ID); now.Version != u.Version {
		t.Error("the account was changed")
	}
	if n := count(app.Events(), auth.EventHashNotUpgraded, u.ID); n != 1 {
		t.Errorf("%d events", n)
	}
}
