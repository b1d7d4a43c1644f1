package pages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// A Config holds the settings of the pages. The zero value is valid.
type Config struct {
	// Prefix is the path that the pages are mounted at, such as "/auth", below the path of
	// BaseURL of auth.Config. The default is empty: the login page is /login, and so on. With a
	// Prefix, set URLs.Login of auth.Config to Prefix + "/login". The defaults of the other URLs
	// follow from it.
	Prefix string

	// Without has the paths of pages that are left out, as they are under Routes in the
	// package documentation, whatever Prefix and Paths are: {"/register"}. Such a page is not
	// served, neither to browsers nor to programs, and no page links to it. If auth.Config has a
	// URL for the page, such as URLs.Forgot, set it to a page of your application: links, and
	// those in mails, then lead there. Your login page may have the path of ours. If you leave
	// out /account/email, set its URL only if your application calls Core.SendEmailChange. If
	// you leave out /account/identities, a new connection to a provider leads to Home or
	// IdentitiesPage of oauth.Handler. Some pages cannot be left out, because others need them:
	// New then returns an error that says why.
	Without []string

	// Paths renames pages: {"/login": "/sign-in"}. The keys are paths as in Without, and the
	// values are below Prefix. If auth.Config has a URL for the page, such as URLs.Login, set
	// that, too.
	Paths map[string]string

	// Home is the path of this site that a login and a logout lead to, unless the
	// request names another one. The default is "/", below the path of BaseURL. If visitors see
	// it, it shows the messages of Core.Flashes: otherwise the login page says later that they
	// have been logged out.
	Home string

	// Site is the application's name, for titles and the top of each page. The default
	// is no name.
	Site string

	// Logo is the path of the application's logo on this site, such as "/logo.svg". Your
	// application serves it. The pages show it 40 pixels high, above or before Site. The
	// default is no logo.
	Logo string

	// Icon is the path of the icon for the browser's tab, such as "/favicon.svg". The default
	// is Logo.
	Icon string

	// Accent is the colour of buttons and links, such as "#0b57b0". White text on this colour, and
	// text in this colour on the pages, must have a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
	// Otherwise New returns an error that names the next darker shade. If the user prefers dark
	// pages, they get a lighter shade of it. An auth.css of your own gets it as --accent, and the colour
	// of text on it as --on-accent.
	Accent string

	// Username and Email say whether the registration form asks for them. The default
	// for both is Required. If Identifiers of auth.Config has users log in with one of
	// the two, that one must be Required; if it allows either, at least one must be. With
	// RequireVerified of auth.Config, Email must be Required.
	Username, Email Presence

	// MinUsername and MaxUsername limit the length of a new username, in code points. The
	// defaults are 3 and 20. The widest limits are 1 and 64: then only auth.UsernameKey
	// decides.
	MinUsername, MaxUsername int

	// Fields are further fields of the registration form. They come before the password.
	// Your user type gets their values in its ReadForm (auth.FormReader). If it has none,
	// and the store says that it ignores the form (auth.FormIgnorer), New returns an error,
	// unless CheckRegistration is set, which may need the field. Each field needs
	// a Name and a Label; the default Type is "text". The pages check that a Required field has a
	// value, and a select one of its Options. Your ReadForm checks the rest, such as a number.
	Fields []Field

	// CheckRegistration, if set, checks a registration in addition to the pages' own
	// rules. It returns what is wrong with the fields, or nil. The form includes the
	// passwords, and fields that are not in Fields, such as the token of a captcha. A
	// program sends the same fields in JSON; the value of a ticked box is "y".
	CheckRegistration func(ctx context.Context, form url.Values) FieldErrors

	// FreshFor is how recently a user must have shown the password to end logins (OWASP
	// ASVS 5.0, 7.5.2), to change the address and to close the account. Otherwise the
	// user is asked for it. The default is 20 minutes, as in Phoenix's sudo mode; the
	// minimum is a minute.
	FreshFor time.Duration

	// NoPasskeyOffer says that users are not asked after a login with the password whether
	// they want a passkey. Otherwise a user without one is asked, at most once in 30 days in
	// a browser, if the device can have a passkey. It needs a PasskeyFactor among Factors of
	// auth.Config.
	NoPasskeyOffer bool

	// OpenAPI serves the document of Pages.OpenAPI at Prefix + "/openapi.json", for everybody.
	OpenAPI bool

	// Texts are the words of the pages, in the first one of Languages of auth.Config. The
	// defaults are in English, German or Spanish. The messages of guards that send users to
	// the login page or the refresh page are not among them: see Message of auth.Config.
	Texts Texts

	// Translations are Texts in the other Languages of auth.Config, by their tags. Texts in
	// German and Spanish replace single ones of the package's. In a language that the package
	// does not have, every text must be set. Labels of Fields are not translated.
	Translations map[string]Texts

	// CSP adds sources to the Content-Security-Policy of the pages.
	CSP Sources

	// Funcs are functions for templates of your own. They come beside those of html/template.
	Funcs template.FuncMap

	// Data, if set, returns the Data of a Page, for templates of your own: a menu in your layout,
	// for example. It is called for each page, error pages included. If it fails, the answer is
	// the page of that error.
	Data func(*http.Request) (any, error)

	// SampleData is the Data that New tries the templates with. Set it if your templates use
	// what Data returns.
	SampleData any

	// Templates has files that replace the embedded ones of the same name. You may
	// replace any of these files: layout.html, scripts.html, form.html, login.html, register.html,
	// forgot.html, reset.html, verify.html, resend.html, inbox.html, account.html, password.html,
	// email.html, confirm.html, undo.html, sessions.html, close.html, refresh.html,
	// factor.html, twofactor.html, recoverycodes.html, passkey.html, passkeys.html,
	// providers.html, identities.html, closed.html, maillogin.html, maillink.html, switch.html,
	// error.html, notice.html and the stylesheet auth.css. To change only a part of the layout,
	// write a file blocks.html. It defines any of "head" (more elements at the end of <head>),
	// "brand" (the logo and the name) and "footer" (below the page), as in
	// {{define "footer"}}…{{end}}. A page's file may also define "under", which is below the
	// card. The templates are those of html/template, and are executed with a Page. A page's
	// file defines "content", which the layout inserts. If there are passkeys, your file for a
	// page that asks for one needs {{template "passkey" .}}. If there are providers, your files
	// for "login", "register" and "refresh" need {{template "providers" .}}. See the embedded
	// files. Another .html or .css file, and a definition that no template uses, is an error from New.
	Templates fs.FS

	// SampleUser is a user that New tries the templates with. Set it if your templates
	// use fields of your own user type.
	SampleUser auth.User
}

// A Presence says whether the registration form has a field.
type Presence int

// The presences.
const (
	Required Presence = iota // the default
	Optional
	Absent
)

// setDefaults sets the defaults, and checks the settings.
func (cfg *Config) setDefaults(core *auth.Core, settings auth.Config) error {
	cfg.Prefix = strings.TrimSuffix(cfg.Prefix, "/")
	if cfg.Home == "" {
		cfg.Home = core.BasePath() + "/"
	}
	if cfg.MinUsername == 0 {
		cfg.MinUsername = 3
	}
	if cfg.MaxUsername == 0 {
		cfg.MaxUsername = 20
	}
	if cfg.Icon == "" {
		cfg.Icon = cfg.Logo
	}
	if cfg.FreshFor == 0 {
		cfg.FreshFor = 20 * time.Minute
	}
	switch {
	case cfg.Prefix != "" && !isPlainPath(cfg.Prefix):
		return fmt.Errorf("pages: Prefix %q is not a plain path; use one such as \"/auth\"", cfg.Prefix)
	case auth.ParseNext(cfg.Home).IsZero():
		return fmt.Errorf("pages: Home %q is not a path of this site; use one such as \"/\"", cfg.Home)
	case cfg.MinUsername < 1 || cfg.MaxUsername > 64 || cfg.MinUsername > cfg.MaxUsername:
		return fmt.Errorf("pages: MinUsername %d and MaxUsername %d must be in this order, between 1 and 64", cfg.MinUsername, cfg.MaxUsername)
	case cfg.FreshFor < time.Minute:
		return fmt.Errorf("pages: FreshFor %v is too short; use a minute or more", cfg.FreshFor)
	case cfg.Logo != "" && auth.ParseNext(cfg.Logo).IsZero():
		return fmt.Errorf("pages: Logo %q is not a path of this site; use one such as \"/logo.svg\"", cfg.Logo)
	case cfg.Icon != "" && auth.ParseNext(cfg.Icon).IsZero():
		return fmt.Errorf("pages: Icon %q is not a path of this site; use one such as \"/favicon.svg\"", cfg.Icon)
	case cfg.SampleData != nil && cfg.Data == nil:
		return errors.New("pages: SampleData has no effect without Data; set Data")
	}
	if err := cfg.CSP.check(); err != nil {
		return err
	}
	if err := cfg.checkNames(core, settings); err != nil {
		return err
	}
	if err := cfg.setFields(); err != nil {
		return err
	}
	if len(cfg.Fields) > 0 && cfg.CheckRegistration == nil && core.IgnoresForm() {
		names := make([]string, len(cfg.Fields))
		for i, field := range cfg.Fields {
			names[i] = strconv.Quote(field.Name)
		}
		return fmt.Errorf("pages: nothing reads %s in Fields: give your user type a method ReadForm(form url.Values) error with a pointer receiver (auth.FormReader), or remove the fields", strings.Join(names, " and "))
	}
	return nil
}

// checkNames checks what the registration form asks for against what users log in with.
func (cfg *Config) checkNames(core *auth.Core, settings auth.Config) error {
	for _, presence := range []Presence{cfg.Username, cfg.Email} {
		if presence < Required || presence > Absent {
			return fmt.Errorf("pages: unknown Presence %d; use Required, Optional or Absent", presence)
		}
	}
	switch identifiers := settings.Identifiers; {
	case cfg.Username != Absent && !core.Keeps(auth.FieldUsername):
		return errors.New("pages: the user store keeps no usernames, so Username must be Absent")
	case cfg.Email != Absent && !core.Keeps(auth.FieldEmail):
		return errors.New("pages: the user store keeps no addresses, so Email must be Absent")
	case identifiers == auth.UsernameOnly && cfg.Username != Required:
		return errors.New("pages: users log in with their usernames, so Username must be Required")
	case identifiers == auth.EmailOnly && cfg.Email != Required:
		return errors.New("pages: users log in with their addresses, so Email must be Required")
	case settings.RequireVerified && cfg.Email != Required:
		return errors.New("pages: auth.Config has RequireVerified, so Email must be Required")
	case cfg.Username != Required && cfg.Email != Required:
		return errors.New("pages: users log in with their usernames or addresses, so Username or Email must be Required")
	}
	return nil
}

// leadsTo reports whether a URL of auth.Config leads to this path of the application.
func leadsTo(target, baseURL, path string) bool {
	u, err := url.Parse(target)
	if err != nil || u.Path != path {
		return false
	}
	rest, ours := strings.CutPrefix(strings.ToLower(target), strings.ToLower(baseURL))
	return u.Host == "" || ours && strings.HasPrefix(rest, "/")
}

// setFields sets the defaults of Fields, and checks them.
func (cfg *Config) setFields() error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	types := []string{"text", "email", "password", "checkbox", "select", "tel", "url", "number", "date"}
	names := []string{"username", "email", "password", "confirm_password", "next", "form_once"}
	cfg.Fields = slices.Clone(cfg.Fields)
	for i := range cfg.Fields {
		f := &cfg.Fields[i]
		if f.Type == "" {
			f.Type = "text"
		}
		switch {
		case f.Name == "" || strings.Trim(f.Name, letters) != "":
			return fmt.Errorf("pages: the field name %q must consist of letters, digits and _", f.Name)
		case slices.Contains(names, f.Name):
			return fmt.Errorf("pages: there are two fields %q; rename the one in Fields", f.Name)
		case f.Label == "":
			return fmt.Errorf("pages: the field %q has no label; set Field.Label", f.Name)
		case !slices.Contains(types, f.Type):
			return fmt.Errorf("pages: the field %q has the unknown type %q; use one of %s", f.Name, f.Type, strings.Join(types, ", "))
		case (f.Type == "select") != (len(f.Options) > 0):
			return fmt.Errorf("pages: the field %q needs Options if and only if its type is select", f.Name)
		}
		f.Options = slices.Clone(f.Options)
		for j := range f.Options {
			o := &f.Options[j]
			if slices.ContainsFunc(f.Options[:j], func(other Option) bool { return other.Value == o.Value }) {
				return fmt.Errorf("pages: the field %q has two options with the value %q", f.Name, o.Value)
			}
			o.Label = cmp.Or(o.Label, o.Value)
		}
		names = append(names, f.Name)
	}
	return nil
}
