package pages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// A Config holds the settings of the pages. The zero value is one.
type Config struct {
	// Prefix is the path that the pages are mounted at, such as "/auth". By
	// default it is empty: /login and so on. LoginURL of auth.Config must be
	// the login page, Prefix + "/login", RefreshURL Prefix + "/refresh" and, with
	// a Mailer, VerifyURL Prefix + "/verify-email"; the last two are so by default.
	Prefix string

	// Home is where to go after a login and a logout, a path of this site: "/"
	// by default.
	Home string

	// Site is the application's name, for titles and the top of each page. By
	// default there is none.
	Site string

	// Username and Email say whether the registration form asks for them. Both
	// are Required by default. What auth.Config's Identifiers has people log in
	// with must be; where either will do, one must be. With RequireVerified of
	// auth.Config Email must be.
	Username, Email Presence

	// MinUsername and MaxUsername limit the length of a new username in code
	// points: 3 and 20 by default. 1 and 64 are the widest, and mean that only
	// auth.UsernameKey has a say.
	MinUsername, MaxUsername int

	// Fields are further fields of the registration form, which come before
	// the password. The user type gets them in its ReadForm (auth.FormReader).
	// They need a Name and a Label; Type is "text" by default.
	Fields []Field

	// CheckRegistration, if set, checks a registration besides the pages' own
	// rules. It returns what is wrong with which field, or nil. The passwords
	// are in the form, too.
	CheckRegistration func(ctx context.Context, form url.Values) FieldErrors

	// TellTaken has the registration form say that an address is taken, although
	// auth.Config has RequireVerified: anybody can find out then who has an account.
	// By default the form says the same for every address, "check your email", and
	// the owner of one that is taken gets a mail. Without RequireVerified it says
	// so in any case, since the next login would tell anyway; and that a username is
	// taken it always says.
	TellTaken bool

	// FreshFor is how recently somebody must have shown the password to end
	// logins (OWASP ASVS 5.0, 7.5.2), to change the address and to close the account:
	// 20 minutes by default, which is what Phoenix's sudo mode has, and at least a
	// minute. Who has not is asked for it.
	FreshFor time.Duration

	// Texts are the words of the pages: English by default. What guards tell
	// those whom they send to the login and the refresh page is not among them:
	// see Message of auth.Config.
	Texts Texts

	// Templates has files that stand in for the embedded ones of the same
	// name, each by itself: layout.html, form.html, login.html, register.html,
	// forgot.html, reset.html, verify.html, resend.html, account.html,
	// password.html, email.html, confirm.html, undo.html, sessions.html, close.html,
	// refresh.html, switch.html, error.html and the stylesheet auth.css. Templates are
	// html/template, and get a Page. A page's file defines "content", which the
	// layout puts in its place.
	Templates fs.FS

	// SampleUser is a user that New tries the templates with. It is needed if
	// templates of one's own show fields of one's own user type.
	SampleUser auth.User
}

// A Presence says whether a form has a field.
type Presence int

// The presences.
const (
	Required Presence = iota // the default
	Optional
	Absent
)

// setDefaults fills in what is not set, and finds what cannot be.
func (cfg *Config) setDefaults(core *auth.Core) error {
	cfg.Prefix = strings.TrimSuffix(cfg.Prefix, "/")
	if cfg.Home == "" {
		cfg.Home = "/"
	}
	if cfg.MinUsername == 0 {
		cfg.MinUsername = 3
	}
	if cfg.MaxUsername == 0 {
		cfg.MaxUsername = 20
	}
	if cfg.FreshFor == 0 {
		cfg.FreshFor = 20 * time.Minute
	}
	switch {
	case cfg.Prefix != "" && (auth.ParseNext(cfg.Prefix).IsZero() || path.Clean(cfg.Prefix) != cfg.Prefix || strings.ContainsAny(cfg.Prefix, "?#%{}")):
		return fmt.Errorf("pages: Prefix %q is not a plain path", cfg.Prefix)
	case auth.ParseNext(cfg.Home).IsZero():
		return fmt.Errorf("pages: Home %q is not a path of this site", cfg.Home)
	case cfg.MinUsername < 1 || cfg.MaxUsername > 64 || cfg.MinUsername > cfg.MaxUsername:
		return fmt.Errorf("pages: MinUsername %d and MaxUsername %d are not in order, between 1 and 64", cfg.MinUsername, cfg.MaxUsername)
	case cfg.FreshFor < time.Minute:
		return fmt.Errorf("pages: FreshFor %v is shorter than a minute", cfg.FreshFor)
	}
	for _, presence := range []Presence{cfg.Username, cfg.Email} {
		if presence < Required || presence > Absent {
			return fmt.Errorf("pages: unknown Presence %d", presence)
		}
	}
	switch identifiers := core.Identifiers(); {
	case cfg.Username != Absent && !core.Keeps(auth.FieldUsername):
		return errors.New("pages: the user store leaves out usernames, so Username must be Absent")
	case cfg.Email != Absent && !core.Keeps(auth.FieldEmail):
		return errors.New("pages: the user store leaves out addresses, so Email must be Absent")
	case identifiers == auth.UsernameOnly && cfg.Username != Required:
		return errors.New("pages: people log in with their usernames, so Username must be Required")
	case identifiers == auth.EmailOnly && cfg.Email != Required:
		return errors.New("pages: people log in with their addresses, so Email must be Required")
	case core.RequiresVerified() && cfg.Email != Required:
		return errors.New("pages: auth.Config has RequireVerified, so Email must be Required")
	case cfg.Username != Required && cfg.Email != Required:
		return errors.New("pages: people log in with their usernames or addresses, so Username or Email must be Required")
	}
	return cfg.setFields()
}

// leadsTo reports whether a URL has this path.
func leadsTo(target, path string) bool {
	u, err := url.Parse(target)
	return err == nil && u.Path == path
}

// setFields gives the further fields what they lack.
func (cfg *Config) setFields() error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	names := []string{"username", "email", "password", "confirm_password", "next", "form_once"}
	cfg.Fields = slices.Clone(cfg.Fields)
	for i := range cfg.Fields {
		f := &cfg.Fields[i]
		if f.Type == "" {
			f.Type = "text"
		}
		switch {
		case f.Name == "" || strings.Trim(f.Name, letters) != "":
			return fmt.Errorf("pages: the field name %q is not of letters, digits and _", f.Name)
		case slices.Contains(names, f.Name):
			return fmt.Errorf("pages: there are two fields %q", f.Name)
		case f.Label == "":
			return fmt.Errorf("pages: the field %q has no label", f.Name)
		}
		names = append(names, f.Name)
	}
	return nil
}
